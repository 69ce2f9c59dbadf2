"""Holding a voltage on a cell that is driven by currents.

The current is constant between the points of a grid and such that E is right at the end of each interval;
inside it the cell's response is exact. The grid belongs to the phase, so that nothing depends on how the time
was cut. Its first intervals are short: arcs that are faster act as resistors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from drivers.simulation.wiring import DrivenCell

FloatArray = NDArray[np.float64]

FIRST_S, GROWTH, LONGEST_S = 1e-3, 1.25, 1.0
"""Intervals at a constant voltage: they grow as the current settles."""
INTERVALS_A_RECORD = 8
"""Intervals in the time between two records, where these are far apart."""
SCAN_STEP_V = 2e-3
"""Change of a scanned voltage in one interval at most."""
SLOW_STEP_V = 5e-4
"""The same where it changes so slowly that this takes longer than :data:`LONGEST_S`."""
_GROWING_S = [0.0, *accumulate(np.geomspace(FIRST_S, LONGEST_S, 32).tolist())]

Stop = Callable[[float, float], bool]
"""Whether E and I, at a point of the grid, end the phase."""


@dataclass(frozen=True, slots=True)
class Course:
    """The voltage asked for, E(t) = start + rate·t, and the grid: points that are given, then even ones."""

    start_V: float
    rate_V_per_s: float
    duration_s: float
    given_s: list[float]
    even_s: float

    @classmethod
    def constant(cls, voltage_V: float, duration_s: float, record_s: float = 0.0) -> Course:
        """Return a voltage that stays; slow records need no fine grid once the current has settled."""
        return cls(voltage_V, 0.0, duration_s, _GROWING_S, max(LONGEST_S, record_s / INTERVALS_A_RECORD))

    @classmethod
    def linear(cls, start_V: float, end_V: float, duration_s: float, record_s: float) -> Course:
        """Return a scan whose grid holds every multiple of ``record_s``."""
        rate = (end_V - start_V) / duration_s
        longest_s = min(max(LONGEST_S, SLOW_STEP_V / abs(rate)), SCAN_STEP_V / abs(rate))
        return cls(start_V, rate, duration_s, [0.0], record_s / np.ceil(record_s / longest_s - 1e-9))

    def point(self, number: int) -> float:
        """Return a point of the grid; the last is the end."""
        beyond = number - len(self.given_s) + 1
        time_s = self.given_s[number] if beyond <= 0 else self.given_s[-1] + beyond * self.even_s
        # A remainder by rounding is no interval of its own.
        return self.duration_s if time_s > self.duration_s * (1 - 1e-12) else time_s


@dataclass(frozen=True, slots=True)
class _Interval:
    start_s: float
    end_s: float
    current_A: float
    short_V: float
    """By how much E falls short of what was asked for."""


class Potentiostat:
    """Controls the voltage of one cell for one phase."""

    def __init__(self, cell: DrivenCell, course: Course, limit_A: float) -> None:
        self.course = course
        self.elapsed_s = 0.0
        self._cell = cell
        self._limit_A = limit_A
        self._number = 0
        self._intervals: list[_Interval] = []

    @property
    def overflow(self) -> bool:
        """Whether the current has reached its limit, so that E is not what was asked for."""
        return bool(self._intervals and self._intervals[-1].short_V)

    @property
    def voltage_V(self) -> float:
        """E at present."""
        return float(self.voltages(np.full(1, self.elapsed_s))[0])

    def run_until(self, until_s: float, stop: Stop | None = None) -> bool:
        """Go on until then, or until ``stop`` says so at a point of the grid: then return True."""
        while self.elapsed_s < until_s:
            if not self._intervals or self.elapsed_s >= self._intervals[-1].end_s:
                self._begin()
            interval = self._intervals[-1]
            to_s = min(until_s, interval.end_s)
            self._cell.let_pass(to_s - self.elapsed_s)
            self.elapsed_s = to_s
            if (
                stop is not None
                and to_s == interval.end_s
                and stop(self._reached(interval), interval.current_A)
            ):
                return True
        return False

    def forget_before(self, time_s: float) -> None:
        """Drop the intervals that end before this time, except the present one."""
        gone = sum(interval.end_s < time_s for interval in self._intervals[:-1])
        del self._intervals[:gone]

    def points(self, after_s: float) -> FloatArray:
        """Return the ends of intervals that have passed since ``after_s``."""
        return np.array([i.end_s for i in self._intervals if after_s < i.end_s <= self.elapsed_s])

    def voltages(self, time_s: FloatArray) -> FloatArray:
        """Return E at times that are not forgotten, shape of ``time_s``."""
        asked_V = self.course.start_V + self.course.rate_V_per_s * time_s
        if not self._intervals:
            return np.asarray(asked_V)
        return np.asarray(asked_V - np.array([i.short_V for i in self._intervals])[self._index(time_s)])

    def currents(self, time_s: FloatArray) -> FloatArray:
        """Return I at times that are not forgotten, shape of ``time_s``."""
        return np.array([i.current_A for i in self._intervals])[self._index(time_s)]

    def mean_currents(self, start_s: FloatArray, end_s: FloatArray) -> FloatArray:
        """Return I averaged between these times."""
        points_s = np.array([self._intervals[0].start_s, *(i.end_s for i in self._intervals)])
        currents_A = np.array([i.current_A for i in self._intervals])
        charge_C = np.concatenate(((0.0,), np.cumsum(currents_A * np.diff(points_s))))
        passed_C = np.interp(end_s, points_s, charge_C) - np.interp(start_s, points_s, charge_C)
        return np.asarray(passed_C / (end_s - start_s))

    def _index(self, time_s: FloatArray) -> NDArray[np.intp]:
        ends_s = [interval.end_s for interval in self._intervals]
        return np.minimum(np.searchsorted(ends_s, time_s), len(ends_s) - 1)

    def _begin(self) -> None:
        """Solve the current of the interval that begins now."""
        self._number += 1
        end_s = self.course.point(self._number)
        asked_V = self.course.start_V + self.course.rate_V_per_s * end_s
        reached_V = self._cell.control(asked_V, end_s - self.elapsed_s, self._limit_A)
        self._intervals.append(_Interval(self.elapsed_s, end_s, self._cell.current_A, asked_V - reached_V))

    def _reached(self, interval: _Interval) -> float:
        asked_V = self.course.start_V + self.course.rate_V_per_s * interval.end_s
        return asked_V - interval.short_V
