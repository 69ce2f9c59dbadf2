"""An instrument in memory on a virtual clock, and a bench that runs a keeper on it with a real store.

It runs programs honestly: every visit of every step, a sample at each step's start and end and each interval
between, limits on board, markers. A test says what goes wrong.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.instrument import ChannelLook, EndReason, OpenCircuit, Poll, SegmentEnd
from protocols.capabilities import Capabilities
from protocols.cell import Cell, Electrode
from protocols.errors import InstrumentError, SandtimeError, StorageError, UnreachableError
from protocols.laboratory import InstrumentIdentity
from protocols.measurements import Block, Spectrum, empty_block
from protocols.nodes import (
    ConstantCurrent,
    ConstantVoltage,
    Geis,
    Node,
    Peis,
    Repeat,
    Step,
    VoltageSweep,
    set_current_A,
)
from protocols.position import Position, visit_number
from protocols.program import Limits, Program
from protocols.records import Event, Gap, HalfCycle, RunInfo, Ticket
from protocols.tree import parts
from protocols.verdicts import Verdict
from scheduler.clock import Clock
from scheduler.keeper import Keeper
from scheduler.recorder import Recorder
from scheduler.recovery import rebuild
from scheduler.run import ActiveRun
from storage.store import Store
from storage.tables import StoredEvent, TicketState

TIMEOUT_S = 60.0
AREA_M2 = 1e-4
OHM = 100.0
CURRENT_A = 1e-3

Voltage = Callable[[Step, float, float], float]
"""E from the step, the time since the segment's start and the current."""


def ohmic(step: Step, t_s: float, current_A: float) -> float:
    """Return E of a cell that is a resistor, with a little that changes so that no two samples are alike."""
    return OHM * current_A * (1.0 + 0.01 * math.sin(t_s + step.index))


def runs_short(t_short_s: float) -> Voltage:
    """Return a cell that shorts at a time of its segment."""

    def voltage(step: Step, t_s: float, current_A: float) -> float:
        return ohmic(step, t_s, current_A) * (0.02 if t_s >= t_short_s else 1.0)

    return voltage


def runs_away(t_away_s: float) -> Voltage:
    """Return a cell whose E runs away at a time of its segment."""

    def voltage(step: Step, t_s: float, current_A: float) -> float:
        return 5.0 if current_A and t_s >= t_away_s else ohmic(step, t_s, current_A)

    return voltage


Current = Callable[[Step, float], float]
"""I from the step and the time in this visit of it."""


def plain(step: Step, time_s: float) -> float:
    """Return the current that is set; where E is set instead, one that falls from E/R to a tenth of it."""
    if isinstance(step, ConstantVoltage):
        return step.voltage_V / OHM * (0.1 + 0.9 * math.exp(-time_s / 10.0))
    if isinstance(step, VoltageSweep):
        return 1e-5
    return set_current_A(step)


Impedance = Callable[[float, NDArray[np.float64]], NDArray[np.complex128]]
"""Z from the time since the segment's start and f."""


