"""What a keeper commands: each command's intent is durable before it, its outcome before the next one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from drivers.instrument import Instrument, SegmentEnd
from protocols.errors import BusyError, InstrumentError
from protocols.program import Program
from protocols.records import RunState, Ticket
from scheduler import alarms, edits, segments
from scheduler.course import Phase
from scheduler.looking import LOOKING
from scheduler.recorder import Recorder
from scheduler.run import ActiveRun

log = logging.getLogger(__name__)


LATE_S = 5.0
"""A segment that starts so much later than its durable intent says needs a new intent."""


@dataclass(slots=True)
class _Prepared:
    """A segment that was not commanded yet."""

    run: ActiveRun
    ticket: Ticket
    intent: int
    """Mark of its intent; see :meth:`Recorder.is_durable`."""


class Commands:
    """Starts segments and opens circuits on one instrument. Called by its keeper's task alone."""

    def __init__(
        self, instrument: Instrument, recorder: Recorder, on_end: Callable[[ActiveRun], None]
    ) -> None:
        self.runs: dict[int, ActiveRun] = {}
        """Channel → the run that occupies it."""
        self._instrument = instrument
        self._recorder = recorder
        self._on_end = on_end
        self._prepared: dict[int, _Prepared] = {}
        """Channel → the segment that starts once its intent is durable."""
        self._tried: set[int] = set()
        """Channels that were told to open in this turn."""

    def begin_turn(self) -> None:
        """Every channel may be told to open again."""
        self._tried.clear()

    async def start(self, channel: int, run: ActiveRun, program: Program, phase: Phase) -> None:
        """Start a segment: intent durable, command, outcome durable.

        While no intent can be made durable, the cell stays at open circuit, confirmed, and the segment starts
        in a later turn (:meth:`start_prepared`).
        """
        ticket = run.new_segment(program, phase)
        self._prepared[channel] = _Prepared(run, ticket, self._recorder.mark())
        await self._recorder.durable()
        await self._start_prepared(channel)

    async def start_prepared(self) -> None:
        """Start what had to wait for storage, as far as it may start now."""
        for channel in list(self._prepared):
            await self._start_prepared(channel)

    def waits(self, channel: int) -> bool:
        """Whether a segment is prepared for this channel and was not commanded yet."""
        return channel in self._prepared

    async def _start_prepared(self, channel: int) -> None:
        prepared = self._prepared[channel]
        run = prepared.run
        if run.stop_wanted is None and not self._is_durable(prepared):
            await self.hold(channel, run)
            return
        run.held = False
        del self._prepared[channel]
        if run.stop_wanted is None:
            await self._command_start(channel, run, prepared.ticket)
        else:
            await self._refused(channel, run, run.stop_wanted)

    def _is_durable(self, prepared: _Prepared) -> bool:
        """Whether the intent is durable, and still true of when the segment begins."""
        if not self._recorder.is_durable(prepared.intent):
            return False
        late_s = prepared.run.begin_later() if prepared.run.held else 0.0
        if late_s > LATE_S:
            prepared.intent = self._recorder.mark()
        return late_s <= LATE_S

    async def _command_start(self, channel: int, run: ActiveRun, ticket: Ticket) -> None:
        run.is_open.clear()
        try:
            await self._instrument.start(channel, run.segment, ticket)
        except (InstrumentError, BusyError) as error:
            await self._refused(channel, run, f"could not start: {error}")
            return
        run.save_ticket("started")
        if run.looks_after_trip:
            if run.info.reason != LOOKING:
                run.change("stopping", LOOKING)
        elif run.phase != "afterwards" and run.info.state != "running":
            run.change("running")
        await self._recorder.durable()

    async def hold(self, channel: int, run: ActiveRun) -> None:
        """Nothing can be stored: the next segment waits, at a circuit that is confirmed open.

        Before its first segment a run has no say over the channel: what others do there is left alone.
        """
        if not run.held:
            about = {"run": run.number, "station": run.info.station}
            log.warning("run %d on %s waits for storage at open circuit", *about.values(), extra=about)
        run.held = True
        if run.ticket is not None and (run.ticket.segment or not self.waits(channel)):
            await self.open(channel, run)

    async def _refused(self, channel: int, run: ActiveRun, why: str) -> None:
        await self.give_up(channel, run, why)
        run.save_ticket("refused")

    async def open(self, channel: int, run: ActiveRun) -> bool:
        """Open a run's circuit if it is not known to be open; return whether it is now.

        Once in a turn, so that a channel that won't open does not keep the others from polls.
        """
        if run.open_confirmed or channel in self._tried:
            return run.open_confirmed
        self._tried.add(channel)
        try:
            run.opened(await self._instrument.stop(channel))
        except InstrumentError as error:
            run.not_opened(str(error))
        return run.open_confirmed

    async def open_wanted(self) -> None:
        """Open every circuit that is to be opened; what can't be confirmed is tried again next turn."""
        for channel, run in list(self.runs.items()):
            if run.stop_wanted is not None and run.end is None and not run.open_confirmed:
                await self.open(channel, run)
                if run.info.state != "stopping":
                    run.change("stopping", run.stop_wanted)

    async def interrupt_wanted(self) -> None:
        """Open the circuit where a run goes on in another segment: where the host has ended a step, say.

        All samples must have been handed over: what is saved here stands behind the newest of them.
        """
        for channel, run in list(self.runs.items()):
            edits.heed(run)
            stopped = run.stop_wanted is not None or run.end is not None or run.open_confirmed
            if stopped or not alarms.is_interrupted(run):
                continue
            if not run.course.interrupting:
                run.course.interrupting = True
                run.save_progress()
                await self._recorder.durable()
            await self.open(channel, run)

    async def give_up(self, channel: int, run: ActiveRun, why: str) -> None:
        """No segment of the run is on the channel. What others started there is left alone."""
        foreign = await self._is_foreign(channel, run)
        if run.end is None:
            # Nobody knows what became of the cell: the run must not go on by itself.
            run.course.forget_interruption()
            run.progress.cell.taken_over = False
            segments.ended(run, SegmentEnd("fault", run.progress.position(), why))
        if foreign:
            message = "the channel runs something that sandtime did not start; it is left alone"
            about = {"run": run.number, "station": run.info.station, "instrument": self._instrument.name}
            log.error("%s channel %d: %s", self._instrument.name, channel + 1, message, extra=about)
            run.tell("alarm", {"message": message})
            if run.course.trip is not None:
                run.confirm(run.course.trip)
            run.close_half_cycle(complete=False)
            await self.end(channel, run, *segments.judge_end(run))

    async def end(self, channel: int, run: ActiveRun, state: RunState, reason: str) -> None:
        """End a run; its channel is free."""
        run.change(state, reason)
        self.runs.pop(channel, None)
        await self._recorder.durable()
        self._on_end(run)

    async def _is_foreign(self, channel: int, run: ActiveRun) -> bool:
        ours = "" if run.ticket is None else run.ticket.run_marker
        return any(
            look.channel == channel and look.running and not (ours and look.marker.startswith(ours))
            for look in await self._instrument.look()
        )
