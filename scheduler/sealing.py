"""When a run's samples become files: once a day while it goes on, and the rest when it has ended.

A day is one of run time (t_s). A run that is simulated much faster than real is sealed once an hour of the
host's time at most. When it has ended, its parts are merged to few files. The worker writes them, one run
after the other; nothing that runs waits for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from protocols.errors import SandtimeError
from scheduler.clock import Clock
from scheduler.worker import Worker
from storage.compact import compact_run, mergeable
from storage.seal import is_due, seal_run
from storage.store import Store

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Time between two looks at what is due."""
PAUSE_S = 3600.0
"""Time of the host between two sealings of a run that goes on, the failed ones among them."""

KEPT_S = 600.0
"""Time for which files stay that merged ones took the place of: other programs may be reading them."""


class Sealer:
    """Lets the worker seal runs."""

    def __init__(self, store: Store, worker: Worker, clock: Clock) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._tried: dict[int, float] = {}
        """Run → when it was last sealed, on the host's monotonic clock."""

    async def keep(self) -> None:
        """Seal what is due of the runs that go on, for ever; at first merge what an earlier daemon left."""
        await self._logged("files of ended runs could not be merged", self._merge_left())
        while True:
            await self._logged("runs that go on could not be sealed", self.look())
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Seal what is due now, and delete what has been merged a while ago. Failures to seal are logged."""
        for run in await asyncio.to_thread(self._due):
            self._tried[run] = self._clock.monotonic()
            fault = f"run {run} goes on, but its data could not be sealed"
            await self._logged(fault, self.seal(run))
        await self._store.delete_superseded(KEPT_S)

    async def seal(self, run: int) -> None:
        """Seal all that can be sealed of a run. Raises StorageError, TimeoutError, OSError."""
        await self._store.seal(run, lambda folder, number: self._worker.run(seal_run, folder, number))

    async def finish(self, run: int) -> None:
        """Seal a run that has ended; failures to merge its parts are logged. Raises as :meth:`seal`."""
        await self.seal(run)
        await self._logged(f"the files of run {run} could not be merged", self.merge(run))

    async def merge(self, run: int) -> None:
        """Merge the parts of a run. Raises StorageError, TimeoutError, OSError."""
        while await self._store.merge(run, lambda folder, n: self._worker.run(compact_run, folder, n)):
            pass

    async def _merge_left(self) -> None:
        reader = self._store.reader
        for run in await asyncio.to_thread(reader.ended_in_parts):
            if mergeable(await asyncio.to_thread(reader.parts, run)):
                await self._logged(f"the files of run {run} could not be merged", self.merge(run))

    async def _logged(self, fault: str, work: Awaitable[None]) -> None:
        """Wait for work; a failure is logged."""
        try:
            await work
        except (SandtimeError, TimeoutError, OSError) as error:
            log.error("%s: %s", fault, error)
        except Exception:
            # No fault in a file may end the watch over the cells.
            log.exception("%s", fault)

    def _due(self) -> list[int]:
        reader, since_s = self._store.reader, self._clock.monotonic() - PAUSE_S
        going_on = reader.going_on()
        self._tried = {run: at_s for run, at_s in self._tried.items() if run in going_on}
        return [run for run in going_on if self._tried.get(run, since_s) <= since_s and is_due(reader, run)]
