"""The raw data around each verdict become files once their window is over, in the worker: nobody waits.

What is to be written follows from the store alone, so that a restart loses nothing. A run's last windows are
written when it has ended, before it is sealed.
"""

from __future__ import annotations

import asyncio
import logging

from protocols.errors import SandtimeError, StorageError
from protocols.records import ENDED
from protocols.verdicts import Verdict
from scheduler.recorder import Recorder
from scheduler.windows import Draw, due_s, is_kept, write_windows
from scheduler.worker import Worker
from storage.store import Store
from storage.tables import StoredEvent

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""Time between two looks at whether a window is over."""


class Filer:
    """Lets the worker write windows."""

    def __init__(self, store: Store, recorder: Recorder, worker: Worker, draw: Draw | None) -> None:
        self._store = store
        self._worker = worker
        self._draw = draw
        self._due: dict[int, float] = {}
        """Run → the run time at which its next window is over."""
        self._wake = asyncio.Event()
        recorder.on_event(self._heard)

    async def keep(self) -> None:
        """Write what is due, for ever; at first what an earlier daemon left."""
        for run, verdict in await asyncio.to_thread(self._left):
            self._expect(run, verdict)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                try:
                    await self._write_due()
                except StorageError as error:
                    log.error("the data around verdicts can't be written now: %s", error)
                await asyncio.sleep(LOOK_S)

    async def write(self, run: int) -> None:
        """Write the windows of a run that are over; all of them if it has ended. Failures are logged."""
        self._due.pop(run, None)
        verdicts = await asyncio.to_thread(self._store.reader.verdicts, run)
        if not any(map(is_kept, verdicts)):
            return
        try:
            next_s = await self._worker.run(write_windows, self._store.folder, run, self._draw)
        except (SandtimeError, TimeoutError, OSError) as error:
            log.error("the data around a verdict of run %d could not be written: %s", run, error)
        except Exception:
            # No fault in a picture may end the watch over the cells.
            log.exception("the data around a verdict of run %d could not be written", run)
        else:
            if next_s is not None:
                self._due[run] = next_s

    def _heard(self, stored: StoredEvent) -> None:
        if stored.event.kind == "verdict" and stored.run is not None:
            self._expect(stored.run, Verdict.model_validate(stored.event.data))

    def _expect(self, run: int, verdict: Verdict) -> None:
        if is_kept(verdict):
            self._due[run] = min(self._due.get(run, due_s(verdict)), due_s(verdict))
            self._wake.set()

    def _left(self) -> list[tuple[int, Verdict]]:
        reader = self._store.reader
        going_on = [info.run for info in reader.runs() if info.state not in ENDED]
        return [(run, verdict) for run in going_on for verdict in reader.verdicts(run)]

    async def _write_due(self) -> None:
        for run, at_s in list(self._due.items()):
            newest = await asyncio.to_thread(self._store.reader.last_sample, run)
            if newest is not None and float(newest["t_s"]) >= at_s:
                await self.write(run)
