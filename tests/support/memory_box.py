"""An instrument in memory whose channels go on by themselves, with a driver that reaches it, or does not.

The box is the truth: what it ran, when, and by whose command. A driver belongs to one life of a daemon; when
that is killed nothing it says reaches the box any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scripted_instrument import OHM, Stretch, _spectrum, _times, one_arc, stretches

from drivers.instrument import ChannelLook, EndReason, OpenCircuit, Poll, SegmentEnd
from protocols.capabilities import Capabilities
from protocols.errors import BusyError, InstrumentError, UnreachableError
from protocols.laboratory import InstrumentIdentity
from protocols.measurements import Spectrum, empty_block
from protocols.nodes import ConstantCurrent, Geis, Peis
from protocols.position import Position
from protocols.program import Program
from protocols.records import Ticket

Health = Literal["healthy", "shorted", "runs away"]
Mishap = Literal["not arrived", "reply lost", "late", "refused", "hangs"]
"""What becomes of a call: no effect; one that nobody hears of; one that comes later; an error; no answer."""

CHANNELS = 2
LATE_S = 4.0
FOREIGN = "EC-Lab"


@dataclass(slots=True)
class Row:
    t_s: float
    voltage_V: float
    current_A: float
    step: int
    visit: int


class Running:
    """A segment on a channel, which takes its samples as time goes on."""

    def __init__(self, channel: int, program: Program, marker: str, begun_s: float) -> None:
        self.channel = channel
        self.program = program
        self.marker = marker
        self.begun_s = begun_s
        self.stretches = stretches(program)
        self.end_s = self.stretches[-1].t1_s
        self.reason: EndReason = "complete"
        self.taken: list[Row] = []
        """Every sample, the truth."""
        self.memory: list[Row] = []
        """Those that were not fetched."""
        self.spectra: list[Spectrum] = []
        self.told_end = False
        self._due = [(t_s, stretch) for stretch in self.stretches for t_s in self._times(stretch)]
        self._next = 0

    def advance(self, now_s: float, health: Health) -> None:
        """Take the samples up to now."""
        until_s = min(now_s - self.begun_s, self.end_s)
        while self._next < len(self._due) and self._due[self._next][0] <= until_s + 1e-9:
            t_s, stretch = self._due[self._next]
            self._next += 1
            if isinstance(stretch.step, Geis | Peis):
                scale = 0.02 if health == "shorted" else 1.0
                self.spectra.append(_spectrum(self.channel, stretch, scale, one_arc))
                continue
            row = self._row(t_s, stretch, health)
            self.taken.append(row)
            self.memory.append(row)
            limits = self.program.limits
            if row.current_A and not limits.voltage_min_V <= row.voltage_V <= limits.voltage_max_V:
                self.end_s, self.reason = t_s, "limit"
                return

    def stop(self, now_s: float, reason: EndReason = "stopped") -> None:
        """Stop if it still runs."""
        if now_s - self.begun_s < self.end_s:
            self.end_s, self.reason = now_s - self.begun_s, reason

    def running(self, now_s: float) -> bool:
        return now_s - self.begun_s < self.end_s

    def position(self, now_s: float) -> Position:
        t_s = min(now_s - self.begun_s, self.end_s)
        return next(s for s in self.stretches if t_s <= s.t1_s or s is self.stretches[-1]).position(t_s)

    def end(self) -> SegmentEnd:
        """Say how it ended: once, since nothing is left that tells when all was fetched."""
        if self.told_end:
            position = self.stretches[0].position(0.0)
            return SegmentEnd("fault", position, "stopped without any data")
        self.told_end = True
        if self.reason == "complete":
            return SegmentEnd("complete", Position(step=self.stretches[-1].step.index, finished=True))
        return SegmentEnd(self.reason, self.position(math.inf), f"ended by {self.reason}")

    def passed_C(self, now_s: float) -> dict[tuple[int, int], float]:
        """Return the charge of each visit of a step so far: the truth."""
        found: dict[tuple[int, int], float] = {}
        until_s = min(now_s - self.begun_s, self.end_s)
        for stretch in self.stretches:
            seconds = min(stretch.t1_s, until_s) - stretch.t0_s
            if seconds > 0.0 and stretch.current_A:
                found[stretch.step.index, stretch.visit] = seconds * stretch.current_A
        return found

    def _times(self, stretch: Stretch) -> list[float]:
        if isinstance(stretch.step, Geis | Peis):
            return [stretch.t1_s]
        return _times(stretch, self.program)

    @staticmethod
    def _row(t_s: float, stretch: Stretch, health: Health) -> Row:
        current_A = stretch.current_A
        voltage_V = OHM * current_A * (1.0 + 0.01 * math.sin(t_s + stretch.step.index))
        if health == "shorted":
            voltage_V *= 0.02
        elif health == "runs away" and current_A:
            voltage_V = math.copysign(5.0, current_A)
        return Row(t_s, voltage_V, current_A, stretch.step.index, stretch.visit)


@dataclass
class Box:
    """The device."""

    name: str
    now: Callable[[], float]
    complaints: list[str] = field(default_factory=list)
    held: dict[int, Running] = field(default_factory=dict)
    past: list[Running] = field(default_factory=list)
    foreign: set[int] = field(default_factory=set)
    health: dict[int, Health] = field(default_factory=dict)
    plugged_in: bool = True
    """Whether it can be reached."""
    session: int = 0
    """A connection holds only in the session in which it was made."""
    mishaps: list[Mishap] = field(default_factory=list)
    """What becomes of the next calls."""
    hanging: set[str] = field(default_factory=set)
    """Kinds of calls that never come back."""
    sticky: set[int] = field(default_factory=set)
    """Channels that do not open when they are told to."""
    polls: int = 0
    connects_s: list[float] = field(default_factory=list)
    """When somebody tried to connect."""
    late: list[Callable[[], None]] = field(default_factory=list)
    """Calls that were given up, and still come."""

    def advance(self) -> None:
        """Let all channels go on up to now."""
        for channel, segment in self.held.items():
            segment.advance(self.now(), self.health.get(channel, "healthy"))

    def running(self, channel: int) -> bool:
        """Whether current may flow."""
        segment = self.held.get(channel)
        return channel in self.foreign or (segment is not None and segment.running(self.now()))

    def driven_by(self, channel: int) -> str:
        """Whose segment runs on a channel; empty if none does."""
        if channel in self.foreign:
            return FOREIGN
        segment = self.held.get(channel)
        return segment.marker if segment is not None and segment.running(self.now()) else ""

    def reboot(self) -> None:
        """Power comes again: every circuit is open, every memory empty."""
        self.advance()
        for segment in self.held.values():
            segment.stop(self.now(), "fault")
        self.held.clear()
        self.foreign.clear()
        self.session += 1
        self.late.clear()

    def start(self, channel: int, program: Program, marker: str) -> None:
        """Start a segment: as a real one does, whatever the host believes."""
        self.advance()
        if self.running(channel):
            raise BusyError(f"{self.name} channel {channel} runs already")
        if not all(
            math.isfinite(leaf.remaining_s) and (not isinstance(leaf, ConstantCurrent) or leaf.duration_s > 0)
            for leaf, _ in program.walk()
        ):
            self.complaints.append(f"{marker} has a step without an end on board")
        if not math.isfinite(program.limits.voltage_max_V - program.limits.voltage_min_V):
            self.complaints.append(f"{marker} has no limits of E on board")
        segment = Running(channel, program, marker, self.now())
        self.held[channel] = segment
        self.past.append(segment)

    def stop(self, channel: int) -> float | None:
        """Open a circuit; return the segment's time."""
        self.advance()
        if channel in self.sticky:
            return None
        self.foreign.discard(channel)
        segment = self.held.get(channel)
        if segment is None:
            return None
        segment.stop(self.now())
        return min(self.now() - segment.begun_s, segment.end_s)


