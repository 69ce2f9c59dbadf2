"""What the faces may ask for: submit, look, stop, pause, resume, acknowledge. Owner of queue and engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass

from protocols.capabilities import Capabilities
from protocols.errors import BusyError, InstrumentError, NotAllowedError, SandtimeError, StorageError
from protocols.laboratory import Calibration
from protocols.records import ENDED, RunInfo, RunState
from scheduler.audit import UNKNOWN, AuditLog
from scheduler.climate import Climate
from scheduler.clock import Clock
from scheduler.clock_watch import ClockWatch
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.keeper import Keeper
from scheduler.queue import StationQueue
from scheduler.recorder import Recorder
from scheduler.recovery import restore
from scheduler.requests import (
    CalibrationRequest,
    ChamberInfo,
    ConnectionInfo,
    InstrumentInfo,
    ProblemInfo,
    StopOutcome,
    StorageInfo,
    Submission,
)
from scheduler.run import ActiveRun
from scheduler.storage_watch import StorageWatch, free_bytes
from scheduler.submissions import compile_submission, provenance
from storage.held import HeldReader
from storage.reader import Reader
from storage.store import Store

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 30.0
STORAGE_UNWATCHED = "nobody ends the runs when the disk stays full or gone, or says that it is"
CLOCK_UNWATCHED = "steps of the computer's clock are not told"


@dataclass(frozen=True, slots=True)
class _Place:
    keeper: Keeper
    channel: int


class Service:
    """Knows every run that is not over, and which station it is for."""

    def __init__(
        self, config: ServiceConfig, engine: Engine, store: Store, recorder: Recorder, clock: Clock
    ) -> None:
        self._config = config
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
        self._queues = {name: StationQueue(name) for name in config.stations}
        self.ready = False
        """Every instrument was looked at, or could not be reached."""
        engine.on_end(self._run_ended)
        engine.on_hopeless(self._end_safely)

    async def recover(self) -> None:
        """Put every run that an earlier daemon left back where it was; the keepers then look at them."""
        with contextlib.closing(await asyncio.to_thread(HeldReader, self._store.folder)) as reader:
            for info in reader.runs():
                self._known[info.run] = info
                if info.state == "protected" and not info.acknowledged and info.station in self._queues:
                    self._queues[info.station].occupy(info.run)
                    self._queues[info.station].leave(info)
                if info.state in ENDED:
                    continue
                await self._recover_one(info, reader)
        for station in self._config.known_stations(self._clock.unix()):
            self._store.see_station(station)
        await self._recorder.durable()

    async def _recover_one(self, info: RunInfo, reader: Reader) -> None:
        """Put one run back; one that can't be read must not keep the others from being watched."""
        try:
            run = await asyncio.to_thread(restore, info, self._store, self._recorder, self._clock, reader)
            run.climate = self._climate(info.station)
            self._runs[info.run] = run
            self._put_back(run)
        except Exception as error:
            self._runs.pop(info.run, None)
            message = f"run {info.run} can't be taken over: {error}"
            log.exception("%s", message)
            self._recorder.event(info.run, "alarm", None, {"message": message})
            if info.station in self._queues:
                self._queues[info.station].occupy(info.run)

    def begin(self) -> None:
        """Every instrument was looked at: waiting runs may start."""
        self.ready = True
        self.start_waiting()

    async def watch(self) -> None:
        """Watch the disk and the computer's clock, for ever."""
        keep = self._engine.supervisor.keep
        async with asyncio.TaskGroup() as group:
            group.create_task(keep("watch storage", self.storage.keep, STORAGE_UNWATCHED))
            group.create_task(keep("watch the clock", self._clock_watch.keep, CLOCK_UNWATCHED))

    @property
    def storing(self) -> bool:
        """Whether commits succeed."""
        return self._recorder.storing

    def start_waiting(self) -> None:
        """Start what may start on every free station."""
        if self.storage.why_no_start:
            return
        for name, queue in self._queues.items():
            number = queue.next()
            if number is not None:
                place = self._place(name)
                place.keeper.submit(place.channel, self._runs[number])

    def _storage_changed(self, info: StorageInfo) -> None:
        if info.state != "failing":
            self._engine.finish_again()
        if self.ready and info.starts:
            self.start_waiting()

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
        asked = {"protocol_file": submission.protocol_file, "station": submission.station}
        try:
            return await self._submit(submission, who, asked)
        except SandtimeError as error:
            self.audit.note(who, "submit", None, **asked, error=str(error))
            raise

    async def _submit(self, submission: Submission, who: str, asked: dict[str, str]) -> RunInfo:
        if not self._recorder.storing:
            raise StorageError(
                f"nothing can be stored at present, so no run is taken: {self._recorder.storage_problem}. "
                "Submit it again when `sandtime status` shows that storing works."
            )
        station = self._config.station(submission.station)
        place = self._place(submission.station)
        program = await asyncio.to_thread(compile_submission, submission, self._able(submission.station))
        info = RunInfo(
            run=self._store.next_run(),
            name=submission.name or f"{program.protocol} on {program.cell.name}",
            station=submission.station,
            protocol=program.protocol,
            cell=program.cell.name,
            state="queued",
            submitted_unix_s=self._clock.unix(),
            simulated=place.keeper.instrument.simulated,
        )
        self._store.add_run(info, program, provenance(submission, station))
        run = ActiveRun(info, program, self._store, self._recorder, self._clock)
        run.climate = self._climate(submission.station)
        run.change("queued")
        self.audit.note(who, "submit", info.run, **asked)
        await self._store_new(run)
        self._runs[info.run] = run
        self._queues[submission.station].add(info.run)
        self.start_waiting()
        return self.info(info.run)

    async def _store_new(self, run: ActiveRun) -> None:
        try:
            await self._recorder.commit()
        except StorageError:
            # It waits in memory for a later commit: a later daemon must not start what was refused here.
            run.change("failed", "it could not be stored when it was submitted")
            raise

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
        info = self.info(run)
        queue = self._queues.get(info.station)
        if queue is not None and queue.is_next(run) and self.storage.why_no_start:
            return self.storage.why_no_start
        return info.waits_for or ("" if queue is None else queue.why_waiting(run))

    def instruments(self) -> list[InstrumentInfo]:
        """Return every instrument of service.toml."""
        return [
            InstrumentInfo(
                name=name,
                reachable=keeper.reachable,
                simulated=keeper.instrument.simulated,
                stations=tuple(s for s, wired in self._config.stations.items() if wired.instrument == name),
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
        info = self.info(run)
        active = self._runs.get(run)
        if active is not None and self._queues[info.station].remove(run):
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
        info = self.info(run)
        seconds = self._clock.monotonic() - began
        return StopOutcome(
            run=run,
            state=info.state,
            started=info.started_unix_s is not None,
            open_circuit_confirmed=info.open_circuit_confirmed,
            seconds=seconds,
        )

    def drives_a_real_cell(self) -> bool:
        """Whether a run is alive on an instrument that is not simulated."""
        return any(not run.info.simulated and run.ticket is not None for run in self._runs.values())

    async def stop_all(self, who: str = UNKNOWN) -> list[StopOutcome]:
        """Open every circuit, all at once; one that won't open hides none of the others."""
        return list(await asyncio.gather(*(self._try_to_stop(run, who) for run in list(self._runs))))

    async def _try_to_stop(self, run: int, who: str) -> StopOutcome:
        began = self._clock.monotonic()
        try:
            return await self.stop(run, who=who)
        except InstrumentError as error:
            log.error("%s", error)
            seconds = self._clock.monotonic() - began
            state = self.info(run).state
            return StopOutcome(run=run, state=state, open_circuit_confirmed=False, seconds=seconds)

    async def pause(self, run: int, who: str = UNKNOWN) -> RunInfo:
        """Open the circuit with the intention to go on from there; returns when it is confirmed open.

        Raises NotAllowedError, and InstrumentError if it can't be confirmed.
        """
        with self.audit.asked(who, "pause", run):
            active = self._alive(run, {"running"})
            self._place(active.info.station).keeper.pause(active)
            await self._until_open(active)
            return active.snapshot()

    def resume(self, run: int, who: str = UNKNOWN) -> RunInfo:
        """Go on with a paused run, or with one whose step waits for a person. Raises NotAllowedError."""
        with self.audit.asked(who, "resume", run):
            return self._resume(run)

    def _resume(self, run: int) -> RunInfo:
        active = self._runs.get(run)
        if active is not None and active.waits_for_person():
            self._place(active.info.station).keeper.go_on(active)
            return active.snapshot()
        active = self._alive(run, {"paused"})
        if self.storage.why_no_start:
            raise NotAllowedError(f"run {run} can't go on: it waits for {self.storage.why_no_start}")
        self._place(active.info.station).keeper.resume(active)
        return active.snapshot()

    async def acknowledge(self, run: int, who: str = UNKNOWN) -> RunInfo:
        """A person has seen why a run was protected; its station is free again. Raises NotAllowedError."""
        with self.audit.asked(who, "acknowledge", run):
            return await self._acknowledge(run)

    async def _acknowledge(self, run: int) -> RunInfo:
        info = self.info(run)
        queue = self._queues.get(info.station)
        held = queue is not None and queue.occupant == run and queue.needs_acknowledgement
        if info.state != "protected" and not held:
            raise NotAllowedError(f"run {run} is {info.state}; nothing waits for its acknowledgement")
        info = info.model_copy(update={"acknowledged": True})
        self._store.save_run(info)
        self._known[run] = info
        self._recorder.event(run, "note", None, {"acknowledged": True})
        await self._recorder.durable()
        self._queues[info.station].acknowledge(run)
        self.start_waiting()
        return info

    async def calibrate(self, request: CalibrationRequest, who: str = UNKNOWN) -> Calibration:
        """Keep what a channel showed on a known load. Raises InvalidFileError, StorageError."""
        self._config.require_instrument(request.instrument)
        calibration = self.audit.calibrated(who, request)
        await self._recorder.commit()
        return calibration

    def _able(self, station: str) -> Capabilities:
        """Return what a station can do: its channel, and its chamber if it has one."""
        place, climate = self._place(station), self._climate(station)
        able = place.keeper.instrument.capabilities(place.channel)
        if climate is None:
            return able
        return able.with_chamber(climate.chamber.temperature_min_K, climate.chamber.temperature_max_K)

    def _place(self, station: str) -> _Place:
        wired = self._config.station(station)
        return _Place(self._engine.keepers[wired.instrument], wired.channel - 1)

    def _climate(self, station: str) -> Climate | None:
        """Return the climate of the chamber that a station's cell is in, if there is one."""
        wired = self._config.stations.get(station)
        return None if wired is None or wired.chamber is None else self._engine.climates[wired.chamber]

    def _put_back(self, run: ActiveRun) -> None:
        if run.info.station not in self._queues:
            raise BusyError(
                f"run {run.number} is on station {run.info.station}, which service.toml no longer has; "
                "put the station back, or move the data folder away"
            )
        queue = self._queues[run.info.station]
        if run.ticket is None:
            queue.add(run.number)
            return
        queue.occupy(run.number)
        place = self._place(run.info.station)
        place.keeper.adopt(place.channel, run)

    def _alive(self, run: int, states: set[RunState]) -> ActiveRun:
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
        self._queues[run.info.station].leave(run.info)
        self.start_waiting()

    async def _until_open(self, run: ActiveRun) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await run.is_open.wait()
        except TimeoutError:
            raise InstrumentError(
                f"the circuit of run {run.number} on {run.info.station} could not be confirmed open in "
                f"{STOP_TIMEOUT_S:g} s; it is tried again and again, but look at the instrument now"
            ) from None
