"""When a run's samples become files: once a day while it goes on, and the rest when it has ended.

A day is one of run time (t_s). A run that is simulated much faster than real is sealed once an hour of the
host's time at most. The worker writes the files, one run after the other; nothing that runs waits for them.
"""

from __future__ import annotations

import asyncio
import logging

from protocols.errors import SandtimeError
from scheduler.clock import Clock
from scheduler.worker import Worker
from storage.seal import is_due, seal_run
from storage.store import Store

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Time between two looks at what is due."""
PAUSE_S = 3600.0
"""Time of the host between two sealings of a run that goes on, the failed ones among them."""


class Sealer:
    """Lets the worker seal runs."""

    def __init__(self, store: Store, worker: Worker, clock: Clock) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._tried: dict[int, float] = {}
        """Run → when it was last sealed, on the host's monotonic clock."""

    async def keep(self) -> None:
        """Seal what is due of the runs that go on, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Seal what is due now. Failures are logged."""
        for run in await asyncio.to_thread(self._due):
            await self._try(run)

    async def seal(self, run: int) -> None:
        """Seal all that can be sealed of a run. Raises StorageError, TimeoutError, OSError."""
        await self._store.seal(run, lambda folder, number: self._worker.run(seal_run, folder, number))

    async def _try(self, run: int) -> None:
        self._tried[run] = self._clock.monotonic()
        try:
            await self.seal(run)
        except (SandtimeError, TimeoutError, OSError) as error:
            log.error("run %d goes on, but its data could not be sealed: %s", run, error)
        except Exception:
            # No fault in a file may end the watch over the cells.
            log.exception("run %d goes on, but its data could not be sealed", run)

    def _due(self) -> list[int]:
        reader, since_s = self._store.reader, self._clock.monotonic() - PAUSE_S
        going_on = reader.going_on()
        self._tried = {run: at_s for run, at_s in self._tried.items() if run in going_on}
        return [run for run in going_on if self._tried.get(run, since_s) <= since_s and is_due(reader, run)]
