"""Shorts of cells with a cathode, hard and soft, by what passes and what E does: E/I says nothing there.

More charge goes in than was taken out, a charge does not come to its end, E collapses while charging or keeps
falling at rest, the Coulombic efficiency drops: recipes, section 9. Study B's cell was shorted after 227
cycles, E's softly after five.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from guards.charge_balance import Balance
from guards.efficiency import Efficiency
from guards.guard import TICK_S, Calm, SavedGuard, StepFacts, next_tick
from guards.rest_voltage import RestVoltage
from protocols.cell import Cell
from protocols.program import Limits
from protocols.verdicts import Verdict, VerdictKind

_MAH_PER_C = 1 / 3.6
_TAKEN_OUT = "what was taken out since the last one"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a cell with a cathode leaks. Ratios are of charges."""

    warn_ratio: float = 1.1
    """Charge above this × what was taken out since the last full charge. Charge is conserved: a healthy cell
    stays at 1, and what reactions consume, a few per cent in formation, is added."""
    stop_ratio: float = 1.2
    """The same, to stop: also a charge that takes so much longer to reach its voltage. And of the nominal
    capacity, if the cell file gives one and that is more."""
    first_ratio: float = 1.5
    """Instead of it in the first charge: what formation consumes never was in the nominal capacity."""
    least_part: float = 0.5
    """Of less than this part of the largest discharge, the ratios are taken as if of this part: a short
    top-up is no measure."""
    drop_V: float = 0.5
    """E that falls by this from its level while charging: on charge nothing healthy lowers E."""
    collapsed_part: float = 0.6
    """In a discharge it has to fall below this part of the lower limit of E as well to be called a short."""
    confirm_s: float = 5.0
    """For this time (bursts of outliers last 0.7 s, survey section 6),"""
    confirm_samples: float = 3.0
    """and in so many samples."""
    blank_s: float = 3.0
    """Not judged after current begins or changes."""
    level_s: float = 60.0
    """Time constant of the level of E."""
    efficiency_drop: float = 0.05
    """Coulombic efficiency below that of the cycles before by this. It hardly scatters (mean 99.89 % over 610
    cycles, study B of the recipes)."""
    efficiency_cycles: float = 3.0
    """Comparable cycles before that count."""
    relax_s: float = 3600.0
    """E at rest after a charge is looked at from then on; before, any cell relaxes."""
    rest_window_s: float = 1800.0
    """In pieces of this time."""
    rest_fall_V: float = 0.01
    """E may fall by this in a piece, which is 20 mV/h: a chamber moves E by less than 1 mV a K."""
    rest_ratio: float = 0.85
    """More counts if it is at least this part of the fall in the piece before: relaxation slows down (one by
    the logarithm of time to 0.71, diffusion to 0.6), a leak does not."""


def defaults(cell: Cell) -> Thresholds:
    """Return the thresholds for a kind of cell; nothing hangs on its electrolyte."""
    return Thresholds()


@dataclass(slots=True)
class _State:
    balance: Balance
    efficiency: Efficiency
    rest: RestVoltage = field(default_factory=RestVoltage)
    mode: Literal["charge", "discharge", "rest", "other"] = "other"
    until_V: float | None = None
    newest_V: float = 0.0
    newest_A: float = 0.0
    judged_from_s: float = 0.0
    tick_s: float = 0.0
    level_V: float | None = None
    since_s: float | None = None
    samples: int = 0
    warned: bool = False
    stopped: bool = False
    fell: bool = False
    """Told of a fall of E in this step."""
    due: float | None = None
    """Efficiency of a cycle that has just ended, to be judged with the next sample."""


