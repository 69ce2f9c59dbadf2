"""One run while it is alive: its state, its segments in time, and what is recorded of it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Literal

from drivers.instrument import OpenCircuit, SegmentEnd
from protocols.capabilities import Capabilities
from protocols.edits import PendingEdit
from protocols.errors import InstrumentError, NotAllowedError
from protocols.nodes import Soak
from protocols.position import Position
from protocols.program import Program
from protocols.records import ENDED, Gap, RunInfo, RunState, Ticket
from protocols.tree import Nodes, first_position
from protocols.verdicts import Verdict
from scheduler.before_start import BeforeStart
from scheduler.clock import Clock
from scheduler.columns import Columns
from scheduler.course import Course, Phase
from scheduler.gaps import missing
from scheduler.looking import LOOKING
from scheduler.progress import Progress
from scheduler.recorder import Recorder
from scheduler.runclock import RunClock
from scheduler.waiting import WAITS_FOR_STORAGE, ClimateOfRun, wait_of, waits_after_check, waits_for
from storage.store import Store
from storage.tables import StoredTicket

log = logging.getLogger(__name__)

SNAPSHOT_S = 600.0
"""Run time between two saved states of guards and progress; what came later is replayed at recovery."""

PAUSED = "paused by a person"
"""Reason of a stop after which the run is to go on."""


class ActiveRun:
    """The one owner of a run's state. Every change goes through here and into the store."""

    def __init__(
        self, info: RunInfo, program: Program, store: Store, recorder: Recorder, clock: Clock
    ) -> None:
        self.info = info
        self.program = program
        self.climate: ClimateOfRun | None = None
        """That of the chamber which the cell is in."""
        self.able: Capabilities | None = None
        """What the run's channel can do; None before a keeper has it."""
        self.before_start: BeforeStart | None = None
        """What its check before the start asks of the lab; None: it is not checked."""
        self.course = Course()
        self.forget_progress()
        self.verdict: Verdict | None = info.verdict
        self.phase: Phase = "test"
        self.segment: Program = program
        self.ticket: Ticket | None = None
        self.clock = RunClock(clock, info.simulated)
        self.stop_wanted: str | None = None
        """Why the circuit is to be opened; None while nothing wants it."""
        self.pausing = False
        self.end: SegmentEnd | None = None
        """How the last segment ended; None while one may be on the channel."""
        self.reports: list[Verdict] = []
        """Verdicts that are not yet handed over."""
        self.is_settled = asyncio.Event()
        """Set once the run is paused or has ended, until it goes on."""
        self.is_open = asyncio.Event()
        """Set while the circuit is known to be open, by reading back."""
        self.wanted_by_person = False
        """A person has asked for the circuit to be opened for good: nothing runs afterwards."""
        self._samples = info.samples
        self._saved_s = 0.0
        self.gap_possible = False
        """Whether samples that were fetched may be missing before the next one: they never came here, or an
        earlier daemon did not store them."""
        self._gap_reason = ""
        self.opened_s: float | None = None
        """Run time at which the circuit was opened last, as far as the instrument tells."""
        self.alarmed = False
        self.held = False
        """The next segment waits for storage, at a circuit that is confirmed open."""
        self.behind: Callable[[], None] | None = None
        """Brings the run from its guards' last snapshot to its last commit; None if it is there."""
        self.blocked = ""
        """What keeps the run from its start on its channel, in words; empty if nothing does."""
        self._store = store
        self._recorder = recorder
        self._clock = clock

    def forget_progress(self) -> None:
        """Begin to follow the run anew, from its first sample."""
        self.progress = Progress(self.program, self._settled)
        for phase in ("suspicion", "afterwards"):
            self.progress.use(self.section(phase))

    def section(self, phase: Phase) -> Program:
        """Return the program with the steps of a phase."""
        nodes = {
            "suspicion": self.program.on_suspicion,
            "look": self.course.looking,
            "inserted": self.course.looking,
            "check": self.course.checking,
            "afterwards": self.program.afterwards,
        }
        return self.program.with_steps(nodes[phase]) if phase in nodes else self.program

    @property
    def number(self) -> int:
        """The run's number in the store."""
        return self.info.run

    @property
    def offset_s(self) -> float:
        """Run time at which the segment began."""
        return self.clock.offset_s

    @property
    def open_confirmed(self) -> bool:
        """Whether the circuit is known to be open."""
        return self.is_open.is_set()

    def closed(self) -> None:
        """The circuit may be closed from now on, and nothing wants it open."""
        self.stop_wanted, self.pausing, self.alarmed = None, False, False
        self.is_open.clear()

    def pause(self, reason: str = PAUSED) -> None:
        """Want the circuit open with the intention to go on later."""
        if self.stop_wanted is None:
            self.stop_wanted, self.pausing = reason, True

    def stop(self, reason: str) -> None:
        """Want the circuit open for good; outranks a pause."""
        self.wanted_by_person = True
        if self.stop_wanted is None or self.pausing:
            self.stop_wanted, self.pausing = reason, False
        if self.course.trip is not None:
            self.confirm(self.course.trip)
            # At once: whoever is told that the circuit is open must find it open for good.
            self._record_verdicts()

    def give_up(self, reason: str) -> None:
        """Want the circuit open because the run can't go on: it ends ``failed``, unless more is known."""
        if self.verdict is None and self.course.trip is None and self.info.outcome is None:
            self.info = self.info.model_copy(update={"outcome": "failed"})
        self.stop(reason)

    def confirm(self, verdict: Verdict) -> None:
        """A verdict that stops is final."""
        self.course.trip, self.verdict = None, verdict
        self.reports.append(verdict)
        self.stop_wanted = self.stop_wanted or verdict.message

    @property
    def looks_after_trip(self) -> bool:
        """Whether the engine looks at the cell because of a trip: the run is *stopping* meanwhile."""
        return self.phase == "look" and self.course.trip is not None

    def end_step(self, why: str) -> None:
        """The host ends the step that runs."""
        if self.end is None and not self.course.step_ended:
            self.course.step_ended = why

    def demand(self, target_K: float) -> None:
        """Demand a temperature until the next demand or the run's end. Raises NotAllowedError, BusyError."""
        if self.climate is None:
            raise NotAllowedError(
                f"run {self.number} waits for a temperature, but station {self.info.station} has no chamber"
            )
        self.climate.demand(self.number, target_K)
        self.course.demanded_K = target_K

    def _settled(self, target_K: float, tolerance_K: float) -> bool:
        return self.climate is not None and self.climate.settled(target_K, tolerance_K)

    def waits_for(self) -> str:
        """Say what the step that runs waits for, or the next one; empty if for nothing."""
        if self.held or self.blocked:
            return self.blocked or WAITS_FOR_STORAGE
        if self.info.state == "paused" and self.course.is_held_back:
            return waits_after_check(self.number)
        wait = wait_of(self.progress.current_step)
        runs = self.info.state == "running" and self.end is None and not self.course.step_ended
        return waits_for(wait, self.number) if wait is not None and runs else ""

    def waits_for_person(self) -> bool:
        """Whether the step that runs waits for a person."""
        waits = bool(self.waits_for()) and not (self.held or self.blocked) and self.info.state == "running"
        return waits and not isinstance(wait_of(self.progress.current_step), Soak)

    def snapshot(self) -> RunInfo:
        """Return the run as other programs see it, with its newest values."""
        progress = self.progress
        # At open circuit after a stop, the newest sample's E and I are no longer what is there.
        has_values = progress.begun and not self.open_confirmed
        return self.info.model_copy(
            update={
                "t_s": progress.t_s,
                "step": progress.label(),
                "half_cycle": progress.half_cycle,
                "voltage_V": progress.voltage_V if has_values else None,
                "current_A": progress.current_A if has_values else None,
                "samples": self._samples,
                "verdict": self.verdict,
                "open_circuit_confirmed": self.open_confirmed,
                "waits_for": self.waits_for(),
            }
        )

    def change(self, state: RunState, reason: str = "") -> None:
        """Queue a change of state; durable and published with the next commit. What has ended stays so."""
        if self.info.state in ENDED:
            return
        stamps: dict[str, object] = {}
        if state == "running" and self.info.started_unix_s is None:
            stamps["started_unix_s"] = self._clock.unix()
        if state in ENDED:
            stamps["ended_unix_s"] = unix_s = self._clock.unix()
            stamps["seen"] = self.progress.cell.seen(unix_s, self.climate)
            if self.climate is not None:
                self.climate.release(self.number)
        self.info = self.snapshot().model_copy(update={"state": state, "reason": reason, **stamps})
        self._store.save_run(self.info)
        self.tell("state", {"state": state, "reason": reason})
        if state in ("paused", *ENDED):
            self.is_settled.set()
        else:
            self.is_settled.clear()

    def amend(self, edits: tuple[PendingEdit, ...], program: Program | None = None) -> None:
        """Queue which edits do not hold yet, and the program if another one holds from now on."""
        self.info = self.info.model_copy(update={"edits": edits})
        if program is None:
            self._store.save_run(self.info)
        else:
            self._store.change_program(self.info, program)

    def tell(self, kind: str, data: dict[str, object]) -> None:
        """Record an event of now; it is published after its commit."""
        self._recorder.event(self.number, kind, self.progress.t_s, data)

    def new_segment(self, program: Program, phase: Phase) -> Ticket:
        """Prepare the next segment: its ticket, and its place in run time."""
        number = 0 if self.ticket is None else self.ticket.segment + 1
        self.ticket = Ticket(
            run=self.number, segment=number, program=program.digest(), folder=self._store.identity
        )
        first = self._first_place(program.steps, phase)
        self.segment, self.phase, self.end, self.gap_possible = program, phase, None, False
        self.course.interrupting = self.course.looks_again = False
        self.clock.begin(self.progress.t_s, first=number == 0)
        if self.clock.by_utc:
            message = "the time since the last segment is by UTC: a step of the clock could not be noticed"
            self.tell("note", {"message": message})
        self.progress.begin_segment(self.offset_s, self.section(phase), first)
        self.progress.judging = phase not in ("check", "afterwards") and self.course.trip is None
        self._save_intent()
        return self.ticket

    def begin_later(self) -> float:
        """The segment that was prepared could not start until now; return how much later that is, in s."""
        before_s = self.offset_s
        self.clock.begin_later()
        self.progress.begin_segment(self.offset_s, self.progress.section, self.progress.position())
        self._save_intent()
        return self.offset_s - before_s

    def _save_intent(self) -> None:
        self.save_ticket("intent")
        # Without it, recovery would take the time at open circuit for time under current.
        self.save_progress()

    def _first_place(self, nodes: Nodes, phase: Phase) -> Position:
        """Return the place where a segment begins; keep that of the test while something else runs."""
        first = first_position(nodes)
        if phase != "test":
            if self.phase == "test":
                self.course.place = self.progress.position()
            return first
        place = self.test_place()
        self.course.test_goes_on()
        if (place.step, place.loops) == (first.step, first.loops) and not place.over:
            return first.model_copy(update={"reference_V": place.reference_V})
        return first

    def test_place(self) -> Position:
        """Where the test goes on."""
        return self.course.place or self.progress.position()

    def resume_segment(self, stored: StoredTicket, phase: Phase) -> None:
        """Remember a segment that an earlier daemon started."""
        self.ticket, self.segment, self.phase = stored.ticket, stored.program, phase
        self.clock.resume(stored.offset_s, stored.anchor_unix_s)
        self.course.follow(phase, stored.program.steps)
        self.follow_phase()

    def follow_phase(self) -> None:
        """Follow the steps of the phase that the run is in."""
        self.progress.use(self.section(self.phase))
        self.progress.section = self.section(self.phase)

    def catch_up(self) -> None:
        """Tell the guards what came after their last snapshot, if an earlier daemon has left the run."""
        behind, self.behind = self.behind, None
        if behind is not None:
            behind()

    def taken_over(self, position: Position) -> None:
        """The channel still holds the segment."""
        self.progress.cell.taken_over = True
        self.save_ticket("started")
        if self.stop_wanted is not None or self.phase == "afterwards":
            self.change("stopping", self.stop_wanted or self.info.reason)
        elif self.looks_after_trip:
            self.change("stopping", LOOKING)
        else:
            self.change("running", f"taken over at step {position.step}")

    def lost(self, reason: str) -> None:
        """There is no contact; a run whose circuit is to be opened goes on *stopping*."""
        if self.info.state in ("paused", "waiting", *ENDED):
            return
        if self.end is None:
            self.expect_gap("samples that were on their way when the contact was lost")
        if self.stop_wanted is not None and not self.open_confirmed:
            self.not_opened(reason)
        elif self.stop_wanted is None and self.info.state != "lost":
            self.change("lost", reason)

    def save_ticket(self, state: Literal["intent", "started", "refused", "ended"]) -> None:
        """Queue the ticket with its state."""
        if self.ticket is not None:
            self._store.save_ticket(self.ticket, self.segment, state, self.offset_s, self.clock.anchor_unix_s)

    def expect_gap(self, reason: str) -> None:
        """Samples have been fetched that may never be stored: look for a gap among the next ones."""
        self.gap_possible, self._gap_reason = True, reason

    def look_for_gap(self, times_s: Sequence[float], visit: tuple[int, int]) -> None:
        """Note gaps before and among what comes next, measured at ascending run times, if one is expected.

        ``visit``: step and visit of the first of it.
        """
        if self.gap_possible:
            self.gap_possible = False
            for stretch in missing(self.progress, self.program.watch_s, times_s, visit):
                self.gap(self._gap_reason, *stretch)

    def take(self, columns: Columns, rows: slice) -> Verdict | None:
        """Follow new samples of this run: its number, run time, charge and half-cycle are filled in.

        Raises InstrumentError if a time is no number.
        """
        t = [t_s + self.offset_s for t_s in columns.t_s[rows]]
        if not all(map(math.isfinite, t)):
            raise InstrumentError("a sample has no finite t_s; its driver has a fault")
        self.look_for_gap(t, (columns.step[rows.start], columns.visit[rows.start]))
        charge, half_cycle, verdict = self.progress.take(
            t, columns.voltage_V[rows], columns.current_A[rows], columns.step[rows], columns.visit[rows]
        )
        columns.run[rows] = [self.number] * len(t)
        columns.t_s[rows], columns.charge_C[rows], columns.half_cycle[rows] = t, charge, half_cycle
        self._samples += len(t)
        return verdict

    def record(self) -> None:
        """Hand over verdicts and half-cycles, and a snapshot of the guards when it is time."""
        self._record_verdicts()
        for half_cycle in self.progress.take_closed():
            self._recorder.half_cycle(self.number, half_cycle, self.program)
        if self.progress.t_s - self._saved_s >= SNAPSHOT_S:
            self.save_progress()

    def _record_verdicts(self) -> None:
        for verdict in self.reports:
            self._recorder.verdict(self.number, verdict)
        self.reports.clear()

    def close_half_cycle(self, complete: bool) -> None:
        """Close and hand over the half-cycle that is open, if any."""
        self.progress.close(complete=complete)
        self.record()

    def save_progress(self) -> None:
        """Queue the state of guards and progress as it is after the newest handed-over sample."""
        self._saved_s = self.progress.t_s
        now = self._clock.stamp()
        state = {**self.progress.state(), "course": self.course.state(), "saved": now.state()}
        if self.end is not None:
            position = self.end.position.model_dump(mode="json")
            ended = self.clock.ended or now
            how = {"reason": self.end.reason, "message": self.end.message, "position": position}
            state["end"] = {**how, **ended.state()}
        self._store.save_guards(self.number, self.progress.t_s, state)

    def opened(self, outcome: OpenCircuit) -> None:
        """Take note of what a stop came to."""
        if not outcome.confirmed:
            self.not_opened("it was not read back", outcome)
            return
        self.is_open.set()
        self.opened_s = None if outcome.segment_t_s is None else outcome.segment_t_s + self.offset_s
        t_s = self.progress.t_s if self.opened_s is None else self.opened_s
        data: dict[str, object] = {"voltage_V": outcome.voltage_V, "current_A": outcome.current_A}
        because = self.verdict or self.course.trip
        if because is not None:
            data["seconds_from_event"] = t_s - because.event_s
        self._recorder.event(self.number, "open_circuit", t_s, data)

    def not_opened(self, why: str, outcome: OpenCircuit | None = None) -> None:
        """The circuit is not known to be open: one alarm; the run is *stopping* until it is."""
        if self.info.state != "stopping":
            self.change("stopping", self.stop_wanted or "the circuit is not confirmed open")
        if self.alarmed:
            return
        self.alarmed = True
        message = f"the circuit could not be confirmed open ({why}); it is tried again and again"
        about = {"run": self.number, "station": self.info.station}
        log.error("run %d on %s: %s", *about.values(), message, extra=about)
        data: dict[str, object] = {"message": message}
        if outcome is not None:
            data |= {"voltage_V": outcome.voltage_V, "current_A": outcome.current_A}
        self._recorder.event(self.number, "alarm", self.progress.t_s, data)

    def conclude(self, outcome: RunState, reason: str) -> None:
        """The circuit is open; only ``afterwards`` is still to run."""
        self.info = self.info.model_copy(update={"outcome": outcome})
        self.change("stopping", reason)
        self.closed()

    def note_end(self, end: SegmentEnd) -> None:
        """The segment is over and drained: see :func:`scheduler.segments.ended`."""
        self.end = end
        self.clock.end()

    def gap(self, reason: str, t_from_s: float | None = None, t_to_s: float | None = None) -> None:
        """Record that samples are missing; by default at the place that was reached."""
        begin_s = self.progress.t_s if t_from_s is None else t_from_s
        end_s = self.progress.t_s if t_to_s is None else t_to_s
        self._recorder.gap(self.number, Gap(t_from_s=begin_s, t_to_s=end_s, reason=reason))
