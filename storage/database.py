"""Opening the SQLite file: one connection that writes, any number that only read; migrations."""

from __future__ import annotations

import functools
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, StaticPool

from protocols.errors import StorageError
from storage.damage import plain, tell_missing
from storage.migrate import migrate, require_current

logger = logging.getLogger(__name__)

DATABASE = "sandtime.sqlite"
BUSY_TIMEOUT_S = 5.0
PAGE_BYTES = 2048
"""A commit rewrites a few pages whole: small ones make it short."""
LOG_BYTES = 64 << 20
"""Length at which the write-ahead log is folded into the file; pages rewritten meanwhile go there once."""
SAFE_SQLITE = (3, 51, 3)


def open_writer(folder: Path) -> Engine:
    """Open the database of a folder for writing, make or migrate it, and return an engine on one connection.

    To be called and used on one thread only. Raises StorageError.
    """
    file = folder / DATABASE
    _tell_old_sqlite()
    try:
        raw = sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise plain(file, error, "cannot be opened: {}. Check rights and disk.") from error
    try:
        _set_up(raw)
        migrate(raw, file)
    except sqlite3.Error as error:
        raw.close()
        raise plain(file, error, "cannot be made ready: {}. Check rights and disk.") from error
    except StorageError:
        raw.close()
        raise
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    event.listen(engine, "begin", functools.partial(_begin, statement="BEGIN IMMEDIATE"))
    return engine


def open_reader(folder: Path) -> Engine:
    """Return an engine that opens the database read-only, anew for each session.

    Raises StorageError, also for a database that is not of this version.
    """
    file = folder / DATABASE
    if not file.is_file():
        raise StorageError(f"{folder} holds no sandtime data ({DATABASE} is missing). Check the path.")
    tell_missing(file)
    address = f"{file.resolve().as_uri()}?mode=ro"

    def connect() -> sqlite3.Connection:
        # A generator over samples that is left half-read may be closed by any thread.
        raw = sqlite3.connect(
            address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        raw.execute("PRAGMA wal_autocheckpoint = 0")
        return raw

    _require_current(connect, file)
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    event.listen(engine, "begin", functools.partial(_begin, statement="BEGIN"))
    return engine


def _require_current(connect: Callable[[], sqlite3.Connection], file: Path) -> None:
    try:
        with closing(connect()) as raw:
            require_current(raw, file)
    except sqlite3.Error as error:
        raise plain(file, error, "cannot be read: {}. Check the disk.") from error


def _set_up(raw: sqlite3.Connection) -> None:
    # The page size only takes effect on a new file, before it becomes a WAL database.
    raw.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    (page_bytes,) = raw.execute("PRAGMA page_size").fetchone()
    raw.execute(f"PRAGMA wal_autocheckpoint = {LOG_BYTES // page_bytes}")


def _begin(connection: Connection, statement: str) -> None:
    # sqlite3 itself begins no transaction for a SELECT, so one query could see two states of the store.
    connection.exec_driver_sql(statement)


@functools.cache
def _tell_old_sqlite() -> None:
    """Say once that SQLite before 3.51.3 must not have two writers (sqlite.org: WAL-reset bug)."""
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        logger.info(
            "SQLite %s is older than 3.51.3: sandtime writes by one connection only, and no other program "
            "may write to %s",
            sqlite3.sqlite_version,
            DATABASE,
        )