class FullCell(SavedGuard[_State]):
    """Guard of cells with a cathode; tier 1 for what can't be healthy, tier 3 for what is worth knowing."""

    name = "full_cell"

    def __init__(self, cell: Cell, limits: Limits, thresholds: Thresholds | None = None) -> None:
        first_is = -1 if cell.geometry == "half" else 1
        super().__init__(_State(Balance(cell.temperature_K), Efficiency(first_is)))
        self._th = thresholds or defaults(cell)
        self._cell = cell
        self._lowest_V = limits.voltage_min_V
        self._look_up_calm()

    def enter(self, step: StepFacts) -> None:
        """Close what ends, and begin the step."""
        s = self._s
        direction = s.balance.direction
        ended = s.balance.enter(step)
        if ended is not None:
            s.due = s.efficiency.half_cycle(ended, direction)
            s.warned = s.stopped = False
        s.mode, s.until_V = _mode(step), step.until_voltage_V
        s.judged_from_s = s.tick_s = step.t_s + (0.0 if s.mode == "rest" else self._th.blank_s)
        s.level_V, s.since_s, s.samples, s.fell = None, None, 0, False
        if s.mode != "rest":
            s.rest.end()
        elif s.balance.direction > 0:
            s.rest.begin(step.t_s)
        self._look_up_calm()

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one sample; of two verdicts the one that stops is given, the other with the next sample."""
        s = self._s
        s.newest_V, s.newest_A = voltage_V, current_A
        if s.mode in ("charge", "discharge"):
            s.balance.add(voltage_V, current_A, charge_C)
        else:
            s.balance.books.visit_C = charge_C
        if self.calm.holds(t_s, voltage_V, current_A) or t_s < s.judged_from_s:
            return None
        verdict = self._judge(t_s, voltage_V, current_A)
        self._look_up_calm()
        return verdict

    def temperature(self, t_s: float, temperature_K: float) -> Verdict | None:
        """Remember it: at another one a cell takes another charge."""
        self._s.balance.temperature_K = temperature_K
        return None

    def tripped(self, t_s: float, message: str) -> Verdict | None:
        """Name a fall of E under its limit that no discharge explains."""
        s = self._s
        if s.since_s is None or s.level_V is None:
            return None
        return self._collapse(t_s, 0, s.since_s, s.level_V)

    def _judge(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        s = self._s
        if s.due is not None:
            value, s.due = s.due, None
            verdict = self._efficiency(t_s, value)
            if verdict is not None:
                return verdict
        if s.mode == "other":
            return None
        if s.level_V is None:
            s.level_V = voltage_V
        if self._is_low(voltage_V, s.level_V):
            return self._low(t_s, s.level_V)
        s.since_s, s.samples = None, 0
        if t_s < s.tick_s:
            return None
        part = min((t_s - s.tick_s + TICK_S) / self._th.level_s, 1.0)
        s.tick_s = next_tick(t_s)
        s.level_V += part * (voltage_V - s.level_V)
        if s.mode == "charge":
            return self._taken(t_s, voltage_V, current_A)
        return self._rested(t_s, s.level_V) if s.mode == "rest" else None

    def _is_low(self, voltage_V: float, level_V: float) -> bool:
        """Whether E is where it can't be: a discharge ends at its voltage and recovers from it."""
        if voltage_V <= -self._th.drop_V:
            # The leads are swapped: a short has no voltage of its own.
            return False
        fell = voltage_V < level_V - self._th.drop_V
        match self._s.mode:
            case "discharge":
                return fell and voltage_V < self._th.collapsed_part * self._lowest_V
            case "rest":
                return fell or (voltage_V < self._lowest_V and self._s.balance.direction != 0)
            case _:
                return fell

    def _look_up_calm(self) -> None:
        """While E is near its level or above, a look now and then is enough."""
        s = self._s
        if s.due is not None or s.since_s is not None:
            self.calm = Calm()
        elif s.mode == "other":
            self.calm = Calm(until_s=math.inf)
        elif s.level_V is None:
            self.calm = Calm(until_s=s.judged_from_s)
        else:
            low_V = s.level_V - self._th.drop_V
            low_V = max(low_V, self._lowest_V) if s.mode == "rest" else low_V
            self.calm = Calm(until_s=s.tick_s, low_V=low_V)

    def _low(self, t_s: float, level_V: float) -> Verdict | None:
        """Judge E far under its level; but for a charge, limits stop the cell, and it is only named."""
        s, th = self._s, self._th
        if s.since_s is None:
            s.since_s = t_s
        s.samples += 1
        sure = s.samples >= th.confirm_samples and t_s - s.since_s >= th.confirm_s
        if s.fell or s.mode != "charge" or not sure:
            return None
        s.fell = True
        return self._collapse(t_s, 1, s.since_s, level_V)

    def _taken(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Judge what has gone in: against what was taken out, and against the nominal capacity."""
        s, th, balance = self._s, self._th, self._s.balance
        room_C, charged_C = balance.room_C, balance.charged_C
        scale_C = max(balance.largest_C, self._cell.capacity_C or 0.0)
        if room_C is not None and balance.comparable(voltage_V, current_A):
            beyond = (charged_C - room_C) / max(room_C, th.least_part * scale_C)
            if beyond > th.stop_ratio - 1.0 and not s.stopped:
                s.stopped = s.warned = True
                return self._overcharged(t_s, 1, th.stop_ratio, room_C, _TAKEN_OUT)
            if beyond > th.warn_ratio - 1.0 and not s.warned:
                s.warned = True
                return self._overcharged(t_s, 3, th.warn_ratio, room_C, _TAKEN_OUT)
        ratio = th.first_ratio if balance.top is None else th.stop_ratio
        nominal_C = self._cell.capacity_C
        if nominal_C is None or s.stopped or not balance.below_top(voltage_V) or charged_C <= ratio * scale_C:
            return None
        s.stopped = s.warned = True
        return self._overcharged(t_s, 1, ratio, scale_C, "the capacity")

    def _rested(self, t_s: float, level_V: float) -> Verdict | None:
        """Judge E at rest after a charge."""
        s, th = self._s, self._th
        if not s.rest.add(t_s, level_V, th.relax_s, th.rest_window_s) or s.fell:
            return None
        before_V, now_V = s.rest.falls_V
        if now_V < th.rest_fall_V or now_V < th.rest_ratio * before_V:
            return None
        s.fell = True
        message = (
            f"Soft short: E at rest fell by {now_V * 1e3:.3g} mV in {th.rest_window_s / 60:.3g} min, after "
            f"{before_V * 1e3:.3g} mV in the time before: it does not settle, the cell discharges itself."
        )
        evidence = self._evidence("fall of E at rest ≥ rest_fall_V", th.rest_fall_V, now_V, before_V)
        return _verdict("soft_short", 3, t_s, t_s - th.rest_window_s, message, evidence)

    def _efficiency(self, t_s: float, value: float) -> Verdict | None:
        """Judge the efficiency of a whole cycle."""
        th, efficiency = self._th, self._s.efficiency
        mean, cycles = efficiency.mean, efficiency.cycles
        efficiency.learn(value, th.efficiency_drop)
        if cycles < th.efficiency_cycles or value >= mean - th.efficiency_drop:
            return None
        message = (
            f"Soft short suspected: the cycle's Coulombic efficiency is {value:.1%}, after {mean:.1%} in "
            "those before. Charge that does not come back may have flowed through a short, or in a reaction."
        )
        threshold = mean - th.efficiency_drop
        evidence = self._evidence("efficiency < mean − efficiency_drop", threshold, value, mean)
        return _verdict("soft_short", 3, t_s, t_s, message, evidence)

    def _collapse(self, t_s: float, tier: int, since_s: float, level_V: float) -> Verdict:
        s = self._s
        doing = {"charge": "while the cell was charged", "discharge": "in a discharge"}.get(s.mode, "at rest")
        message = f"Short circuit: E fell from {level_V:.4g} V to {s.newest_V:.4g} V {doing}."
        threshold_V = level_V - self._th.drop_V
        evidence = self._evidence("E < level − drop_V", threshold_V, s.newest_V, level_V)
        return _verdict("short_circuit", tier, t_s, since_s, message, evidence)

    def _overcharged(self, t_s: float, tier: int, ratio: float, base_C: float, words: str) -> Verdict:
        s = self._s
        charged_C = s.balance.charged_C
        goal = "" if s.until_V is None else f"; {s.until_V:.4g} V should have been reached long ago"
        message = (
            f"Soft short: this charge took {charged_C * _MAH_PER_C:.4g} mAh, more than {ratio:g} × {words}, "
            f"{base_C * _MAH_PER_C:.4g} mAh, at E = {s.newest_V:.4g} V{goal}."
        )
        evidence = self._evidence("charge > ratio × baseline", ratio * base_C, charged_C, base_C)
        began_s = t_s if not s.newest_A else t_s - max(charged_C - base_C, 0.0) / abs(s.newest_A)
        return _verdict("soft_short", tier, t_s, min(began_s, t_s), message, evidence)

    def _evidence(
        self, criterion: str, threshold: float, value: float, baseline: float
    ) -> dict[str, float | str]:
        s = self._s
        return {
            "criterion": criterion,
            "threshold": threshold,
            "value": value,
            "baseline": baseline,
            "voltage_V": s.newest_V,
            "current_A": s.newest_A,
            "charged_C": s.balance.charged_C,
            # E/I of such a cell is no resistance that a look could find again.
            "healthy_ohm": 0.0,
            "healthy_r_hf_ohm": 0.0,
        }


def _mode(step: StepFacts) -> Literal["charge", "discharge", "rest", "other"]:
    if step.set_current_A:
        return "charge" if step.set_current_A > 0.0 else "discharge"
    return "rest" if step.kind in ("rest", "geis", "peis") else "other"


def _verdict(
    kind: VerdictKind, tier: int, t_s: float, event_s: float, message: str, evidence: dict[str, float | str]
) -> Verdict:
    return Verdict(kind=kind, tier=tier, time_s=t_s, event_s=event_s, message=message, evidence=evidence)
