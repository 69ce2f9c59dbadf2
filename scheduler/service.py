"""What the faces may ask for: submit, look, stop, pause, resume, acknowledge. Owner of queue and engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from protocols.errors import InstrumentError, NotAllowedError
from protocols.laboratory import Calibration
from protocols.queueing import Maintenance
from protocols.records import ENDED, RunInfo, RunState
from scheduler import contact_check
from scheduler.audit import UNKNOWN, AuditLog
from scheduler.before_start import StartChecks
from scheduler.clock import Clock
from scheduler.clock_watch import ClockWatch
from scheduler.config import ServiceConfig
from scheduler.dispatcher import CANCELLED, Dispatcher
from scheduler.engine import Engine
from scheduler.queue_view import QueueView
from scheduler.recorder import Recorder
from scheduler.recovery import restore
from scheduler.requests import (
    CalibrationRequest,
    ChamberInfo,
    ConnectionInfo,
    InstrumentInfo,
    MaintenanceRequest,
    Order,
    ProblemInfo,
    StopOutcome,
    StorageInfo,
    Submission,
)
from scheduler.requeue import Requeue
from scheduler.run import ActiveRun
from scheduler.stations import Place, Stations
from scheduler.stopping import Stopping
from scheduler.storage_watch import StorageWatch, free_bytes
from storage.held import HeldReader
from storage.reader import Reader
from storage.store import Store

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 30.0
SETTLE_TIMEOUT_S = 20.0
STORAGE_UNWATCHED = "nobody ends the runs when the disk stays full or gone, or says that it is"
CLOCK_UNWATCHED = "steps of the computer's clock are not told"
OPENING_UNWATCHED = "no alarm is raised when a circuit that is to be open is not"
TIMES_UNWATCHED = "no run starts because its time has come or a maintenance is over"


class Service:
    """Knows every run that is not over, and which station it is for."""

    def __init__(
        self, config: ServiceConfig, engine: Engine, store: Store, recorder: Recorder, clock: Clock
    ) -> None:
        self._engine = engine
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self.audit = AuditLog(store, clock)
        self._runs: dict[int, ActiveRun] = {}
        self._known: dict[int, RunInfo] = {}
        """Every run as it was when it ended, or was last heard of: nobody waits for a disk to see it."""
        self.storage = StorageWatch(
            config.storage, recorder, clock, self._end_safely, lambda: free_bytes(store.folder)
        )
        self.storage.on_change(self._storage_changed)
        self._clock_watch = ClockWatch(clock, self._clock_stepped)
        self.stations = Stations(config, engine)
        self._checks = StartChecks(config, clock, self.infos, self.storage.info)
        self.dispatcher = Dispatcher(
            self.stations,
            store,
            recorder,
            clock,
            self.audit,
            self._runs,
            self._equip,
            lambda: self.stopping.why_held or self.storage.why_no_start,
        )
        self.queue = QueueView(self.dispatcher, clock)
        self.stopping = Stopping(
            engine,
            store.folder,
            self.audit,
            clock,
            lambda: list(self._runs.values()),
            lambda: {occupant.run for occupant in self.dispatcher.queue.occupants.values()},
            self.dispatcher.start_waiting,
            self.stop,
        )
        self.ready = False
        """Every instrument was looked at, or could not be reached."""
        engine.on_end(self._run_ended)
        engine.on_hopeless(self._end_safely)

    @property
    def config(self) -> ServiceConfig:
        """What service.toml says."""
        return self.stations.config

    def use(self, config: ServiceConfig) -> None:
        """Go on with another service.toml; its engine has the instruments already (see scheduler.reload)."""
        self.stations.config = self._checks.config = config
        self.dispatcher.queue.use(config.stations)
        self.storage.use(config.storage)
        for station in config.known_stations(self._clock.unix()):
            self._store.see_station(station)

    async def recover(self) -> None:
        """Put every run that an earlier daemon left back where it was; the keepers then look at them."""
        self.stopping.alarms.load()
        with contextlib.closing(await asyncio.to_thread(HeldReader, self._store.folder)) as reader:
            requeue = Requeue(self.dispatcher, reader)
            await requeue.begin()
            self._checks.calibrated(*reader.catalogue.calibrations())
            for info in reader.runs():
                self._known[info.run] = info
                if info.state in ENDED:
                    requeue.ended(info)
                else:
                    await self._recover_one(info, reader, requeue)
            requeue.end(self._known)
        for station in self.config.known_stations(self._clock.unix()):
            self._store.see_station(station)
        await self._recorder.durable()

    async def _recover_one(self, info: RunInfo, reader: Reader, requeue: Requeue) -> None:
        """Put one run back; one that can't be read must not keep the others from being watched."""
        try:
            run = await asyncio.to_thread(restore, info, self._store, self._recorder, self._clock, reader)
            self._equip(run)
            self._runs[info.run] = run
            await requeue.put_back(run)
        except Exception as error:
            self._runs.pop(info.run, None)
            message = f"run {info.run} can't be taken over: {error}"
            log.exception("%s", message)
            self._recorder.event(info.run, "alarm", None, {"message": message})
            if info.station in self.dispatcher.queue.stations:
                self.dispatcher.queue.occupy(info.station, info.run, info.cell)

    def begin(self) -> None:
        """Every instrument was looked at: waiting runs may start."""
        self.ready = True
        self.dispatcher.begin()

    async def watch(self) -> None:
        """Watch disk and clock, circuits that are to be open, and the times of the queue, for ever."""
        keep = self._engine.supervisor.keep
        async with asyncio.TaskGroup() as group:
            group.create_task(keep("watch storage", self.storage.keep, STORAGE_UNWATCHED))
            group.create_task(keep("watch the clock", self._clock_watch.keep, CLOCK_UNWATCHED))
            group.create_task(keep("watch open circuits", self.stopping.watch, OPENING_UNWATCHED))
            group.create_task(keep("start runs at their time", self.dispatcher.keep, TIMES_UNWATCHED))

    @property
    def storing(self) -> bool:
        """Whether commits succeed."""
        return self._recorder.storing

    def _storage_changed(self, info: StorageInfo) -> None:
        if info.state != "failing":
            self._engine.finish_again()
        if info.starts:
            self.dispatcher.start_waiting()

    def _end_safely(self, reason: str) -> None:
        """Open every circuit for good; what is paused or was never started needs nothing."""
        for run in list(self._runs.values()):
            if run.ticket is not None and run.info.state not in ("paused", "waiting"):
                self._place(run.info.station).keeper.give_up(run, reason)

    def _clock_stepped(self, step_s: float) -> None:
        """UTC was set: say so in everything that is told in UTC."""
        log.warning("the computer's clock was set by %+.1f s; run times are not touched", step_s)
        data: dict[str, object] = {"step_s": step_s}
        self._recorder.event(None, "clock_step", None, data)
        for run in self._runs.values():
            if run.ticket is not None:
                run.tell("clock_step", data)

    async def submit(self, submission: Submission, who: str = UNKNOWN) -> RunInfo:
        """Check, compile, store and queue a run. Raises InvalidFileError, NotAllowedError, StorageError."""
        (info,) = await self.dispatcher.submit(Order(series=((submission,),)), who)
        return info

    def infos(self) -> list[RunInfo]:
        """Return every run, the oldest first."""
        return [self.info(run) for run in sorted(self._known.keys() | self._runs.keys())]

    def info(self, run: int) -> RunInfo:
        """Return one run. Raises SandtimeError if there is none with this number."""
        if run in self._runs:
            return self._runs[run].snapshot()
        return self._known[run] if run in self._known else self._store.reader.run(run)

    def waits_for(self, run: int) -> str:
        """Say what a run waits for; empty if it does not."""
        return self.info(run).waits_for or self.queue.why(run)

    async def cancel(self, run: int, who: str = UNKNOWN) -> list[StopOutcome]:
        """End a run that has not started, and those of its series that come after it.

        Raises NotAllowedError if it has started, StorageError.
        """
        with self.audit.asked(who, "cancel", run):
            return [await self._stop(number, CANCELLED) for number in self.dispatcher.cancellable(run)]

    async def begin_maintenance(self, request: MaintenanceRequest, who: str = UNKNOWN) -> Maintenance:
        """Let nothing start on a station or an instrument. Raises InvalidFileError, NotAllowedError."""
        begun = await self.dispatcher.maintenance.begin(request, who)
        self.dispatcher.take_back()
        return begun

    async def end_maintenance(self, name: str, who: str = UNKNOWN) -> Maintenance:
        """Let runs start there again. Raises NotAllowedError if it is not in maintenance."""
        ended = await self.dispatcher.maintenance.end(name, who)
        self.dispatcher.start_waiting()
        return ended

    def instruments(self) -> list[InstrumentInfo]:
        """Return every instrument of service.toml."""
        return [
            InstrumentInfo(
                name=name,
                reachable=keeper.reachable,
                simulated=keeper.instrument.simulated,
                stations=tuple(s for s, wired in self.config.stations.items() if wired.instrument == name),
            )
            for name, keeper in self._engine.keepers.items()
        ]

    def connections(self) -> list[ConnectionInfo]:
        """Return how the connection to each instrument, chamber and broker stands."""
        return [contact.info() for contact in self._engine.contacts]

    def problems(self) -> list[ProblemInfo]:
        """Return the parts of the daemon that have died lately of a fault of their own."""
        return self._engine.supervisor.problems()

    def chambers(self) -> list[ChamberInfo]:
        """Return every chamber of service.toml."""
        return [climate.info() for climate in self._engine.climates.values()]

    async def stop(self, run: int, reason: str = "stopped by a person", who: str = UNKNOWN) -> StopOutcome:
        """Open a run's circuit and wait for the confirmation. Raises InstrumentError if there is none."""
        with self.audit.asked(who, "stop", run, reason=reason):
            return await self._stop(run, reason)

    async def _stop(self, run: int, reason: str) -> StopOutcome:
        began = self._clock.monotonic()
        seconds = None
        info = self.info(run)
        active = self._runs.get(run)
        if active is not None and self.dispatcher.remove(run):
            active.change("stopped", reason)
            self._forget(active)
            await self._recorder.durable()
        elif active is not None and info.state == "paused":
            self._place(info.station).keeper.release(active, reason)
            await self._recorder.durable()
        elif active is not None and self._place(info.station).keeper.withdraw(active, reason):
            await self._recorder.durable()
        elif active is not None:
            self._place(info.station).keeper.stop(active, reason)
            await self._until_open(active)
            seconds = self._clock.monotonic() - began
            await _until_settled(active)
            await self._recorder.durable()
        info = self.info(run)
        return StopOutcome(
            run=run,
            state=info.state,
            started=info.started_unix_s is not None,
            open_circuit_confirmed=info.open_circuit_confirmed,
            seconds=self._clock.monotonic() - began if seconds is None else seconds,
        )

    def drives_a_real_cell(self) -> bool:
        """Whether a run is alive on an instrument that is not simulated."""
        return any(not run.info.simulated and run.ticket is not None for run in self._runs.values())

    async def pause(self, run: int, who: str = UNKNOWN) -> RunInfo:
        """Open the circuit with the intention to go on from there; returns when it is confirmed open.

        Raises NotAllowedError, and InstrumentError if it can't be confirmed.
        """
        with self.audit.asked(who, "pause", run):
            active = self.alive(run, {"running"})
            self._place(active.info.station).keeper.pause(active)
            await self._until_open(active)
            await _until_settled(active)
            return active.snapshot()

    def resume(self, run: int, who: str = UNKNOWN, anyway: str = "") -> RunInfo:
        """Go on with a run that is paused or waits for a person, or ``anyway``. Raises NotAllowedError."""
        with self.audit.asked(who, "resume", run, anyway=anyway):
            return self._resume(run, who, anyway)

    def _resume(self, run: int, who: str, anyway: str) -> RunInfo:
        active = self._runs.get(run)
        if active is not None and active.waits_for_person():
            self._place(active.info.station).keeper.go_on(active)
            return active.snapshot()
        active = self.alive(run, {"paused"})
        if self.storage.why_no_start:
            raise NotAllowedError(f"run {run} can't go on: it waits for {self.storage.why_no_start}")
        self.dispatcher.maintenance.refuse(active.info.station)
        contact_check.require_held_back(active, anyway)
        self._place(active.info.station).keeper.resume(active)
        contact_check.override(active, anyway, who)
        return active.snapshot()

    async def acknowledge(self, run: int, who: str = UNKNOWN) -> RunInfo:
        """A person has seen why a run was protected; its station is free again. Raises NotAllowedError."""
        with self.audit.asked(who, "acknowledge", run):
            return await self._acknowledge(run)

    async def _acknowledge(self, run: int) -> RunInfo:
        info = self.info(run)
        held = self.dispatcher.queue.needs_acknowledgement(run)
        if await self.stopping.acknowledge_run(run) and info.state != "protected" and not held:
            return info
        if info.state != "protected" and not held:
            raise NotAllowedError(f"run {run} is {info.state}; nothing waits for its acknowledgement")
        info = info.model_copy(update={"acknowledged": True})
        self._store.save_run(info)
        self._known[run] = info
        self._recorder.event(run, "note", None, {"acknowledged": True})
        await self._recorder.durable()
        self.dispatcher.acknowledge(run)
        return info

    async def calibrate(self, request: CalibrationRequest, who: str = UNKNOWN) -> Calibration:
        """Keep what a channel showed on a known load. Raises InvalidFileError, StorageError."""
        self.config.require_instrument(request.instrument)
        calibration = self.audit.calibrated(who, request)
        await self._recorder.commit()
        self._checks.calibrated(calibration)
        return calibration

    def _equip(self, run: ActiveRun) -> None:
        """Give a run what it asks of the lab."""
        run.climate = self.stations.climate(run.info.station)
        run.before_start = self._checks.of_run(run.info)

    def _place(self, station: str) -> Place:
        return self.stations.place(station)

    def alive(self, run: int, states: set[RunState]) -> ActiveRun:
        """Return a run that is in one of these states. Raises NotAllowedError."""
        info = self.info(run)
        if info.state not in states:
            raise NotAllowedError(f"run {run} is {info.state}, not {' or '.join(sorted(states))}")
        return self._runs[run]

    def remember(self, info: RunInfo) -> None:
        """Take notice of a run that has ended, and is stored, as it is now."""
        self._known[info.run] = info

    def _forget(self, run: ActiveRun) -> None:
        """A run has ended."""
        self._known[run.number] = run.info
        self._runs.pop(run.number, None)

    def _run_ended(self, run: ActiveRun) -> None:
        self._forget(run)
        self.dispatcher.leave(run.info)

    async def _until_open(self, run: ActiveRun) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await run.is_open.wait()
        except TimeoutError:
            raise InstrumentError(
                f"the circuit of run {run.number} on {run.info.station} could not be confirmed open in "
                f"{STOP_TIMEOUT_S:g} s; it is tried again and again, but look at the instrument now"
            ) from None


async def _until_settled(run: ActiveRun) -> None:
    """The circuit is open: wait, but not for ever, until the run is drained and paused, or has ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            await run.is_settled.wait()
