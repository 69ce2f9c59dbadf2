"""Damaged and missing files of a data folder: what is said of them. Nothing is ever written over them.

SQLite itself finds a damaged or shortened database. What it takes for a new or an older one, and would go on
from, is found here: a database that is gone or empty, and a write-ahead log that is gone or damaged.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from protocols.errors import StorageError
from storage.files import IDENTITY, sync_folder, whole_file
from storage.writeahead import loses_commits

logger = logging.getLogger(__name__)

IN_USE = "sandtime.in_use"
"""File that is there from the opening of the database to its closing, after which there is no log."""

SMALLEST_PAGE = 512

ADVICE = (
    "Nothing was changed. Copy the whole folder before you do anything else; "
    "docs/damaged_data.md says how to go on."
)
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def plain(file: Path, error: sqlite3.Error | SQLAlchemyError, otherwise: str) -> StorageError:
    """Return SQLite's error in plain words; ``otherwise`` says what to do if the file is not damaged."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
        return StorageError(f"{file} is damaged: {cause}. {ADVICE}")
    return StorageError(f"{file} {otherwise.format(cause)}")


def refuse_lost(file: Path) -> None:
    """Raise StorageError if a database, or what was committed to it last, is gone. For who will write."""
    refuse_missing(file)
    log = _log(file)
    if log.exists() and loses_commits(log):
        raise StorageError(
            f"{log} is damaged in the middle: what was stored after that place would be lost. {ADVICE}"
        )


def refuse_missing(file: Path) -> None:
    """Raise StorageError if a database or its log should be there and is not."""
    folder, log = file.parent, _log(file)
    if (folder / IDENTITY).exists() and not _is_begun(file):
        what = "is empty" if file.exists() else "is missing"
        raise StorageError(
            f"{file} {what}, but this folder has held data: a new one would hide that. {ADVICE} "
            "To begin anew, choose another folder."
        )
    if (folder / IN_USE).exists() and not log.exists():
        raise StorageError(
            f"{log} is missing. The last daemon did not close its database, so what it stored last was in "
            f"that file. {ADVICE} If another program has opened the database since, it has put the file's "
            f"content into the database and nothing is lost; then, or if the file is lost for good, delete "
            f"{folder / IN_USE} and start again."
        )


def tell_missing(file: Path) -> None:
    """Log what is missing, for who only reads, and may have what is there. Raises if the file is empty."""
    try:
        refuse_missing(file)
    except StorageError as error:
        if not _is_begun(file):
            raise
        logger.warning("%s", error)


def _is_begun(file: Path) -> bool:
    """Whether a file holds at least the smallest page: SQLite may write over a shorter one."""
    return file.exists() and file.stat().st_size >= SMALLEST_PAGE


def _log(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def mark_in_use(folder: Path) -> None:
    """Say that the database is open and its log is there."""
    # The log's name first: a power cut must not leave the mark without it.
    sync_folder(folder)
    with whole_file(folder / IN_USE) as draft:
        draft.write_text(f"{os.getpid()}\n", encoding="utf-8")


def mark_closed(folder: Path) -> None:
    """Say that the database is about to be closed, which removes its log."""
    (folder / IN_USE).unlink(missing_ok=True)
    sync_folder(folder)
