"""Torn, shortened, changed and missing files: plain words, never a traceback, nothing written over."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from labbench import sandtime
from storage_child import samples

from protocols.cell import Cell
from protocols.errors import StorageError
from protocols.nodes import Rest
from protocols.program import Limits, Program
from protocols.records import Event, RunInfo
from storage.damage import IN_USE
from storage.database import DATABASE
from storage.reader import Reader
from storage.salvage import salvage
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

COMMITS, ROWS = 30, 50
LOG = f"{DATABASE}-wal"
PAGE = "damaged_data.md"


async def write(folder: Path, run: int) -> SealedFile:
    return seal_run(folder, run)


async def used(folder: Path) -> Store:
    """Return an open store with a run in chunks and journal, and a sealed one."""
    store = Store(folder)
    await store.open()
    limits = Limits(voltage_min_V=-1, voltage_max_V=1, current_max_A=1)
    rest = Rest(index=0, label="rest", duration_s=1)
    program = Program(protocol="p", cell=Cell(name="c", area_m2=1e-4), steps=(rest,), limits=limits)
    for run in (1, 2):
        info = RunInfo(
            run=run,
            name="r",
            station="A",
            protocol="p",
            cell="c",
            state="finished",
            submitted_unix_s=0.0,
        )
        store.add_run(info, program, {})
    store.add_samples(samples(2, 0, 700))
    await store.seal(2, write)
    for number in range(COMMITS):
        store.add_samples(samples(1, number * ROWS, ROWS))
        store.add_event(1, Event(kind="note", t_s=None, unix_s=0.0, data={}))
        await store.commit()
    return store


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose store was closed."""
    folder = tmp_path_factory.mktemp("closed")

    async def close() -> None:
        await (await used(folder)).close()

    asyncio.run(close())
    return folder


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as it is while a store is open: what was committed last is in SQLite's log."""
    live, folder = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("crashed")

    async def crash() -> None:
        store = await used(live)
        shutil.copytree(live, folder, ignore=shutil.ignore_patterns("*-shm"), dirs_exist_ok=True)
        await store.close()

    asyncio.run(crash())
    return folder


def copy(folder: Path, tmp_path: Path, number: int = 0) -> Path:
    made = tmp_path / f"copy {number}"
    shutil.copytree(folder, made)
    return made


def content(folder: Path) -> dict[str, bytes]:
    """Return the files that hold data. An empty log, which SQLite makes to look, holds none."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", ".lock"))
    ]
    read = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: data for name, data in read.items() if data or name != LOG}


async def open_or_refuse(folder: Path) -> bool:
    """Open a store; if it refuses, it says what to do, and has changed nothing."""
    before = content(folder)
    store = Store(folder)
    try:
        await store.open()
    except StorageError as error:
        assert PAGE in str(error)
        assert "[SQL" not in str(error)
        assert content(folder) == before
        return False
    await store.close()
    return True


def is_prefix(reader: Reader, run: int) -> int:
    """Check that a run's samples are the first ones, as they were stored; return how many there are."""
    found = reader.samples(run)
    number = np.arange(len(found["visit"]))
    assert np.array_equal(found["visit"], number)
    assert np.array_equal(found["voltage_V"], np.sin(number * run))
    return len(number)


def assert_right(reader: Reader, run: int) -> None:
    """Check that what is there of a run is what was stored, in order; some may be missing."""
    found = reader.samples(run)
    assert (np.diff(found["visit"]) > 0).all()
    assert np.array_equal(found["voltage_V"], np.sin(found["visit"].astype(np.int64) * run))


def read_all(folder: Path) -> list[str]:
    """Read all there is of run 1; return what is said to be wrong. Only StorageError may be raised."""
    try:
        reader = Reader(folder)
        reader.runs()
        reader.program(1)
        reader.events(1)
        found = reader.verify(1)
        return found or ([] if is_prefix(reader, 1) == COMMITS * ROWS else ["samples are missing"])
    except StorageError as error:
        return [str(error)]


async def test_a_shortened_database_is_refused_and_left_alone(closed: Path, tmp_path: Path) -> None:
    whole = (closed / DATABASE).stat().st_size
    chance = random.Random(1)
    lengths = [0, 1, 99, 100, 8191, 8192, whole - 8192, whole - 1, *chance.sample(range(whole), 12)]
    for number, length in enumerate(lengths):
        folder = copy(closed, tmp_path, number)
        with (folder / DATABASE).open("rb+") as file:
            file.truncate(length)
        assert read_all(folder) or length > whole - 8192, f"{length} bytes"
        # SQLite reads a last page that is cut off as if zeros followed.
        assert not await open_or_refuse(folder) or length > whole - 8192, f"{length} bytes"


