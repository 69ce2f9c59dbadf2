"""Takes runs in, lets them wait, gives them a station, and hands the next ones to their keepers.

What decides is :mod:`scheduler.queue`, which is pure; here is what a decision needs and what follows from it.
Whatever a person asks is durable before it counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from protocols.check import cell_digest
from protocols.errors import NotAllowedError, SandtimeError, StorageError
from protocols.program import Program
from protocols.queueing import Request
from protocols.records import RunInfo
from scheduler.audit import AuditLog
from scheduler.clock import Clock
from scheduler.maintenance import MaintenanceBook
from scheduler.placing import (
    Fit,
    Floating,
    Offer,
    offers_of,
    place_series,
    require_one_cell,
)
from scheduler.queue import Entry, LabQueue
from scheduler.recorder import Recorder
from scheduler.requests import Order, Submission
from scheduler.run import ActiveRun
from scheduler.stations import Stations
from scheduler.submissions import provenance
from storage.store import Store

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""So often it is looked whether a start time has come, a maintenance is over, or an instrument is back."""
CANCELLED = "cancelled by a person before it started"


class Dispatcher:
    """Owner of the queue."""

    def __init__(
        self,
        stations: Stations,
        store: Store,
        recorder: Recorder,
        clock: Clock,
        audit: AuditLog,
        runs: dict[int, ActiveRun],
        equip: Callable[[ActiveRun], None],
        why_no_start: Callable[[], str],
    ) -> None:
        """``runs`` are those that have not ended; a run that is taken in is added to them.

        ``equip`` gives a run what it asks of the lab.
        """
        self.queue = LabQueue(stations.config.stations)
        self.requests: dict[int, Request] = {}
        """What each run that has not ended asked for."""
        self.stations = stations
        self.maintenance = MaintenanceBook(stations, store, recorder, clock, audit)
        self.why_no_start = why_no_start
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._equip = equip
        self._audit = audit
        self.runs = runs
        self.floating: dict[int, Floating] = {}
        """Those that have no station yet."""
        self._ready = False
        self._looked_unix_s = clock.unix()
        self._away: set[str] = set()

    def begin(self) -> None:
        """Every instrument was looked at: runs may start."""
        self._ready = True
        self.start_waiting()

    async def keep(self) -> None:
        """Start what has to wait for a time, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._is_due():
                self.start_waiting()

    def _is_due(self) -> bool:
        """Whether something may start now because time has passed, or because an instrument is back."""
        before_s, self._looked_unix_s = self._looked_unix_s, self._clock.unix()
        gone, self._away = self._away, self.stations.away()
        moments = [entry.not_before_unix_s for entry in self.queue.waiting.values()]
        moments += self.maintenance.ends()
        is_time = any(before_s < moment <= self._looked_unix_s for moment in moments)
        return is_time or bool(gone - self._away)

    def start_waiting(self) -> None:
        """Start what may start on every free station."""
        if not self._ready or self.why_no_start():
            return
        shut, away = self.maintenance.shut(), self.stations.away()
        for number, station in self.queue.starts(self._clock.unix(), shut, away):
            self._place(number, station)
            place = self.stations.place(station)
            place.keeper.submit(place.channel, self.runs[number])

    # Taking in

    async def submit(self, order: Order, who: str) -> list[RunInfo]:
        """Check, compile, store and queue runs. Raises InvalidFileError, NotAllowedError, StorageError."""
        asked = [
            {"protocol_file": s.protocol_file, "station": s.station}
            for series in order.series
            for s in series
        ]
        try:
            return await self._submit(order, who)
        except SandtimeError as error:
            for details in asked:
                self._audit.note(who, "submit", None, **details, error=str(error))
            raise

    async def _submit(self, order: Order, who: str) -> list[RunInfo]:
        if not self._recorder.storing:
            raise StorageError(
                f"nothing can be stored at present, so no run is taken: {self._recorder.storage_problem}. "
                "Submit it again when `sandtime status` shows that storing works."
            )
        fits = await self.fits(order)
        taken = [self._take(s, fit, who) for s, fit in zip(order.series, fits, strict=True)]
        runs = [run for series in taken for run in series]
        await self._store_new(runs)
        for series in taken:
            for run in series:
                self.runs[run.number] = run
                self.queue.add(self.entry(run))
        self.start_waiting()
        return [self.runs[run.number].snapshot() for run in runs]

    async def fits(self, order: Order) -> list[Fit]:
        """Return which stations each series may have. Raises InvalidFileError, NotAllowedError."""
        for series in order.series:
            require_one_cell(series)
            if series[0].chamber:
                self.stations.require_chamber(series[0].chamber)
        return await asyncio.to_thread(self._fits, order)

    def _fits(self, order: Order) -> list[Fit]:
        offers: dict[str, dict[str, Offer]] = {}
        for series in order.series:
            wanted = series[0].station
            if wanted not in offers:
                offers[wanted] = offers_of(self.stations, wanted)
        return [place_series(series, offers[series[0].station]) for series in order.series]

    def _take(self, series: Sequence[Submission], fit: Fit, who: str) -> list[ActiveRun]:
        """Make the runs of a series, not yet stored."""
        taken: list[ActiveRun] = []
        for place, submission in enumerate(series):
            run = self._new_run(submission, fit, place)
            self._keep_request(submission, run, fit, place, taken[-1].number if taken else None)
            details = {"protocol_file": submission.protocol_file, "station": submission.station}
            self._audit.note(who, "submit", run.number, **details)
            taken.append(run)
        return taken

    def _new_run(self, submission: Submission, fit: Fit, place: int) -> ActiveRun:
        program, names = next(iter(fit.programs(place).values())), fit.stations
        info = RunInfo(
            run=self._store.next_run(),
            name=submission.name or f"{program.protocol} on {program.cell.name}",
            station=submission.station,
            candidates=() if submission.station else names,
            protocol=program.protocol,
            cell=program.cell.name,
            cell_identity=program.cell.identity,
            cell_digest=cell_digest(program.cell),
            unchecked=submission.no_check,
            state="queued",
            submitted_unix_s=self._clock.unix(),
            simulated=all(self.stations.simulated(name) for name in names),
        )
        wired = self.stations.config.station(submission.station) if submission.station else None
        self._store.add_run(info, program, provenance(submission, wired))
        run = self._active(info, program)
        run.change("queued")
        return run

    def _active(self, info: RunInfo, program: Program) -> ActiveRun:
        run = ActiveRun(info, program, self._store, self._recorder, self._clock)
        self._equip(run)
        return run

    def _keep_request(
        self, submission: Submission, run: ActiveRun, fit: Fit, place: int, after: int | None
    ) -> None:
        asked = {"priority", "station", "needs", "chamber", "not_before_unix_s", "settings"}
        digests: dict[str, str] = {}
        if not submission.station:
            programs = fit.programs(place)
            self.floating[run.number] = Floating(submission, programs)
            digests = dict.fromkeys(fit.compiled, "")
            digests |= {kind: self._store.save_program(program) for kind, program in programs.items()}
        request = Request(
            run=run.number, after=after, programs=digests, **submission.model_dump(include=asked)
        )
        self.requests[run.number] = request
        self._store.save_request(request)

    async def _store_new(self, runs: Sequence[ActiveRun]) -> None:
        try:
            await self._recorder.commit()
        except StorageError:
            # They wait in memory for a later commit: a later daemon must not start what was refused here.
            for run in runs:
                run.change("failed", "it could not be stored when it was submitted")
                self._let_go(run.number)
            raise

    def entry(self, run: ActiveRun) -> Entry:
        """Return how a run waits."""
        request = self.requests[run.number]
        names = [run.info.station] if run.info.station else run.info.candidates
        return Entry(
            run=run.number,
            cell=cell_key(run.info),
            stations=frozenset(names),
            priority=request.priority,
            submitted_unix_s=run.info.submitted_unix_s,
            not_before_unix_s=request.not_before_unix_s or 0.0,
            after=request.after,
            duration_s=longest_s(run.program),
        )

    # Giving a station

    def _place(self, number: int, station: str) -> None:
        """Give a run its station, and those of its series with it; durable before anything is commanded."""
        if number not in self.floating:
            return
        kind = offers_of(self.stations, station)[station].kind
        followers = [entry.run for entry in self.queue.followers(number)]
        for run in [number, *followers]:
            floating, info = self.floating.pop(run), self.runs[run].info
            program = floating.programs[kind]
            update = {"station": station, "candidates": (), "simulated": self.stations.simulated(station)}
            info = info.model_copy(update=update)
            self._store.add_run(
                info, program, provenance(floating.submission, self.stations.config.station(station))
            )
            self.runs[run] = self._active(info, program)
            self.runs[run].tell("placed", {"station": station})
        for run in followers:
            self.queue.add(self.entry(self.runs[run]))

    # What people ask of a run that waits

    async def move(self, run: int, priority: int, who: str) -> list[int]:
        """Give a waiting run, and what comes after it in its series, another priority; return which.

        Raises NotAllowedError, StorageError.
        """
        with self._audit.asked(who, "priority", run, priority=priority):
            moved = self._waiting(run)
            before = [self.requests[number] for number in moved]
            await self._store_requests([r.model_copy(update={"priority": priority}) for r in before], before)
            for number in moved:
                if number in self.queue.waiting:
                    self.queue.add(self.entry(self.runs[number]))
            self.start_waiting()
            return moved

    async def _store_requests(self, changed: Sequence[Request], before: Sequence[Request]) -> None:
        for request in changed:
            self._store.save_request(request)
            self.runs[request.run].tell("note", {"priority": request.priority})
        try:
            await self._recorder.commit()
        except StorageError:
            # They wait in memory for a later commit, which must not bring what was refused here.
            for request in before:
                self._store.save_request(request)
            raise
        self.requests |= {request.run: request for request in changed if request.run in self.requests}

    def _waiting(self, run: int) -> list[int]:
        """Return a waiting run and those that come after it. Raises NotAllowedError if it does not wait."""
        if run not in self.queue.waiting:
            state = f"is {self.runs[run].info.state}" if run in self.runs else "has ended"
            raise NotAllowedError(f"run {run} {state}: it does not wait in the queue any more")
        return [run, *(entry.run for entry in self.queue.followers(run))]

    def cancellable(self, run: int) -> list[int]:
        """Return a run that has not started, and those that come after it, the last one first.

        Raises NotAllowedError if it has.
        """
        if self._is_handed_over(run):
            return [*(entry.run for entry in reversed(self.queue.followers(run))), run]
        return self._waiting(run)[::-1]

    def _is_handed_over(self, run: int) -> bool:
        """Whether a run has a station, and waits for its instrument."""
        active = self.runs.get(run)
        return active is not None and active.ticket is None and bool(self.queue.station_of(run))

    def remove(self, run: int) -> bool:
        """A run that waits is to wait no more; returns whether it did."""
        if not self.queue.remove(run):
            return False
        self._let_go(run)
        self.start_waiting()
        return True

    def take_back(self) -> None:
        """Let runs wait again that were handed over to stations now in maintenance, and have not begun."""
        for name in self.maintenance.shut():
            occupant = self.queue.occupants.get(name)
            run = None if occupant is None else self.runs.get(occupant.run)
            if run is not None and self.stations.place(name).keeper.take_back(run):
                self.queue.vacate(name)
                self.queue.add(self.entry(run))

    # Ends

    def leave(self, info: RunInfo) -> None:
        """A run has ended: others may start."""
        self.queue.leave(info.run, info.state, begun=info.started_unix_s is not None)
        self._let_go(info.run)
        self.start_waiting()

    def acknowledge(self, run: int) -> None:
        """A person has seen how a run has ended: others may start."""
        self.queue.acknowledge(run)
        self.start_waiting()

    def _let_go(self, run: int) -> None:
        self.requests.pop(run, None)
        self.floating.pop(run, None)


def cell_key(info: RunInfo) -> str:
    """Return what tells a cell from others: its name, and what is written on it."""
    return f"{info.cell} ({info.cell_identity})" if info.cell_identity else info.cell


def longest_s(program: Program) -> float:
    """Return the longest time that a program takes, with what runs after its end."""
    return program.duration_s() + program.with_steps(program.afterwards).duration_s()
