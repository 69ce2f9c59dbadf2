"""The driver: one BioLogic instrument of the 300 series behind the interface of every instrument."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable

import numpy as np

from drivers.biologic.connection import READBACK_INTERVAL_S, Connection
from drivers.biologic.constants import BoardType, ChannelState
from drivers.biologic.decode import as_singles
from drivers.biologic.following import STOPS_TO_BELIEVE, Follower
from drivers.biologic.library import Library
from drivers.biologic.ranges import full_scale_A
from drivers.biologic.settings import Settings, capabilities
from drivers.biologic.structs import CurrentValues
from drivers.biologic.techniques import Load, compile_load
from drivers.instrument import ChannelLook, OpenCircuit, Poll, SegmentEnd
from protocols.capabilities import Capabilities
from protocols.errors import BusyError, InstrumentError, SandtimeError
from protocols.laboratory import InstrumentIdentity
from protocols.position import Position
from protocols.program import Program
from protocols.records import Ticket

log = logging.getLogger(__name__)

BLOCKS_PER_POLL = 4
"""Blocks fetched of one channel before others have their turn."""

STOP_READBACKS = 12
"""How often a stop is read back: a quarter of a second, as meanwhile no other channel is watched."""

OPEN_FRACTION = 1e-3
"""|I| below this part of the current range counts as no current."""

UNKNOWN_CURRENT_A = 1e-3
"""Stands in for the largest current of a channel that runs nothing of ours."""


class BioLogicInstrument:
    """One instrument. See :class:`drivers.instrument.Instrument`."""

    def __init__(
        self, name: str, settings: Settings, library: Library, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.simulated = library.simulated
        self._settings = settings
        self._connection = Connection(name, settings, library)
        self._device = self._connection.device
        self._clock = clock
        self._followers: dict[int, Follower] = {}
        self._started_s: dict[int, float] = {}
        self._markers: dict[int, str] = {}

    async def connect(self) -> None:
        """Connect, identify, and load firmware where it is missing and nothing runs."""
        await self._connection.open()

    async def close(self) -> None:
        """Let go of the connection; what runs goes on."""
        await self._connection.close()

    def identity(self) -> InstrumentIdentity:
        """Return model, firmware, and the serial numbers of the boards: of itself it tells none."""
        return InstrumentIdentity(
            driver="biologic",
            model=self._settings.model,
            serial=self._connection.board_serials,
            firmware=self._connection.firmware,
        )

    def capabilities(self, channel: int) -> Capabilities:
        """Return what the channel can do: the model's figures."""
        return capabilities(self._settings.model)

    async def look(self) -> list[ChannelLook]:
        """Look at every plugged channel without touching any."""
        return [await self._look_at(*item) for item in self._connection.channels.items()]

    async def poll(self) -> Poll:
        """Fetch what is new. Data fetched before a failure come with the next poll."""
        poll = Poll()
        if self._followers:
            # One hop to the library's thread for all channels: a hop costs more than a block.
            poll.more = await self._connection.call(self._fetch_all)
        blocks = []
        for channel, follower in sorted(self._followers.items()):
            blocks.append(follower.samples())
            self._deliver(channel, follower, poll)
        if blocks:
            poll.samples = np.concatenate(blocks)
        return poll

    async def start(self, channel: int, program: Program, ticket: Ticket) -> None:
        """Load and start ``program``; on any failure the channel is stopped and read back."""
        board = self._connection.board(channel)
        await self._refuse_if_busy(channel)
        load = self._compile(program)
        try:
            await self._load(channel, board, load)
            # Last before the start: a marker set earlier would vouch for a list that may never run.
            await self._connection.call(self._device.set_marker, channel, ticket.marker)
            await self._connection.call(self._device.start, channel)
        except BusyError:
            # Somebody else started the channel since we looked: theirs is not ours to stop.
            raise
        except (SandtimeError, asyncio.CancelledError) as error:
            state = await self._open_again(channel)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise InstrumentError(f"{self.name} channel {channel} did not start: {error}; {state}") from error
        self._follow(channel, self._follower(channel, program, load, resumed=False), ticket)

    async def stop(self, channel: int) -> OpenCircuit:
        """Stop the channel and read back until it shows open circuit, or give up unconfirmed."""
        await self._connection.call(self._stop_now, channel)
        follower = self._followers.get(channel)
        current_max_A = follower.current_max_A if follower is not None else UNKNOWN_CURRENT_A
        confirmations = 0
        values = CurrentValues()
        for _ in range(STOP_READBACKS):
            values = await self._connection.call(self._device.values, channel)
            # An answer of zeros throughout also reads STOP: it neither confirms nor denies.
            if values.TimeBase > 0:
                confirmations = confirmations + 1 if _is_open(values, current_max_A) else 0
            if confirmations == STOPS_TO_BELIEVE:
                segment_t_s = values.ElapsedTime if follower is not None else None
                return OpenCircuit(True, values.Ewe, values.I, segment_t_s)
            await asyncio.sleep(READBACK_INTERVAL_S)
        return OpenCircuit(False, values.Ewe, values.I)

    async def attach(self, channel: int, program: Program, ticket: Ticket) -> Position | None:
        """Take over the channel's segment if the marker it keeps is the ticket's."""
        self._connection.board(channel)
        if await self._connection.call(self._device.marker, channel) != ticket.marker:
            # Also when we followed it before: while we were away another program may have loaded its own.
            self._followers.pop(channel, None)
            return None
        if channel in self._followers and self._markers[channel] == ticket.marker:
            return self._followers[channel].position()
        follower = self._follower(channel, program, self._compile(program), resumed=True)
        self._follow(channel, follower, ticket)
        await self._connection.call(lambda: follower.take(self._device.data(channel)))
        return follower.position()

    async def _look_at(self, channel: int, usable: bool) -> ChannelLook:
        if not usable:
            return ChannelLook(
                channel, connected=False, running=True, marker="", voltage_V=0.0, current_A=0.0
            )
        infos, _ = await self._connection.infos(channel)
        values = await self._connection.call(self._device.values, channel)
        marker = await self._connection.call(self._device.marker, channel)
        return ChannelLook(channel, True, infos.State != ChannelState.STOP, marker, values.Ewe, values.I)

    async def _refuse_if_busy(self, channel: int) -> None:
        if channel in self._followers:
            raise BusyError(f"{self.name} channel {channel} still holds a segment of ours; wait for its end")
        infos, _ = await self._connection.infos(channel)
        if infos.State != ChannelState.STOP:
            raise BusyError(f"{self.name} channel {channel} runs already; stop it first")

    async def _load(self, channel: int, board: BoardType, load: Load) -> None:
        last = len(load.techniques) - 1
        for place, technique in enumerate(load.techniques):
            await self._connection.call(
                self._device.load_technique, channel, board, technique, place == 0, place == last
            )

    def _stop_now(self, channel: int) -> None:
        """Stop the channel (on the library's thread: no fetch sees the stop before it is noted)."""
        self._device.stop(channel)
        if channel in self._followers:
            self._followers[channel].stopped = True

    async def _open_again(self, channel: int) -> str:
        """Stop a channel whose start failed, cancelled or not; return its state in words."""
        stopping = asyncio.create_task(self.stop(channel), name=f"open {self.name} channel {channel}")
        try:
            opened = await asyncio.shield(stopping)
        except SandtimeError as error:
            return f"its state is unknown, it could not be stopped either: {error}"
        return "its circuit is open" if opened.confirmed else "its open circuit is not confirmed: look at it"

    def _compile(self, program: Program) -> Load:
        settings = self._settings
        return compile_load(
            program, capabilities(settings.model), settings.max_techniques, settings.bandwidth
        )

    def _follower(self, channel: int, program: Program, load: Load, resumed: bool) -> Follower:
        board = self._connection.board(channel)
        own_format = board == BoardType.PREMIUM_P
        singles = functools.partial(self._device.singles, board) if own_format else as_singles
        return Follower(channel, program, load, singles, resumed)

    def _follow(self, channel: int, follower: Follower, ticket: Ticket) -> None:
        self._followers[channel] = follower
        self._started_s[channel] = self._clock()
        self._markers[channel] = ticket.marker

    def _fetch_all(self) -> bool:
        more = [self._fetch_or_miss(*item) for item in sorted(self._followers.items())]
        return any(more)

    def _fetch_or_miss(self, channel: int, follower: Follower) -> bool:
        """Fetch; a channel that refuses its data keeps no other channel from being watched."""
        try:
            return self._fetch(channel, follower)
        except (InstrumentError, BusyError) as error:
            if follower.misses == 0:
                log.warning("%s channel %d: no data: %s", self.name, channel, error)
            follower.miss(error)
            return False

    def _fetch(self, channel: int, follower: Follower) -> bool:
        """Take blocks out of a channel's memory (on the library's thread); return whether there are more."""
        for _ in range(BLOCKS_PER_POLL):
            reply = self._device.data(channel)
            follower.take(reply)
            if not follower.expects_more(reply):
                return False
        return True

    def _deliver(self, channel: int, follower: Follower, poll: Poll) -> None:
        poll.spectra.extend(follower.spectra())
        values = follower.values()
        if values is not None:
            poll.values.append(values)
        lost = follower.lost()
        if lost:
            poll.lost_samples[channel] = lost
        end = follower.end() or self._never_ran(channel, follower)
        if end is not None:
            poll.ended[channel] = end
            del self._followers[channel]

    def _never_ran(self, channel: int, follower: Follower) -> SegmentEnd | None:
        waited_s = self._clock() - self._started_s[channel]
        if follower.seen_running or waited_s < self._settings.start_grace_s:
            return None
        message = f"the channel was not seen running within {waited_s:.3g} s of its start"
        return SegmentEnd("fault", follower.position(), message)


def _is_open(values: CurrentValues, current_max_A: float) -> bool:
    """Whether a channel is stopped and carries no current worth the name in its range."""
    stopped = values.State == int(ChannelState.STOP)
    return stopped and abs(float(values.I)) < OPEN_FRACTION * full_scale_A(values.IRange, current_max_A)
