"""E runs away: is a lithium electrode exhausted, has contact been lost, or is the circuit open?

When E runs away at about the set current, the electrode that strips gives no more lithium; what the charge
that has passed says of it is in :mod:`guards.lithium`, what the shape of the rise says in
:mod:`guards.runaway`. It holds for Li|Li cells, whose E is an overpotential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import median

from guards.guard import TICK_S, Calm, SavedGuard, StepFacts, next_tick
from guards.lithium import Cause, LithiumBooks, cause_of_runaway
from guards.runaway import Rise
from protocols.cell import Cell, ElectrolyteClass
from protocols.program import Limits
from protocols.verdicts import Verdict, VerdictKind

_FIRST_TICK_S = 0.9
"""At first the level is learnt once a second, then as ``guards.guard.TICK_S`` says; the tenth less keeps
a 1 Hz stream with jitter whole."""

_NEAR = 0.5
"""A step ended at its voltage if the last sample shows so much of it: E is steep there."""

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
    flowing_fraction: float = 0.8
    """|I| above this part of the set-point flows as set. A sample that is a mean over the moment at which a
    circuit opened shows less; no instrument that drives a current is off by so much."""
    blank_s: float = 3.0
    """Not judged after each change of current."""
    learn_s: float = 60.0
    """The level starts as the median of this time."""
    level_s: float = 600.0
    """Time constant of the level: longer than a run-away (1 to 200 s), shorter than activation (hours)."""
    level_rise: float = 1.5
    """A value counts in the level with at most this × the level, so that a run-away is not learnt. Where R
    exceeds it a rise begins, whose shape is told from there on."""
    likely_loss: float = 0.05
    """Where a side would be empty had it lost this part of each stripped charge, a run-away is its depletion,
    whatever its shape. Not from the survey: see :func:`defaults`."""
    step_s: float = 0.25
    """R that grows e-fold in less is a contact that broke. A layer of lithium one atom thick (0.25 nm) holds
    0.18 mC/cm², which 1 mA/cm² strips in 0.2 s: no electrode empties as evenly (survey: 1 s and more)."""
    slow_s: float = 400.0
    """R that takes longer to grow e-fold is a void that grows (twice the slowest depletion of the survey)."""


_LIKELY_LOSS: dict[ElectrolyteClass, float] = {
    "sulfide": 0.1,
    "garnet": 0.02,
    "polymer": 0.05,
    "composite": 0.05,
    "liquid": 0.02,
    "other": 0.05,
}


def defaults(cell: Cell) -> Thresholds:
    """Return the thresholds for a kind of cell.

    What is likely to be lost follows from how lithium and electrolyte react, in orders of magnitude alone:
    sulfides are consumed (study D of the recipes emptied 50 µm and 20 µm), garnets are hardly. How much a
    cell may lose at most stands in its file (``max_loss``).
    """
    return Thresholds(likely_loss=_LIKELY_LOSS[cell.electrolyte_class])


@dataclass(slots=True)
class _State:
    books: LithiumBooks = field(default_factory=LithiumBooks)
    rise: Rise = field(default_factory=Rise)
    driven: bool = False
    limit_V: float = 0.0
    early_V: float = 0.0
    until_V: float | None = None
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
    newest_V: float = 0.0
    newest_A: float = 0.0
    high_s: float | None = None
    high_V: float = 0.0
    high_A: float = 0.0
    told: bool = False


class Depletion(SavedGuard[_State]):
    """Guard of a voltage that runs away, tier 1; names what made a limit of E on board fire, tier 0."""

    name = "depletion"

    def __init__(self, cell: Cell, limits: Limits, thresholds: Thresholds | None = None) -> None:
        super().__init__(_State())
        self._th = thresholds or defaults(cell)
        self._cell = cell
        self._limits = limits

    def enter(self, step: StepFacts) -> None:
        """Book the charge of the visit before and look out anew."""
        s, th = self._s, self._th
        self._note_emptied()
        s.books.enter(step)
        s.rise = Rise()
        s.since_s, s.samples, s.open_samples, s.high_s = None, 0, 0, None
        s.driven = step.kind == "constant_current" and step.set_current_A != 0.0
        limits = self._limits
        s.limit_V = limits.voltage_max_V if step.set_current_A > 0.0 else -limits.voltage_min_V
        s.early_V = min(th.voltage_V, th.voltage_fraction * s.limit_V)
        s.until_V = step.until_voltage_V
        s.judged_from_s = s.tick_s = step.t_s + th.blank_s
        if s.driven:
            # At a smaller current R may be larger (Butler-Volmer), but E hardly is. What raised the level is
            # taken back when the current grows again, or pulses would raise it without end.
            raised = max(1.0, s.raised * abs(s.last_A / step.set_current_A))
            s.level_ohm *= raised / s.raised
            s.raised, s.last_A = raised, step.set_current_A
        self._look_up_calm()

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one sample and keep the charge."""
        s = self._s
        s.books.visit_C = charge_C
        s.newest_V, s.newest_A = voltage_V, current_A
        if self.calm.holds(t_s, voltage_V, current_A):
            return None
        verdict = self._judge(t_s, voltage_V, current_A)
        self._look_up_calm()
        return verdict

    def tripped(self, t_s: float, message: str) -> Verdict | None:
        """Name the cause if the tail shows that E had run away."""
        s = self._s
        if s.high_s is None and not s.rise.seen:
            return None
        since_s = s.since_s if s.since_s is not None else s.rise.first_s
        event_s = since_s if since_s is not None else s.high_s if s.high_s is not None else t_s
        voltage, current = (s.newest_V, s.newest_A) if s.high_s is None else (s.high_V, s.high_A)
        cause = self._cause(current, clipped=abs(voltage) >= 0.9 * s.limit_V)
        evidence = self._evidence("limit of E fired", s.limit_V, abs(voltage), voltage, current, cause)
        return self._verdict(cause, 0, t_s, event_s, evidence)

    def _judge(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        s, th = self._s, self._th
        s.rise.hear(t_s)
        size_V, size_A, set_A = abs(voltage_V), abs(current_A), abs(s.books.set_current_A)
        if size_V > s.early_V:
            s.high_s, s.high_V, s.high_A = t_s, voltage_V, current_A
        if size_A < th.open_current_fraction * set_A:
            return self._no_current(t_s, voltage_V, current_A)
        if t_s < s.judged_from_s:
            return None
        resistance = size_V / size_A
        self._follow(t_s, resistance, flowing=size_A >= th.flowing_fraction * set_A)
        if size_V > s.early_V:
            return self._high(t_s, voltage_V, current_A)
        s.since_s, s.samples, s.open_samples, s.high_s, s.told = None, 0, 0, None, False
        if t_s >= s.tick_s:
            self._learn(t_s, resistance)
        return None

    def _look_up_calm(self) -> None:
        """Samples at the level need not be told, but for those that are learnt from."""
        s, th = self._s, self._th
        if not s.driven:
            self.calm = Calm(until_s=math.inf)
            return
        busy = s.rise.seen or s.told or s.since_s is not None or s.open_samples
        if busy or not s.level_ohm or s.tick_s <= s.judged_from_s:
            self.calm = Calm()
            return
        positive = s.books.set_current_A > 0.0
        least_A = th.open_current_fraction * s.books.set_current_A
        self.calm = Calm(
            until_s=s.tick_s,
            low_V=-s.limit_V,
            high_V=s.limit_V,
            low_A=least_A if positive else -math.inf,
            high_A=math.inf if positive else least_A,
            low_ohm=-th.level_rise * s.level_ohm,
            high_ohm=th.level_rise * s.level_ohm,
        )

    def _follow(self, t_s: float, resistance: float, *, flowing: bool) -> None:
        """Follow R since it left its level."""
        s = self._s
        from_ohm = self._th.level_rise * s.level_ohm
        if resistance <= from_ohm:
            s.rise.end()
        elif flowing and s.level_ohm:
            s.rise.add(t_s, resistance, from_ohm)

    def _note_emptied(self) -> None:
        """Book that a side is empty, if it was stripped until a planned voltage and can be so."""
        s = self._s
        if s.until_V is None or not s.driven or abs(s.newest_V) < _NEAR * abs(s.until_V):
            return
        cause = self._cause(s.newest_A, clipped=True)
        if s.newest_V * s.books.set_current_A > 0.0 and cause.kind == "li_depletion":
            s.books.note_empty(s.books.stripping)

    def _learn(self, t_s: float, resistance: float) -> None:
        s, th = self._s, self._th
        elapsed = min(t_s - s.tick_s + TICK_S, th.level_s)
        s.tick_s = next_tick(t_s) if s.level_ohm else t_s + _FIRST_TICK_S
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
        cause = self._cause(current_A, clipped=True)
        evidence = self._evidence(criterion, threshold, abs(current_A), voltage_V, current_A, cause)
        return self._verdict(cause, 1, t_s, s.open_since_s, evidence)

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
        if s.told or s.until_V is not None or too_early:
            return None
        s.told = True
        cause = self._cause(current_A, clipped=abs(voltage_V) >= 0.9 * s.limit_V)
        criterion = "R > resistance_ratio × level"
        evidence = self._evidence(criterion, threshold, resistance, voltage_V, current_A, cause)
        return self._verdict(cause, 1, t_s, s.since_s, evidence)

    def _cause(self, current_A: float, *, clipped: bool) -> Cause:
        """Return why E ran away. Where current flowed while R rose, it did not run away for want of it."""
        s, th = self._s, self._th
        flowing = abs(current_A) >= th.flowing_fraction * abs(s.books.set_current_A)
        if not (flowing or s.rise.seen):
            return Cause("open_circuit", "The current was far from what was set")
        shape = s.rise.shape(th.step_s, th.slow_s, clipped=clipped)
        return replace(cause_of_runaway(self._cell, s.books, th.likely_loss, shape), shape=shape)

    def _evidence(
        self,
        criterion: str,
        threshold: float,
        value: float,
        voltage_V: float,
        current_A: float,
        cause: Cause,
    ) -> dict[str, float | str]:
        s = self._s
        books = s.books
        net, gross = books.stripped_C(books.stripping)
        inventory = self._cell.inventory_C(books.stripping)
        e_fold_s = s.rise.e_fold_s
        return {
            "criterion": criterion,
            "threshold": threshold,
            "value": value,
            "baseline": s.level_ohm,
            "voltage_V": voltage_V,
            "current_A": current_A,
            "stripping_side": books.stripping,
            "inventory_C": "unknown" if inventory is None else inventory,
            "net_stripped_C": net,
            "gross_stripped_C": gross,
            "reason": cause.reason,
            "shape": cause.shape,
            "e_fold_s": "unknown" if e_fold_s is None else e_fold_s,
            "implied_loss": "unknown" if cause.implied_loss is None else cause.implied_loss,
            "likely_loss": "unknown" if cause.likely_loss is None else cause.likely_loss,
            "loss_from": cause.loss_from or "nothing",
        }

    def _verdict(
        self, cause: Cause, tier: int, t_s: float, event_s: float, evidence: dict[str, float | str]
    ) -> Verdict:
        message = (
            f"{_WORDS[cause.kind]}: E = {_in(evidence['voltage_V'], 1.0, 'V')} "
            f"at {_in(evidence['current_A'], 1e3, 'mA')} "
            f"while the {evidence['stripping_side']} electrode strips "
            f"({evidence['criterion']}; threshold {_in(evidence['threshold'], 1.0, '').strip()}). "
            f"{cause.reason}. "
            f"Lithium there: {_in(evidence['inventory_C'], _MAH_PER_C, 'mAh')} at first, "
            f"{_in(evidence['net_stripped_C'], _MAH_PER_C, 'mAh')} stripped net."
        )
        return Verdict(
            kind=cause.kind,
            tier=tier,
            time_s=t_s,
            event_s=event_s,
            side=cause.side,
            message=message,
            evidence=evidence,
        )


def _in(value: float | str, factor: float, unit: str) -> str:
    """Return a number in a lab's unit, or the word that stands for it."""
    return f"{value * factor:.4g} {unit}" if isinstance(value, float) else value
