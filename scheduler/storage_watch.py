"""Watches whether what is measured can be stored, and brings the runs to a safe end before memory is full.

While nothing can be stored, measuring and guards go on from memory, for a stated time. Everybody is told at
once: the log, the status, those who listen live. Before the time or the memory is over, all runs end at
open circuit.
"""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path

from protocols.measurements import SAMPLE
from scheduler.clock import Clock
from scheduler.config import StorageConfig
from scheduler.free_space import FreeSpace
from scheduler.recorder import Recorder
from scheduler.requests import StorageInfo

log = logging.getLogger(__name__)

LOOK_S = 0.5
FREE_LOOK_S = 10.0
TELL_AGAIN_S = 30.0
"""Time between two reports while nothing changes but the numbers."""
SLOW_S = 30.0
"""Storage that succeeds, but so far behind, counts as failing."""
SAFE_PART = 0.9
"""Part of time and memory after which the runs are ended: the rest is for their ends."""
PROGRESS_S = 30.0
"""While parts of what waits are stored, the time is not over for so long."""
CALM = 1.1
"""A warning ends when there is so much more room than it asks for."""
GB = 1e9

EndRuns = Callable[[str], None]
Subscriber = Callable[[StorageInfo], None]


def free_bytes(folder: Path) -> int:
    """Return how much room is left on a folder's disk. Raises OSError."""
    return shutil.disk_usage(folder).free