async def test_changed_bytes_never_end_in_a_traceback_or_in_wrong_samples(
    closed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = (closed / DATABASE).read_bytes()
    chance = random.Random(2)
    said = 0
    for number in range(60):
        folder = copy(closed, tmp_path, number)
        place = chance.randrange(len(raw)) if number > 3 else number * 7
        changed = bytearray(raw)
        changed[place : place + 4] = bytes(byte ^ 0xFF for byte in changed[place : place + 4])
        (folder / DATABASE).write_bytes(changed)
        said += bool(read_all(folder))
        await open_or_refuse(folder)
    assert said > 5


async def test_a_chunk_with_a_wrong_number_of_samples_is_reported(closed: Path, tmp_path: Path) -> None:
    folder = copy(closed, tmp_path)
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("UPDATE chunk SET n = n + 1 WHERE run = 1")
    assert read_all(folder)


async def test_a_database_that_is_gone_is_not_begun_anew(closed: Path, tmp_path: Path) -> None:
    folder = copy(closed, tmp_path)
    (folder / DATABASE).unlink()
    with pytest.raises(StorageError, match=f"is missing.*has held data.*{PAGE}"):
        await Store(folder).open()
    assert not (folder / DATABASE).exists()


async def test_a_missing_log_is_asked_for(
    crashed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copy(crashed, tmp_path)
    (folder / LOG).unlink()
    with pytest.raises(StorageError, match=rf"{LOG} is missing.*{PAGE}.*delete .*{IN_USE}"):
        await Store(folder).open()
    assert not (folder / LOG).exists()
    with pytest.raises(StorageError, match="holds nothing without"):
        # All of it was in the log.
        Reader(folder)
    assert "is missing" in caplog.text
    shutil.copy(crashed / LOG, folder / LOG)
    assert await open_or_refuse(folder)
    assert is_prefix(Reader(folder), 1) == COMMITS * ROWS


async def test_a_person_may_go_on_without_the_log(crashed: Path, tmp_path: Path) -> None:
    folder = copy(crashed, tmp_path)
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        # As another program would: the last one that closes the database folds the log in.
        database.execute("SELECT count(*) FROM run").fetchone()
    assert not (folder / LOG).exists()
    assert not await open_or_refuse(folder)
    (folder / IN_USE).unlink()
    assert await open_or_refuse(folder)
    assert is_prefix(Reader(folder), 1) == COMMITS * ROWS


async def test_a_log_that_is_cut_off_loses_whole_commits_from_its_end(crashed: Path, tmp_path: Path) -> None:
    whole = (crashed / LOG).stat().st_size
    chance = random.Random(3)
    for number, length in enumerate([0, whole - 1, *chance.sample(range(whole), 10)]):
        folder = copy(crashed, tmp_path, number)
        with (folder / LOG).open("rb+") as file:
            file.truncate(length)
        if not await open_or_refuse(folder):
            continue
        with closing(sqlite3.connect(folder / DATABASE)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            has_runs = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone()
        if has_runs:
            assert is_prefix(Reader(folder), 1) % ROWS == 0


async def test_a_log_that_is_damaged_in_the_middle_is_refused(crashed: Path, tmp_path: Path) -> None:
    raw = (crashed / LOG).read_bytes()
    chance = random.Random(4)
    refused = 0
    for number in range(30):
        folder = copy(crashed, tmp_path, number)
        changed = bytearray(raw)
        changed[chance.randrange(len(raw)) if number else 9] ^= 0x10
        (folder / LOG).write_bytes(changed)
        if await open_or_refuse(folder):
            # In the last transaction: the same as one that a crash has torn.
            assert is_prefix(Reader(folder), 1) >= (COMMITS - 1) * ROWS
        else:
            refused += 1
    assert refused > 20


async def test_a_damaged_sealed_file_is_named_and_the_rest_is_read(closed: Path, tmp_path: Path) -> None:
    (name,) = [path for path in content(closed) if path.endswith(".bdf.parquet")]
    folder = copy(closed, tmp_path)
    with (folder / name).open("rb+") as file:
        file.truncate(1000)
    reader = Reader(folder)
    with pytest.raises(StorageError, match=f"{Path(name).name} cannot be read.*backup"):
        reader.samples(2)
    assert "checksum" in reader.verify(2)[0]
    assert is_prefix(reader, 1) == COMMITS * ROWS
    (folder / name).unlink()
    assert "is missing" in reader.verify(2)[0]
    assert await open_or_refuse(folder)


async def test_what_can_be_read_is_salvaged(crashed: Path, closed: Path, tmp_path: Path) -> None:
    whole = salvage(crashed, tmp_path / "whole")
    assert (whole.rows["run"], whole.rows["event"], whole.incomplete) == (2, COMMITS, [])
    assert read_all(tmp_path / "whole") == []
    assert Reader(tmp_path / "whole").verify(2) == []
    raw = (closed / DATABASE).read_bytes()
    chance = random.Random(6)
    some = 0
    for number in range(20):
        folder, to = copy(closed, tmp_path, number), tmp_path / f"saved {number}"
        place = chance.randrange(8192, len(raw))
        changed = raw[:place] if number % 2 else raw[:place] + bytes(4096) + raw[place + 4096 :]
        (folder / DATABASE).write_bytes(changed[: len(raw)])
        before = content(folder)
        try:
            saved = salvage(folder, to)
        except StorageError as error:
            assert "nothing can be read" in str(error)
            continue
        assert content(folder) == before
        assert_right(Reader(to), 1)
        assert await open_or_refuse(to)
        some += saved.rows["event"] > 0
    assert some > 5


async def test_salvage_writes_over_nothing(closed: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="exists already"):
        salvage(closed, tmp_path)


def test_the_daemon_does_not_start_on_damaged_data_and_touches_no_cell(closed: Path, tmp_path: Path) -> None:
    assert sandtime("init", "lab", folder=tmp_path).returncode == 0
    lab = tmp_path / "lab"
    data = lab / "data"
    shutil.copytree(closed, data)
    with (data / DATABASE).open("rb+") as file:
        file.truncate(20_000)
    before = content(data)
    for command in ("serve", "verify"):
        done = sandtime(command, folder=lab)
        assert done.returncode == 1
        assert f"{DATABASE} is damaged" in done.stdout + done.stderr
        assert PAGE in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert content(data) == before
