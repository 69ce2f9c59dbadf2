"""E runs away: is a lithium electrode exhausted, has contact been lost, or is the circuit open?

When E runs away at about the set current, the electrode that strips gives no more lithium; what the charge
that has passed says of it is in :mod:`guards.lithium`. It holds for Li|Li cells, whose E is an overpotential.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from pydantic import TypeAdapter

from guards.guard import Guard, State, StepFacts
from guards.lithium import LithiumBooks, cause_of_runaway
from protocols.cell import Cell
from protocols.program import Limits
from protocols.verdicts import Side, Verdict, VerdictKind

_TICK_S = 0.9
"""The level is learnt once a second; the tenth less keeps a 1 Hz stream with jitter whole."""

_MAH_PER_C = 1 / 3.6

_WORDS: dict[VerdictKind, str] = {
    "li_depletion": "Lithium used up",
    "contact_loss": "Contact lost",
    "open_circuit": "No current flows",
    "polarization": "Polarisation ran away",
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When E runs away. From the survey of short detection, section 6, unless another reason is given."""

    resistance_ratio: float = 3.0
    """R = |E/I| above this × the level before (early rule: 0 false alarms, 16 s before the limit)."""
    voltage_V: float = 1.0
    """And |E| above this; found in ranges of ±5 V."""
    voltage_fraction: float = 0.5
    """With a lower limit of E, |E| above this part of it is enough: where 1 V is more than half the limit,
    the rule would hardly come before the limit, and half of it is still far above a healthy overpotential."""
    confirm_s: float = 3.0
    """For this time."""
    confirm_samples: float = 3.0
    """Samples in that time (depletion at 4.5 V: one to three made no difference)."""
    open_current_fraction: float = 0.05
    """|I| below this part of the set-point is no current (open circuit: 113 of 113 found)."""
    open_voltage_fraction: float = 0.95
    """And |E| above this part of its limit: an instrument at its compliance may read a little less."""
    open_samples: float = 2.0
    """Such samples in a row."""
    blank_s: float = 3.0
    """Not judged after each change of current."""
    learn_s: float = 60.0
    """The level starts as the median of this time."""
    level_s: float = 600.0
    """Time constant of the level: longer than a run-away (1 to 200 s), shorter than activation (hours)."""
    level_rise: float = 1.5
    """A value counts in the level with at most this × the level, so that a run-away is not learnt."""


@dataclass(slots=True)
class _State:
    books: LithiumBooks = field(default_factory=LithiumBooks)
    limit_V: float = 0.0
    early_V: float = 0.0
    ends_by_voltage: bool = False
    judged_from_s: float = 0.0
    tick_s: float = 0.0
    last_A: float = 0.0
    first_ohm: list[float] = field(default_factory=list)
    level_ohm: float = 0.0
    raised: float = 1.0
    """By how much the level still is raised because the current became smaller."""
    since_s: float | None = None
    since_ohm: float = 0.0
    samples: int = 0
    open_since_s: float | None = None
    open_samples: int = 0
    high_s: float | None = None
    high_V: float = 0.0
    high_A: float = 0.0
    told: bool = False


_STATE = TypeAdapter(_State)


