"""How much room a disk has, and how long it lasts at the rate at which it is being filled."""

from __future__ import annotations

from collections import deque

STEP_S = 60.0
WINDOW_S = 3600.0
LEAST_S = 600.0
"""A rate that was seen for a shorter time says nothing."""


class FreeSpace:
    """Free bytes of a disk over the last hour."""

    def __init__(self) -> None:
        self.bytes: int | None = None
        """None before the first look."""
        self._seen: deque[tuple[float, int]] = deque()

    def take(self, now_s: float, free: int) -> None:
        """Take notice of what is free now, on a monotonic clock."""
        self.bytes = free
        if self._seen and now_s - self._seen[-1][0] < STEP_S:
            return
        self._seen.append((now_s, free))
        while now_s - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    @property
    def lasts_s(self) -> float | None:
        """Time until nothing is left, if it goes on like this; None if that is not known, or it does not."""
        if self.bytes is None or not self._seen:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        if last_s - first_s < LEAST_S or last >= first:
            return None
        return self.bytes * (last_s - first_s) / (first - last)
