"""SQL over everything that is stored, by DuckDB: read only, and shut off from all other files.

The store is handed to an empty database in memory as tables that are read when they are scanned. After that
DuckDB may open no file, no network and no extension, and its configuration is locked; only one SELECT at a
time is taken. DuckDB is optional (``sandtime[query]``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from protocols.errors import SandtimeError, StorageError, UsageError
from storage.flat import TABLES
from storage.numbering import Numbering
from storage.reader import Reader
from storage.snapshot import Snapshot

TABLE_NAMES = ("samples", *TABLES)
MEMORY = "2GB"
AT_ONCE = 10_000
"""Rows that are fetched at a time."""
SHUT_OFF = (
    "SET temp_directory = ''",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
INSTALL = 'Install it: pip install "sandtime[query]"'


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]
    """In plain values that JSON can hold; to be used up before the query's context ends."""


class Query:
    """Answers questions in SQL about a data folder as it is when this is made. To be closed, or a context.

    Tables: ``runs``, ``half_cycles``, ``spectra``, ``verdicts``, ``gaps``, ``events`` in SI units with the
    unit in the name, and ``samples`` in the columns of sealed files. Raises StorageError.
    """

    def __init__(self, folder: Path) -> None:
        self._duckdb = _duckdb()
        self._failure: SandtimeError | None = None
        """What went wrong while a table was read: DuckDB hands it on as a text only."""
        self._snapshot = Snapshot(folder)
        try:
            self._reader = Reader(folder)
            threads = max(1, (os.cpu_count() or 1) // 2)  # a daemon may measure on this machine
            self._database = self._duckdb.connect(
                ":memory:", config={"threads": threads, "memory_limit": MEMORY}
            )
            self._hand_over()
        except BaseException:
            self._snapshot.close()
            raise

    def __enter__(self) -> Query:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store."""
        self._database.close()
        self._snapshot.close()

    def ask(self, sql: str) -> Answer:
        """Return the answer to one SELECT. Raises UsageError for anything else, and for what is no SQL."""
        errors = self._duckdb.Error
        try:
            self._require_select(sql)
            result = self._database.execute(sql)
        except errors as error:
            raise self._plain(error) from error
        columns = [name for name, *_ in result.description]
        return Answer(columns, self._rows(result))

    def _require_select(self, sql: str) -> None:
        statements = self._duckdb.extract_statements(sql)
        select = self._duckdb.StatementType.SELECT
        if len(statements) != 1 or statements[0].type != select:
            raise UsageError(
                "only one question at a time is answered, and nothing is changed: write one SELECT "
                "(or DESCRIBE, SUMMARIZE, SHOW TABLES)"
            )

    def _rows(self, result: Any) -> Iterator[tuple[Any, ...]]:
        try:
            while rows := result.fetchmany(AT_ONCE):
                for row in rows:
                    yield tuple(map(_json_ready, row))
        except self._duckdb.Error as error:
            raise self._plain(error) from error

    def _plain(self, error: Exception) -> SandtimeError:
        """Return DuckDB's error as one of ours: what was asked was wrong, or it could not be answered."""
        if self._failure is not None:
            return self._failure
        text = str(error)
        if isinstance(error, self._duckdb.OutOfMemoryException):
            return StorageError(
                f"the answer needs more memory than {MEMORY}: ask for less at a time. ({text})"
            )
        asked = (self._duckdb.ProgrammingError, self._duckdb.DataError, self._duckdb.PermissionException)
        if isinstance(error, asked):
            return UsageError(
                f"{text}\nTables: {', '.join(TABLE_NAMES)}; `DESCRIBE samples` names the columns."
            )
        return StorageError(f"the query cannot be answered: {text}")

    def _hand_over(self) -> None:
        """Make the tables, then shut everything else off."""
        from storage import arrow

        runs = [info.run for info in self._reader.runs()]
        for name in TABLES:
            self._register(name, arrow.flat_schema(name), self._flat(name, runs))
        self._database.register("sealed_samples", arrow.sealed(self._snapshot.files()))
        parts = ["SELECT * FROM sealed_samples"]
        for run in self._snapshot.live_runs():
            self._register(f"live_{run}", arrow.SAMPLES, self._live(run))
            # The number stands in the SQL, so that a filter on it leaves the other runs unread.
            parts.append(f"SELECT {run}::BIGINT AS run, * FROM live_{run}")  # noqa: S608 - a number of ours
        self._database.execute(f"CREATE VIEW samples AS {' UNION ALL '.join(parts)}")
        for statement in SHUT_OFF:
            self._database.execute(statement)

    def _register(self, name: str, schema: Any, batches: Callable[[], Iterator[Any]]) -> None:
        self._database.register(name, _Lazy(schema, lambda: self._watched(batches)))

    def _watched(self, batches: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        try:
            yield from batches()
        except SandtimeError as error:
            self._failure = error
            raise

    def _flat(self, name: str, runs: Sequence[int]) -> Callable[[], Iterator[Any]]:
        from storage import arrow

        def batches() -> Iterator[Any]:
            rows = (row for run in runs for row in TABLES[name].rows(self._reader, run))
            return iter(arrow.flat_table(name, rows).to_batches())

        return batches

    def _live(self, run: int) -> Callable[[], Iterator[Any]]:
        from storage import arrow

        def batches() -> Iterator[Any]:
            before = self._snapshot.files(run)
            program, clock = self._reader.program(run), self._reader.clock(run)
            numbering = Numbering(program, clock, before[-1][1] if before else None)
            return arrow.batches(numbering, self._snapshot.live(run))

        return batches


class _Lazy:
    """A table whose rows are made anew for each scan (the Arrow PyCapsule interface)."""

    def __init__(self, schema: Any, batches: Callable[[], Iterator[Any]]) -> None:
        self._schema = schema
        self._batches = batches

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import pyarrow

        stream = pyarrow.RecordBatchReader.from_batches(self._schema, self._batches())
        return stream.__arrow_c_stream__(requested_schema)


def _duckdb() -> ModuleType:
    try:
        import duckdb
    except ImportError as error:
        raise StorageError(f"queries need DuckDB, which is not installed here. {INSTALL}") from error
    return duckdb


def _json_ready(value: Any) -> Any:
    """Return a value of a row as JSON has it: times as ISO 8601, no NaN, no infinity."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return float(value)
        case datetime():
            return value.isoformat()
        case list() | tuple():
            return [_json_ready(item) for item in value]
        case dict():
            return {str(key): _json_ready(item) for key, item in value.items()}
        case _:
            return str(value)