class Depletion(Guard):
    """Guard of a voltage that runs away, tier 1; names what made a limit of E on board fire, tier 0."""

    name = "depletion"

    def __init__(self, cell: Cell, limits: Limits, thresholds: Thresholds | None = None) -> None:
        super().__init__()
        self._th = thresholds or Thresholds()
        self._cell = cell
        self._limits = limits
        self._s = _State()

    def enter(self, step: StepFacts) -> None:
        """Book the charge of the visit before and look out anew."""
        s, th = self._s, self._th
        s.books.enter(step)
        s.since_s, s.samples, s.open_samples, s.high_s = None, 0, 0, None
        limits = self._limits
        s.limit_V = limits.voltage_max_V if step.set_current_A > 0.0 else -limits.voltage_min_V
        s.early_V = min(th.voltage_V, th.voltage_fraction * s.limit_V)
        s.ends_by_voltage = step.until_voltage_V is not None
        s.judged_from_s = s.tick_s = step.t_s + th.blank_s
        if s.books.driven:
            # At a smaller current R may be larger (Butler-Volmer), but E hardly is. What raised the level is
            # taken back when the current grows again, or pulses would raise it without end.
            raised = max(1.0, s.raised * abs(s.last_A / step.set_current_A))
            s.level_ohm *= raised / s.raised
            s.raised, s.last_A = raised, step.set_current_A

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one sample and keep the charge."""
        s = self._s
        books = s.books
        if not books.driven:
            return None
        books.visit_C = charge_C
        size_V = abs(voltage_V)
        size_A = abs(current_A)
        if size_V > s.early_V:
            s.high_s, s.high_V, s.high_A = t_s, voltage_V, current_A
        if size_A < self._th.open_current_fraction * abs(books.set_current_A):
            return self._no_current(t_s, voltage_V, current_A)
        if t_s < s.judged_from_s:
            return None
        if size_V > s.early_V:
            return self._high(t_s, voltage_V, current_A)
        s.since_s, s.samples, s.open_samples, s.high_s, s.told = None, 0, 0, None, False
        if t_s >= s.tick_s:
            self._learn(t_s, size_V / size_A)
        return None

    def tripped(self, t_s: float, message: str) -> Verdict | None:
        """Name the cause if the tail shows that E had run away."""
        s = self._s
        if s.high_s is None:
            return None
        event_s = s.high_s if s.since_s is None else s.since_s
        flowing = abs(s.high_A) >= self._th.open_current_fraction * abs(s.books.set_current_A)
        kind, side = cause_of_runaway(self._cell, s.books) if flowing else ("open_circuit", None)
        evidence = self._evidence("limit of E fired", s.limit_V, abs(s.high_V), s.high_V, s.high_A)
        return self._verdict(kind, side, 0, t_s, event_s, evidence)

    def state(self) -> State:
        """Return the whole state, JSON-ready."""
        state: State = _STATE.dump_python(self._s, mode="json")
        return state

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state)

    def _learn(self, t_s: float, resistance: float) -> None:
        s, th = self._s, self._th
        elapsed = min(t_s - s.tick_s + _TICK_S, th.level_s)
        s.tick_s = t_s + _TICK_S
        if s.level_ohm:
            value = min(resistance, th.level_rise * s.level_ohm)
            s.level_ohm += (value - s.level_ohm) * elapsed / th.level_s
            s.raised += (1.0 - s.raised) * elapsed / th.level_s
            return
        s.first_ohm.append(resistance)
        if len(s.first_ohm) >= th.learn_s:
            s.level_ohm, s.raised = median(s.first_ohm), 1.0
            s.first_ohm = []

    def _no_current(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        s, th = self._s, self._th
        if abs(voltage_V) < th.open_voltage_fraction * s.limit_V:
            s.open_samples = 0
            return None
        if s.open_samples == 0:
            s.open_since_s = t_s
        s.open_samples += 1
        if s.told or s.open_since_s is None or s.open_samples < th.open_samples:
            return None
        s.told = True
        threshold = th.open_current_fraction * abs(s.books.set_current_A)
        criterion = "E at its limit and |I| < open_current_fraction × set current"
        evidence = self._evidence(criterion, threshold, abs(current_A), voltage_V, current_A)
        return self._verdict("open_circuit", None, 1, t_s, s.open_since_s, evidence)

    def _high(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Judge a sample whose |E| is above the early voltage."""
        s, th = self._s, self._th
        resistance = abs(voltage_V / current_A)
        threshold = th.resistance_ratio * s.level_ohm
        if s.level_ohm == 0.0 or resistance <= threshold:
            s.since_s, s.samples = None, 0
            if t_s >= s.tick_s:
                self._learn(t_s, resistance)
            return None
        # A nucleation spike is as high, but falls.
        if s.since_s is None or resistance < s.since_ohm:
            s.since_s, s.since_ohm, s.samples = t_s, resistance, 0
        s.samples += 1
        too_early = s.samples < th.confirm_samples or t_s - s.since_s < th.confirm_s
        if s.told or s.ends_by_voltage or too_early:
            return None
        s.told = True
        kind, side = cause_of_runaway(self._cell, s.books)
        evidence = self._evidence("R > resistance_ratio × level", threshold, resistance, voltage_V, current_A)
        return self._verdict(kind, side, 1, t_s, s.since_s, evidence)

    def _evidence(
        self, criterion: str, threshold: float, value: float, voltage_V: float, current_A: float
    ) -> dict[str, float | str]:
        books = self._s.books
        net, gross = books.stripped_C(books.stripping)
        inventory = self._cell.inventory_C(books.stripping)
        return {
            "criterion": criterion,
            "threshold": threshold,
            "value": value,
            "baseline": self._s.level_ohm,
            "voltage_V": voltage_V,
            "current_A": current_A,
            "stripping_side": books.stripping,
            "inventory_C": "unknown" if inventory is None else inventory,
            "net_stripped_C": net,
            "gross_stripped_C": gross,
        }

    def _verdict(
        self,
        kind: VerdictKind,
        side: Side | None,
        tier: int,
        t_s: float,
        event_s: float,
        evidence: dict[str, float | str],
    ) -> Verdict:
        message = (
            f"{_WORDS[kind]}: E = {_in(evidence['voltage_V'], 1.0, 'V')} "
            f"at {_in(evidence['current_A'], 1e3, 'mA')} "
            f"while the {evidence['stripping_side']} electrode strips "
            f"({evidence['criterion']}; threshold {_in(evidence['threshold'], 1.0, '').strip()}). "
            f"Lithium there: {_in(evidence['inventory_C'], _MAH_PER_C, 'mAh')} at first, "
            f"{_in(evidence['net_stripped_C'], _MAH_PER_C, 'mAh')} stripped net."
        )
        return Verdict(
            kind=kind, tier=tier, time_s=t_s, event_s=event_s, side=side, message=message, evidence=evidence
        )


def _in(value: float | str, factor: float, unit: str) -> str:
    """Return a number in a lab's unit, or the word that stands for it."""
    return f"{value * factor:.4g} {unit}" if isinstance(value, float) else value
