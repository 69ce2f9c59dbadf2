"""The course of R = E/I over earlier passages of current, in each direction.

A passage is one visit of a constant-current step; its phase is the fraction of the planned charge, so that
the steps of a ramp compare. R at a phase beats any fixed level: it knows the nucleation at the start and the
rise at the end (the project's survey of short detection: the same-phase ratio found 98 % of the shorts that
formed at rest, the last minute alone 28 %).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from pydantic import TypeAdapter

_BINS = 64
_BINS_TO_PLAN = 48
"""Bins up to the planned charge; those beyond serve passages that run longer."""
_TAIL = 5
_ALIKE = 0.2
"""Starts that differ by less count as the same: those of a ramp do, step by step."""
_UNKNOWN_PLAN_S = 3600.0
"""A passage without a planned charge is divided as if it were to last an hour."""
_STEPS = 8
"""So many steps of a program are remembered."""
_PAST_EVERY_S, _PAST = 2700.0, 12
"""Older courses of a step are kept so far apart, and so many in all."""


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
    resistance_ohm: list[float]
    """One value a bin: the lowest of it and its neighbours, so that a small shift in time is harmless."""


@dataclass(slots=True)
class _State:
    tail_ohm: list[float] = field(default_factory=list)
    step: int = -1
    sign: int = 0
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


_STATE = TypeAdapter(_State)


class Courses:
    """Remembers the last passage in each direction, and on request some of the hours before."""

    def __init__(self, highest: float, *, keeps_past: bool = False) -> None:
        """``highest``: a course is cut at this × its median; a nucleation spike or a run-away is no level."""
        self._highest = highest
        self._keeps_past = keeps_past
        self._s = _State()

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
        s.plan_s, s.current_A = s.plan_C / abs(current_A), abs(current_A)
        s.tail_ohm = []
        s.open_ohm = [None] * _BINS
        s.reference = self._best(s.courses)

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
        return 0.0 if reference is None else self._of(reference, charge_C)

    def least_at(self, charge_C: float, bulk_ohm: float) -> float:
        """Return the least R that a healthy cell should have after an earlier passage, in Ω; 0 without one.

        What is not the bulk takes no less voltage at a higher current than at a lower one (Butler-Volmer,
        Tafel), so that its R falls by the ratio of the currents at most. ``bulk_ohm``: R_HF, 0 if unknown.
        """
        reference = self._s.reference
        return 0.0 if reference is None else self._least(reference, charge_C, bulk_ohm)

    def least_before(self, t_s: float, charge_C: float, bulk_ohm: float) -> float:
        """Return the same for the youngest passage that ended before ``t_s``, 0 without one."""
        old = self._best([course for course in self._s.past if course.t_s <= t_s])
        alike = old is not None and old.sign == self._s.sign and self._holds(old)
        return self._least(old, charge_C, bulk_ohm) if old is not None and alike else 0.0

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

    def _least(self, reference: Course, charge_C: float, bulk_ohm: float) -> float:
        course = self._of(reference, charge_C)
        grown = max(self._s.current_A / reference.current_A, 1.0)
        bulk = min(bulk_ohm, course)
        return bulk + (course - bulk) / grown

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
        course = Course(t_s, s.step, s.sign, s.start, s.plan_s, s.current_A, values)
        others = [other for other in s.courses if (other.step, other.sign) != (s.step, s.sign)]
        s.courses = [*others, course][-_STEPS:]
        alike = [old.t_s for old in s.past if (old.step, old.sign) == (s.step, s.sign)]
        if self._keeps_past and (not alike or t_s - alike[-1] >= _PAST_EVERY_S):
            s.past = [*s.past, course][-_PAST:]

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
    """Fill gaps with the value before, cut at ``ceiling``, and take the lowest of each three neighbours."""
    filled = []
    last = first
    for value in values:
        last = last if value is None else value
        filled.append(min(last, ceiling))
    return [min(filled[max(k - 1, 0) : k + 2]) for k in range(len(filled))]
