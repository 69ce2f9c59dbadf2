"""One keeper for each instrument: every command to it and every poll of it happens in the keeper's one task.

So no two commands ever meet, a verdict is acted on before anything is stored, and what a channel was last
told is known in one place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import numpy as np

from analysis.kramers_kronig import summarize
from drivers.instrument import Instrument, Poll, SegmentEnd
from protocols.errors import BusyError, InstrumentError, StorageError, UnreachableError
from protocols.measurements import Block, Spectrum, SpectrumSummary, Verdict, empty_block
from protocols.program import Program
from protocols.records import ENDED, Gap, RunState
from scheduler.clock import Clock
from scheduler.recorder import Recorder
from scheduler.run import ActiveRun, Phase

log = logging.getLogger(__name__)

POLL_MAX_S = 1.0
POLL_MIN_S = 0.1
FIRST_SAMPLE_POLL_S = 0.05
"""Poll interval while a run that was just started has shown no sample yet."""
BACKOFF_FIRST_S, BACKOFF_FACTOR, BACKOFF_MAX_S = 0.5, 1.8, 60.0
COMMIT_AT_ONCE_S = 0.5
"""A poll that brought so much more instrument time than ours has passed is committed before the next."""

RATIO_MAX = 10_000.0
"""Polls at most this much more often than in real time."""

EndedRun = Callable[[ActiveRun], None]
Summarised = tuple[ActiveRun, Spectrum, SpectrumSummary]


class Keeper:
    """Runs the programs of one instrument's channels."""

    def __init__(self, instrument: Instrument, recorder: Recorder, clock: Clock, on_end: EndedRun) -> None:
        self.instrument = instrument
        self.runs: dict[int, ActiveRun] = {}
        """Channel → the run that occupies it."""
        self.reachable = False
        self.looked = asyncio.Event()
        """Set once the instrument was looked at, or could not be reached, for the first time."""
        self._recorder = recorder
        self._clock = clock
        self._on_end = on_end
        self._pace = Pace(clock)
        self._wake = asyncio.Event()
        self._to_start: list[tuple[int, ActiveRun]] = []
        self._to_adopt: dict[int, ActiveRun] = {}

    def submit(self, channel: int, run: ActiveRun) -> None:
        """Start a run on a free channel as soon as the keeper comes to it."""
        self._to_start.append((channel, run))
        self._wake.set()

    def adopt(self, channel: int, run: ActiveRun) -> None:
        """Look, when the instrument is reached, whether the channel still holds this run's segment."""
        self._to_adopt[channel] = run
        self._wake.set()

    def stop(self, run: ActiveRun, reason: str) -> None:
        """Ask for the circuit of a run to be opened."""
        if run.stop_wanted is None:
            run.stop_wanted = reason
        self._wake.set()

    def pause(self, run: ActiveRun) -> None:
        """Ask for an open circuit with the intention to go on later from there."""
        run.pausing = True
        self.stop(run, "paused by a person")

    def resume(self, run: ActiveRun) -> None:
        """Go on with what is left of a paused run."""
        for channel, known in self.runs.items():
            if known is run:
                run.closed()
                self._to_start.append((channel, run))
        self._wake.set()

    def release(self, run: ActiveRun) -> None:
        """A paused run is given up: its channel is at open circuit and free."""
        for channel, known in list(self.runs.items()):
            if known is run:
                del self.runs[channel]
                self._on_end(run)

    async def keep(self) -> None:
        """Connect, take over what runs, then poll for ever; reconnect with back-off."""
        wait_s = BACKOFF_FIRST_S
        while True:
            try:
                await self._connect()
                wait_s = BACKOFF_FIRST_S
                while True:
                    busy = await self._turn()
                    await self._pause_between_polls(busy)
            except (UnreachableError, InstrumentError) as error:
                self._lose_contact(str(error))
            self.looked.set()
            await self.instrument.close()
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * BACKOFF_FACTOR, BACKOFF_MAX_S)

    async def _connect(self) -> None:
        await self.instrument.connect()
        self.reachable = True
        for channel, run in self.runs.items():
            self._to_adopt.setdefault(channel, run)
        await self._adopt_all()
        self.looked.set()

    def _lose_contact(self, reason: str) -> None:
        if self.reachable or not self.looked.is_set():
            log.warning("%s: no contact: %s", self.instrument.name, reason)
        self.reachable = False
        for run in self.runs.values():
            if run.info.state not in ("lost", "paused", *ENDED):
                run.change("lost", f"no contact with {self.instrument.name}: {reason}")

    async def _adopt_all(self) -> None:
        while self._to_adopt:
            channel, run = next(iter(self._to_adopt.items()))
            await self._adopt(channel, run)
            del self._to_adopt[channel]

    async def _adopt(self, channel: int, run: ActiveRun) -> None:
        """Take over a segment, or end the run with its cell at open circuit. Never starts anything."""
        self.runs[channel] = run
        if run.info.state == "paused" or run.ticket is None:
            return
        position = await self.instrument.attach(channel, run.segment, run.ticket)
        if position is not None:
            state: RunState = "stopping" if run.stop_wanted else "running"
            run.change(state, f"taken over at step {position.step}")
            return
        await self._open_unless_foreign(channel, run)
        await self._end(channel, run, "failed", "host lost: the channel no longer holds this run's segment")

    async def _open_unless_foreign(self, channel: int, run: ActiveRun) -> None:
        """Make sure that no cell is driven that no run owns; leave what others started alone."""
        for look in await self.instrument.look():
            if look.channel == channel and look.running and not look.marker.startswith("sandtime/"):
                message = "the channel runs something that sandtime did not start; it is left alone"
                log.error("%s channel %d: %s", self.instrument.name, channel + 1, message)
                self._recorder.event(run.number, "alarm", None, {"message": message})
                return
        run.opened(await self.instrument.stop(channel))

    async def _turn(self) -> bool:
        """Carry out what is wanted, poll once, act on it. Returns whether to poll again at once."""
        await self._adopt_all()
        await self._start_all()
        await self._open_all()
        if not self.runs:
            return False
        poll = await self.instrument.poll()
        brought_s, spectra = self._judge(poll)
        await self._open_all()
        self._hand_over(poll, spectra)
        for channel, end in poll.ended.items():
            if channel in self.runs:
                await self._segment_ended(channel, self.runs[channel], end)
        passed_s = self._pace.polled(brought_s)
        if brought_s - passed_s > COMMIT_AT_ONCE_S or poll.ended:
            await self._commit()
        return poll.more

    async def _pause_between_polls(self, busy: bool) -> None:
        if busy:
            await asyncio.sleep(0)
            return
        # Not wait_for: before Python 3.12 it may swallow a cancellation that meets its time-out.
        try:
            async with asyncio.timeout(self._interval_s()):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _interval_s(self) -> float:
        if any(run.progress.step < 0 for run in self.runs.values()):
            return FIRST_SAMPLE_POLL_S
        shortest = min((run.program.watch_s for run in self.runs.values()), default=POLL_MAX_S)
        return min(max(shortest, POLL_MIN_S), POLL_MAX_S) / self._pace.ratio

    async def _commit(self) -> None:
        try:
            await self._recorder.commit()
        except StorageError as error:
            log.error("storing fails, measuring goes on from memory: %s", error)

    # Judging: synchronous, before anything is stored.

    def _judge(self, poll: Poll) -> tuple[float, list[Summarised]]:
        """Let each run follow what is new, in order; note which circuits to open.

        Returns the instrument time that the poll brought, and the spectra with their summaries.
        """
        brought_s = 0.0
        summaries: list[Summarised] = []
        poll.samples = self._ours(poll.samples)
        for channel, items in stream(poll):
            run = self.runs.get(channel)
            if run is None:
                continue
            before_s = run.progress.t_s
            for item in items:
                if isinstance(item, Spectrum):
                    summaries.append(self._take_spectrum(run, item))
                else:
                    self._heed(run, run.take(item))
            brought_s = max(brought_s, run.progress.t_s - before_s)
        for value in poll.values:
            run = self.runs.get(value.channel)
            if run is not None and value.sweeping:
                self._heed(run, run.progress.live(run.progress.t_s, value.voltage_V, value.current_A))
        return brought_s, summaries

    def _ours(self, samples: Block) -> Block:
        """Leave out samples of channels that no run owns."""
        strays = set(np.unique(samples["channel"]).tolist()) - self.runs.keys()
        return samples[~np.isin(samples["channel"], list(strays))] if strays else samples

    def _take_spectrum(self, run: ActiveRun, spectrum: Spectrum) -> Summarised:
        spectrum = run.in_run_time(spectrum)
        summary = summarize(spectrum)
        self._heed(run, run.progress.spectrum(spectrum, summary))
        return run, spectrum, summary

    def _heed(self, run: ActiveRun, verdict: Verdict | None) -> None:
        """Note verdicts; the first that stops decides."""
        run.reports += run.progress.watch.take_reports()
        if verdict is not None and run.verdict is None:
            run.verdict = verdict
            run.reports.append(verdict)
            run.stop_wanted = run.stop_wanted or verdict.message

    def _hand_over(self, poll: Poll, spectra: list[Summarised]) -> None:
        self._recorder.samples(self.instrument.name, poll.samples)
        for run, spectrum, summary in spectra:
            self._recorder.spectrum(run.number, spectrum, summary)
        for channel, run in self.runs.items():
            run.record()
            lost = poll.lost_samples.get(channel, 0)
            if lost:
                t_s = run.progress.t_s
                gap = Gap(t_from_s=t_s, t_to_s=t_s, reason=f"the instrument dropped {lost} samples")
                self._recorder.gap(run.number, gap)

    # Starting, opening, ending: each command's outcome is durable before the next is given.

    async def _start_all(self) -> None:
        while self._to_start:
            channel, run = self._to_start.pop(0)
            self.runs[channel] = run
            if run.stop_wanted is not None:
                run.opened(await self.instrument.stop(channel))
                await self._end(channel, run, "stopped", run.stop_wanted)
                continue
            position = run.progress.position() if run.ticket else None
            program = run.program.remainder(position) if position else run.program
            await self._start(channel, run, program, "test")

    async def _start(self, channel: int, run: ActiveRun, program: Program, phase: Phase) -> None:
        """Intent durable, command, outcome durable."""
        ticket = run.new_segment(program, phase)
        run.save_ticket("intent")
        try:
            await self._recorder.commit()
            await self.instrument.start(channel, program, ticket)
        except (StorageError, InstrumentError, BusyError) as error:
            run.save_ticket("refused")
            run.opened(await self.instrument.stop(channel))
            await self._end(channel, run, "failed", f"could not start: {error}")
            return
        run.save_ticket("started")
        if phase == "test":
            run.change("running")
        await self._commit()

    async def _open_all(self) -> None:
        """Open every circuit that is to be opened; what can't be confirmed is tried again next turn."""
        for channel, run in list(self.runs.items()):
            if run.stop_wanted is None or run.open_confirmed:
                continue
            opened = await self.instrument.stop(channel)
            if run.info.state != "stopping":
                run.change("stopping", run.stop_wanted)
            run.opened(opened)

    async def _segment_ended(self, channel: int, run: ActiveRun, end: SegmentEnd) -> None:
        """Decide what follows the end of a segment: pause, the next segment, or the end of the run."""
        run.segment_ended()
        if run.phase == "afterwards":
            run.opened(await self.instrument.stop(channel))
            await self._end(channel, run, run.info.outcome or "finished", run.info.reason)
            return
        if end.reason == "limit" and run.verdict is None:
            self._heed(run, run.progress.tripped(end.message))
            run.record()
        if run.verdict is None and run.pausing:
            run.change("paused", "paused by a person; the circuit is open")
            return
        rest = run.program.remainder(end.position)
        if run.verdict is None and run.stop_wanted is None and end.reason == "complete" and rest.steps:
            await self._start(channel, run, rest, "test")
            return
        state, reason = run.judge_end(end)
        await self._conclude(channel, run, state, reason)

    async def _conclude(self, channel: int, run: ActiveRun, state: RunState, reason: str) -> None:
        """Confirm the open circuit, let ``afterwards`` run, end the run."""
        run.progress.close(complete=state == "finished" and run.verdict is None)
        if not run.open_confirmed:
            run.opened(await self.instrument.stop(channel))
        run.record()
        if not run.program.afterwards or state == "failed":
            await self._end(channel, run, state, reason)
            return
        run.conclude(state, reason)
        afterwards = run.program.model_copy(update={"steps": run.program.afterwards, "afterwards": ()})
        await self._start(channel, run, afterwards, "afterwards")

    async def _end(self, channel: int, run: ActiveRun, state: RunState, reason: str) -> None:
        run.change(state, reason)
        self.runs.pop(channel, None)
        await self._commit()
        self._on_end(run)


