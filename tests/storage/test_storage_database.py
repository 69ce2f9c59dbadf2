"""Opening a data folder: one writer, a schema that is known, nothing heavy loaded."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlmodel import SQLModel

from protocols.errors import BusyError, StorageError
from protocols.measurements import empty_block
from storage.database import DATABASE
from storage.reader import Reader
from storage.store import Store


async def opened(folder: Path) -> Store:
    store = Store(folder)
    await store.open()
    return store


async def test_a_second_store_on_a_folder_is_refused(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    with pytest.raises(BusyError, match="in use"):
        await Store(tmp_path).open()
    store.add_samples(empty_block(5))
    await store.close()
    again = await opened(tmp_path)
    assert again.reader.count(0) == 5
    await again.close()


async def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("INSERT INTO schema_version VALUES (99)")
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(StorageError, match=r"schema 99.*[Ii]nstall the newer"):
        await Store(tmp_path).open()
    assert (tmp_path / DATABASE).read_bytes() == before


async def test_migrations_make_the_tables_that_the_classes_name(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        for name, table in SQLModel.metadata.tables.items():
            made = {row[1]: row[5] > 0 for row in database.execute(f"PRAGMA table_info({name})")}
            assert made == {column.name: column.primary_key for column in table.columns}, name
        settings_made = [database.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "page_size")]
    assert settings_made == ["wal", 2048]


def test_a_folder_without_data_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds no sandtime data"):
        Reader(tmp_path)


def test_the_daemon_side_loads_no_pyarrow() -> None:
    code = "import sys, storage.store, storage.reader; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
