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
from protocols.records import ENDED, Event
from storage import chunks, journal, parts, tables
from storage.batch import Batch, Row
from storage.damage import plain
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
            for table, row in batch.added:
                connection.execute(insert(table), row)
            _add_past_events(connection, batch.past_events)
            events = [_add_event(connection, run, event) for run, event in batch.events]
            if batch.samples:
                grouped = journal.group(batch.blocks)
                tails.add(connection, journal.append(connection, grouped), grouped)
                tails.write_due(connection)
            tails.write(connection, chunk)
            return events

    def record_seal(self, part: SealedFile, unix_s: float) -> None:
        """Record a run's newest part and delete the chunks that it covers.

        If that was all of an ended run, the run is closed. Raises StorageError if the part does not follow
        the others.
        """
        with self._transaction() as (connection, tails):
            known = parts.of_run(connection, part.run)
            if part not in known:
                journal_row = self._covered(connection, part)
                parts.add(connection, part, journal_row, unix_s)
                chunks.discard(connection, part.run, part.stop)
            is_all = tails.head(connection, part.run).seq == part.stop and not tails.holds(part.run)
            if is_all and _has_ended(connection, part.run):
                parts.close(connection, part)

    def record_merge(self, merged: SealedFile, unix_s: float) -> None:
        """Record a file that neighbouring parts were merged to. Raises StorageError if they changed since."""
        with self._transaction() as (connection, _):
            known = parts.of_run(connection, merged.run)
            group = [part for part in known if merged.first <= part.first and part.stop <= merged.stop]
            told = (sum(part.n for part in group), sum(part.rows for part in group))
            if len(group) < 2 or told != (merged.n, merged.rows):
                raise StorageError(
                    f"{merged.file} does not hold what parts of run {merged.run} hold: they stay as they "
                    "are. See `sandtime verify`."
                )
            parts.replace(connection, group, merged, unix_s)

    def superseded(self, before_unix_s: float) -> list[str]:
        """Return the files that others have taken the place of before a time."""
        with self._transaction() as (connection, _):
            return parts.superseded(connection, before_unix_s)

    def forget(self, files: Sequence[str]) -> None:
        """Forget superseded files that are deleted."""
        with self._transaction() as (connection, _):
            parts.forget(connection, files)

    def _covered(self, connection: Connection, part: SealedFile) -> int:
        """Return the newest journal row that the chunks under a part cover."""
        first, journal_row = parts.head(connection, part.run)
        rows = {span.stop: span.journal for span in chunks.spans(connection, part.run)}
        rows[first] = journal_row
        if part.first != first or part.stop not in rows:
            raise StorageError(
                f"{part.file} covers samples {part.first} to {part.stop - 1} of run {part.run}, which are "
                f"not the next whole chunks in {self._file}: they stay there. Seal the run again."
            )
        return rows[part.stop]

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, Tails]]:
        """All or nothing; what the tails remember goes with a rollback. Raises StorageError."""
        tails, self._tails = self._tails, None
        try:
            with self._engine.begin() as connection:
                tails = tails or Tails(connection)
                yield connection, tails
        except SQLAlchemyError as error:
            otherwise = (
                "cannot be written: {}. What was to be written waits in memory for the next commit. "
                "Make room on the disk, and see that no other program locks the file."
            )
            raise plain(self._file, error, otherwise) from error
        self._tails = tails


def _upsert(connection: Connection, table: type[SQLModel], rows: Sequence[Row]) -> None:
    """Insert rows, or update those columns of the rows that exist."""
    for columns, group in itertools.groupby(sorted(rows, key=len), key=tuple):
        connection.execute(_upsert_statement(table, columns), list(group))


@functools.cache
def _upsert_statement(table: type[SQLModel], columns: tuple[str, ...]) -> Insert:
    keys = [column.name for column in inspect(table).primary_key]
    statement = sqlite_insert(table)
    values = {
        name: statement.excluded[name]
        for name in columns
        if name not in keys and not name.startswith(tables.FIRST)
    }
    if table in tables.VERSIONS:
        return statement.on_conflict_do_nothing(index_elements=keys)
    return statement.on_conflict_do_update(index_elements=keys, set_=values)


def _add_past_events(connection: Connection, events: Sequence[tuple[int, Event]]) -> None:
    if events:
        rows = [{"run": run, "value": event.model_dump_json()} for run, event in events]
        connection.execute(insert(tables.Event), rows)


def _add_event(connection: Connection, run: int | None, event: Event) -> StoredEvent:
    row = {"run": run, "value": event.model_dump_json()}
    result = connection.execute(insert(tables.Event).returning(col(tables.Event.id)), row)
    return StoredEvent(result.scalar_one(), run, event)


def _has_ended(connection: Connection, run: int) -> bool:
    state = connection.execute(select(col(tables.Run.state)).where(col(tables.Run.run) == run)).scalar()
    return state in ENDED
