"""The tables of the one SQLite file, as the numbered files in ``migrations/`` make them.

A class is called like what it keeps, so the module is used whole: ``tables.Run``. Values in which nothing is
searched are kept as JSON text of the models in :mod:`protocols.records` and :mod:`protocols.measurements`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlmodel import Field, SQLModel

from protocols import records
from protocols.program import Program

TicketState = Literal["intent", "started", "refused", "ended"]


class Run(SQLModel, table=True):
    """One run; ``info`` holds the whole RunInfo, ``extra`` the texts of the files it was made from."""

    run: int = Field(primary_key=True)
    name: str
    state: str
    info: str
    program: str | None = None
    extra: str = "{}"


class Ticket(SQLModel, table=True):
    """One segment of a run, stored before its start is commanded."""

    run: int = Field(primary_key=True)
    segment: int = Field(primary_key=True)
    digest: str
    program: str
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


class Journal(SQLModel, table=True):
    """The samples of one commit, of all runs (see :mod:`storage.journal`)."""

    id: int = Field(primary_key=True)
    n: int
    crc: int
    runs: bytes
    samples: bytes


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
    program: Program
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
