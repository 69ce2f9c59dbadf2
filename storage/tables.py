"""The tables of the one SQLite file, as the numbered files in ``migrations/`` make them.

A class is called like what it keeps, so the module is used whole: ``tables.Run``. Values in which nothing is
searched are kept as JSON text of the models in :mod:`protocols.records` and :mod:`protocols.measurements`.
Columns that begin with ``first_`` keep the first value that a row was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlmodel import Field, SQLModel

from protocols import program, records

TicketState = Literal["intent", "started", "refused", "ended"]

FIRST = "first_"
"""How the name of a column begins that keeps its first value."""


class Run(SQLModel, table=True):
    """One run; ``info`` holds the whole RunInfo, ``extra`` the texts of the files it was made from.

    ``program``, ``protocol`` and ``cell`` are digests; None: that is not known.
    """

    run: int = Field(primary_key=True)
    name: str
    state: str
    info: str
    program: str | None = None
    extra: str = "{}"
    protocol: str | None = None
    cell: str | None = None


class Program(SQLModel, table=True):
    """A program, once for all runs and segments that it is of."""

    digest: str = Field(primary_key=True)
    program: str


class Protocol(SQLModel, table=True):
    """One version of a protocol file: its text, and of each file that it includes (JSON, by name)."""

    digest: str = Field(primary_key=True)
    name: str
    text: str
    included: str = "{}"
    first_unix_s: float


class Cell(SQLModel, table=True):
    """One version of a cell file: its text, and what it means in SI (JSON)."""

    digest: str = Field(primary_key=True)
    name: str
    text: str
    value: str
    first_unix_s: float


class Instrument(SQLModel, table=True):
    """An instrument as it was met: another one of the same name, or with other firmware, is another row."""

    name: str = Field(primary_key=True)
    driver: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    serial: str = Field(primary_key=True)
    firmware: str = Field(primary_key=True)
    simulated: bool
    capabilities: str
    first_unix_s: float
    last_unix_s: float


class Station(SQLModel, table=True):
    """A station as it was wired; ``channel`` from 1, ``chamber`` empty if it has none."""

    name: str = Field(primary_key=True)
    instrument: str = Field(primary_key=True)
    channel: int = Field(primary_key=True)
    chamber: str = Field(primary_key=True)
    first_unix_s: float
    last_unix_s: float


class Calibration(SQLModel, table=True):
    """What a channel showed on a known load."""

    id: int = Field(primary_key=True)
    instrument: str
    channel: int
    unix_s: float
    valid_until_unix_s: float | None = None
    who: str
    value: str


class Audit(SQLModel, table=True):
    """What a person asked for."""

    id: int = Field(primary_key=True)
    unix_s: float
    who: str
    what: str
    run: int | None = None
    details: str


class Ticket(SQLModel, table=True):
    """One segment of a run, stored before its start is commanded."""

    run: int = Field(primary_key=True)
    segment: int = Field(primary_key=True)
    digest: str
    state: str
    offset_s: float
    anchor_unix_s: float


class Spectrum(SQLModel, table=True):
    """One impedance spectrum, whole, and its summary."""

    run: int = Field(primary_key=True)
    t_start_s: float = Field(primary_key=True)
    spectrum: str
    summary: str


class HalfCycle(SQLModel, table=True):
    """One plating or stripping."""

    run: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    value: str
    cycle: int | None = None


class Verdict(SQLModel, table=True):
    """What a guard found."""

    run: int = Field(primary_key=True)
    time_s: float = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    value: str


class Gap(SQLModel, table=True):
    """A stretch of run time whose samples are missing."""

    run: int = Field(primary_key=True)
    t_from_s: float = Field(primary_key=True)
    value: str


class Event(SQLModel, table=True):
    """One event. Its number never comes twice and only grows: the cursor of every reader of the outbox."""

    id: int = Field(primary_key=True)
    run: int | None = None
    value: str


class Guards(SQLModel, table=True):
    """The newest state of a run's guards: what it was after the sample at ``t_s``."""

    run: int = Field(primary_key=True)
    t_s: float
    state: str


class Result(SQLModel, table=True):
    """The results of a run."""

    run: int = Field(primary_key=True)
    value: str


class Request(SQLModel, table=True):
    """What a run asked of the queue."""

    run: int = Field(primary_key=True)
    value: str


class Maintenance(SQLModel, table=True):
    """A station or an instrument on which no run starts, unless it is ``over``."""

    name: str = Field(primary_key=True)
    value: str
    over: bool


class Journal(SQLModel, table=True):
    """The samples of one commit, of all runs (see :mod:`storage.journal`)."""

    id: int = Field(primary_key=True)
    n: int
    crc: int
    runs: bytes
    samples: bytes
    codec: int = 0


class Chunk(SQLModel, table=True):
    """A stretch of one run, a blob per column (see :mod:`storage.chunks`).

    ``seq0`` is the run's number of the first sample, ``journal`` the newest journal row that the stretch
    covers: later rows, and only they, hold what the run has besides. ``minutes`` is its roll-up.
    """

    id: int = Field(primary_key=True)
    run: int
    seq0: int
    n: int
    t0_s: float
    t1_s: float
    journal: int
    crc: int
    t_s: bytes
    voltage_V: bytes
    current_A: bytes
    charge_C: bytes
    step: bytes
    visit: bytes
    half_cycle: bytes
    flags: bytes
    codec: int = 0
    minutes: bytes | None = None


class Part(SQLModel, table=True):
    """A Parquet file that holds the run's samples ``first`` … ``first + n − 1``, or ``rows`` of them.

    ``last`` is the raw newest of them, ``journal`` the newest journal row that they cover, ``hours`` their
    roll-up over hours, and ``closes`` says that with it the whole of an ended run is in files.
    """

    run: int = Field(primary_key=True)
    part: int = Field(primary_key=True)
    file: str
    first: int
    n: int
    rows: int
    t0_s: float
    t1_s: float
    sha256: str
    journal: int
    last: bytes
    hours: bytes | None = None
    closes: bool
    sealed_unix_s: float


VERSIONS: frozenset[type[SQLModel]] = frozenset({Program, Protocol, Cell})
"""Tables whose key is the digest of the rest: a row is written once and never changes."""


class Superseded(SQLModel, table=True):
    """A file that another one has taken the place of, and that is to be deleted."""

    file: str = Field(primary_key=True)
    unix_s: float


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that is durable, with its number."""

    id: int
    run: int | None
    event: records.Event


@dataclass(frozen=True, slots=True)
class StoredTicket:
    """A segment of a run as the store knows it."""

    ticket: records.Ticket
    program: program.Program
    """The segment's program."""
    state: TicketState
    offset_s: float
    """Run time (t_s) at the segment's start."""
    anchor_unix_s: float
    """UTC at the segment's start, i.e. at run time ``offset_s``."""


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A part of a run as a Parquet file that was written, synced and read back."""

    run: int
    part: int
    """From 0 in the order of time; of a file that several were merged to, the number of the last."""
    file: str
    """Path relative to the data folder, with forward slashes."""
    first: int
    """Number of its first sample in the run, from 0."""
    n: int
    """Samples that it covers."""
    rows: int
    """Samples that it holds: all of them, or fewer where the protocol's ``record`` says so."""
    t0_s: float
    t1_s: float
    sha256: str
    last: bytes
    """The newest sample, raw (dtype SAMPLE); empty if there is none."""
    hours: bytes = b""
    """Roll-up over hours, packed."""

    @property
    def stop(self) -> int:
        """Number of the first sample after it."""
        return self.first + self.n
