"""An instrument whose every call comes to an end, whatever its driver does.

Drivers have time-outs of their own, which are shorter and know more. These are the last resort against a
driver that hangs: a call that is so late is cancelled, and the instrument counts as out of contact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from drivers.chamber import Chamber, ChamberReading
from drivers.instrument import ChannelLook, Instrument, OpenCircuit, Poll
from protocols.capabilities import Capabilities
from protocols.errors import UnreachableError
from protocols.laboratory import InstrumentIdentity
from protocols.position import Position
from protocols.program import Program
from protocols.records import Ticket

T = TypeVar("T")

TIMEOUTS_S: dict[str, float] = {
    # A box of 16 channels may load their firmware.
    "connect": 600.0,
    "start": 120.0,
    "look": 120.0,
    "poll": 60.0,
    "stop": 60.0,
    "attach": 60.0,
    "read": 60.0,
    "set_temperature": 60.0,
    "make_safe": 60.0,
    "close": 10.0,
}


async def within(name: str, call: str, timeouts_s: Mapping[str, float], work: Awaitable[T]) -> T:
    """Return what a call brings. Raises UnreachableError if it takes too long."""
    limit_s = timeouts_s[call]
    over = asyncio.timeout(limit_s)
    try:
        async with over:
            return await work
    except TimeoutError as error:
        if not over.expired():
            raise
        raise UnreachableError(
            f"{name} has not come back from `{call}` within {limit_s:g} s; check its power and network"
        ) from error


class BoundedInstrument:
    """See :class:`drivers.instrument.Instrument`."""

    def __init__(self, instrument: Instrument, timeouts_s: Mapping[str, float] = TIMEOUTS_S) -> None:
        self.name = instrument.name
        self.simulated = instrument.simulated
        self._instrument = instrument
        self._timeouts_s = timeouts_s

    async def connect(self) -> None:
        """Connect and identify."""
        await self._within("connect", self._instrument.connect())

    async def close(self) -> None:
        """Let go of the connection; what runs goes on."""
        await self._within("close", self._instrument.close())

    def identity(self) -> InstrumentIdentity:
        """Return what the instrument said it is when it was connected last."""
        return self._instrument.identity()

    def capabilities(self, channel: int) -> Capabilities:
        """Return what the channel can do."""
        return self._instrument.capabilities(channel)

    async def look(self) -> list[ChannelLook]:
        """Look at every channel without touching any."""
        return await self._within("look", self._instrument.look())

    async def poll(self) -> Poll:
        """Fetch what is new."""
        return await self._within("poll", self._instrument.poll())

    async def start(self, channel: int, program: Program, ticket: Ticket) -> None:
        """Load a segment and start it."""
        await self._within("start", self._instrument.start(channel, program, ticket))

    async def stop(self, channel: int) -> OpenCircuit:
        """Open the circuit and read back that it is open."""
        return await self._within("stop", self._instrument.stop(channel))

    async def attach(self, channel: int, program: Program, ticket: Ticket) -> Position | None:
        """Take over a segment that an earlier daemon started."""
        return await self._within("attach", self._instrument.attach(channel, program, ticket))

    async def _within(self, call: str, work: Awaitable[T]) -> T:
        return await within(self.name, call, self._timeouts_s, work)


class BoundedChamber:
    """See :class:`drivers.chamber.Chamber`."""

    def __init__(self, chamber: Chamber, timeouts_s: Mapping[str, float] = TIMEOUTS_S) -> None:
        self.name = chamber.name
        self.simulated = chamber.simulated
        self.temperature_min_K = chamber.temperature_min_K
        self.temperature_max_K = chamber.temperature_max_K
        self.at_host_loss = chamber.at_host_loss
        self._chamber = chamber
        self._timeouts_s = timeouts_s

    async def connect(self) -> None:
        """Make contact."""
        await self._within("connect", self._chamber.connect())

    async def close(self) -> None:
        """Let go of the connection."""
        await self._within("close", self._chamber.close())

    async def read(self) -> ChamberReading:
        """Return what the chamber shows."""
        return await self._within("read", self._chamber.read())

    async def set_temperature(self, kelvin: float) -> None:
        """Hold ``kelvin`` from now on."""
        await self._within("set_temperature", self._chamber.set_temperature(kelvin))

    async def make_safe(self) -> None:
        """Go to the chamber's safe set-point."""
        await self._within("make_safe", self._chamber.make_safe())

    async def _within(self, call: str, work: Awaitable[T]) -> T:
        return await within(self.name, call, self._timeouts_s, work)
