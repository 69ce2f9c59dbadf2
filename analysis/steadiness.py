"""When a step that the host ends has come to its end: E or I is steady. Pure, streaming, bounded in memory.

Samples are averaged in bins, so that a window never holds more than :data:`BINS` points however fast they
come. The state is not saved: after a restart a window simply fills again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

BINS = 200
"""Points of a window."""

LEAST_POINTS = 4
"""A window with fewer tells nothing: samples come too seldom for it."""

_MEASURABLE = 1e9
"""A value from here on is no measurement (as in :mod:`analysis.cycles`)."""


@dataclass(slots=True)
class _Bin:
    """Samples close to each other in time, as sums."""

    begun_s: float
    count: int = 0
    t_s: float = 0.0
    value: float = 0.0


class Window:
    """The last ``over_s`` of one column, in bins."""

    def __init__(self, over_s: float) -> None:
        self._over_s = over_s
        self._first_s: float | None = None
        self._bins: deque[tuple[float, float]] = deque()
        """Mean time and mean value of each bin that is full."""
        self._open: _Bin | None = None

    def add(self, t_s: float, value: float) -> bool:
        """Take in a sample, in order of time. Returns whether the window is full and has a new point."""
        if not abs(value) < _MEASURABLE:
            return False
        if self._first_s is None:
            self._first_s = t_s
        grown = self._open is not None and t_s - self._open.begun_s >= self._over_s / BINS
        if self._open is None or grown:
            self._close(t_s)
        here = self._open = self._open or _Bin(t_s)
        here.count += 1
        here.t_s += t_s
        here.value += value
        is_full = t_s - self._first_s >= self._over_s and len(self._bins) >= LEAST_POINTS
        return grown and is_full

    def points(self) -> list[tuple[float, float]]:
        """Return time and value of the bins that are full, oldest first."""
        return list(self._bins)

    def _close(self, t_s: float) -> None:
        full, self._open = self._open, None
        if full is not None:
            self._bins.append((full.t_s / full.count, full.value / full.count))
        while self._bins and self._bins[0][0] < t_s - self._over_s:
            self._bins.popleft()


class SlopeJudge:
    """Says when E changes more slowly than a rate, by the least-squares line through the last ``over_s``."""

    def __init__(self, rate_V_per_s: float, over_s: float) -> None:
        self._rate = rate_V_per_s
        self._window = Window(over_s)

    def add(self, t_s: float, voltage_V: float) -> bool:
        """Take in a sample; return whether E is steady, judged once ``over_s`` of data are there."""
        return self._window.add(t_s, voltage_V) and abs(slope(self._window.points())) < self._rate


class ChangeJudge:
    """Says when the mean |I| in the last quarter of a window is close to that in its first quarter."""

    def __init__(self, change: float, over_s: float) -> None:
        self._change = change
        self._window = Window(over_s)

    def add(self, t_s: float, current_A: float) -> bool:
        """Take in a sample; return whether I is steady, judged once ``over_s`` of data are there."""
        return self._window.add(t_s, abs(current_A)) and self._is_steady(self._window.points())

    def _is_steady(self, points: Sequence[tuple[float, float]]) -> bool:
        begin_s, end_s = points[0][0], points[-1][0]
        quarter_s = (end_s - begin_s) / 4
        first = _mean([value for t_s, value in points if t_s <= begin_s + quarter_s])
        last = _mean([value for t_s, value in points if t_s >= end_s - quarter_s])
        return abs(last - first) <= self._change * first


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the least-squares line through points; 0 if they are all at one time."""
    middle_t = _mean([t for t, _ in points])
    middle_y = _mean([y for _, y in points])
    spread = sum((t - middle_t) ** 2 for t, _ in points)
    return sum((t - middle_t) * (y - middle_y) for t, y in points) / spread if spread else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
