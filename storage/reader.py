"""Reading a data folder, from the daemon or from any other process while the daemon writes.

Only committed rows are seen, and each call sees one state of the store. Reading samples of a sealed run loads
pyarrow.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from sqlalchemy import ColumnClause, Connection, Row, Select, column, exists, func, inspect, select, table
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel, col

from protocols import measurements, records
from protocols.errors import NotFoundError, StorageError
from protocols.measurements import COLUMNS, SAMPLE, Block, SpectrumSummary
from protocols.program import Program
from protocols.records import ENDED, RunInfo
from protocols.verdicts import Verdict
from storage import chunks, journal, overview, parquet, parts, tables
from storage.catalogue import Catalogue
from storage.columns import Columns, of_block
from storage.damage import ADVICE, plain
from storage.database import DATABASE, open_reader
from storage.files import identity_of, run_folder, sha256
from storage.run_reader import RunReader, where_archived
from storage.tables import SealedFile, StoredEvent, StoredTicket

M = TypeVar("M", bound=BaseModel)

_TICKETS = select(tables.Ticket, col(tables.Program.program)).join(
    tables.Program, col(tables.Ticket.digest) == col(tables.Program.digest)
)


class Reader(RunReader):
    """Answers questions about what is stored. Every method raises StorageError if it cannot.

    May be used from any thread; holds nothing open between calls.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine = open_reader(folder)
        self.catalogue = Catalogue(self._rows)
        """Instruments, stations, versions of files, calibrations, audit."""

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._folder

    @property
    def identity(self) -> str:
        """Random name of the data folder."""
        return identity_of(self._folder)

    def folder_of(self, run: int) -> Path:
        """Return the folder for a run's own files, which need not be there."""
        return run_folder(self._folder, run, self.run(run).name)

    def runs(self) -> list[RunInfo]:
        """Return all runs, by number."""
        rows = self._rows(select(col(tables.Run.info)).order_by(col(tables.Run.run)))
        return [_parsed(RunInfo, row.info) for row in rows]

    def going_on(self) -> list[int]:
        """Return the numbers of the runs that have not ended."""
        query = select(col(tables.Run.run)).where(col(tables.Run.state).not_in(ENDED))
        return [row.run for row in self._rows(query.order_by(col(tables.Run.run)))]

    def run(self, run: int) -> RunInfo:
        """Return one run. Raises StorageError if there is none with this number."""
        return _parsed(RunInfo, self._run(run).info)

    def has(self, run: int) -> bool:
        """Whether there is a run with this number."""
        return bool(self._rows(select(col(tables.Run.run)).where(col(tables.Run.run) == run)))

    def program(self, run: int) -> Program:
        """Return the program of a run."""
        self._run(run)
        query = select(col(tables.Program.program)).join(
            tables.Run, col(tables.Run.program) == col(tables.Program.digest)
        )
        for row in self._rows(query.where(col(tables.Run.run) == run)):
            return program_of(row.program)
        raise StorageError(f"run {run} in {self._folder} was stored without its program")

    def earlier_program(self, run: int, digest: str) -> Program:
        """Return a program that a run had before it was edited."""
        table = tables.Program
        for row in self._rows(select(col(table.program)).where(col(table.digest) == digest)):
            return program_of(row.program)
        raise StorageError(f"run {run} in {self._folder} was stored without a program that it had before")

    def extra(self, run: int) -> dict[str, str]:
        """Return the texts that were kept with a run."""
        return dict(_plain_json(self._run(run).extra))

    def pieces(
        self, run: int, columns: Sequence[str] = COLUMNS, t0: float = -math.inf, t1: float = math.inf
    ) -> Iterator[Columns]:
        """Yield a run's samples piece by piece as they are stored: all pieces that overlap t0 … t1."""
        with self._snapshot() as connection:
            for part in parts.of_run(connection, run):
                if part.t0_s <= t1 and part.t1_s >= t0:
                    yield from parquet.read(self._present(run, part.file), columns, t0, t1)
            yield from chunks.read(connection, run, columns, t0, t1)
            for block in self._in_journal(connection, run):
                yield of_block(block, columns)

    def overview(
        self, run: int, points: int = 2000, t0: float | None = None, t1: float | None = None
    ) -> Columns:
        """Return a run between two run times as at most so many points, for plots.

        ``t_s``, ``n`` (samples that a point stands for), ``voltage_min_V``, ``voltage_mean_V``,
        ``voltage_max_V``, ``current_min_A``, ``current_mean_A``, ``current_max_A``, ``charge_C`` (of the
        last sample). Made from roll-ups if the run is long: the ends may then reach an hour further.
        """
        start, stop = -math.inf if t0 is None else t0, math.inf if t1 is None else t1
        with self._snapshot() as connection:
            return overview.of_run(connection, self._folder, run, points, start, stop)

    def last_sample(self, run: int) -> np.void | None:
        """Return the newest sample of a run (dtype SAMPLE), None if it has none. Never loads pyarrow."""
        with self._snapshot() as connection:
            covered = chunks.head(connection, run).journal
            for _, grouped in journal.rows_after(connection, covered, newest_first=True):
                samples = grouped.of(run)
                if len(samples):
                    return _scalar(samples[-1:].tobytes())
            newest = chunks.newest(connection, run)
            if newest is not None:
                return newest
            sealed = parts.of_run(connection, run)
            return _scalar(sealed[-1].last) if sealed and sealed[-1].last else None

    def count(self, run: int) -> int:
        """Return how many samples of a run were stored, with those that sealing did not keep."""
        with self._snapshot() as connection:
            head = self._head(connection, run)
            return head.seq + sum(map(len, self._in_journal(connection, run)))

    def spectra(self, run: int) -> list[tuple[measurements.Spectrum, SpectrumSummary]]:
        """Return a run's spectra with their summaries, by time."""
        return [
            (
                _parsed(measurements.Spectrum, row.spectrum),
                _parsed(SpectrumSummary, row.summary),
            )
            for row in self._of_run(tables.Spectrum, run)
        ]

    def spectra_after(self, run: int, t_s: float) -> list[tuple[measurements.Spectrum, SpectrumSummary]]:
        """Return a run's spectra that ended after a run time, by time: without a look at the earlier ones."""
        row = tables.Spectrum
        query = select(row).where(col(row.run) == run).order_by(col(row.t_start_s).desc())
        found = []
        with self._snapshot() as connection:
            for stored in connection.execute(query):
                spectrum = _parsed(measurements.Spectrum, stored.spectrum)
                if spectrum.t_end_s <= t_s:
                    break
                found.append((spectrum, _parsed(SpectrumSummary, stored.summary)))
        return found[::-1]

    def last_half_cycle(self, run: int) -> int:
        """Return the number of the last half-cycle that is stored of a run, −1 if none is."""
        number = func.max(col(tables.HalfCycle.number)).label("number")
        (row,) = self._rows(select(number).where(col(tables.HalfCycle.run) == run))
        return -1 if row.number is None else int(row.number)

    def half_cycles(self, run: int) -> list[records.HalfCycle]:
        """Return a run's half-cycles, by number."""
        return [_parsed(records.HalfCycle, row.value) for row in self._of_run(tables.HalfCycle, run)]

    def cycles(self, run: int) -> list[records.Cycle]:
        """Return a run's cycles, each the sum of its closed half-cycles, by number."""
        columns: list[ColumnClause[float]] = [column(name) for name in records.Cycle.model_fields]
        query = select(*columns).select_from(table("cycle")).where(column("run") == run)
        return [records.Cycle.model_validate(r._asdict()) for r in self._rows(query.order_by("number"))]

    def verdicts(self, run: int) -> list[Verdict]:
        """Return what guards found in a run, by time."""
        return [_parsed(Verdict, row.value) for row in self._of_run(tables.Verdict, run)]

    def gaps(self, run: int) -> list[records.Gap]:
        """Return the stretches of a run whose samples are missing, by time."""
        return [_parsed(records.Gap, row.value) for row in self._of_run(tables.Gap, run)]

    def events(self, run: int | None = None, after_id: int = 0, limit: int = 1000) -> list[StoredEvent]:
        """Return the oldest ``limit`` events after ``after_id``, of one run or (None) of everything."""
        query = select(tables.Event).where(col(tables.Event.id) > after_id)
        if run is not None:
            query = query.where(col(tables.Event.run) == run)
        return self._events(query.order_by(col(tables.Event.id)).limit(limit))

    def events_of(self, run: int, kind: str | None = None) -> list[StoredEvent]:
        """Return all events of a run, of one kind or (None) of every, the oldest first."""
        query = select(tables.Event).where(col(tables.Event.run) == run)
        if kind is not None:
            query = query.where(func.json_extract(col(tables.Event.value), "$.kind") == kind)
        return self._events(query.order_by(col(tables.Event.id)))

    def tickets(self, run: int) -> list[StoredTicket]:
        """Return a run's segments, by number."""
        query = _TICKETS.where(col(tables.Ticket.run) == run).order_by(col(tables.Ticket.segment))
        return [self._ticket(row, program_of(row.program)) for row in self._rows(query)]

    def last_ticket(self, run: int) -> StoredTicket | None:
        """Return a run's newest segment, None before its first: without a look at the earlier ones."""
        query = _TICKETS.where(col(tables.Ticket.run) == run).order_by(col(tables.Ticket.segment).desc())
        for row in self._rows(query.limit(1)):
            return self._ticket(row, program_of(row.program))
        return None

    def _ticket(self, row: Row[Any], program: Program) -> StoredTicket:
        ticket = records.Ticket(run=row.run, segment=row.segment, program=row.digest, folder=self.identity)
        return StoredTicket(ticket, program, row.state, row.offset_s, row.anchor_unix_s)

    def guards(self, run: int) -> tuple[float, dict[str, object]] | None:
        """Return the guards' newest state and the t_s of the sample it was reached with."""
        for row in self._of_run(tables.Guards, run):
            return row.t_s, _plain_json(row.state)
        return None

    def results(self, run: int) -> dict[str, object] | None:
        """Return the results of a run, None as long as there are none."""
        for row in self._of_run(tables.Result, run):
            return dict(_plain_json(row.value))
        return None

    def parts(self, run: int) -> list[SealedFile]:
        """Return the files that hold what is sealed of a run, in order."""
        with self._snapshot() as connection:
            return parts.of_run(connection, run)

    def chunk_spans(self, run: int) -> list[chunks.Span]:
        """Return what each chunk of a run covers, in order."""
        with self._snapshot() as connection:
            return chunks.spans(connection, run)

    def chunk_times(self, run: int) -> tuple[float, float] | None:
        """Return the run times between which a run's chunks lie, None without any. Takes no time."""
        with self._snapshot() as connection:
            return chunks.times(connection, run)

    def chunk_samples(self, run: int, first: int, stop: int) -> list[Columns]:
        """Return the chunks of a run that begin with one of the samples ``first`` … ``stop`` − 1."""
        with self._snapshot() as connection:
            return list(chunks.read_numbered(connection, run, COLUMNS, first, stop))

    def is_sealed(self, run: int) -> bool:
        """Whether a run has ended and all its samples are in files."""
        return self.run(run).state in ENDED and run not in self.unsealed()

    def unsealed(self) -> list[int]:
        """Return the runs that have ended and are not all in files."""
        run = col(tables.Run.run)
        in_files = exists().where(col(tables.Part.run) == run, col(tables.Part.closes))
        in_chunks = exists().where(col(tables.Chunk.run) == run)
        ended = select(run).where(col(tables.Run.state).in_(ENDED), ~in_files | in_chunks)
        return [row.run for row in self._rows(ended.order_by(run))]

    def ended_in_parts(self) -> list[int]:
        """Return the runs that have ended and have more than one file."""
        run = col(tables.Part.run)
        several = select(run).group_by(run).having(func.count() > 1)
        query = select(col(tables.Run.run)).where(
            col(tables.Run.state).in_(ENDED), col(tables.Run.run).in_(several)
        )
        return [row.run for row in self._rows(query.order_by(col(tables.Run.run)))]

    def faults(self, run: int) -> list[str]:
        """Return what is damaged in a run's chunks."""
        with self._snapshot() as connection:
            return chunks.faults(connection, run, parts.head(connection, run)[0])

    def verify(self, run: int) -> list[str]:
        """Check a run's checksums, completeness and order of time; return what is wrong, a sentence each."""
        found = self.faults(run)
        found += self._sealed_faults(self.parts(run))
        with self._snapshot() as connection:
            torn = journal.torn_rows(connection, run)
        found += [f"journal row {row} is damaged: up to {n} samples of this run are lost" for row, n in torn]
        return found or self.disorder(run)

    def _sealed_faults(self, sealed: Sequence[SealedFile]) -> list[str]:
        found = []
        first = 0
        for part in sealed:
            path = self._folder / part.file
            if part.first != first:
                found.append(f"samples {first} to {part.first - 1} are in no file")
            if not path.is_file():
                found.append(f"{path} is missing: {part.rows} samples are lost. Restore it from a backup")
            elif sha256(path) != part.sha256:
                found.append(f"{path} was changed: its checksum differs")
            first = part.stop
        return found

    def _present(self, run: int, file: str) -> Path:
        """Return the path of a run's file. Raises StorageError that says where it is, if not there."""
        path = self._folder / file
        if not path.is_file():
            raise StorageError(f"{path} is missing: {where_archived(self.run(run))}")
        return path

    def _in_journal(self, connection: Connection, run: int) -> Iterator[Block]:
        """Yield the samples of a run that only the journal holds, in order."""
        for _, grouped in journal.rows_after(connection, self._head(connection, run).journal):
            yield grouped.of(run)

    def _head(self, connection: Connection, run: int) -> chunks.Head:
        """Return how far what is not in the journal reaches."""
        return chunks.head(connection, run)

    def _events(self, query: Select[Any]) -> list[StoredEvent]:
        rows = self._rows(query)
        return [StoredEvent(row.id, row.run, _parsed(records.Event, row.value)) for row in rows]

    def _run(self, run: int) -> Row[Any]:
        for row in self._of_run(tables.Run, run):
            return row
        raise NotFoundError(f"there is no run {run} in {self._folder}; `sandtime status` lists the runs")

    def _of_run(self, model: type[SQLModel], run: int) -> Sequence[Row[Any]]:
        keys = self._keys(model)
        return self._rows(select(model).where(keys[0] == run).order_by(*keys))

    @staticmethod
    def _keys(model: type[SQLModel]) -> tuple[Any, ...]:
        return tuple(inspect(model).primary_key)

    def _rows(self, query: Select[*tuple[Any, ...]]) -> Sequence[Row[Any]]:
        with self._snapshot() as connection:
            return connection.execute(query).all()

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """One state of the store for all queries inside."""
        try:
            with self._connection() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise plain(self._folder / DATABASE, error, "cannot be read: {}. Check the disk.") from error

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection


@functools.lru_cache(maxsize=16)
def program_of(text: str) -> Program:
    """Return a program; a run's and its segment's are often the same, and take milliseconds to read."""
    return _parsed(Program, text)


def _plain_json(text: str) -> Any:
    """Return a stored value that has no model. Raises StorageError if its text is damaged."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise StorageError(f"a stored value is damaged: {error} in {text!r:.80}. {ADVICE}") from error


def _parsed(model: type[M], text: str) -> M:
    """Return a stored value. Raises StorageError if its text is damaged."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise StorageError(
            f"a stored {model.__name__} is damaged: {error.errors()[0]['msg']} in {text!r:.80}. {ADVICE}"
        ) from error


def _scalar(raw: bytes) -> np.void:
    sample: np.void = np.frombuffer(raw, dtype=SAMPLE)[0]
    return sample
