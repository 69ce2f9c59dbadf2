"""The interface of every instrument. The engine knows this and nothing else of a driver.

All times are the instrument's own, in seconds since the start of the segment that runs on the channel. A
driver never leaves a cell driven by accident: every way out of ``start`` and ``stop`` ends either in the
state that was asked for or in an exception that says in which state the channel is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from protocols.capabilities import Capabilities
from protocols.laboratory import InstrumentIdentity
from protocols.measurements import Block, Spectrum, empty_block
from protocols.position import Position
from protocols.program import Program
from protocols.records import Ticket

SIMULATED_WAIT_S = 2.0
"""Host time after the end of a segment for which the clock of a simulated instrument stands still at most:
its host decides meanwhile what follows, and at high speed hours would pass."""

EndReason = Literal["complete", "limit", "stopped", "fault"]


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """The segment on a channel has ended, and every sample of it has been delivered."""

    reason: EndReason
    """``limit``: a safety limit on board opened the circuit before the program's end."""
    position: Position
    message: str = ""


@dataclass(frozen=True, slots=True)
class ChannelValues:
    """What a channel shows right now (not a sample: may repeat, has no place in the stream)."""

    channel: int
    running: bool
    voltage_V: float
    current_A: float
    sweeping: bool = False
    """Whether an impedance sweep is going on."""


@dataclass(slots=True)
class Poll:
    """What came from an instrument since the last poll."""

    samples: Block = field(default_factory=empty_block)
    """Sorted by channel, then time; each sample once."""
    spectra: list[Spectrum] = field(default_factory=list)
    values: list[ChannelValues] = field(default_factory=list)
    ended: dict[int, SegmentEnd] = field(default_factory=dict)
    lost_samples: dict[int, int] = field(default_factory=dict)
    """Channel → samples that the instrument itself had to drop."""
    more: bool = False
    """The instrument holds more data: poll again at once."""


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """The outcome of a stop."""

    confirmed: bool
    """Read back from the instrument, not assumed."""
    voltage_V: float
    current_A: float
    segment_t_s: float | None = None
    """Instrument time at which the circuit was open, on the segment's clock, if known."""


@dataclass(frozen=True, slots=True)
class ChannelLook:
    """What a look at a channel, without touching it, shows."""

    channel: int
    connected: bool
    running: bool
    marker: str
    """Whose segment it holds (:attr:`Ticket.marker`); empty if unknown or none."""
    voltage_V: float
    current_A: float


class Instrument(Protocol):
    """One device on a bus, with one or more channels. Safe for one task at a time per method and channel."""

    name: str
    simulated: bool
    """Whether the data come from a simulated instrument (marked as such in everything stored)."""

    async def connect(self) -> None:
        """Connect and identify. Touches no channel that runs. Raises UnreachableError, InstrumentError."""

    async def close(self) -> None:
        """Let go of the connection; what runs goes on."""

    def identity(self) -> InstrumentIdentity:
        """Return what the instrument said it is when it was connected last."""

    def capabilities(self, channel: int) -> Capabilities:
        """Return what the channel can do."""

    async def look(self) -> list[ChannelLook]:
        """Look at every channel without touching any."""

    async def poll(self) -> Poll:
        """Fetch what is new of every channel that runs a segment of ours. Raises UnreachableError."""

    async def start(self, channel: int, program: Program, ticket: Ticket) -> None:
        """Load ``program`` (its ``steps``, as left by ``remainder``) with its limits, and start it.

        Raises InstrumentError when refused: the channel is then at open circuit.
        """

    async def stop(self, channel: int) -> OpenCircuit:
        """Open the circuit and read back that it is open."""

    async def attach(self, channel: int, program: Program, ticket: Ticket) -> Position | None:
        """Take over a segment that an earlier daemon started, if this channel holds it, running or ended.

        Returns where it is as far as the instrument tells, or None if the channel does not hold it; None
        never means that it may be started again.
        """
