"""Joins instruments, guards, analysis and store: keepers for the instruments, and the tasks around them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from drivers.chamber import Chamber
from drivers.instrument import Instrument
from protocols.errors import SandtimeError
from scheduler.climate import Climate
from scheduler.clock import Clock
from scheduler.contact import Contact
from scheduler.filing import Filer
from scheduler.keeper import Keeper
from scheduler.recorder import Recorder
from scheduler.resolving import Resolver
from scheduler.results import results_of
from scheduler.run import ActiveRun
from scheduler.sealing import Sealer
from scheduler.supervision import Alarm, Supervisor, Work
from scheduler.tending import Tenders
from scheduler.windows import Draw
from scheduler.worker import Worker
from storage.store import Store

log = logging.getLogger(__name__)

PATIENCE_S = 10.0
"""So long the daemon waits for the first look at its instruments; the driver of one may hang."""
COMMIT_DEAD = "what is measured is stored only where a keeper asks for it; if this lasts, all runs are ended"
KEEPER_DEAD = "nobody watches its cells, which go on within the limits on the instrument"
CLIMATE_DEAD = "the chamber keeps its set-point, and runs that wait for a temperature wait on"
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
        self.supervisor = Supervisor(clock, self._alarm)
        """Of every task that works for ever."""
        self._resolver = Resolver(recorder, worker)
        self._filer = Filer(store, recorder, worker, draw)
        self._sealer = Sealer(store, worker, clock)
        self.brokers: list[Contact] = []
        """Connections that are not the engine's own, such as that to an MQTT broker."""
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self.keepers = {name: self._keeper(instrument) for name, instrument in instruments.items()}
        self.climates = {name: Climate(chamber, clock) for name, chamber in chambers.items()}
        self._keeping = Tenders("keep", self.supervisor, KEEPER_DEAD)
        self._keeping_chambers = Tenders("keep chamber", self.supervisor, CLIMATE_DEAD)
        self._ended: asyncio.Queue[int] = asyncio.Queue()
        self._unfinished: set[int] = set()
        self._end_subscribers: list[Callable[[ActiveRun], None]] = []
        self._hopeless_subscribers: list[Alarm] = []

    @property
    def contacts(self) -> list[Contact]:
        """How each connection stands."""
        return [*(each.contact for each in self._kept()), *self.brokers]

    def _kept(self) -> list[Keeper | Climate]:
        return [*self.keepers.values(), *self.climates.values()]

    def on_end(self, subscriber: Callable[[ActiveRun], None]) -> None:
        """Call ``subscriber`` when a run has ended and its station is free."""
        self._end_subscribers.append(subscriber)

    def on_hopeless(self, subscriber: Alarm) -> None:
        """Call ``subscriber``, and say why, when nothing can be relied on to be stored any more."""
        self._hopeless_subscribers.append(subscriber)

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

        What runs goes on without us. A task that dies is told and started again.
        """
        keep = self.supervisor.keep
        try:
            async with asyncio.TaskGroup() as group:
                for name, work, meanwhile in self._works():
                    hopeless = self._give_up if name == "commit" else None
                    group.create_task(keep(name, work, meanwhile, hopeless), name=name)
                self._keeping.begin(group, self.keepers)
                self._keeping_chambers.begin(group, self.climates)
        finally:
            await asyncio.gather(*(each.disconnect() for each in self._kept()))

    def _works(self) -> Iterator[tuple[str, Work, str]]:
        """Yield what works for ever: its name, and what its absence means."""
        yield "commit", self._recorder.keep_committing, COMMIT_DEAD
        yield "resolve spectra", self._resolver.resolve, "spectra are judged, and not resolved"
        yield "keep windows of verdicts", self._filer.keep, "the data around verdicts are not put into files"
        yield "finish runs", self._finish_runs, "runs that end have no results and no files"
        yield "seal runs that go on", self._sealer.keep, "no samples are moved to files; they stay safe"

    async def looked(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until every instrument was looked at, or could not be reached; not for ever.

        Chambers are not waited for: a run that needs one waits for its temperature anyway. No keeper starts
        anything before it has looked, so that one that hangs delays only its own runs.
        """
        looks = [keeper.looked.wait() for keeper in list(self.keepers.values())]
        try:
            async with asyncio.timeout(patience_s):
                await asyncio.gather(*looks)
        except TimeoutError:
            late = [name for name, keeper in self.keepers.items() if not keeper.looked.is_set()]
            log.warning("not looked at within %g s: %s; the others begin", patience_s, ", ".join(late))

    def _alarm(self, message: str) -> None:
        self._recorder.event(None, "alarm", None, {"message": message})

    def _give_up(self, why: str) -> None:
        for subscriber in self._hopeless_subscribers:
            subscriber(why)

    def _run_ended(self, run: ActiveRun) -> None:
        for subscriber in self._end_subscribers:
            subscriber(run)
        self._ended.put_nowait(run.number)

    async def _finish_runs(self) -> None:
        """Compute the results of ended runs, then seal and merge their data, one after the other.

        What fails is tried again later: a disk may have been full. Runs that an earlier daemon, or this task
        before it died, could not finish come first.
        """
        for number in await asyncio.to_thread(self._store.reader.unsealed):
            self._unfinished.add(number)
        self.finish_again()
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