def one_arc(t_s: float, frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return Z of a cell of :data:`OHM` that never changes."""
    return np.asarray(10.0 + 90.0 / (1.0 + 2j * np.pi * frequency * 1e-2))


@dataclass(frozen=True)
class Stretch:
    """One visit of one step in a segment, or what is left of it."""

    step: Step
    loops: tuple[int, ...]
    totals: tuple[int, ...]
    t0_s: float
    t1_s: float

    @property
    def current_A(self) -> float:
        return set_current_A(self.step)

    @property
    def visit(self) -> int:
        return visit_number(self.loops, self.totals)

    def position(self, t_s: float) -> Position:
        """Where a cell is at time ``t_s`` of the segment, which lies in this stretch."""
        passed_s = t_s - self.t0_s
        if isinstance(self.step, Geis | Peis):
            passed_s = passed_s if t_s >= self.t1_s else 0.0
            return Position(step=self.step.index, loops=self.loops, time_s=passed_s)
        done_C = self.step.done_C if isinstance(self.step, ConstantCurrent) else 0.0
        return Position(
            step=self.step.index,
            loops=self.loops,
            time_s=self.step.done_s + passed_s,
            charge_C=done_C + passed_s * self.current_A,
        )


def stretches(program: Program) -> list[Stretch]:
    """Write a program's visits out, one after the other in time."""
    found: list[Stretch] = []
    t_s = 0.0
    for step, loops, totals in _visits(program.steps, (), ()):
        found.append(Stretch(step, loops, totals, t_s, t_s + step.remaining_s))
        t_s = found[-1].t1_s
    return found


def _visits(
    nodes: tuple[Node, ...], loops: tuple[int, ...], totals: tuple[int, ...]
) -> Iterator[tuple[Step, tuple[int, ...], tuple[int, ...]]]:
    for node in parts(nodes):
        if isinstance(node, Repeat):
            for number in range(node.start, node.stop):
                yield from _visits(node.body, (*loops, number), (*totals, node.total))
        else:
            yield node, loops, totals


class Segment:
    """What a channel holds in its memory."""

    def __init__(
        self,
        channel: int,
        program: Program,
        marker: str,
        begun_s: float,
        voltage: Voltage,
        current: Current = plain,
        z_scale: float = 1.0,
        impedance: Impedance | None = None,
    ) -> None:
        self.program = program
        self.marker = marker
        self.begun_s = begun_s
        self.stretches = stretches(program)
        self.end_s = self.stretches[-1].t1_s
        self.reason: EndReason = "complete"
        self._channel = channel
        self._z_scale = z_scale
        self._impedance = impedance or one_arc
        self._rows = [row for stretch in self.stretches for row in _rows(stretch, program, voltage, current)]
        self._fetched_s = -1.0
        self.told_end = False
        for t_s, voltage_V, current_A, *_ in self._rows:
            limits = program.limits
            if current_A and (voltage_V < limits.voltage_min_V or voltage_V > limits.voltage_max_V):
                self.end_s, self.reason = t_s, "limit"
                break

    def at(self, t_s: float) -> Stretch:
        """Return the stretch in which a time of the segment lies."""
        return next(
            stretch for stretch in self.stretches if t_s <= stretch.t1_s or stretch is self.stretches[-1]
        )

    def stop(self, t_s: float) -> None:
        """Stop if it still runs."""
        if t_s < self.end_s:
            self.end_s, self.reason = t_s, "stopped"

    def fetch(self, t_s: float) -> tuple[Block, list[Spectrum]]:
        """Take out what was measured since the last time, up to ``t_s``."""
        until_s, since_s = min(t_s, self.end_s), self._fetched_s
        self._fetched_s = max(since_s, until_s)
        rows = [row for row in self._rows if since_s < row[0] <= until_s]
        block = empty_block(len(rows))
        block["channel"] = self._channel
        for place, name in enumerate(("t_s", "voltage_V", "current_A", "step", "visit")):
            block[name] = [row[place] for row in rows]
        sweeps = [
            s for s in self.stretches if isinstance(s.step, Geis | Peis) and since_s < s.t1_s <= until_s
        ]
        return block, [
            _spectrum(self._channel, stretch, self._z_scale, self._impedance) for stretch in sweeps
        ]

    def passed(self) -> Iterator[tuple[int, int, float, float]]:
        """Yield step, visit, seconds and charge of everything that was run: the truth."""
        for stretch in self.stretches:
            seconds = min(stretch.t1_s, self.end_s) - stretch.t0_s
            if seconds > 0.0:
                yield stretch.step.index, stretch.visit, seconds, seconds * stretch.current_A


def _rows(
    stretch: Stretch, program: Program, voltage: Voltage, current: Current
) -> Iterator[tuple[float, float, float, int, int]]:
    step = stretch.step
    if isinstance(step, Geis | Peis):
        return
    for t_s in _times(stretch, program):
        current_A = current(step, step.done_s + t_s - stretch.t0_s)
        yield t_s, voltage(step, t_s, current_A), current_A, step.index, stretch.visit


def _times(stretch: Stretch, program: Program) -> list[float]:
    """When samples are taken: at both ends and each interval, closer together where a step begins densely."""
    step, length_s = stretch.step, stretch.t1_s - stretch.t0_s
    dense_s = max(0.0, step.dense_s - step.done_s) if isinstance(step, ConstantCurrent) else 0.0
    times = list(np.arange(0.0, min(dense_s, length_s), getattr(step, "dense_interval_s", 1.0)))
    count = int(length_s / program.watch_s - 1e-9)
    times += [k * program.watch_s for k in range(count + 1) if k * program.watch_s >= dense_s]
    return [stretch.t0_s + float(time_s) for time_s in times] + [stretch.t1_s]


def _spectrum(channel: int, stretch: Stretch, scale: float, impedance: Impedance) -> Spectrum:
    assert isinstance(stretch.step, Geis | Peis)
    frequency = np.array(stretch.step.frequencies())
    z = scale * impedance(stretch.t0_s, frequency)
    times = np.linspace(stretch.t0_s, stretch.t1_s, len(frequency) + 1)[1:]
    return Spectrum(
        channel=channel,
        step=stretch.step.index,
        visit=stretch.visit,
        t_start_s=stretch.t0_s,
        t_end_s=stretch.t1_s,
        frequency_Hz=tuple(frequency.tolist()),
        z_real_ohm=tuple(z.real.tolist()),
        z_imag_ohm=tuple(z.imag.tolist()),
        t_s=tuple(times.tolist()),
        current_A=stretch.current_A,
        amplitude=stretch.step.amplitude_A if isinstance(stretch.step, Geis) else stretch.step.amplitude_V,
    )


class ScriptedInstrument:
    """See :class:`drivers.instrument.Instrument`. Each poll moves its clock on by ``tick_s``."""

    name = "box"
    simulated = True

    def __init__(self, journal: list[str]) -> None:
        self.now_s = 1000.0
        self.tick_s = 1.0
        self.host: HostClock | None = None
        """The host's clock, where it is to go as fast as the instrument's."""
        self.voltage: Voltage = ohmic
        self.current: Current = plain
        self.impedance: Impedance = one_arc
        self.z_scales = [1.0]
        """By how much |Z| differs from the usual in the next segments; the last one counts for the rest."""
        self.journal = journal
        """Every command, in the order in which they came."""
        self.able = Capabilities(model="scripted", current_max_A=1.0, voltage_min_V=-10.0, voltage_max_V=10.0)
        self.firmware = "1.0"
        self.reachable = True
        self.refusal: SandtimeError | None = None
        self.unconfirmed_stops = 0
        self.stop_error: SandtimeError | None = None
        self.attach_error: dict[int, SandtimeError] = {}
        self.poll_error: Exception | None = None
        self.foreign: set[int] = set()
        """Channels on which somebody else runs something."""
        self.held: dict[int, Segment] = {}
        self.past: list[Segment] = []
        """Every segment that ever ran, oldest first."""
        self._followed: set[int] = set()

    async def connect(self) -> None:
        self.journal.append("connect")
        self._answer()

    async def close(self) -> None:
        self.journal.append("close")

    def identity(self) -> InstrumentIdentity:
        return InstrumentIdentity(driver="scripted", serial="7", firmware=self.firmware)

    def capabilities(self, channel: int) -> Capabilities:
        return self.able

    async def look(self) -> list[ChannelLook]:
        self._answer()
        return [self._look_at(channel) for channel in range(4)]

    async def poll(self) -> Poll:
        self._answer()
        if self.poll_error is not None:
            error, self.poll_error = self.poll_error, None
            raise error
        self.now_s += self.tick_s
        if self.host is not None:
            self.host.now_s += self.tick_s
        poll = Poll()
        blocks = []
        for channel in sorted(self._followed):
            segment = self.held[channel]
            block, spectra = segment.fetch(self.now_s - segment.begun_s)
            blocks.append(block)
            poll.spectra += spectra
            if self.now_s - segment.begun_s >= segment.end_s:
                poll.ended[channel] = self._end_of(segment)
                self._followed.discard(channel)
        if blocks:
            poll.samples = np.concatenate(blocks)
        return poll

    async def start(self, channel: int, program: Program, ticket: Ticket) -> None:
        self.journal.append(f"start {channel}")
        self._answer()
        if self.refusal is not None:
            error, self.refusal = self.refusal, None
            raise error
        assert not self.running(channel), "a channel that runs was started again"
        z_scale = self.z_scales.pop(0) if len(self.z_scales) > 1 else self.z_scales[0]
        segment = Segment(
            channel,
            program,
            ticket.marker,
            self.now_s,
            self.voltage,
            self.current,
            z_scale,
            self.impedance,
        )
        self.held[channel] = segment
        self.past.append(segment)
        self._followed.add(channel)

    async def stop(self, channel: int) -> OpenCircuit:
        self.journal.append(f"stop {channel}")
        self._answer()
        if self.stop_error is not None:
            raise self.stop_error
        if self.unconfirmed_stops > 0:
            self.unconfirmed_stops -= 1
            return OpenCircuit(confirmed=False, voltage_V=0.1, current_A=CURRENT_A)
        self.foreign.discard(channel)
        segment = self.held.get(channel)
        if segment is None:
            return OpenCircuit(confirmed=True, voltage_V=0.0, current_A=0.0)
        segment.stop(self.now_s - segment.begun_s)
        return OpenCircuit(True, 0.0, 0.0, min(self.now_s - segment.begun_s, segment.end_s))

    async def attach(self, channel: int, program: Program, ticket: Ticket) -> Position | None:
        self.journal.append(f"attach {channel}")
        self._answer()
        if channel in self.attach_error:
            raise self.attach_error[channel]
        segment = self.held.get(channel)
        if segment is None or segment.marker != ticket.marker:
            return None
        self._followed.add(channel)
        t_s = min(self.now_s - segment.begun_s, segment.end_s)
        return segment.at(t_s).position(t_s)

    def can_measure_impedance(self) -> None:
        """Every channel has spectra from now on."""
        kinds = (*self.able.step_kinds, "geis")
        update = {"step_kinds": kinds, "frequency_min_Hz": 0.01, "frequency_max_Hz": 1e5}
        self.able = self.able.model_copy(update=update)

    def running(self, channel: int) -> bool:
        """Whether current may flow on a channel: the truth."""
        segment = self.held.get(channel)
        ours = segment is not None and self.now_s - segment.begun_s < segment.end_s
        return ours or channel in self.foreign

    def host_died(self) -> None:
        """Nobody follows any channel; what runs goes on."""
        self._followed.clear()

    def starts(self) -> int:
        """How often a start was commanded."""
        return sum(call.startswith("start") for call in self.journal)

    def passed(self) -> list[tuple[int, int, float, float]]:
        """Return what was run, with parts of a visit joined: step, visit, seconds, charge."""
        joined: list[tuple[int, int, float, float]] = []
        for step, visit, seconds, charge in (part for s in self.past for part in s.passed()):
            if joined and joined[-1][:2] == (step, visit):
                _, _, before_s, before_C = joined.pop()
                seconds, charge = seconds + before_s, charge + before_C
            joined.append((step, visit, seconds, charge))
        return joined

    def _answer(self) -> None:
        if not self.reachable:
            raise UnreachableError("box does not answer")

    def _look_at(self, channel: int) -> ChannelLook:
        segment = self.held.get(channel)
        marker = "" if segment is None or channel in self.foreign else segment.marker
        return ChannelLook(channel, True, self.running(channel), marker, 0.0, 0.0)

    def _end_of(self, segment: Segment) -> SegmentEnd:
        if segment.told_end:
            # All rows went to an earlier host: nothing is left that tells why.
            return SegmentEnd("fault", segment.stretches[0].position(0.0), "stopped without any data")
        segment.told_end = True
        if segment.reason == "complete":
            return SegmentEnd("complete", Position(step=segment.stretches[-1].step.index, finished=True))
        stretch = segment.at(segment.end_s)
        return SegmentEnd(segment.reason, stretch.position(segment.end_s), f"ended by {segment.reason}")


class ScriptedClimate:
    """See :class:`scheduler.waiting.ClimateOfRun`. It is as warm as the test makes it."""

    def __init__(self, temperature_K: float = 298.15) -> None:
        self.temperature_K: float | None = temperature_K
        self.demands: list[tuple[int, float]] = []
        self.released: list[int] = []
        self.hurried = 0
        self.refusal: SandtimeError | None = None

    def demand(self, run: int, target_K: float) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.demands.append((run, target_K))

    def release(self, run: int) -> None:
        self.released.append(run)

    def settled(self, target_K: float, tolerance_K: float) -> bool:
        return self.temperature_K is not None and abs(self.temperature_K - target_K) <= tolerance_K

    def hurry(self, ratio: float) -> None:
        self.hurried += 1


class TellingStore(Store):
    """A store that notes in the instrument's journal what is handed to it; its disk may be full."""

    def __init__(self, folder: Path, journal: list[str]) -> None:
        super().__init__(folder)
        self.journal = journal
        self.full = False
        self.holds: Callable[[], bool] | None = None
        """While it is true, commits wait: a kill then loses what was queued."""

    def add_samples(self, block: Block) -> None:
        self.journal.append("store samples")
        super().add_samples(block)

    def add_verdict(self, run: int, verdict: Verdict) -> None:
        self.journal.append(f"store verdict {verdict.kind}")
        super().add_verdict(run, verdict)

    def add_half_cycle(self, run: int, half_cycle: HalfCycle, cycle: int | None = None) -> None:
        self.journal.append(f"store half-cycle {half_cycle.number}")
        super().add_half_cycle(run, half_cycle, cycle)

    def add_event(self, run: int | None, event: Event) -> None:
        self.journal.append(f"event {event.kind}")
        super().add_event(run, event)

    def add_gap(self, run: int, gap: Gap) -> None:
        self.journal.append("store gap")
        super().add_gap(run, gap)

    def save_ticket(
        self, ticket: Ticket, program: Program, state: TicketState, offset_s: float, anchor_unix_s: float
    ) -> None:
        self.journal.append(f"ticket {state}")
        super().save_ticket(ticket, program, state, offset_s, anchor_unix_s)

    async def commit(self) -> list[StoredEvent]:
        if self.full:
            raise StorageError("the disk is full")
        while self.holds is not None and self.holds():  # noqa: ASYNC110  # a test says what it waits for
            await asyncio.sleep(0.001)
        events = await super().commit()
        self.journal.append("committed")
        return events

    async def die(self) -> None:
        """Let go of the folder as a killed daemon does: what is queued is lost."""
        await self._let_go()


@dataclass
class HostClock:
    """The host's time, which stands still until a test moves it."""

    now_s: float = 50.0
    utc_s: float = 1.7e9
    """UTC when the computer was started; somebody may set it."""
    boot: str = "first start"

    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now_s, unix=lambda: self.utc_s + self.now_s, boot=self.boot)

    def restart(self, after_s: float) -> None:
        """The computer is started anew: its monotonic clock begins again."""
        self.utc_s, self.now_s, self.boot = self.utc_s + self.now_s + after_s, 0.0, f"not {self.boot}"


