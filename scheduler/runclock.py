"""Where the segments of a run lie in run time, and when that is by UTC."""

from __future__ import annotations

from drivers.instrument import SIMULATED_WAIT_S
from scheduler.clock import Clock


class RunClock:
    """One for each run. A segment's offset is the end of the one before plus the time in between."""

    def __init__(self, clock: Clock, simulated: bool) -> None:
        self.offset_s = 0.0
        """Run time at which the segment began."""
        self.anchor_unix_s = 0.0
        """UTC of the same moment."""
        self.ended_unix_s: float | None = None
        """When the last segment ended, for a pause that outlives the daemon."""
        self._zero_unix_s = 0.0
        """UTC at run time 0, as the last anchor has it."""
        self._ended_monotonic_s: float | None = None
        self._reached_s, self._first = 0.0, True
        self._clock = clock
        self._simulated = simulated

    def begin(self, reached_s: float, first: bool) -> None:
        """A segment begins, after ``reached_s`` of run time had been measured."""
        self._reached_s, self._first = reached_s, first
        self.begin_later()

    def begin_later(self) -> None:
        """The segment that was to begin had to wait: it begins now."""
        reached_s, first = self._reached_s, self._first
        self.offset_s = 0.0 if first else reached_s + self._open_for_s()
        if self._simulated and not first:
            # A simulated clock may run faster than ours: UTC goes on with run time.
            self.anchor_unix_s = self._zero_unix_s + self.offset_s
        else:
            self.anchor_unix_s = self._clock.unix()
        self._zero_unix_s = self.anchor_unix_s - self.offset_s

    def resume(self, offset_s: float, anchor_unix_s: float) -> None:
        """Go on with a segment that an earlier daemon began."""
        self.offset_s, self.anchor_unix_s = offset_s, anchor_unix_s
        self._zero_unix_s = anchor_unix_s - offset_s

    def end(self) -> None:
        """The segment has ended."""
        self._ended_monotonic_s, self.ended_unix_s = self._clock.monotonic(), self._clock.unix()

    def _open_for_s(self) -> float:
        """Run time since the last segment ended; by UTC where another daemon saw it end."""
        since_s = 0.0
        if self._ended_monotonic_s is not None:
            since_s = self._clock.monotonic() - self._ended_monotonic_s
        elif self.ended_unix_s is not None:
            since_s = max(0.0, self._clock.unix() - self.ended_unix_s)
        # A simulated clock stands still while its host decides what follows.
        return 0.0 if self._simulated and since_s <= SIMULATED_WAIT_S else since_s