class StorageWatch:
    """Knows how storing stands; the one who decides that runs have to end for its sake."""

    def __init__(
        self,
        settings: StorageConfig,
        recorder: Recorder,
        clock: Clock,
        end_runs: EndRuns,
        free: Callable[[], int],
    ) -> None:
        """``end_runs`` opens all circuits for good, and is told why; ``free`` returns how many bytes are
        free, or raises OSError."""
        self._settings = settings
        self._recorder = recorder
        self._clock = clock
        self._end_runs = end_runs
        self._free = free
        self._space = FreeSpace()
        self._subscribers: list[Subscriber] = []
        self._since_unix_s: float | None = None
        self._began_s = 0.0
        self._most_samples = 0
        self._waiting = 0
        self._progress_s = -math.inf
        self._problem = ""
        self._ended_runs = False
        self._low = ""
        self._told_s = 0.0

    def use(self, settings: StorageConfig) -> None:
        """Go by other settings from now on."""
        self._settings = settings

    def on_change(self, subscriber: Subscriber) -> None:
        """Call ``subscriber`` at once when something changes, durable or not; it must return at once."""
        self._subscribers.append(subscriber)

    @property
    def why_no_start(self) -> str:
        """Why no run may start now; empty if it may."""
        if not self._recorder.storing or self._problem:
            return f"storage: {self._problem or self._recorder.storage_problem}"
        least = self._settings.least_gigabytes * GB
        if self._space.bytes is not None and self._space.bytes < least:
            return f"free disk space: {self._space.bytes / GB:.2f} GB are free, {least / GB:g} GB are wanted"
        return ""

    def info(self) -> StorageInfo:
        """Return how storing stands."""
        failing = bool(self._problem)
        left_s = self._space.lasts_s
        return StorageInfo(
            state="failing" if failing else "low" if self._low else "ok",
            problem=self._problem or self._low,
            since_unix_s=self._since_unix_s,
            waiting_samples=self._recorder.waiting_samples,
            safe_end_in_s=max(0.0, self._left_s()) if failing and not self._ended_runs else None,
            ended_runs=self._ended_runs,
            free_bytes=self._space.bytes,
            hours_left=None if left_s is None else left_s / 3600,
            starts=not self.why_no_start,
        )

    async def keep(self) -> None:
        """Look for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_measuring_free(), name="watch free space")
            while True:
                try:
                    self.look()
                except Exception:
                    # No fault here may end the watch over the cells.
                    log.exception("the watch over storage failed")
                await asyncio.sleep(LOOK_S)

    async def _keep_measuring_free(self) -> None:
        # A disk that is gone may let this hang for ever: then this task alone does.
        while True:
            try:
                free = await asyncio.to_thread(self._free)
            except OSError as error:
                log.debug("free space can't be seen: %s", error)
            else:
                self.take_free(free)
            await asyncio.sleep(FREE_LOOK_S)

    def take_free(self, free: int) -> None:
        """Take notice of how many bytes are free."""
        might = self.why_no_start
        self._space.take(self._clock.monotonic(), free)
        low = self._why_low()
        changed = bool(low) != bool(self._low) or might != self.why_no_start
        self._low = low
        if changed and not self._problem:
            self._report(logging.WARNING, low or "there is room on the disk again")

    def _why_low(self) -> str:
        free, lasts_s, settings = self._space.bytes, self._space.lasts_s, self._settings
        calm = CALM if self._low else 1.0
        if free is not None and free < settings.warn_gigabytes * GB * calm:
            return f"{free / GB:.2f} GB are free on the disk; free some more"
        if lasts_s is not None and lasts_s < settings.warn_hours * 3600 * calm:
            return f"at the present rate the disk is full in {lasts_s / 3600:.1f} h; free some space"
        return ""

    def look(self) -> None:
        """Look once: tell what has changed, and end the runs if it is time."""
        problem = self._recorder.storage_problem
        behind_s = self._recorder.behind_s
        if not problem and behind_s > SLOW_S:
            problem = f"the disk is too slow: what was measured {behind_s:.0f} s ago is not stored"
        if problem:
            self._fails(problem)
        elif self._problem:
            self._works_again()

    def _fails(self, problem: str) -> None:
        problem = problem.rstrip(".") + "."
        began, self._problem = not self._problem, problem
        now_s, waiting = self._clock.monotonic(), self._recorder.waiting_samples
        if waiting < self._waiting:
            self._progress_s = now_s
        self._waiting, self._most_samples = waiting, max(self._most_samples, waiting)
        if began:
            self._began_s = now_s - self._recorder.behind_s
            self._since_unix_s = self._clock.unix() - self._recorder.behind_s
            self._report(logging.ERROR, f"{problem} {self._outlook()}")
        elif not self._ended_runs and self._left_s() <= 0.0:
            self._ended_runs = True
            self._report(logging.CRITICAL, f"{problem} All runs are brought to open circuit now")
            self._end_runs(f"storage: nothing could be stored for {(now_s - self._began_s) / 60:.1f} min")
        elif now_s - self._told_s >= TELL_AGAIN_S:
            self._tell()

    def _works_again(self) -> None:
        seconds = self._clock.monotonic() - self._began_s
        data = {"problem": self._problem, "seconds": seconds, "samples_in_memory": self._most_samples}
        data["ended_runs"] = self._ended_runs
        self._problem, self._since_unix_s, self._ended_runs, self._most_samples = "", None, False, 0
        self._report(logging.WARNING, f"storing works again after {seconds:.0f} s, nothing is lost", data)

    def _outlook(self) -> str:
        return (
            f"Measuring and guards go on from memory; in {max(0.0, self._left_s()) / 60:.1f} min all runs "
            "are brought to open circuit. Make room on the disk, or bring it back"
        )

    def _left_s(self) -> float:
        """Time until the runs are to be ended: by the clock, or because the samples fill the memory."""
        behind_s = self._recorder.behind_s
        left_s = SAFE_PART * self._settings.hold_minutes * 60.0 - behind_s
        left_s = max(left_s, self._progress_s + PROGRESS_S - self._clock.monotonic())
        waiting = self._recorder.waiting_samples * SAMPLE.itemsize
        room = SAFE_PART * self._settings.hold_megabytes * 1e6 - waiting
        if room <= 0.0:
            return 0.0
        return min(left_s, room * behind_s / waiting) if waiting and behind_s else left_s

    def _report(self, level: int, message: str, data: dict[str, object] | None = None) -> None:
        """Tell the log, those who listen live, and (once it can be stored) everybody else."""
        log.log(level, "storage: %s", message)
        info = self.info()
        told = {"state": info.state, "message": message, "free_bytes": info.free_bytes, **(data or {})}
        self._recorder.event(None, "storage", None, told)
        self._tell()

    def _tell(self) -> None:
        self._told_s = self._clock.monotonic()
        info = self.info()
        for subscriber in self._subscribers:
            try:
                subscriber(info)
            except Exception:
                # A fault of somebody who listens must not reach the measurement.
                log.exception("a subscriber failed")