@dataclass
class Bench:
    """A keeper on a scripted instrument, with store and recorder. ``die`` and ``live`` stand for kill -9."""

    folder: Path
    journal: list[str] = field(default_factory=list)
    host: HostClock = field(default_factory=HostClock)
    events: list[StoredEvent] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    instrument: ScriptedInstrument = field(init=False)
    store: TellingStore = field(init=False)
    recorder: Recorder = field(init=False)
    keeper: Keeper = field(init=False)
    climate: ScriptedClimate | None = None
    """That of the chamber which every run's cell is in."""
    _task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.instrument = ScriptedInstrument(self.journal)

    async def live(self) -> None:
        """A daemon starts: store, recorder, keeper; the keeper's task begins with ``keep``."""
        self.store = TellingStore(self.folder, self.journal)
        await self.store.open()
        self.recorder = Recorder(self.store, self.host.clock())
        self.recorder.on_event(self.events.append)
        self.keeper = Keeper(
            self.instrument, self.recorder, self.host.clock(), lambda run: self.ended.append(run.number)
        )

    def keep(self) -> None:
        """Let the keeper work."""
        self._task = asyncio.create_task(self.keeper.keep(), name="keep")

    def watch(self, work: Coroutine[None, None, None]) -> None:
        """Let something else work instead of the keeper alone, such as an engine with this keeper."""
        self._task = asyncio.create_task(work, name="work")

    async def rest(self) -> None:
        """Let the keeper work no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def die(self) -> None:
        """The daemon is killed: all that was not committed is lost."""
        await self.rest()
        await self.recorder.close()
        await self.store.die()
        self.instrument.host_died()

    def submit(self, program: Program, channel: int = 0) -> ActiveRun:
        """Store a run and hand it to the keeper."""
        info = RunInfo(
            run=self.store.next_run(),
            name="test",
            station=f"S{channel}",
            protocol=program.protocol,
            cell=program.cell.name,
            state="queued",
            submitted_unix_s=self.host.clock().unix(),
        )
        self.store.add_run(info, program, {})
        run = ActiveRun(info, program, self.store, self.recorder, self.host.clock())
        run.climate = self.climate
        self.keeper.submit(channel, run)
        return run

    def recover(self, number: int, channel: int = 0) -> ActiveRun:
        """Rebuild a run from what is stored, and hand it to the keeper."""
        reader = self.store.reader
        run = rebuild(reader.run(number), self.store, self.recorder, self.host.clock(), reader)
        run.climate = self.climate
        if run.ticket is None:
            self.keeper.submit(channel, run)
        else:
            self.keeper.adopt(channel, run)
        return run

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for something that the keeper brings about."""
        async with asyncio.timeout(TIMEOUT_S):
            while not reached():
                if self._task is not None and self._task.done():
                    self._task.result()
                await asyncio.sleep(0.001)

    def states(self, run: int) -> list[str]:
        """Return the states of a run as they were published."""
        mine = [stored.event for stored in self.events if stored.run == run]
        return [str(event.data["state"]) for event in mine if event.kind == "state"]

    def data(self, run: int, kind: str) -> list[dict[str, object]]:
        """Return what a run's published events of a kind say."""
        mine = [stored.event for stored in self.events if stored.run == run]
        return [event.data for event in mine if event.kind == kind]

    async def killed(self) -> None:
        """The daemon is killed with all that was not committed, and a new one starts."""
        await self.die()
        await self.live()

    def kinds(self, run: int) -> list[str]:
        """Return the kinds of a run's published events."""
        return [stored.event.kind for stored in self.events if stored.run == run]


