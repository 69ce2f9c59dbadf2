"""One run while it is alive: its state, its segments in time, and what is recorded of it."""

from __future__ import annotations

import asyncio
from typing import Literal

from drivers.instrument import OpenCircuit, SegmentEnd
from protocols.measurements import Block, Spectrum, Verdict
from protocols.program import Program
from protocols.records import Gap, RunInfo, RunState, Ticket
from scheduler.clock import Clock
from scheduler.progress import Progress
from scheduler.recorder import Recorder
from storage.store import Store

SNAPSHOT_S = 600.0
"""Run time between two saved states of guards and progress; what came later is replayed at recovery."""

Phase = Literal["test", "afterwards"]


class ActiveRun:
    """The one owner of a run's state. Every change goes through here and into the store."""

    def __init__(
        self, info: RunInfo, program: Program, store: Store, recorder: Recorder, clock: Clock
    ) -> None:
        self.info = info
        self.program = program
        self.progress = Progress(program)
        self.progress.use(program.model_copy(update={"steps": program.afterwards}))
        self.verdict: Verdict | None = info.verdict
        self.phase: Phase = "test"
        self.segment: Program = program
        self.ticket: Ticket | None = None
        self.offset_s = 0.0
        self.stop_wanted: str | None = None
        """Why the circuit is to be opened; None while nothing wants it."""
        self.pausing = False
        self.reports: list[Verdict] = []
        """Verdicts that are not yet handed over."""
        self.is_open = asyncio.Event()
        """Set while the circuit is known to be open, by reading back."""
        self._anchor_unix_s = 0.0
        self._ended_monotonic_s: float | None = None
        self._samples = info.samples
        self._saved_s = 0.0
        self._gap_possible = False
        self._store = store
        self._recorder = recorder
        self._clock = clock

    @property
    def number(self) -> int:
        """The run's number in the store."""
        return self.info.run

    @property
    def open_confirmed(self) -> bool:
        """Whether the circuit is known to be open."""
        return self.is_open.is_set()

    def closed(self) -> None:
        """The circuit may be closed from now on, and nothing wants it open."""
        self.stop_wanted, self.pausing = None, False
        self.is_open.clear()

    def snapshot(self) -> RunInfo:
        """Return the run as other programs see it, with its newest values."""
        progress = self.progress
        has_values = progress.step >= 0
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
            }
        )

    def change(self, state: RunState, reason: str = "") -> None:
        """Queue a change of state; durable and published with the next commit."""
        stamps: dict[str, float] = {}
        if state == "running" and self.info.started_unix_s is None:
            stamps["started_unix_s"] = self._clock.unix()
        if state in ("finished", "protected", "stopped", "failed"):
            stamps["ended_unix_s"] = self._clock.unix()
        self.info = self.snapshot().model_copy(update={"state": state, "reason": reason, **stamps})
        self._store.save_run(self.info)
        data: dict[str, object] = {"state": state, "reason": reason}
        self._recorder.event(self.number, "state", self.progress.t_s, data)

    def new_segment(self, program: Program, phase: Phase) -> Ticket:
        """Prepare the next segment: its ticket, and its place in run time."""
        number = 0 if self.ticket is None else self.ticket.segment + 1
        self.ticket = Ticket(run=self.number, segment=number, program=program.digest())
        self.segment, self.phase = program, phase
        gap = 0.0
        if self._ended_monotonic_s is not None:
            gap = self._clock.monotonic() - self._ended_monotonic_s
        self.offset_s = self.progress.t_s + gap if number else 0.0
        self._anchor_unix_s = self._clock.unix()
        self.progress.begin_segment(self.offset_s)
        self.progress.judging = phase == "test"
        return self.ticket

    def resume_segment(self, ticket: Ticket, program: Program, offset_s: float, anchor_unix_s: float) -> None:
        """Take over a segment that an earlier daemon started."""
        self.ticket, self.segment = ticket, program
        self.offset_s, self._anchor_unix_s = offset_s, anchor_unix_s
        afterwards = bool(program.steps) and program.steps == self.program.afterwards
        self.phase = "afterwards" if afterwards else "test"

    def save_ticket(self, state: Literal["intent", "started", "refused", "ended"]) -> None:
        """Queue the ticket with its state."""
        if self.ticket is not None:
            self._store.save_ticket(self.ticket, self.segment, state, self.offset_s, self._anchor_unix_s)

    def expect_gap(self) -> None:
        """An earlier daemon fetched samples that it may not have stored: look for a gap at the next one."""
        self._gap_possible = True

    def _look_for_gap(self, t_s: float) -> None:
        if not self._gap_possible:
            return
        self._gap_possible = False
        last_s = self.progress.t_s
        if t_s - last_s > 1.5 * self.program.watch_s:
            reason = "samples that were fetched but not yet stored when the daemon died"
            self._recorder.gap(self.number, Gap(t_from_s=last_s, t_to_s=t_s, reason=reason))

    def take(self, rows: Block) -> Verdict | None:
        """Follow new samples of this run: run time, charge and half-cycle are written into ``rows``."""
        t = (rows["t_s"] + self.offset_s).tolist()
        self._look_for_gap(t[0])
        charge, half_cycle, verdict = self.progress.take(
            t,
            rows["voltage_V"].tolist(),
            rows["current_A"].tolist(),
            rows["step"].tolist(),
            rows["visit"].tolist(),
        )
        rows["t_s"], rows["charge_C"], rows["half_cycle"] = t, charge, half_cycle
        rows["channel"] = self.number
        self._samples += len(t)
        return verdict

    def in_run_time(self, spectrum: Spectrum) -> Spectrum:
        """Return a spectrum as the store keeps it: run number and run time."""
        offset = self.offset_s
        self._look_for_gap(spectrum.t_start_s + offset)
        return spectrum.model_copy(
            update={
                "channel": self.number,
                "t_start_s": spectrum.t_start_s + offset,
                "t_end_s": spectrum.t_end_s + offset,
                "t_s": tuple(t + offset for t in spectrum.t_s),
            }
        )

    def record(self) -> None:
        """Hand over verdicts and half-cycles, and a snapshot of the guards when it is time."""
        for verdict in self.reports:
            self._recorder.verdict(self.number, verdict)
        self.reports.clear()
        for half_cycle in self.progress.take_closed():
            self._recorder.half_cycle(self.number, half_cycle)
        if self.progress.t_s - self._saved_s >= SNAPSHOT_S:
            self.save_progress()

    def save_progress(self) -> None:
        """Queue the state of guards and progress as it is after the newest handed-over sample."""
        self._saved_s = self.progress.t_s
        self._store.save_guards(self.number, self.progress.t_s, self.progress.state())

    def opened(self, outcome: OpenCircuit) -> None:
        """Take note of what a stop came to; an open circuit that can't be confirmed raises an alarm."""
        if outcome.confirmed:
            self.is_open.set()
        t_s = self.progress.t_s if outcome.segment_t_s is None else outcome.segment_t_s + self.offset_s
        data: dict[str, object] = {"voltage_V": outcome.voltage_V, "current_A": outcome.current_A}
        if self.verdict is not None:
            data["seconds_from_event"] = t_s - self.verdict.event_s
        kind = "open_circuit" if outcome.confirmed else "alarm"
        if not outcome.confirmed:
            data["message"] = "the circuit could not be confirmed open; trying again"
        self._recorder.event(self.number, kind, t_s, data)

    def judge_end(self, end: SegmentEnd) -> tuple[RunState, str]:
        """Return the state that ends the run, and why."""
        if self.verdict is not None:
            planned = self.verdict.kind in self.program.ends_on
            return ("finished" if planned else "protected"), self.verdict.message
        if self.stop_wanted is not None:
            return "stopped", self.stop_wanted
        if end.reason == "complete":
            return "finished", "all steps done"
        return "failed", end.message or "the segment ended before its end for an unknown reason"

    def conclude(self, outcome: RunState, reason: str) -> None:
        """The circuit is open; only ``afterwards`` is still to run."""
        self.info = self.info.model_copy(update={"outcome": outcome})
        self.change("stopping", reason)
        self.closed()

    def segment_ended(self) -> None:
        """The segment is over and drained."""
        self._ended_monotonic_s = self._clock.monotonic()
        self.save_ticket("ended")
        self.save_progress()
