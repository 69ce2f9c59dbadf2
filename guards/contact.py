"""Contact that is lost slowly: R rises far above its own past, while the test goes on. A report.

Voids under a stripped electrode make E rise at constant current over hours; R about doubled before a short
(Singh et al., Cell Rep. Phys. Sci. 3 (2022) 101043: 15 h at 0.2 mA/cm²). R is compared with the same phase of
earlier half-cycles in the same direction and at about the same current; in a long passage of one direction
with its own level of hours ago. What ends in a run-away is for :mod:`guards.depletion`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from guards.guard import TICK_S, Calm, SavedGuard, StepFacts, next_tick
from protocols.cell import Cell
from protocols.verdicts import Verdict

_PARTS = 16
"""Parts of a half-cycle by its charge."""
_WEIGHT_DOWN, _WEIGHT_UP, _WEIGHT_TOLD = 0.3, 0.1, 0.5
"""Of the newest half-cycle in the course of the earlier ones, where R is lower or higher; and once it was
told that R is higher, which is news only once."""
_SLOWER_UP = 10.0
"""A rise counts so much more slowly in the level of a long passage."""
_UNKNOWN_PLAN_S = 3600.0
"""A passage without a planned charge is divided as if it were to last an hour."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When R has risen so far that contact is lost. See :func:`defaults`."""

    rise_ratio: float = 1.7
    """R above this × the same phase of earlier half-cycles. It about doubles before contact is gone (Singh
    2022); temperature alone gives 1.2 for 3 K (recipes, section 9)."""
    one_way_ratio: float = 2.0
    """The same against its own level in a long passage of one direction, where arcs at the end of stripping
    and concentration polarisation belong to a healthy cell."""
    lasts_s: float = 300.0
    """For this time: the survey's median of the last 300 s."""
    one_way_s: float = 7200.0
    """Time constant of the level of a passage (survey: the two hours before)."""
    one_way_from_s: float = 18_000.0
    """Compared with from then on: what lasts so long is hardly a half-cycle with an arc at its end."""
    settle_s: float = 300.0
    """Not judged after each change of current: nucleation spikes last for seconds to a minute."""
    least_rise_V: float = 0.005
    """And E above what was expected by this: offsets of some mV are no resistance."""
    same_current: float = 0.2
    """Currents that differ by less than this part compare; else the course is learnt anew."""
    current_fraction: float = 0.5
    """Samples with |I| below this part of the set-point tell nothing of R."""


def defaults(cell: Cell) -> Thresholds:
    """Return the thresholds for a kind of cell: with a polymer or a liquid, the concentration of the salt
    polarises in every half-cycle (up to Sand's time), and more so when it lasts longer."""
    if cell.electrolyte_class in ("polymer", "liquid", "composite"):
        return Thresholds(rise_ratio=2.0, one_way_ratio=3.0)
    return Thresholds()


@dataclass(slots=True)
class _Course:
    """R over half-cycles of one direction, by parts."""

    current_A: float
    parts_ohm: list[float | None] = field(default_factory=lambda: [None] * _PARTS)

    def expected_ohm(self, part: int) -> float | None:
        """Return the highest R of this part and its neighbours, so that a small shift is harmless."""
        near = [value for value in self.parts_ohm[max(part - 1, 0) : part + 2] if value is not None]
        return max(near) if near and self.parts_ohm[part] is not None else None

    def learn(self, part: int, value: float, told: bool) -> None:
        """Take in the mean of a part of a half-cycle."""
        before = self.parts_ohm[part]
        if before is None:
            self.parts_ohm[part] = value
            return
        weight = _WEIGHT_TOLD if told else _WEIGHT_UP if value > before else _WEIGHT_DOWN
        self.parts_ohm[part] = before + weight * (value - before)


@dataclass(slots=True)
class _State:
    driven: bool = False
    set_current_A: float = 0.0
    """Of the passage, also while it is interrupted."""
    plan_C: float = 0.0
    judged_from_s: float = 0.0
    tick_s: float = 0.0
    courses: dict[int, _Course] = field(default_factory=dict)
    part: int = 0
    sum_ohm: float = 0.0
    count: int = 0
    """Sum and number of the values in the part that is open."""
    began_s: float = 0.0
    """When the passage in this direction began."""
    level_ohm: float | None = None
    """Of the passage."""
    since_s: float | None = None
    told: bool = False


