"""Soft short circuit: the resistance falls by a part, at once or over an hour, and the cell looks alive.

A suspicion (tier 2), since activation, warmth or a lower interface resistance look the same in E alone; only
a spectrum tells them apart (:mod:`guards.impedance`). Two rules, for two kinds of fall:

- *fast*: ln(expected R / R) is added up over time beyond what a healthy cell does (a CUSUM: the best recall
  of all rules in section 6 of the survey of short detection). Expected is the same phase of the last passage,
  or the last minute in a first one; changes that go on slowly are followed.
- *slow*: R stays for minutes below what it was at the same phase hours ago, or for a current that never turns
  below that of the two hours before. Nothing is followed, so that a slide can't hide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import cast

from pydantic import TypeAdapter

from guards.arrhenius import Warmth
from guards.courses import Courses
from guards.guard import Calm, Guard, State, StepFacts
from guards.passages import Passages, Timing
from guards.rolling import RollingMedian
from protocols.cell import Cell
from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.verdicts import Verdict

_DEEPEST = 1.0
"""ln(expected/R) counts up to this, so that one outlier is never enough."""
_PIECE_S, _PIECES, _PIECES_MIN = 300.0, 24, 12
"""Two hours in pieces of five minutes (survey, lesson 1), and how many of them are compared with."""
_LONGEST_S = 120.0
"""A sample stands for this time at most: the longest usual interval of logging."""
_LEAST_RATIO = 1e-6
"""Whoever writes a ratio of 0 wants nothing to be low, and its logarithm would be no number."""
_RECENT, _ENOUGH = 7, 5
"""The last minute in values, and how many of them stand single outliers."""


@dataclass(frozen=True, slots=True)
class Thresholds(Timing):
    """When it is suspected. From the survey of short detection, sections 6 and 7, unless another is named."""

    resistance_ratio: float = 0.7
    """R below this × what is expected counts (k = 0.36, the survey's 0.3; a fall to 0.6 is below both)."""
    weight_s: float = 5.5
    """So many seconds of a fall to 1/e beyond that are a suspicion; a fall to 0.6 takes 36 s (survey: 4)."""
    cleared_margin: float = 0.85
    """After a fall that was none, R has to fall to this × as far to be suspected again."""
    cleared_s: float = 86400.0
    """Time constant with which that is forgotten."""
    confirm_samples: float = 3.0
    """And at least so many samples in a row, however far apart."""
    steady_after_s: float = 120.0
    """In a first passage the last minute is compared only after this time: a nucleation spike of 40 s has
    then fallen to a twentieth."""
    slow_ratio: float = 0.7
    """Slow rule: R below this × that of hours ago (0.8 fires on the activation of the first hour)."""
    slow_s: float = 600.0
    """For so long; less than the shortest usual half-cycle."""
    slow_age_s: float = 5400.0
    """Hours ago is before this time: a slide of 90 min is over by then."""
    course_max: float = 3.0
    """A course is cut at this × its median (see :mod:`guards.short_circuit`)."""


def defaults(cell: Cell) -> Thresholds:
    """Return the usual thresholds for a cell."""
    return Thresholds()


@dataclass(slots=True)
class _State:
    warmth: Warmth = field(default_factory=Warmth)
    r_hf_ohm: float = 0.0
    course_ohm: float = 0.0
    """R of the last passage at this phase; 0: there is none that holds."""
    expected_ohm: float = 0.0
    limit_ratio: float = 1.0
    """R below this part of it is low."""
    slow_ohm: float = 0.0
    """R of hours ago."""
    gain: float = 1.0
    """R of the last minute relative to the course, as the last passage left it."""
    score_s: float = 0.0
    """Evidence of the fast rule so far: seconds of a fall to 1/e."""
    last_s: float = 0.0
    was_low: bool = False
    since_s: float | None = None
    samples: int = 0
    slow_low_s: float = 0.0
    """R was low by the slow rule for so long, under current."""
    slow_since_s: float | None = None
    slow_last_s: float = 0.0
    allowed: float = 0.0
    """ln of a fall that was looked at and found healthy, beyond what is allowed to any cell."""
    cleared_s: float = 0.0
    """When."""
    now_ohm: float = 0.0
    told: bool = False
    piece_s: float = 0.0
    piece_ohm: list[float] = field(default_factory=list)
    pieces_ohm: list[float] = field(default_factory=list)
    sign: int = 0


_STATE = TypeAdapter(_State)


class SoftShort(Guard):
    """Guard against soft shorts, tier 2."""

    name = "soft_short"

    def __init__(self, cell: Cell, thresholds: Thresholds | None = None) -> None:
        super().__init__()
        th = self._th = thresholds or defaults(cell)
        self._ratio = max(th.resistance_ratio, _LEAST_RATIO)
        self._courses = Courses(th.course_max, cell, keeps_past=True)
        self._passages = Passages(th, self._courses)
        self._recent = RollingMedian(_RECENT)
        """R of the last minute, relative to the last passage's if there is one."""
        self._s = _State()

    def enter(self, step: StepFacts) -> None:
        """Begin to compare anew with a passage; what was suspected is accepted if nobody could tell."""
        if step.kind == "constant_current" and step.set_current_A != 0.0:
            if self._s.told:
                self._accept(found_healthy=False)
            self._begin(step)
        self._passages.enter(step)
        self._be_calm()

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one sample."""
        s, passages = self._s, self._passages
        if not passages.tells(t_s, current_A):
            return None
        resistance = voltage_V / current_A
        slow = False
        if passages.is_due(t_s):
            self._look_up(t_s, charge_C)
            slow = self._is_low_for_long(t_s, resistance)
            if not s.told:
                self._learn(t_s, resistance, charge_C)
        fast = self._is_low(t_s, resistance)
        self._be_calm()
        if s.told or not (fast or slow):
            return None
        s.told = True
        return self._verdict(t_s, voltage_V, current_A, fast)

    def spectrum(self, summary: SpectrumSummary, change: SpectrumChange | None) -> Verdict | None:
        """Remember R_HF."""
        if summary.r_hf_ohm > 0.0:
            self._s.r_hf_ohm = summary.r_hf_ohm
        return None

    def temperature(self, t_s: float, temperature_K: float) -> Verdict | None:
        """Remember how warm the cell may be."""
        self._s.warmth.tell(t_s, temperature_K)
        return None

    def looked(self, verdict: Verdict, healthy: bool) -> None:
        """The cell is healthy: what R it has now is what is expected."""
        if healthy and verdict.kind == "soft_short":
            self._accept(found_healthy=True)
            self._be_calm()

    def state(self) -> State:
        """Return the whole state, JSON-ready."""
        own = _STATE.dump_python(self._s, mode="json")
        return {"own": own, "recent": self._recent.values, **self._passages.state()}

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state["own"])
        self._passages.restore(state)
        self._recent.restore(cast("list[float]", state["recent"]))
        self._be_calm()

    def _begin(self, step: StepFacts) -> None:
        s = self._s
        if s.course_ohm and len(self._recent) >= _ENOUGH:
            s.gain = min(self._recent.median(1.0), 1.0)
        self._recent.restore(())
        s.score_s, s.since_s, s.samples, s.was_low, s.last_s = 0.0, None, 0, False, step.t_s
        s.course_ohm, s.slow_last_s = 0.0, step.t_s
        sign = 1 if step.set_current_A > 0.0 else -1
        if sign != s.sign:
            s.sign, s.piece_s, s.piece_ohm, s.pieces_ohm = sign, step.t_s, [], []

    def _be_calm(self) -> None:
        """Ask for samples again when R is to be looked up, or is low."""
        s, passages = self._s, self._passages
        limit_ohm = 0.0 if s.told else s.limit_ratio * s.expected_ohm
        self.calm = Calm() if passages.driven and s.was_low else passages.calm(limit_ohm)

    def _look_up(self, t_s: float, charge_C: float) -> None:
        """Bring what is expected up to date."""
        s, th, courses, passages = self._s, self._th, self._courses, self._passages
        s.course_ohm = s.slow_ohm = 0.0
        s.limit_ratio = self._limit_ratio(t_s)
        courses.be_at(s.warmth.at(t_s))
        if t_s >= passages.settles_at_s:
            s.course_ohm = courses.least_at(charge_C, s.r_hf_ohm)
        if passages.is_long(t_s):
            s.slow_ohm = courses.least_before(t_s - th.slow_age_s, charge_C, s.r_hf_ohm)
        if len(s.pieces_ohm) >= _PIECES_MIN:
            s.slow_ohm = max(s.slow_ohm, median(s.pieces_ohm))
        known = len(self._recent) >= _ENOUGH
        if s.course_ohm:
            # Relative to the last passage, so that a nucleation spike is no level to fall from.
            lasting = known and t_s - passages.begins_at_s >= th.recent_s
            s.expected_ohm = s.course_ohm * (self._recent.median(1.0) if lasting else s.gain)
        else:
            steady = known and t_s >= passages.begins_at_s + th.steady_after_s
            s.expected_ohm = self._recent.median(0.0) if steady else 0.0

    def _learn(self, t_s: float, resistance: float, charge_C: float) -> None:
        s = self._s
        self._courses.learn(resistance, charge_C)
        if t_s >= self._passages.settles_at_s and resistance >= s.limit_ratio * s.expected_ohm:
            self._recent.add(resistance / s.course_ohm if s.course_ohm else resistance)
        s.piece_ohm.append(resistance)
        if t_s - s.piece_s >= _PIECE_S:
            s.pieces_ohm = [*s.pieces_ohm, median(s.piece_ohm)][-_PIECES:]
            s.piece_s, s.piece_ohm = t_s, []

    def _is_low(self, t_s: float, resistance: float) -> bool:
        """Weigh a sample by the fast rule; return whether it is enough."""
        s = self._s
        fall = 0.0
        if s.expected_ohm > 0.0:
            ratio = s.expected_ohm / resistance if resistance > 0.0 else math.inf
            fall = min(math.log(ratio), _DEEPEST) if ratio < math.inf else _DEEPEST
        allowed = -math.log(s.limit_ratio)
        low = fall > allowed
        elapsed = t_s - s.last_s
        if low and not s.was_low and elapsed > 1.0:
            # The samples since the last one that was told were not low.
            s.score_s, elapsed = max(0.0, s.score_s - allowed * (elapsed - 1.0)), 1.0
        s.last_s, s.was_low, s.now_ohm = t_s, low, resistance
        # Whatever happened in a gap of the data, it was not seen.
        s.score_s = max(0.0, s.score_s + (fall - allowed) * (min(elapsed, _LONGEST_S) if low else elapsed))
        if not low:
            s.samples = 0
            s.since_s = s.since_s if s.score_s else None
            return False
        s.samples += 1
        s.since_s = t_s if s.since_s is None else s.since_s
        return s.score_s >= self._th.weight_s and s.samples >= self._th.confirm_samples

    def _is_low_for_long(self, t_s: float, resistance: float) -> bool:
        """Weigh a sample by the slow rule; return whether it is enough."""
        s, th = self._s, self._th
        elapsed, s.slow_last_s = t_s - s.slow_last_s, t_s
        if resistance >= min(th.slow_ratio, s.limit_ratio) * s.slow_ohm:
            s.slow_since_s, s.slow_low_s = None, 0.0
            return False
        s.slow_since_s = t_s if s.slow_since_s is None else s.slow_since_s
        s.slow_low_s += min(elapsed, _LONGEST_S)
        return s.slow_low_s >= th.slow_s

    def _limit_ratio(self, t_s: float) -> float:
        """Return below which part of what is expected R is low.

        It is less for a while after a fall that was none.
        """
        s = self._s
        return self._ratio * math.exp(-s.allowed * math.exp((s.cleared_s - t_s) / self._th.cleared_s))

    def _accept(self, *, found_healthy: bool) -> None:
        """Take R as it is now for healthy; if it was found to be, such a fall is no reason to look again."""
        s, th = self._s, self._th
        expected_ohm = max(s.expected_ohm, s.slow_ohm)
        fallen = s.now_ohm / expected_ohm if expected_ohm > 0.0 else 1.0
        lasting = s.allowed * math.exp((s.cleared_s - s.last_s) / th.cleared_s)
        if found_healthy and 0.0 < fallen < 1.0:
            s.allowed = max(lasting, math.log(self._ratio / (th.cleared_margin * max(fallen, 0.3))), 0.0)
            s.cleared_s = s.last_s
        if s.course_ohm > 0.0:
            self._courses.accept(min(max(s.now_ohm / s.course_ohm, 0.05), 1.0))
        self._recent.restore(())
        s.told, s.score_s, s.since_s, s.samples, s.was_low = False, 0.0, None, 0, False
        s.slow_since_s, s.slow_low_s, s.expected_ohm, s.slow_ohm, s.gain = None, 0.0, 0.0, 0.0, 1.0
        s.piece_s, s.piece_ohm, s.pieces_ohm = s.last_s, [], []

    def _verdict(self, t_s: float, voltage_V: float, current_A: float, fast: bool) -> Verdict:
        s, th = self._s, self._th
        resistance = voltage_V / current_A
        expected, ratio, since_s = s.expected_ohm, s.limit_ratio, s.since_s
        criterion = f"R < resistance_ratio × {'same phase' if s.course_ohm else 'last minute'}"
        if not fast:
            expected, ratio, since_s = s.slow_ohm, min(th.slow_ratio, s.limit_ratio), s.slow_since_s
            criterion = "R < slow_ratio × hours ago"
        event_s = t_s if since_s is None else since_s
        message = (
            f"Perhaps a soft short: R fell to {resistance:.4g} Ω where {expected:.4g} Ω were expected "
            f"({criterion}), for {t_s - event_s:.0f} s; E = {voltage_V * 1e3:.4g} mV at "
            f"{current_A * 1e3:.4g} mA. Warmth and activation look the same; a spectrum tells."
        )
        evidence: dict[str, float | str] = {
            "criterion": criterion,
            "threshold": ratio * expected,
            "value": resistance,
            "healthy_ohm": expected,
            "healthy_r_hf_ohm": s.r_hf_ohm,
            "voltage_V": voltage_V,
            "current_A": current_A,
        }
        return Verdict(
            kind="soft_short", tier=2, time_s=t_s, event_s=event_s, message=message, evidence=evidence
        )
