"""Saves what can be read of a damaged database into a new data folder. The damaged one is only read."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from protocols.errors import StorageError
from storage.database import DATABASE
from storage.files import IDENTITY, RUNS
from storage.migrate import MIGRATIONS


@dataclass(slots=True)
class Salvaged:
    """What was saved."""

    rows: dict[str, int] = field(default_factory=dict)
    """Table → number of rows."""
    incomplete: list[str] = field(default_factory=list)
    """Tables of which something could not be read."""


def salvage(folder: Path, to: Path) -> Salvaged:
    """Copy a data folder, of its database every row that can be read.

    Raises StorageError if ``to`` exists, or if not even the list of tables can be read.
    """
    file = folder / DATABASE
    if to.exists():
        raise StorageError(f"{to} exists already. Choose a folder that does not.")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as old:
            # SQLite refuses a file that is cut off, except to those who may mend it.
            old.execute("PRAGMA writable_schema = 1")
            schema = old.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            to.mkdir(parents=True)
            with closing(sqlite3.connect(to / DATABASE)) as new, new:
                saved = _copy(old, new, [row for row in schema if not row[1].startswith("sqlite_")])
    except sqlite3.Error as error:
        raise StorageError(
            f"nothing can be read of {file}: {error}. What is sealed is in {folder / RUNS}, a file each."
        ) from error
    _copy_files(folder, to)
    return saved


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, schema: list[tuple[str, str, str]]) -> Salvaged:
    # Tables first: indices and views name them.
    for _, _, sql in sorted(schema, key=lambda row: row[0] != "table"):
        new.execute(sql)
    saved = Salvaged()
    for name in (name for kind, name, _ in schema if kind == "table"):
        rows = 0
        for row in _rows(old, name, saved.incomplete):
            marks = ", ".join("?" * len(row))
            insert = f'INSERT OR IGNORE INTO "{name}" VALUES ({marks})'  # noqa: S608 - from the schema
            rows += new.execute(insert, row).rowcount
        saved.rows[name] = rows
    _number(new)
    return saved


def _number(new: sqlite3.Connection) -> None:
    """Give the database the newest schema's number if its own was lost: a daemon migrates what it opens."""
    newest = max(int(path.name.split("_")[0]) for path in MIGRATIONS.glob("[0-9]*.sql"))
    (version,) = new.execute("SELECT max(version) FROM schema_version").fetchone()
    if version not in range(1, newest + 1):
        new.execute("DELETE FROM schema_version")
        new.execute("INSERT INTO schema_version VALUES (?)", (newest,))


def _rows(old: sqlite3.Connection, table: str, incomplete: list[str]) -> Iterator[tuple[object, ...]]:
    """Yield a table's rows from its start up to what can't be read, and then from its end down to that."""
    known = set()
    for order in ("ASC", "DESC"):
        query = f'SELECT rowid, * FROM "{table}" ORDER BY rowid {order}'  # noqa: S608 - from the schema
        try:
            for number, *row in old.execute(query):
                if number in known:
                    return
                known.add(number)
                yield tuple(row)
        except sqlite3.DatabaseError:
            if table not in incomplete:
                incomplete.append(table)
            continue
        return


def _copy_files(folder: Path, to: Path) -> None:
    if (folder / IDENTITY).exists():
        shutil.copy2(folder / IDENTITY, to / IDENTITY)
    if (folder / RUNS).exists():
        shutil.copytree(folder / RUNS, to / RUNS)
