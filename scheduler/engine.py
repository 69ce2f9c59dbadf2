"""Joins instruments, guards, analysis and store: keepers for the instruments, and the tasks around them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from drivers.chamber import Chamber
from drivers.instrument import Instrument
from protocols.errors import SandtimeError
from scheduler.climate import Climate
from scheduler.clock import Clock
from scheduler.filing import Filer
from scheduler.keeper import Keeper
from scheduler.recorder import Recorder
from scheduler.resolving import Resolver
from scheduler.results import results_of
from scheduler.run import ActiveRun
from scheduler.sealing import Sealer
from scheduler.tending import Tenders
from scheduler.windows import Draw
from scheduler.worker import Worker
from storage.store import Store

log = logging.getLogger(__name__)

FINISH_AGAIN_S = 600.0
"""Time after which a run is finished that could not be when it ended."""


class Engine:
    """Runs programs. Owns the keepers; the one place where a run begins and ends."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        store: Store,
        recorder: Recorder,
        clock: Clock,
        worker: Worker,
        chambers: Mapping[str, Chamber] = {},
        draw: Draw | None = None,
    ) -> None:
        """``draw`` makes the pictures of verdicts, in the worker; None: there are none."""
        self._resolver = Resolver(recorder, worker)
        self._filer = Filer(store, recorder, worker, draw)
        self._sealer = Sealer(store, worker, clock)
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self.keepers = {name: self._keeper(instrument) for name, instrument in instruments.items()}
        self.climates = {name: Climate(chamber, clock) for name, chamber in chambers.items()}
        self._keeping, self._keeping_chambers = Tenders(""), Tenders("chamber ")
        self._ended: asyncio.Queue[int] = asyncio.Queue()
        self._unfinished: set[int] = set()
        self._end_subscribers: list[Callable[[ActiveRun], None]] = []

    def on_end(self, subscriber: Callable[[ActiveRun], None]) -> None:
        """Call ``subscriber`` when a run has ended and its station is free."""
        self._end_subscribers.append(subscriber)

    def _keeper(self, instrument: Instrument) -> Keeper:
        return Keeper(instrument, self._recorder, self._clock, self._run_ended, self._resolver.take)

    def exchange_instruments(self, gone: Iterable[str], new: Mapping[str, Instrument]) -> None:
        """Let go of instruments that drive no cell, and keep others, without a word to the rest."""
        old = [(name, self.keepers.pop(name)) for name in gone]
        made = {name: self._keeper(instrument) for name, instrument in new.items()}
        self.keepers.update(made)
        self._keeping.exchange(old, made)

    def exchange_chambers(self, gone: Iterable[str], new: Mapping[str, Chamber]) -> None:
        """Let go of chambers that no run holds, and keep others."""
        old = [(name, self.climates.pop(name)) for name in gone]
        made = {name: Climate(chamber, self._clock) for name, chamber in new.items()}
        self.climates.update(made)
        self._keeping_chambers.exchange(old, made)

    async def run(self) -> None:
        """Keep every instrument and chamber and commit what comes, until cancelled.

        What runs goes on without us. Ended runs that an earlier daemon could not finish are finished first.
        """
        for number in await asyncio.to_thread(self._store.reader.unsealed):
            self._ended.put_nowait(number)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._recorder.keep_committing(), name="commit")
                group.create_task(self._resolver.resolve(), name="resolve spectra")
                group.create_task(self._filer.keep(), name="keep windows of verdicts")
                group.create_task(self._finish_runs(), name="finish runs")
                group.create_task(self._sealer.keep(), name="seal runs that go on")
                self._keeping.begin(group, self.keepers)
                self._keeping_chambers.begin(group, self.climates)
        finally:
            for keeper in self.keepers.values():
                await keeper.disconnect()
            for climate in self.climates.values():
                await climate.disconnect()

    async def looked(self) -> None:
        """Wait until every instrument was looked at, or could not be reached.

        Chambers are not waited for: a run that needs one waits for its temperature anyway.
        """
        for keeper in list(self.keepers.values()):
            await keeper.looked.wait()

    def _run_ended(self, run: ActiveRun) -> None:
        for subscriber in self._end_subscribers:
            subscriber(run)
        self._ended.put_nowait(run.number)

    async def _finish_runs(self) -> None:
        """Compute the results of ended runs, then seal and merge their data, one after the other.

        What fails is tried again later: a disk may have been full.
        """
        while True:
            run = await self._next_ended()
            try:
                await self._finish(run)
            except (SandtimeError, TimeoutError, OSError) as error:
                log.error("run %d has ended, but its data could not be sealed: %s", run, error)
                self._unfinished.add(run)
            except Exception:
                # No fault in one run's results may end the watch over the cells.
                log.exception("run %d has ended, but its data could not be sealed", run)

    def finish_again(self) -> None:
        """Storing works again: finish what could not be finished."""
        while self._unfinished:
            self._ended.put_nowait(self._unfinished.pop())

    async def _next_ended(self) -> int:
        """Wait for a run that has ended; after a while take one that could not be finished."""
        while True:
            try:
                async with asyncio.timeout(FINISH_AGAIN_S):
                    return await self._ended.get()
            except TimeoutError:
                self.finish_again()

    async def _finish(self, run: int) -> None:
        await self._resolver.caught_up()
        # Results are computed from what is stored: that must be all.
        await self._recorder.commit()
        results = await asyncio.to_thread(results_of, self._store.reader, run)
        self._store.save_result(run, results)
        self._recorder.event(run, "result", None, results)
        await self._recorder.commit()
        await self._filer.write(run)
        await self._sealer.finish(run)
