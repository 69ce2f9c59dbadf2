"""The only connection that writes. Everything here runs on the store's one writer thread."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, func, insert, inspect, select
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel, col

from protocols.errors import StorageError
from protocols.records import Event
from storage import chunks, journal, tables
from storage.batch import Batch, Row
from storage.database import DATABASE, open_writer
from storage.tables import SealedFile, StoredEvent
from storage.tails import Tails


class Writer:
    """Writes batches, each in one transaction."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / DATABASE
        self._engine = open_writer(folder)
        self._tails: Tails | None = None

    def close(self) -> None:
        """Close the connection; SQLite then folds its write-ahead log into the file."""
        self._engine.dispose()

    def last_run(self) -> int:
        """Return the highest run number that is stored, 0 if there is none."""
        with self._transaction() as (connection, _):
            return connection.execute(select(func.max(col(tables.Run.run)))).scalar() or 0

    def write(self, batch: Batch, chunk: Sequence[int] = ()) -> list[StoredEvent]:
        """Write a batch; samples of the runs in ``chunk`` all go to chunks. Returns its events, numbered."""
        with self._transaction() as (connection, tails):
            for table, rows in batch.rows.items():
                _upsert(connection, table, list(rows.values()))
            _add_past_events(connection, batch.past_events)
            events = [_add_event(connection, run, event) for run, event in batch.events]
            if batch.samples:
                grouped = journal.group(batch.blocks)
                tails.add(connection, journal.append(connection, grouped), grouped)
                tails.write_due(connection)
            tails.write(connection, chunk)
            return events

    def record_seal(self, sealed: SealedFile, unix_s: float) -> None:
        """Record a run's Parquet file, delete its chunks. Raises StorageError if it has samples besides."""
        with self._transaction() as (connection, tails):
            head = tails.head(connection, sealed.run)
            if head.seq != sealed.n or tails.holds(sealed.run):
                raise StorageError(
                    f"run {sealed.run} got samples while it was sealed: it stays in {self._file}. "
                    "Seal it again when it has ended."
                )
            row: Row = {
                "run": sealed.run,
                "file": sealed.file,
                "n": sealed.n,
                "sha256": sealed.sha256,
                "journal": head.journal,
                "last": sealed.last,
                "sealed_unix_s": unix_s,
            }
            _upsert(connection, tables.Sealed, [row])
            chunks.discard(connection, sealed.run)

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, Tails]]:
        """All or nothing; what the tails remember goes with a rollback. Raises StorageError."""
        tails, self._tails = self._tails, None
        try:
            with self._engine.begin() as connection:
                tails = tails or Tails(connection)
                yield connection, tails
        except SQLAlchemyError as error:
            raise StorageError(
                f"{self._file} cannot be written: {error.args[0]}. What was to be written waits in memory "
                "for the next commit. Make room on the disk, and see that no other program locks the file."
            ) from error
        self._tails = tails


def _upsert(connection: Connection, table: type[SQLModel], rows: Sequence[Row]) -> None:
    """Insert rows, or update those columns of the rows that exist."""
    for columns, group in itertools.groupby(sorted(rows, key=len), key=tuple):
        connection.execute(_upsert_statement(table, columns), list(group))


@functools.cache
def _upsert_statement(table: type[SQLModel], columns: tuple[str, ...]) -> Insert:
    keys = [column.name for column in inspect(table).primary_key]
    statement = sqlite_insert(table)
    values = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=values)


def _add_past_events(connection: Connection, events: Sequence[tuple[int, Event]]) -> None:
    if events:
        rows = [{"run": run, "value": event.model_dump_json()} for run, event in events]
        connection.execute(insert(tables.Event), rows)


def _add_event(connection: Connection, run: int | None, event: Event) -> StoredEvent:
    row = {"run": run, "value": event.model_dump_json()}
    result = connection.execute(insert(tables.Event).returning(col(tables.Event.id)), row)
    return StoredEvent(result.scalar_one(), run, event)
