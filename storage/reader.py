"""Reading a data folder, from the daemon or from any other process while the daemon writes.

Only committed rows are seen, and each call sees one state of the store. Reading samples of a sealed run loads
pyarrow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, func, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel, col

from protocols import measurements, records
from protocols.errors import NotFoundError, StorageError
from protocols.measurements import COLUMNS, SAMPLE, SpectrumSummary
from protocols.program import Program
from protocols.records import ENDED, RunInfo
from protocols.verdicts import Verdict
from storage import chunks, journal, parquet, tables
from storage.columns import Columns, of_block
from storage.database import open_reader
from storage.files import identity_of, run_folder, sha256
from storage.run_reader import RunReader, where_archived
from storage.tables import SealedFile, StoredEvent, StoredTicket


class Reader(RunReader):
    """Answers questions about what is stored. Every method raises StorageError if it cannot.

    May be used from any thread; holds nothing open between calls.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine = open_reader(folder)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._folder

    @property
    def identity(self) -> str:
        """Random name of the data folder."""
        return identity_of(self._folder)

    def files_of(self, run: int) -> Path:
        """Return the folder with a run's own files, which need not be there yet."""
        return run_folder(self._folder, run, self.run(run).name)

    def runs(self) -> list[RunInfo]:
        """Return all runs, by number."""
        rows = self._rows(select(col(tables.Run.info)).order_by(col(tables.Run.run)))
        return [RunInfo.model_validate_json(row.info) for row in rows]

    def run(self, run: int) -> RunInfo:
        """Return one run. Raises StorageError if there is none with this number."""
        return RunInfo.model_validate_json(self._run(run).info)

    def has(self, run: int) -> bool:
        """Whether there is a run with this number."""
        return bool(self._rows(select(col(tables.Run.run)).where(col(tables.Run.run) == run)))

    def program(self, run: int) -> Program:
        """Return the program of a run."""
        text = self._run(run).program
        if text is None:
            raise StorageError(f"run {run} in {self._folder} was stored without its program")
        return Program.model_validate_json(text)

    def extra(self, run: int) -> dict[str, str]:
        """Return the texts that were kept with a run."""
        return dict(json.loads(self._run(run).extra))

    def pieces(
        self, run: int, columns: Sequence[str] = COLUMNS, t0: float = -math.inf, t1: float = math.inf
    ) -> Iterator[Columns]:
        """Yield a run's samples piece by piece as they are stored: all pieces that overlap t0 … t1."""
        with self._snapshot() as connection:
            sealed = _sealed(connection, run)
            if sealed is not None:
                yield from parquet.read(self._present(run, sealed.file), columns, t0, t1)
            yield from chunks.read(connection, run, columns, t0, t1)
            for _, grouped in journal.rows_after(connection, chunks.head(connection, run).journal):
                yield of_block(grouped.of(run), columns)

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
            sealed = _sealed(connection, run)
            return _scalar(sealed.last) if sealed is not None and sealed.last else None

    def count(self, run: int) -> int:
        """Return how many samples of a run are stored."""
        with self._snapshot() as connection:
            head = chunks.head(connection, run)
            return head.seq + sum(len(g.of(run)) for _, g in journal.rows_after(connection, head.journal))

    def spectra(self, run: int) -> list[tuple[measurements.Spectrum, SpectrumSummary]]:
        """Return a run's spectra with their summaries, by time."""
        return [
            (
                measurements.Spectrum.model_validate_json(row.spectrum),
                SpectrumSummary.model_validate_json(row.summary),
            )
            for row in self._of_run(tables.Spectrum, run)
        ]

    def half_cycles(self, run: int) -> list[records.HalfCycle]:
        """Return a run's half-cycles, by number."""
        return [
            records.HalfCycle.model_validate_json(row.value) for row in self._of_run(tables.HalfCycle, run)
        ]

    def verdicts(self, run: int) -> list[Verdict]:
        """Return what guards found in a run, by time."""
        return [Verdict.model_validate_json(row.value) for row in self._of_run(tables.Verdict, run)]

    def gaps(self, run: int) -> list[records.Gap]:
        """Return the stretches of a run whose samples are missing, by time."""
        return [records.Gap.model_validate_json(row.value) for row in self._of_run(tables.Gap, run)]

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
        identity = identity_of(self._folder)
        return [
            StoredTicket(
                records.Ticket(run=run, segment=row.segment, program=row.digest, folder=identity),
                Program.model_validate_json(row.program),
                row.state,
                row.offset_s,
                row.anchor_unix_s,
            )
            for row in self._of_run(tables.Ticket, run)
        ]

    def guards(self, run: int) -> tuple[float, dict[str, object]] | None:
        """Return the guards' newest state and the t_s of the sample it was reached with."""
        for row in self._of_run(tables.Guards, run):
            return row.t_s, json.loads(row.state)
        return None

    def results(self, run: int) -> dict[str, object] | None:
        """Return the results of a run, None as long as there are none."""
        for row in self._of_run(tables.Result, run):
            return dict(json.loads(row.value))
        return None

    def sealed(self, run: int) -> SealedFile | None:
        """Return the file that a run was sealed to, None if it was not."""
        with self._snapshot() as connection:
            return _sealed(connection, run)

    def unsealed(self) -> list[int]:
        """Return the runs that have ended and are not sealed."""
        sealed = select(col(tables.Sealed.run))
        query = select(col(tables.Run.run)).where(
            col(tables.Run.state).in_(ENDED), col(tables.Run.run).not_in(sealed)
        )
        return [row.run for row in self._rows(query.order_by(col(tables.Run.run)))]

    def faults(self, run: int) -> list[str]:
        """Return what is damaged in a run's chunks."""
        with self._snapshot() as connection:
            sealed = _sealed(connection, run)
            return chunks.faults(connection, run, 0 if sealed is None else sealed.n)

    def verify(self, run: int) -> list[str]:
        """Check a run's checksums, completeness and order of time; return what is wrong, a sentence each."""
        found = self.faults(run)
        sealed = self.sealed(run)
        if sealed is not None:
            found += self._sealed_faults(sealed)
        with self._snapshot() as connection:
            torn = journal.torn_rows(connection, run)
        found += [f"journal row {row} is damaged: up to {n} samples of this run are lost" for row, n in torn]
        return found or self.disorder(run)

    def _sealed_faults(self, sealed: SealedFile) -> list[str]:
        path = self._folder / sealed.file
        if not path.is_file():
            return [f"{path} is missing: {sealed.n} samples are lost. Restore it from a backup"]
        return [] if sha256(path) == sealed.sha256 else [f"{path} was changed: its checksum differs"]

    def _present(self, run: int, file: str) -> Path:
        """Return the path of a run's file. Raises StorageError that says where it is, if not there."""
        path = self._folder / file
        if not path.is_file():
            raise StorageError(f"{path} is missing: {where_archived(self.run(run))}")
        return path

    def _events(self, query: Select[Any]) -> list[StoredEvent]:
        rows = self._rows(query)
        return [StoredEvent(row.id, row.run, records.Event.model_validate_json(row.value)) for row in rows]

    def _run(self, run: int) -> Row[Any]:
        for row in self._of_run(tables.Run, run):
            return row
        raise NotFoundError(f"there is no run {run} in {self._folder}; `sandtime status` lists the runs")

    def _of_run(self, table: type[SQLModel], run: int) -> Sequence[Row[Any]]:
        keys = inspect(table).primary_key
        return self._rows(select(table).where(keys[0] == run).order_by(*keys))

    def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self._snapshot() as connection:
            return connection.execute(query).all()

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """One state of the store for all queries inside."""
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            raise StorageError(f"{self._folder} cannot be read: {error}. Check the disk.") from error


def _sealed(connection: Connection, run: int) -> SealedFile | None:
    query = select(tables.Sealed).where(col(tables.Sealed.run) == run)
    row = connection.execute(query).one_or_none()
    return None if row is None else SealedFile(run, row.file, row.n, row.sha256, row.last)


def _scalar(raw: bytes) -> np.void:
    sample: np.void = np.frombuffer(raw, dtype=SAMPLE)[0]
    return sample
