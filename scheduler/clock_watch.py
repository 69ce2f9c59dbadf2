"""Notices steps of the computer's UTC: set by hand or by the network, or a computer that was asleep.

Run times come from the instruments, time-outs from the monotonic clock: no step changes them. What is told
in UTC differs before and after one, and the event says by how much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scheduler.clock import Clock

LOOK_S = 1.0
STEP_S = 1.0
"""A smaller difference between two looks is no step: clocks are also slewed."""
READ_S = 0.1
"""Both clocks must be read within this time, or the difference says nothing."""


class ClockWatch:
    """Compares UTC with the monotonic clock."""

    def __init__(self, clock: Clock, stepped: Callable[[float], None]) -> None:
        """``stepped`` is told by how many seconds UTC went on too far (> 0) or back (< 0)."""
        self._clock = clock
        self._stepped = stepped
        self._ahead_s: float | None = None

    async def keep(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Compare with the last look."""
        before_s = self._clock.monotonic()
        unix_s = self._clock.unix()
        if self._clock.monotonic() - before_s > READ_S:
            return
        ahead_s = unix_s - before_s
        if self._ahead_s is not None and abs(ahead_s - self._ahead_s) >= STEP_S:
            self._stepped(ahead_s - self._ahead_s)
        self._ahead_s = ahead_s
