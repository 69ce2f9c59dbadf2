"""Where the segments of a run lie in run time, and when that is by UTC."""

from __future__ import annotations

from drivers.instrument import SIMULATED_WAIT_S
from scheduler.clock import Clock, Stamp


class RunClock:
    """One for each run. A segment's offset is the end of the one before plus the time in between."""

    def __init__(self, clock: Clock, simulated: bool) -> None:
        self.offset_s = 0.0
        """Run time at which the segment began."""
        self.anchor_unix_s = 0.0
        """UTC of the same moment."""
        self.ended: Stamp | None = None
        """When the last segment ended, for a pause that outlives the daemon."""
        self.by_utc = False
        """Whether the time before the segment is by UTC alone: a step of that could not be told."""
        self._zero_unix_s = 0.0
        """UTC at run time 0, as the last anchor has it."""
        self._ended_here = False
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
        self.ended, self._ended_here = self._clock.stamp(), True

    def _open_for_s(self) -> float:
        """Run time since the last segment ended."""
        since_s, self.by_utc = 0.0, False
        if self.ended is not None:
            now = self._clock.stamp()
            since_s, sure = self.ended.until(now)
            if self._ended_here:
                since_s, sure = now.monotonic_s - self.ended.monotonic_s, True
            self.by_utc = not sure
        # A simulated clock stands still while its host decides what follows.
        return 0.0 if self._simulated and since_s <= SIMULATED_WAIT_S else since_s
