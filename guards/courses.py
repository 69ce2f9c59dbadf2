"""The course of R = E/I over earlier passages of current, in each direction.

A passage is one visit of a constant-current step; its phase is the fraction of the planned charge, so that
the steps of a ramp compare. R at a phase beats any fixed level: it knows the nucleation at the start and the
rise at the end (the project's survey of short detection: the same-phase ratio found 98 % of the shorts that
formed at rest, the last minute alone 28 %).
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field
from statistics import median

from pydantic import TypeAdapter

from guards import arrhenius
from protocols.cell import Cell

_BINS = 64
_BINS_TO_PLAN = 48
"""Bins up to the planned charge; those beyond serve passages that run longer."""
_TAIL = 5
_ALIKE = 0.2
"""Starts that differ by less count as the same: those of a ramp do, step by step."""
_UNKNOWN_PLAN_S = 3600.0
"""A passage without a planned charge is divided as if it were to last an hour."""
_STEPS = 16
"""So many steps of a program are remembered."""
_PAST_EVERY_S, _PAST = 2700.0, 24
"""Older courses of a step are kept so far apart, and so many in all."""
_YOUNGEST_S = 1200.0
"""A course younger than this is not from hours ago."""
_OTHER_CURRENT = 1.05
"""Currents that differ by this factor tell how R depends on the current."""
_OTHER_DIRECTION = 0.6
"""R in one direction is at least this part of that in the other: an offset of 1 mV is that much of 4 mV."""
_STEEPER, _STEEPER_BY = 2.0, 0.1
"""From one step of a ramp to the next, the slope of ln R over ln I gets steeper by this much at most: that of
asinh(x)/x from x to 2x, for any x."""


@dataclass(slots=True)
class Course:
    """R of one whole passage, for comparison with a later one."""

    t_s: float
    """Run time of its end."""
    step: int
    sign: int
    start: float
    """How the passage began, see :meth:`Courses.begin`."""
    plan_s: float
    """How long its plan took."""
    current_A: float
    slope: float
    """d ln R / d ln I at this current, −1 … 0; −1 while it is not known."""
    temperature_K: float | None
    resistance_ohm: list[float]
    """One value a bin: the lowest of it and its neighbours, so that a small shift in time is harmless."""


@dataclass(slots=True)
class _State:
    tail_ohm: list[float] = field(default_factory=list)
    step: int = -1
    sign: int = 0
    began_s: float = 0.0
    start: float = 0.0
    plan_C: float = 0.0
    plan_s: float = 0.0
    current_A: float = 0.0
    bin: int = 0
    open_ohm: list[float | None] = field(default_factory=lambda: [None] * _BINS)
    courses: list[Course] = field(default_factory=list)
    """The last one of each step, oldest first."""
    past: list[Course] = field(default_factory=list)
    reference: Course | None = None
    temperature_K: float | None = None


_STATE = TypeAdapter(_State)


class Courses:
    """Remembers the last passage in each direction, and on request some of the hours before."""

    def __init__(self, highest: float, cell: Cell, *, keeps_past: bool = False) -> None:
        """``highest``: a course is cut at this × its median; a nucleation spike or a run-away is no level."""
        self._highest = highest
        self._cell = cell
        self._keeps_past = keeps_past
        self._s = _State()
        self._before: tuple[int, Course | None] = (0, None)
        """The best one of so many past courses, for this passage."""

    def begin(
        self, step: int, t_s: float, current_A: float, start: float, planned_charge_C: float | None
    ) -> None:
        """Begin a passage in a step.

        ``start`` is what the cell remembers of the current before, as a multiple of this one: 0 after a long
        rest, −1 after a reversal. With slow polarisation E may keep its old sign for seconds to minutes.
        """
        self._close(t_s)
        s = self._s
        s.step, s.sign, s.start, s.bin = step, 1 if current_A > 0.0 else -1, start, 0
        s.plan_C = planned_charge_C or abs(current_A) * _UNKNOWN_PLAN_S
        s.began_s = t_s
        s.plan_s, s.current_A = s.plan_C / abs(current_A), abs(current_A)
        s.tail_ohm = []
        s.open_ohm = [None] * _BINS
        s.reference = self._best(s.courses)
        self._before = (0, None)

    def be_at(self, temperature_K: float | None) -> None:
        """Take notice of the temperature that the cell may have, by which what is expected is corrected."""
        self._s.temperature_K = temperature_K

    @property
    def comparable(self) -> bool:
        """Whether the course that is compared with holds from the start of this passage."""
        reference = self._s.reference
        return reference is not None and self._holds(reference)

    @property
    def known(self) -> bool:
        """Whether there is an earlier passage to compare with."""
        return self._s.reference is not None

    def at(self, charge_C: float) -> float:
        """Return R of the earlier passage at this charge, in Ω; negative while E had its old sign.

        0 without one.
        """
        reference = self._s.reference
        if reference is None:
            return 0.0
        return self._of(reference, charge_C) * self._tolerated(reference)

    def least_at(self, charge_C: float, bulk_ohm: float) -> float:
        """Return the least R that a healthy cell should have after an earlier passage, in Ω; 0 without one.

        What is not the bulk takes no less voltage at a higher current than at a lower one (Butler-Volmer,
        Tafel), so that its R falls by the ratio of the currents at most; and by no more than the slope that
        the steps before have shown lets expect. ``bulk_ohm``: R_HF, 0 if unknown.
        """
        reference = self._s.reference
        return 0.0 if reference is None else self._least(reference, charge_C, bulk_ohm)

    def least_before(self, t_s: float, charge_C: float, bulk_ohm: float) -> float:
        """Return the same for the youngest passage before ``t_s``, or the oldest one; 0 without one."""
        past, latest_s = self._s.past, self._s.began_s - _YOUNGEST_S
        old = max(bisect.bisect_right(past, t_s, key=lambda course: course.t_s), 1)
        if old != self._before[0]:
            self._before = old, self._best([course for course in past[:old] if course.t_s <= latest_s])
        best = self._before[1]
        return 0.0 if best is None else self._least(best, charge_C, bulk_ohm)

    def accept(self, ratio: float) -> None:
        """Take R = ``ratio`` × that of the earlier passages for healthy from now on."""
        s = self._s
        known = [*s.courses, *s.past, *([s.reference] if s.reference else [])]
        # One course may stand in several places, but not after it was restored.
        for course in {id(course): course for course in known}.values():
            course.resistance_ohm = [ratio * value for value in course.resistance_ohm]

    def learn(self, resistance_ohm: float, charge_C: float) -> None:
        """Take in one value."""
        s = self._s
        position = self._bin(charge_C)
        if position != s.bin:
            self._leave_bin()
            s.bin = position
        s.tail_ohm.append(resistance_ohm)
        if len(s.tail_ohm) > _TAIL:
            del s.tail_ohm[0]

    def state(self) -> dict[str, object]:
        """Return the whole state, JSON-ready."""
        dumped: dict[str, object] = _STATE.dump_python(self._s, mode="json")
        return dumped

    def restore(self, state: object) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state)
        self._before = (0, None)

    def _least(self, reference: Course, charge_C: float, bulk_ohm: float) -> float:
        course = self._of(reference, charge_C)
        grown = max(self._s.current_A / reference.current_A, 1.0)
        bulk = min(bulk_ohm, course)
        steepest = max(_STEEPER * reference.slope - _STEEPER_BY, -1.0)
        least_ohm = max(bulk + (course - bulk) / grown, course * math.pow(grown, steepest))
        return least_ohm * self._tolerated(reference)

    def _tolerated(self, reference: Course) -> float:
        """Return which part of an earlier R a healthy cell keeps: by warmth, and in the other direction."""
        return self._warmed(reference) * (1.0 if reference.sign == self._s.sign else _OTHER_DIRECTION)

    def _warmed(self, reference: Course) -> float:
        """Return by what R has fallen since then if the cell is warmer now; 1 if it is not, or nobody knows.

        Nothing more is expected of a colder one: the air is colder long before a cell is.
        """
        now_K, then_K = self._s.temperature_K, reference.temperature_K
        if now_K is None or then_K is None or now_K <= then_K:
            return 1.0
        return arrhenius.factor(self._cell, then_K, now_K)

    def _of(self, reference: Course, charge_C: float) -> float:
        """Return the lowest R of a course between the same phase and the same time since the start.

        What E remembers of the step before fades with time, arcs grow with charge; in a ramp of constant
        capacity the two differ.
        """
        by_phase = self._bin(charge_C)
        by_time = self._bin(charge_C * self._s.plan_s / reference.plan_s)
        if by_time == by_phase:
            return reference.resistance_ohm[by_phase]
        first, last = sorted((by_phase, by_time))
        return min(reference.resistance_ohm[first : last + 1])

    def _bin(self, charge_C: float) -> int:
        # The third root makes bins of seconds at the start, where R changes fast, and of minutes later.
        position = int(_BINS_TO_PLAN * (abs(charge_C) / self._s.plan_C) ** (1 / 3))
        return position if position < _BINS else _BINS - 1

    def _leave_bin(self) -> None:
        if self._s.tail_ohm:
            self._s.open_ohm[self._s.bin] = median(self._s.tail_ohm)

    def _close(self, t_s: float) -> None:
        s = self._s
        self._leave_bin()
        known = [value for value in s.open_ohm if value is not None]
        if not known:
            return
        values = _lower_envelope(s.open_ohm, known[0], self._highest * median(known))
        slope = self._slope(median(known))
        course = Course(t_s, s.step, s.sign, s.start, s.plan_s, s.current_A, slope, s.temperature_K, values)
        others = [other for other in s.courses if (other.step, other.sign) != (s.step, s.sign)]
        s.courses = [*others, course][-_STEPS:]
        alike = [old.t_s for old in s.past if (old.step, old.sign) == (s.step, s.sign)]
        if self._keeps_past and (not alike or t_s - alike[-1] >= _PAST_EVERY_S):
            s.past = [*s.past, course][-_PAST:]

    def _slope(self, level_ohm: float) -> float:
        """Return d ln R / d ln I of the passage that ends, from the last one at another current."""
        for course in reversed(self._s.courses):
            ratio = self._s.current_A / course.current_A
            if 1 / _OTHER_CURRENT < ratio < _OTHER_CURRENT:
                return course.slope
            before_ohm = median(course.resistance_ohm)
            if before_ohm > 0.0 and level_ohm > 0.0:
                return min(max(math.log(level_ohm / before_ohm) / math.log(ratio), -1.0), 0.0)
        return -1.0

    def _best(self, courses: list[Course]) -> Course | None:
        """Return the youngest course that is most like this passage, if there is one.

        It should hold from the start, have the same direction, and be of the same step: a half-cycle that
        spectra divide has a spike in its first part alone.
        """
        s = self._s
        return max(
            courses,
            key=lambda course: (
                self._holds(course),
                course.sign == s.sign,
                course.step == s.step,
                course.t_s,
            ),
            default=None,
        )

    def _holds(self, course: Course) -> bool:
        """Whether what went before held that passage down at its start at least as much as this one."""
        return course.start < self._s.start + _ALIKE


def _lower_envelope(values: list[float | None], first: float, ceiling: float) -> list[float]:
    """Fill gaps with the lower one of their ends, cut at ``ceiling``; take the lowest of three neighbours."""
    last = [first]
    for value in values:
        last.append(last[-1] if value is None else value)
    following = [last[-1]]
    for value in reversed(values):
        following.append(following[-1] if value is None else value)
    ends = zip(last[1:], reversed(following[1:]), strict=True)
    filled = [min(before, after, ceiling) for before, after in ends]
    lowest = (min(filled[max(k - 1, 0) : k + 2]) for k in range(len(filled)))
    # Five digits, since many courses are saved.
    return [float(f"{value:.5g}") for value in lowest]