class Contact(SavedGuard[_State]):
    """Guard of contact that is lost slowly, tier 3, once in a half-cycle."""

    name = "contact"

    def __init__(self, cell: Cell, thresholds: Thresholds | None = None) -> None:
        super().__init__(_State())
        self._th = thresholds or defaults(cell)
        self._look_up_calm()

    def enter(self, step: StepFacts) -> None:
        """Learn what the visit before showed, and look out anew."""
        s = self._s
        self._close_part()
        s.since_s = None
        s.driven = step.kind == "constant_current" and step.set_current_A != 0.0
        if s.driven:
            s.judged_from_s = s.tick_s = step.t_s + self._th.settle_s
            s.plan_C = step.planned_charge_C or abs(step.set_current_A) * _UNKNOWN_PLAN_S
            self._begin(step)
        self._look_up_calm()

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one sample."""
        s = self._s
        if not s.driven or t_s < s.tick_s:
            return None
        if abs(current_A) < self._th.current_fraction * abs(s.set_current_A):
            return None
        elapsed_s = t_s - s.tick_s + TICK_S
        s.tick_s = next_tick(t_s)
        self._look_up_calm()
        part = min(int(_PARTS * abs(charge_C) / s.plan_C), _PARTS - 1)
        if part != s.part:
            self._close_part()
            s.part = part
        resistance = voltage_V / current_A
        verdict = self._judge(t_s, voltage_V, current_A, resistance)
        s.sum_ohm += resistance
        s.count += 1
        self._learn_level(t_s, elapsed_s, resistance)
        return verdict

    def _begin(self, step: StepFacts) -> None:
        """Begin a passage, or go on with one; another current is a new test."""
        s = self._s
        before, s.set_current_A = s.set_current_A, step.set_current_A
        turned = before * step.set_current_A <= 0.0
        if turned:
            s.told = False
        if turned or not self._same(before):
            s.began_s, s.level_ohm = step.t_s, None
        course = s.courses.get(self._direction)
        if course is None or not self._same(course.current_A):
            s.courses[self._direction] = _Course(step.set_current_A)

    @property
    def _direction(self) -> int:
        return 1 if self._s.set_current_A > 0.0 else -1

    def _same(self, current_A: float) -> bool:
        now_A = self._s.set_current_A
        return abs(now_A - current_A) <= self._th.same_current * abs(now_A)

    def _close_part(self) -> None:
        """Take the part that was open into the course."""
        s = self._s
        if s.count:
            s.courses[self._direction].learn(s.part, s.sum_ohm / s.count, s.told)
        s.part, s.sum_ohm, s.count = 0, 0.0, 0

    def _learn_level(self, t_s: float, elapsed_s: float, resistance: float) -> None:
        s, th = self._s, self._th
        if s.level_ohm is None:
            s.level_ohm = resistance
            return
        rises = resistance > s.level_ohm and t_s - s.began_s > th.one_way_s
        constant_s = th.one_way_s * (_SLOWER_UP if rises and not s.told else 1.0)
        s.level_ohm += (resistance - s.level_ohm) * min(elapsed_s / constant_s, 1.0)

    def _judge(self, t_s: float, voltage_V: float, current_A: float, resistance: float) -> Verdict | None:
        s, th = self._s, self._th
        expected = s.courses[self._direction].expected_ohm(s.part)
        ratio, criterion = th.rise_ratio, "R > rise_ratio × same phase"
        if expected is None and t_s - s.began_s > th.one_way_from_s:
            expected, ratio, criterion = s.level_ohm, th.one_way_ratio, "R > one_way_ratio × level"
        if expected is None or expected <= 0.0 or resistance <= ratio * expected:
            s.since_s = None
            return None
        if (resistance - expected) * abs(current_A) < th.least_rise_V:
            s.since_s = None
            return None
        if s.since_s is None:
            s.since_s = t_s
        if s.told or t_s - s.since_s < th.lasts_s:
            return None
        s.told = True
        return self._verdict(t_s, s.since_s, voltage_V, current_A, expected, ratio, criterion)

    def _look_up_calm(self) -> None:
        self.calm = Calm(until_s=self._s.tick_s if self._s.driven else math.inf)

    def _verdict(
        self,
        t_s: float,
        since_s: float,
        voltage_V: float,
        current_A: float,
        expected_ohm: float,
        ratio: float,
        criterion: str,
    ) -> Verdict:
        resistance = voltage_V / current_A
        side = "working" if current_A > 0.0 else "counter"
        message = (
            f"Contact is being lost: R rose to {resistance:.4g} Ω, {resistance / expected_ohm:.3g} × the "
            f"{expected_ohm:.4g} Ω expected, for {(t_s - since_s) / 60:.3g} min, while the {side} electrode "
            "was stripped. Voids under it may grow; more stack pressure or less current helps."
        )
        evidence: dict[str, float | str] = {
            "criterion": criterion,
            "threshold": ratio * expected_ohm,
            "value": resistance,
            "baseline": expected_ohm,
            "voltage_V": voltage_V,
            "current_A": current_A,
            "stripping_side": side,
        }
        return Verdict(
            kind="contact_loss", tier=3, time_s=t_s, event_s=since_s, message=message, evidence=evidence
        )