@asynccontextmanager
async def bench_in(folder: Path) -> AsyncIterator[Bench]:
    """Give a bench whose daemon lives."""
    bench = Bench(folder)
    await bench.live()
    try:
        yield bench
    finally:
        await bench.rest()
        await bench.recorder.close()
        bench.store.full, bench.store.holds = False, None
        await bench.store.close()


def driven(index: int, current_A: float, seconds: float, label: str = "") -> ConstantCurrent:
    """Return a constant-current step that ends by charge."""
    return ConstantCurrent(
        index=index,
        label=label or f"step {index}",
        current_A=current_A,
        duration_s=seconds,
        charge_C=abs(current_A) * seconds,
        ends_by="charge",
    )


def sweep(index: int, current_A: float = 0.0) -> Geis:
    """Return a short spectrum."""
    return Geis(
        index=index,
        label=f"step {index}",
        current_A=current_A,
        amplitude_A=1e-5,
        frequency_start_Hz=1e3,
        frequency_end_Hz=1.0,
        points_per_decade=4,
    )


def program(*steps: Node, **changes: object) -> Program:
    """Return a program for a Li|Li cell of 1 cm² that never runs out of lithium unless it is told so."""
    values: dict[str, object] = {
        "protocol": "test",
        "cell": Cell(
            name="cell",
            area_m2=AREA_M2,
            working=Electrode(inventory_C_per_m2=1e6),
            counter=Electrode(inventory_C_per_m2=1e6),
        ),
        "steps": steps,
        "limits": Limits(voltage_min_V=-1.0, voltage_max_V=1.0, current_max_A=2 * CURRENT_A),
        "record_dE_V": None,
        **changes,
    }
    return Program.model_validate(values)


def refused(why: str = "no") -> InstrumentError:
    """Return what a driver raises when it refuses."""
    return InstrumentError(why)
