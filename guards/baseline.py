"""What resistance a cell should show now: the last minute, and the course of earlier passages, weighed."""

from __future__ import annotations

from typing import cast

from guards.courses import Courses
from guards.rolling import RollingMedian

_ENOUGH = 5
"""Values of the last minute whose median stands single outliers."""
RECENT_VALUES = 7
"""The last minute, one value each ten seconds."""


class Baseline:
    """Expected resistance. The caller says which values are suspect."""

    def __init__(self, courses: Courses, gain_min: float, gain_max: float) -> None:
        """For the gains see ``short_circuit.Thresholds``."""
        self._courses = courses
        self._gain_min = gain_min
        self._gain_max = gain_max
        self._recent = RollingMedian(RECENT_VALUES)

    @property
    def ready(self) -> bool:
        """Whether enough was seen for the last minute's median to stand single outliers."""
        return len(self._recent) >= _ENOUGH

    def expected_ohm(self, charge_C: float, *, settled: bool) -> float:
        """Return R to expect at this charge, in Ω; negative while E still has its old sign after a reversal.

        The earlier course is scaled by what the last minute says of slow changes (temperature, activation),
        within bounds; upwards only once the minute lies in this passage (``settled``).
        """
        level = self._recent.median(0.0)
        if not level or not self._courses.known:
            return level
        course = self._courses.at(charge_C)
        highest = course * self._gain_max if settled else course
        return min(max(level, course * self._gain_min), highest)

    def learn(self, resistance_ohm: float, charge_C: float, *, suspect: bool) -> None:
        """Take in one value.

        A suspect value belongs to the course, since most come back and the next passage may show the same; it
        is kept out of the last minute, so that a short does not become its own baseline.
        """
        self._courses.learn(resistance_ohm, charge_C)
        if not suspect:
            self._recent.add(resistance_ohm)

    def state(self) -> list[float]:
        """Return the last minute, JSON-ready; the courses are their owner's."""
        return self._recent.values

    def restore(self, state: object) -> None:
        """Take over a state that :meth:`state` returned."""
        self._recent.restore(cast("list[float]", state))
