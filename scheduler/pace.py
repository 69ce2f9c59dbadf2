"""How fast an instrument's clock runs beside ours."""

from __future__ import annotations

from scheduler.clock import Clock

RATIO_MAX = 10_000.0
"""Polls at most this much more often than in real time."""


class Pace:
    """How much faster than ours an instrument's clock runs (a simulated one may)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._polled_at_s = clock.monotonic()
        self.ratio = 1.0
        """Instrument time per host time, as far as it is above 1."""

    def polled(self, brought_s: float) -> float:
        """A poll brought so much instrument time; return the host time since the poll before."""
        now_s = self._clock.monotonic()
        passed_s = max(now_s - self._polled_at_s, 1e-6)
        self._polled_at_s = now_s
        self.ratio = min(max(brought_s / passed_s, 0.5 * self.ratio, 1.0), RATIO_MAX)
        return passed_s
