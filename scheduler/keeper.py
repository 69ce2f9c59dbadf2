"""One keeper for each instrument: every command to it and every poll of it happens in the keeper's one task.

So no two commands ever meet, a verdict is acted on before anything is stored, and what a channel was last
told is known in one place.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine

from drivers.instrument import Instrument, Poll
from protocols.check import is_check
from protocols.errors import BusyError, InstrumentError, NotAllowedError, UnreachableError
from protocols.measurements import Spectrum
from protocols.nodes import Soak
from protocols.records import ENDED
from scheduler import alarms, contact_check, edits, segments
from scheduler.adopting import Adoption
from scheduler.bounded import BoundedInstrument
from scheduler.clock import Clock
from scheduler.commands import Commands
from scheduler.contact import Backoff, Chance, Contact
from scheduler.figures import PollFigures
from scheduler.judging import Judged, judge
from scheduler.pace import Pace
from scheduler.recorder import Recorder
from scheduler.run import ActiveRun
from scheduler.segments import Following
from scheduler.strangers import Orphan, Strangers
from scheduler.supervision import is_cancelled
from scheduler.waiting import wait_of

log = logging.getLogger(__name__)

POLL_MAX_S = 1.0
POLL_MIN_S = 0.1
FIRST_SAMPLE_POLL_S = 0.05
"""Poll interval while a run that was just started has shown no sample yet."""
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 60.0
COMMIT_AT_ONCE_S = 0.5
"""A poll that brought so much more instrument time than ours has passed is committed before the next."""

EndedRun = Callable[[ActiveRun], None]
MeasuredSpectrum = Callable[[ActiveRun, Spectrum], None]


class Keeper:
    """Runs the programs of one instrument's channels."""

    def __init__(
        self,
        instrument: Instrument,
        recorder: Recorder,
        clock: Clock,
        on_end: EndedRun,
        on_spectrum: MeasuredSpectrum | None = None,
        chance: Chance = random.random,
    ) -> None:
        """``chance`` draws the waits between attempts to connect."""
        self.instrument: Instrument = BoundedInstrument(instrument)
        self.contact = Contact(instrument.name, "instrument", clock)
        self._commands = Commands(self.instrument, recorder, on_end)
        self._adoption = Adoption(self.instrument, self._commands)
        self.strangers = Strangers(self.instrument, recorder, clock)
        self.runs = self._commands.runs
        """Channel → the run that occupies it."""
        self.looked = asyncio.Event()
        """Set once the instrument was looked at, or could not be reached, for the first time."""
        self.figures = PollFigures(clock)
        self._about = {"instrument": instrument.name}
        """What the log's lines are about."""
        self._recorder = recorder
        self._clock = clock
        self._on_end = on_end
        self._on_spectrum = on_spectrum
        self._chance = chance
        self._pace = Pace(clock)
        self._wake = asyncio.Event()
        self._to_start: list[tuple[int, ActiveRun]] = []

    def submit(self, channel: int, run: ActiveRun) -> None:
        """Start a run on a free channel as soon as the keeper comes to it."""
        run.able = self.instrument.capabilities(channel)
        self._to_start.append((channel, run))
        self._wake.set()

    def adopt(self, channel: int, run: ActiveRun) -> None:
        """Look, when the instrument is reached, whether the channel still holds this run's segment."""
        self._adoption.add(channel, run)
        run.able = self.instrument.capabilities(channel)
        if run.course.demanded_K is not None:
            try:
                run.demand(run.course.demanded_K)
            except (NotAllowedError, BusyError) as error:
                run.give_up(str(error))
        self._wake.set()

    @property
    def pace(self) -> float:
        """How much faster than ours the instrument's clock runs, as far as it is simulated."""
        return self._pace.ratio if self.instrument.simulated else 1.0

    def take_back(self, run: ActiveRun) -> bool:
        """Forget a run that was never started, if it still can be; returns whether it could."""
        entry = next((entry for entry in self._to_start if entry[1] is run and run.ticket is None), None)
        if entry is None:
            return False
        self._to_start.remove(entry)
        self.runs.pop(entry[0], None)
        run.held, run.blocked = False, ""
        return True

    def withdraw(self, run: ActiveRun, reason: str) -> bool:
        """End a run that was never started; returns whether it still could be withdrawn."""
        if not self.take_back(run):
            return False
        run.change("stopped", reason)
        self._on_end(run)
        return True

    def stop(self, run: ActiveRun, reason: str) -> None:
        """Ask for the circuit of a run to be opened for good."""
        run.stop(reason)
        self._wake.set()

    def give_up(self, run: ActiveRun, reason: str) -> None:
        """Ask for the circuit of a run to be opened for good, because it can't go on."""
        run.give_up(reason)
        self._wake.set()

    def pause(self, run: ActiveRun) -> None:
        """Ask for an open circuit with the intention to go on later from there."""
        run.pause()
        self._wake.set()

    def go_on(self, run: ActiveRun) -> None:
        """A person ends the step that waits for a person."""
        run.end_step("a person said go on")
        self._wake.set()

    def resume(self, run: ActiveRun) -> None:
        """Go on with what is left of a paused run."""
        channel = self._channel_of(run)
        if not run.open_confirmed:
            raise NotAllowedError(f"run {run.number} is not confirmed open yet; try again in a moment")
        run.closed()
        # No longer paused: whoever stops it now has to ask the keeper.
        run.change("waiting", "about to go on")
        self._to_start.append((channel, run))
        self._wake.set()

    def release(self, run: ActiveRun, reason: str) -> None:
        """End a paused run: its channel is at open circuit and free."""
        channel = self._channel_of(run)
        run.close_half_cycle(complete=False)
        run.change("stopped", reason)
        del self.runs[channel]
        self._on_end(run)

    async def open_orphans(self) -> list[Orphan]:
        """Open what runs of ours without a run, soon; return what was found. Raises UnreachableError."""
        answer = self.strangers.ask()
        self._wake.set()
        return await answer

    def _channel_of(self, run: ActiveRun) -> int:
        for channel, known in self.runs.items():
            if known is run:
                return channel
        raise UnreachableError(
            f"{self.instrument.name} has not been reached yet; run {run.number} waits for it"
        )

    @property
    def reachable(self) -> bool:
        """Whether the instrument answers."""
        return self.contact.reachable

    async def keep(self) -> None:
        """Connect, take over what runs, then poll for ever; reconnect with back-off."""
        backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_MAX_S, chance=self._chance)
        while True:
            try:
                await self._connect()
                while True:
                    busy = await self._turn()
                    self.contact.lasts()
                    backoff.reset()
                    await self._pause_between_polls(busy)
            except (UnreachableError, InstrumentError) as error:
                self._lose_contact(str(error))
            except Exception as error:
                # A fault here must not end the watch over the cells, on this instrument and on others.
                log.exception("%s: internal fault, connecting anew", self.instrument.name, extra=self._about)
                self._lose_contact(f"internal fault: {error!r}")
            self.looked.set()
            await self.disconnect()
            wait_s = backoff.next_s()
            self.contact.retry_in(wait_s)
            await self._sleep(wait_s)

    async def _connect(self) -> None:
        """Connect, and look at every channel before the first command to any."""
        await self.instrument.connect()
        self.figures.begin()
        self._recorder.connected(self.instrument)
        looks = await self.instrument.look()
        self.contact.found()
        self.looked.set()
        for channel, run in self.runs.items():
            self._adoption.add(channel, run)
        await self._adoption.adopt_all()
        self.strangers.take(looks, self.runs)

    async def disconnect(self) -> None:
        """Let go of the instrument; what runs goes on. Never fails: it is connected anew all the same."""
        try:
            await self.instrument.close()
        except (UnreachableError, InstrumentError) as error:
            log.info("%s: the connection could not be closed: %s", self.instrument.name, error)
        except Exception:
            log.exception("%s: the connection could not be closed", self.instrument.name)

    def _lose_contact(self, reason: str) -> None:
        if is_cancelled():
            # A driver has made an error of our own end: that must not undo it.
            raise asyncio.CancelledError
        self.contact.lost(reason)
        self.strangers.lost(UnreachableError(f"no contact with {self.instrument.name}: {reason}"))
        for run in dict.fromkeys((*self._adoption.waiting, *self.runs.values())):
            run.lost(f"no contact with {self.instrument.name}: {reason}")

    async def _alone(self, run: ActiveRun, work: Coroutine[None, None, None]) -> None:
        """Do what concerns one run: a fault of our own in it must not leave the other cells unwatched."""
        try:
            await work
        except (UnreachableError, InstrumentError):
            raise
        except Exception as error:
            log.exception("run %d can't go on, its circuit is opened", run.number)
            run.give_up(f"internal fault: {error!r}")

    async def _turn(self) -> bool:
        """Carry out what is wanted, poll once, act on it. Returns whether to poll again at once."""
        self.figures.begin()
        self._commands.begin_turn()
        await self._adoption.adopt_all()
        await self._commands.open_wanted()
        await self.strangers.turn(self.runs)
        await self._commands.interrupt_wanted()
        await self._settle_all()
        await self._commands.start_prepared()
        # One start in a turn: the others' samples do not wait for more.
        await self._start_next()
        if not self.runs or any(run.blocked for _, run in self._to_start):
            await self.strangers.look_again(self.runs)
        if not self.runs:
            return self._wants_to_start
        poll = await self.instrument.poll()
        self.figures.polls += 1
        judged = judge(poll, self.runs)
        await self._commands.open_wanted()
        self._hand_over(poll, judged)
        if poll.ended or any(run.stop_wanted is not None and run.end is None for run in self.runs.values()):
            # How a segment ended is told once: it is durable before the host goes on from there. So is what
            # made it end.
            await self._recorder.durable()
        await self._commands.interrupt_wanted()
        await self._settle_all()
        passed_s = self._pace.polled(judged.brought_s)
        self._hurry_climates()
        if judged.brought_s - passed_s > COMMIT_AT_ONCE_S or poll.ended:
            await self._recorder.durable()
        return poll.more or self._wants_to_start

    def _hurry_climates(self) -> None:
        """Whoever waits for a temperature sees it as often, by its instrument's clock, as in real time."""
        for run in self.runs.values():
            if run.climate is not None and isinstance(wait_of(run.progress.current_step), Soak):
                run.climate.hurry(self._pace.ratio)

    async def _pause_between_polls(self, busy: bool) -> None:
        seconds = 0.0 if busy else self._interval_s()
        self.figures.due_in(seconds)
        await self._sleep(seconds)

    async def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than until somebody wants something."""
        if seconds <= 0.0:
            await asyncio.sleep(0)
            return
        # Not wait_for: before Python 3.12 it may swallow a cancellation that meets its time-out.
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _interval_s(self) -> float:
        if not self.runs:
            # Nothing tells how fast the instrument's clock is.
            return POLL_MAX_S
        if any(not run.progress.begun for run in self.runs.values()):
            return FIRST_SAMPLE_POLL_S
        shortest = min((run.program.watch_s for run in self.runs.values()), default=POLL_MAX_S)
        return min(max(shortest, POLL_MIN_S), POLL_MAX_S) / self._pace.ratio

    def _hand_over(self, poll: Poll, judged: Judged) -> None:
        self._recorder.samples(self.instrument.name, judged.samples)
        for run, spectrum, summary in judged.spectra:
            self._recorder.spectrum(run.number, spectrum, summary)
            if self._on_spectrum is not None and not is_check(spectrum.step):
                self._on_spectrum(run, spectrum)
        for channel, run in self.runs.items():
            run.record()
            lost = poll.lost_samples.get(channel, 0)
            if lost:
                run.gap(f"the instrument dropped {lost} samples")
            if channel in poll.ended:
                segments.ended(run, poll.ended[channel])

    # What follows: starts and ends.

    async def _start_next(self) -> None:
        """Start the run that has waited longest; one that has ended meanwhile is dropped."""
        self._to_start = [entry for entry in self._to_start if entry[1].info.state not in ENDED]
        entry = next((entry for entry in self._to_start if self._may_start(*entry)), None)
        if entry is None:
            return
        channel, run = entry
        self.runs[channel] = run
        if run.stop_wanted is not None:
            await self._commands.give_up(channel, run, run.stop_wanted)
        if entry in self._to_start:
            self._to_start.remove(entry)
            if run.stop_wanted is None:
                await self._alone(run, self._begin(channel, run))

    def _may_start(self, channel: int, run: ActiveRun) -> bool:
        """Whether a run that waits for its start is to be dealt with now."""
        wanted = run.stop_wanted is None
        run.held = wanted and not self._recorder.storing
        run.blocked = self.strangers.why_not(channel) if wanted else ""
        return not run.held and not run.blocked

    @property
    def _wants_to_start(self) -> bool:
        """Whether there is more to start in the next turn."""
        return any(not run.held and not run.blocked for _, run in self._to_start)

    async def _settle_all(self) -> None:
        """Decide what follows each segment that has ended."""
        waiting = [run for _, run in self._to_start]
        for channel, run in list(self.runs.items()):
            rests = run.info.state == "paused" and run.open_confirmed
            if run.end is not None and not rests and run not in waiting:
                await self._alone(run, self._settle(channel, run))

    async def _settle(self, channel: int, run: ActiveRun) -> None:
        """Go on with what follows; else, once the circuit is confirmed open, pause or end the run."""
        if alarms.is_due(run):
            if not await self._commands.open(channel, run):
                return
            alarms.begin(run)
        edits.take_effect(run)
        alarms.look_closer(run)
        segments.pause_on_suspicion(run)
        contact_check.pause_if_refused(run)
        following = segments.following(run)
        if following is not None and not self._recorder.storing:
            await self._commands.hold(channel, run)
        elif following is not None:
            await self._go_on(channel, run, following)
        elif not await self._commands.open(channel, run):
            return
        elif segments.keeps_its_place(run):
            if run.info.state != "paused":
                run.change("paused", f"{run.stop_wanted}; the circuit is open")
        else:
            await self._conclude(channel, run)

    async def _begin(self, channel: int, run: ActiveRun) -> None:
        await self._go_on(channel, run, segments.begin(run))

    async def _go_on(self, channel: int, run: ActiveRun, following: Following) -> None:
        """Do the host's part, at open circuit, and start the next segment."""
        wants_open = (following.wants_host and run.ticket is not None) or run.course.interrupting
        if wants_open and not await self._commands.open(channel, run):
            return
        try:
            segment = segments.prepare(run, following)
        except (NotAllowedError, BusyError) as error:
            run.give_up(str(error))
            if run.end is None:
                await self._commands.give_up(channel, run, str(error))
            return
        if segment is None:
            segments.finish(run, following.phase)
        else:
            await self._commands.start(channel, run, segment, following.phase)

    async def _conclude(self, channel: int, run: ActiveRun) -> None:
        """The circuit is open: let ``afterwards`` run after a planned or protected end, then end the run."""
        state, reason = segments.judge_end(run)
        run.close_half_cycle(complete=state == "finished" and run.verdict is None)
        over = run.phase == "afterwards" or run.wanted_by_person or not run.program.afterwards
        if over or state not in ("finished", "protected"):
            await self._commands.end(channel, run, state, reason)
            return
        if not self._recorder.storing:
            await self._commands.hold(channel, run)
            return
        run.conclude(state, reason)
        await self._go_on(channel, run, Following("afterwards", run.program.afterwards))