class Driver:
    """See :class:`drivers.instrument.Instrument`. One for each life of a daemon."""

    simulated = False

    def __init__(self, box: Box, *, impedance: bool) -> None:
        self.name = box.name
        self.box = box
        self.dead = False
        """The daemon was killed: nothing reaches the box any more."""
        self._session = -1
        self._followed: dict[int, Running] = {}
        able = Capabilities(model="memory", current_max_A=1.0, voltage_min_V=-10.0, voltage_max_V=10.0)
        if impedance:
            kinds = (*able.step_kinds, "geis")
            update = {"step_kinds": kinds, "frequency_min_Hz": 0.01, "frequency_max_Hz": 1e5}
            able = able.model_copy(update=update)
        self._able = able

    async def connect(self) -> None:
        self.box.connects_s.append(self.box.now())
        await self._turn("connect")
        self._answer(connecting=True)
        self._session = self.box.session

    async def close(self) -> None:
        self._session = -1
        await self._turn("close")

    def identity(self) -> InstrumentIdentity:
        return InstrumentIdentity(driver="memory", serial=self.name)

    def capabilities(self, channel: int) -> Capabilities:
        return self._able

    async def look(self) -> list[ChannelLook]:
        await self._call(lambda: None, "look")
        box = self.box
        return [self._look_at(box, channel) for channel in range(CHANNELS)]

    @staticmethod
    def _look_at(box: Box, channel: int) -> ChannelLook:
        segment = box.held.get(channel)
        marker = "" if segment is None or channel in box.foreign else segment.marker
        return ChannelLook(channel, True, box.running(channel), marker, 0.0, 0.0)

    async def poll(self) -> Poll:
        poll = Poll()
        await self._call(lambda: self._fetch(poll), "poll")
        self.box.polls += 1
        return poll

    async def start(self, channel: int, program: Program, ticket: Ticket) -> None:
        try:
            await self._call(lambda: self.box.start(channel, program, ticket.marker))
        except BusyError:
            raise
        except UnreachableError as error:
            raise InstrumentError(f"{self.name} channel {channel}: {error}; its state is unknown") from error
        self._followed[channel] = self.box.held[channel]

    async def stop(self, channel: int) -> OpenCircuit:
        found: list[float | None] = []
        await self._call(lambda: found.append(self.box.stop(channel)))
        return OpenCircuit(not self.box.running(channel), 0.0, 0.0, found[0])

    async def attach(self, channel: int, program: Program, ticket: Ticket) -> Position | None:
        await self._call(lambda: None)
        segment = self.box.held.get(channel)
        if segment is None or segment.marker != ticket.marker or channel in self.box.foreign:
            self._followed.pop(channel, None)
            return None
        self._followed[channel] = segment
        return segment.position(self.box.now())

    def _fetch(self, poll: Poll) -> None:
        rows: list[tuple[int, Row]] = []
        for channel, segment in sorted(self._followed.items()):
            if self.box.held.get(channel) is not segment or channel in self.box.foreign:
                poll.ended[channel] = SegmentEnd("fault", segment.position(0.0), "the channel was taken")
                continue
            rows += [(channel, row) for row in segment.memory]
            segment.memory.clear()
            poll.spectra += segment.spectra
            segment.spectra.clear()
            if not segment.running(self.box.now()):
                poll.ended[channel] = segment.end()
        for channel in poll.ended:
            del self._followed[channel]
        block = empty_block(len(rows))
        block["channel"] = [channel for channel, _ in rows]
        for name in ("t_s", "voltage_V", "current_A", "step", "visit"):
            block[name] = np.array([getattr(row, name) for _, row in rows], dtype=block.dtype[name])
        poll.samples = block

    async def _call(self, effect: Callable[[], None], kind: str = "") -> None:
        """Let a call have its effect on the box, or whatever comes in between."""
        await self._turn(kind)
        self._answer()
        mishap = self.box.mishaps.pop(0) if self.box.mishaps else None
        if mishap == "refused":
            raise InstrumentError(f"{self.name} refuses")
        if mishap == "not arrived":
            raise UnreachableError(f"{self.name} does not answer")
        if mishap in ("late", "hangs"):
            self._come_later(effect)
        if mishap == "hangs":
            await asyncio.get_running_loop().create_future()
        if mishap == "late":
            raise UnreachableError(f"{self.name} did not answer in time")
        self.box.advance()
        effect()
        await self._turn()
        if mishap == "reply lost" or self.dead:
            raise UnreachableError(f"{self.name}: the reply was lost")

    def _come_later(self, effect: Callable[[], None]) -> None:
        box = self.box

        def comes() -> None:
            if comes in box.late:
                box.late.remove(comes)
                box.advance()
                with contextlib.suppress(BusyError):
                    effect()

        box.late.append(comes)
        asyncio.get_running_loop().call_later(LATE_S, comes)

    def _answer(self, connecting: bool = False) -> None:
        if self.dead or not self.box.plugged_in:
            raise UnreachableError(f"{self.name} can't be reached")
        if self.box.late:
            # Calls come one after the other.
            raise UnreachableError(f"{self.name}: an earlier call has not come back")
        if not connecting and self._session != self.box.session:
            raise UnreachableError(f"{self.name}: the connection is gone")

    async def _turn(self, kind: str = "") -> None:
        """A wire takes a moment: the daemon may be killed before and after a command has arrived."""
        await asyncio.sleep(0)
        if kind in self.box.hanging:
            await asyncio.get_running_loop().create_future()
