"""What resistance a cell should show now, learnt from its own past.

Two memories: the median of the last minute under current, and for each direction the course of R = E/I over
the last passage of current. A passage is one visit of a constant-current step; its phase is the fraction of
the planned charge, so that the steps of a ramp compare. R at a phase beats any fixed level: it knows the
nucleation at the start and the rise at the end (the project's survey of short detection: the same-phase ratio
found 98 % of the shorts that formed at rest, the last minute alone 28 %).
"""

from __future__ import annotations

from bisect import bisect_left, insort
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


@dataclass(slots=True)
class Course:
    """R of one whole passage, for comparison with a later one."""

    start: float
    """How the passage began, see :meth:`Baseline.begin`."""
    plan_s: float
    """How long its plan took."""
    resistance_ohm: list[float]
    """One value a bin: the lowest of it and its neighbours, so that a small shift in time is harmless."""


@dataclass(slots=True)
class _State:
    recent_ohm: list[float] = field(default_factory=list)
    tail_ohm: list[float] = field(default_factory=list)
    sign: int = 0
    start: float = 0.0
    plan_C: float = 0.0
    plan_s: float = 0.0
    bin: int = 0
    open_ohm: list[float | None] = field(default_factory=lambda: [None] * _BINS)
    courses: dict[int, Course] = field(default_factory=dict)
    reference: Course | None = None


_STATE = TypeAdapter(_State)


class Baseline:
    """Expected resistance. The caller says which values are suspect."""

    def __init__(self, recent_values: int, gain_min: float, gain_max: float, course_max: float) -> None:
        """``recent_values``: length of the last minute; the others: see ``short_circuit.Thresholds``."""
        self._recent_values = recent_values
        self._gain_min = gain_min
        self._gain_max = gain_max
        self._course_max = course_max
        self._s = _State()
        self._ordered: list[float] = []

    def begin(self, current_A: float, start: float, planned_charge_C: float | None) -> None:
        """Begin a passage.

        ``start`` is what the cell remembers of the current before, as a multiple of this one: 0 after a long
        rest, −1 after a reversal. With slow polarisation E may keep its old sign for seconds to minutes.
        """
        self._close()
        s = self._s
        s.sign, s.start, s.bin = 1 if current_A > 0.0 else -1, start, 0
        s.plan_C = planned_charge_C or abs(current_A) * _UNKNOWN_PLAN_S
        s.plan_s = s.plan_C / abs(current_A)
        s.tail_ohm = []
        s.open_ohm = [None] * _BINS
        s.reference = self._choose()

    @property
    def comparable(self) -> bool:
        """Whether the course that is compared with holds from the start of this passage."""
        reference = self._s.reference
        return reference is not None and self._holds(reference)

    @property
    def has_course(self) -> bool:
        """Whether there is an earlier passage to compare with."""
        return self._s.reference is not None

    @property
    def ready(self) -> bool:
        """Whether enough was seen for the last minute's median to stand single outliers."""
        return len(self._s.recent_ohm) >= _TAIL

    def expected_ohm(self, charge_C: float, *, settled: bool) -> float:
        """Return R to expect at this charge, in Ω; negative while E still has its old sign after a reversal.

        The earlier course is scaled by what the last minute says of slow changes (temperature, activation),
        within bounds; upwards only once the minute lies in this passage (``settled``).
        """
        if not self._ordered:
            return 0.0
        level = self._ordered[len(self._ordered) // 2]
        reference = self._s.reference
        if reference is None:
            return level
        course = self._expected_by(reference, charge_C)
        highest = course * self._gain_max if settled else course
        return min(max(level, course * self._gain_min), highest)

    def learn(self, resistance_ohm: float, charge_C: float, *, suspect: bool) -> None:
        """Take in one value, one a second.

        A suspect value belongs to the course, since most come back and the next passage may show the same; it
        is kept out of the last minute, so that a short does not become its own baseline.
        """
        s = self._s
        position = self._bin(charge_C)
        if position != s.bin:
            self._leave_bin()
            s.bin = position
        s.tail_ohm.append(resistance_ohm)
        if len(s.tail_ohm) > _TAIL:
            del s.tail_ohm[0]
        if suspect:
            return
        s.recent_ohm.append(resistance_ohm)
        insort(self._ordered, resistance_ohm)
        if len(s.recent_ohm) > self._recent_values:
            del self._ordered[bisect_left(self._ordered, s.recent_ohm.pop(0))]

    def state(self) -> dict[str, object]:
        """Return the whole state, JSON-ready."""
        dumped: dict[str, object] = _STATE.dump_python(self._s, mode="json")
        return dumped

    def restore(self, state: object) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state)
        self._ordered = sorted(self._s.recent_ohm)

    def _expected_by(self, reference: Course, charge_C: float) -> float:
        """Return the lowest R of the course between the same phase and the same time since the start.

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

    def _close(self) -> None:
        s = self._s
        self._leave_bin()
        known = [value for value in s.open_ohm if value is not None]
        if known:
            ceiling = self._course_max * median(known)
            s.courses[s.sign] = Course(s.start, s.plan_s, _lower_envelope(s.open_ohm, known[0], ceiling))

    def _choose(self) -> Course | None:
        """Return the last course, of this direction first; one that holds from the start goes before."""
        s = self._s
        found = [s.courses[sign] for sign in (s.sign, -s.sign) if sign in s.courses]
        holding = [course for course in found if self._holds(course)]
        return next(iter(holding + found), None)

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
