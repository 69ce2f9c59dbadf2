"""Bringing the schema of a database up to date: the numbered files in ``migrations/``, a transaction each."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from protocols.errors import StorageError
from storage.files import whole_file

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
SPARE_ROOM = 64 << 20
"""Bytes that are left free on the disk beside the copy, for the migration itself."""


def text_digest(text: str | None) -> str | None:
    """Return the SHA-256 of a text, in hexadecimal; None for None."""
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def json_digest(text: str | None) -> str | None:
    """Return the SHA-256 of a JSON text's canonical form, as :meth:`Program.digest` does; None for None."""
    return None if text is None else text_digest(json.dumps(json.loads(text), sort_keys=True))


FUNCTIONS: dict[str, Callable[[str | None], str | None]] = {
    "text_digest": text_digest,
    "json_digest": json_digest,
}
"""What migrations may call besides SQLite's own functions."""


def migrate(raw: sqlite3.Connection, file: Path) -> None:
    """Bring the schema up to date; of a database that holds data, a copy is kept beside it first.

    Killed at any point, the database is whole, at the schema before or after one of the files. Raises
    StorageError for a newer database, and if there is no room for the copy.
    """
    steps = _steps()
    version = schema_version(raw)
    _refuse_newer(version, max(steps), file)
    todo = range(version + 1, max(steps) + 1)
    if version and todo:
        _keep_copy(raw, file, version)
    for name, function in FUNCTIONS.items():
        raw.create_function(name, 1, function, deterministic=True)
    for number in todo:
        script = steps[number].read_text(encoding="utf-8")
        raw.executescript(f"BEGIN IMMEDIATE;\n{script}\nCOMMIT;")


def require_current(raw: sqlite3.Connection, file: Path) -> None:
    """Raise StorageError for a database that is newer than this version, or that awaits its migration."""
    version, newest = schema_version(raw), max(_steps())
    _refuse_newer(version, newest, file)
    if version == 0:
        raise StorageError(
            f"{file} holds nothing without its log, {file.name}-wal, or a daemon has only just made it. Copy "
            "both, or look again in a moment."
        )
    if version < newest:
        raise StorageError(
            f"{file} was written by an older sandtime (schema {version}; this one reads {newest}). "
            "Start the daemon on it once, with `sandtime serve`: it keeps a copy and brings it up to date."
        )


def schema_version(raw: sqlite3.Connection) -> int:
    """Return the number of the newest migration that was applied, 0 for an empty database."""
    named = raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone()
    if named is None:
        return 0
    (version,) = raw.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(version)


def _steps() -> dict[int, Path]:
    return {int(path.name.split("_")[0]): path for path in MIGRATIONS.glob("[0-9]*.sql")}


def _refuse_newer(version: int, newest: int, file: Path) -> None:
    if version > newest:
        raise StorageError(
            f"{file} was written by a newer sandtime (schema {version}; this one knows {newest}). "
            "Install the newer version, or choose another data folder."
        )


def _keep_copy(raw: sqlite3.Connection, file: Path, version: int) -> None:
    """Keep a copy of the database, whole or none, as ``<name>.schema-<version>``. Raises StorageError."""
    path = file.with_name(f"{file.name}.schema-{version}")
    (pages,) = raw.execute("PRAGMA page_count").fetchone()
    (page_size,) = raw.execute("PRAGMA page_size").fetchone()
    needed, free = pages * page_size + SPARE_ROOM, shutil.disk_usage(file.parent).free
    if free < needed:
        raise StorageError(
            f"{file} (schema {version}) has to be brought up to date, and a copy of it is kept before that: "
            f"this needs {needed >> 20} MiB on its disk, where {free >> 20} MiB are free. Nothing was "
            "changed. Make room, or go on with the version of sandtime that wrote it."
        )
    logger.info("%s has schema %d: it is copied to %s, then brought up to date", file, version, path)
    try:
        with whole_file(path) as draft, closing(sqlite3.connect(draft)) as copy:
            raw.backup(copy)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"{path} cannot be written: {error}. Nothing was changed. Check rights and disk; until then go "
            f"on with the version of sandtime that wrote {file}."
        ) from error
