"""What is known of a laboratory besides its runs: instruments, stations, calibrations, and who did what."""

from __future__ import annotations

from pydantic import Field

from protocols.capabilities import Capabilities
from protocols.frozen import Frozen


class InstrumentIdentity(Frozen):
    """What an instrument says it is. Empty: it does not say."""

    driver: str
    model: str = ""
    serial: str = ""
    firmware: str = ""


class KnownInstrument(Frozen):
    """An instrument that was connected. Another one of the same name, or other firmware, is another entry."""

    name: str
    identity: InstrumentIdentity
    simulated: bool
    capabilities: Capabilities
    """Of its first channel, when it was connected last."""
    first_unix_s: float
    last_unix_s: float
    """When it was connected last."""


class KnownStation(Frozen):
    """A station as it was wired in service.toml."""

    name: str
    instrument: str
    channel: int
    """As printed on the instrument, from 1."""
    chamber: str = ""
    first_unix_s: float
    last_unix_s: float
    """Start of the last daemon that found it wired so."""


class FileVersion(Frozen):
    """One version of a protocol or cell file that a run was made from."""

    digest: str
    """SHA-256 of its content."""
    name: str
    """Of the protocol or cell in it."""
    text: str
    first_unix_s: float
    """When the first run of it was submitted."""
    runs: tuple[int, ...]


class Calibration(Frozen):
    """What a channel showed on a known load (a dummy cell), as a person found it."""

    instrument: str
    channel: int = Field(ge=1)
    """As printed on the instrument, from 1."""
    unix_s: float
    valid_until_unix_s: float | None = None
    """None: no end was given."""
    who: str
    load: str = ""
    """What was connected, in the lab's own words."""
    results: dict[str, float]
    """Names with their SI unit, as ``resistance_ohm``, and values."""
    note: str = ""

    def expired(self, now_unix_s: float) -> bool:
        """Whether it no longer holds."""
        return self.valid_until_unix_s is not None and now_unix_s > self.valid_until_unix_s


class AuditEntry(Frozen):
    """What a person asked for."""

    id: int = 0
    """Given by the store; grows."""
    unix_s: float
    who: str
    """User of the operating system, as the client says; ``api`` if it does not."""
    what: str
    """``submit``, ``stop``, ``pause``, ``resume``, ``acknowledge``, ``calibrate``, …"""
    run: int | None = None
    details: dict[str, object] = {}
    """``error``: why it was not done; the entry before says when it was asked."""