class Pace:
    """How much faster than ours an instrument's clock runs (a simulated one may)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._polled_at_s = clock.monotonic()
        self.ratio = 1.0
        """Instrument time per host time, as far as it is above 1."""

    def polled(self, brought_s: float) -> float:
        """A poll brought so much instrument time; return the host time since the poll before."""
        now_s = self._clock.monotonic()
        passed_s = max(now_s - self._polled_at_s, 1e-6)
        self._polled_at_s = now_s
        self.ratio = min(max(brought_s / passed_s, 0.5 * self.ratio, 1.0), RATIO_MAX)
        return passed_s


def stream(poll: Poll) -> Iterator[tuple[int, list[Block | Spectrum]]]:
    """Yield each channel with its samples and spectra in the order in which they were measured."""
    samples = poll.samples
    channels = samples["channel"]
    edges = np.flatnonzero(np.diff(channels)) + 1
    blocks = {int(block["channel"][0]): block for block in np.split(samples, edges) if len(block)}
    spectra: dict[int, list[Spectrum]] = {}
    for spectrum in poll.spectra:
        spectra.setdefault(spectrum.channel, []).append(spectrum)
    for channel in sorted(blocks.keys() | spectra.keys()):
        yield channel, _merge(blocks.get(channel), spectra.get(channel, []))


def _merge(block: Block | None, spectra: list[Spectrum]) -> list[Block | Spectrum]:
    items: list[Block | Spectrum] = []
    rest = block if block is not None else empty_block()
    for spectrum in sorted(spectra, key=lambda item: item.t_start_s):
        split = int(np.searchsorted(rest["t_s"], spectrum.t_start_s, side="right"))
        if split:
            items.append(rest[:split])
        items.append(spectrum)
        rest = rest[split:]
    if len(rest):
        items.append(rest)
    return items
