"""The samples of a data folder at one moment: sealed files, and what is only in the database yet.

A sealed file never changes, so its path is enough. What is in chunks and journal is read in one transaction
that stays open as long as the snapshot: a run that is sealed meanwhile is neither missing nor there twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from protocols.errors import StorageError
from protocols.measurements import COLUMNS
from storage import chunks, journal, tables
from storage.columns import Columns, of_block
from storage.database import open_reader


class Snapshot:
    """To be closed, or used as a context. May be used from any thread. Methods raise StorageError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        try:
            self._connection: Connection = open_reader(folder).connect()
            self._connection.begin()
            # SQLite's moment is that of the first read.
            self._connection.exec_driver_sql("SELECT max(version) FROM schema_version").all()
        except SQLAlchemyError as error:
            raise self._unreadable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._connection.close()

    def files(self, run: int | None = None) -> list[tuple[int, Path]]:
        """Return run and path of each sealed file, of one run or of all, each run's in order."""
        query = select(col(tables.Part.run), col(tables.Part.file))
        if run is not None:
            query = query.where(col(tables.Part.run) == run)
        rows = self._rows(query.order_by(col(tables.Part.run), col(tables.Part.first)))
        return [(number, self._folder / file) for number, file in rows]

    def live_runs(self) -> list[int]:
        """Return the runs that have samples in the database."""
        found = {run for (run,) in self._rows(select(col(tables.Chunk.run)).distinct())}
        try:
            with self._lock:
                for _, stored in journal.rows_after(self._connection, 0):
                    found.update(stored.runs())
        except SQLAlchemyError as error:
            raise self._unreadable(error) from error
        return sorted(found)

    def live(self, run: int) -> Iterator[Columns]:
        """Yield a run's samples that are in the database, piece by piece in order."""
        pieces = self._live(run)
        while True:
            # Two scans of one query may take turns on the one connection.
            with self._lock:
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def _live(self, run: int) -> Iterator[Columns]:
        try:
            yield from chunks.read(self._connection, run, COLUMNS, -np.inf, np.inf)
            covered = chunks.head(self._connection, run).journal
            for _, grouped in journal.rows_after(self._connection, covered):
                samples = grouped.of(run)
                if len(samples):
                    yield of_block(samples, COLUMNS)
        except SQLAlchemyError as error:
            raise self._unreadable(error) from error

    def _rows(self, query: Any) -> list[Any]:
        try:
            with self._lock:
                return list(self._connection.execute(query))
        except SQLAlchemyError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: SQLAlchemyError) -> StorageError:
        return StorageError(f"{self._folder} cannot be read: {error}. Check the disk.")
