"""A database that an earlier release left is brought up to date, loses nothing, and is written on."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import kept_store
import numpy as np
import pytest
from kept_store import SAMPLES, STATES, samples

from protocols.errors import StorageError
from protocols.measurements import COLUMNS, Block
from protocols.records import Event
from storage import migrate
from storage.database import DATABASE
from storage.reader import Reader
from storage.store import Store

KEPT = Path(__file__).parent / "kept"
RELEASES = sorted(int(path.name.split("-")[1].split(".")[0]) for path in KEPT.glob("schema-*.tar.xz"))
KILLED_WHILE_MIGRATING = """
import asyncio, os, signal, sys
from pathlib import Path
from storage import migrate
from storage.store import Store
calls = []
def die(text):
    calls.append(text)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return str(len(calls))
migrate.FUNCTIONS["text_digest"] = die
asyncio.run(Store(Path(sys.argv[1])).open())
"""


def unpack(schema: int, folder: Path) -> Path:
    with tarfile.open(KEPT / f"schema-{schema}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


async def opened(folder: Path) -> Store:
    store = Store(folder)
    await store.open()
    return store


def expected(block: Block) -> dict[str, bytes]:
    return {name: block[name].tobytes() for name in COLUMNS}


def stored(reader: Reader, run: int) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in reader.samples(run).items()}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def version_of(file: Path) -> int:
    with closing(sqlite3.connect(file)) as raw:
        return migrate.schema_version(raw)


@pytest.fixture(params=RELEASES)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return unpack(request.param, tmp_path / "data")


async def test_everything_that_a_release_stored_is_read(kept: Path) -> None:
    store = await opened(kept)
    reader = store.reader
    assert reader.runs() == [kept_store.info(run) for run in STATES]
    for run in STATES:
        assert reader.program(run) == kept_store.program(run)
        assert reader.extra(run) == kept_store.texts(run)  # noqa: S610 - not Django's extra
        assert stored(reader, run) == expected(samples(run))
        assert reader.verify(run) == []
    [ticket] = reader.tickets(2)
    assert ticket.ticket == kept_store.ticket(2).model_copy(update={"folder": store.identity})
    assert (ticket.program, ticket.state) == (kept_store.program(2), "started")
    assert reader.half_cycles(2) == [kept_store.HALF_CYCLE]
    assert [(c.number, c.discharging_C, c.charging_C) for c in reader.cycles(2)] == [(1, 0.0, 0.06)]
    assert reader.gaps(2) == [kept_store.GAP]
    assert reader.guards(2) == (1000.0, kept_store.GUARDS)
    assert reader.spectra(3) == [(kept_store.SPECTRUM, kept_store.SUMMARY)]
    assert reader.verdicts(3) == [kept_store.VERDICT]
    assert reader.results(1) == kept_store.RESULTS
    assert [e.event.kind for e in reader.events()] == ["note", "alarm"]
    await store.close()


async def test_the_files_of_earlier_runs_are_versions_of_their_own(kept: Path) -> None:
    store = await opened(kept)
    found = {version.text: version.runs for version in store.reader.catalogue.protocols()}
    assert found == {
        kept_store.texts(run)["protocol_text"]: runs for run, runs in ((1, (1, 2)), (3, (3,)), (4, (4,)))
    }
    [cell] = store.reader.catalogue.cells()
    assert (cell.name, cell.text, cell.runs) == ("LLZO", "name: LLZO\n", (1, 2, 3, 4))
    await store.close()


async def test_a_migrated_store_is_written_on(kept: Path) -> None:
    store = await opened(kept)
    for run in (2, 3):
        for part in np.array_split(samples(run, SAMPLES[run], SAMPLES[run] + 1500), 3):
            store.add_samples(part)
            await store.commit()
    store.add_event(2, Event(kind="note", unix_s=5.0))
    number = store.next_run()
    store.add_run(kept_store.info(2).model_copy(update={"run": number}), kept_store.program(2), {})
    await store.close()
    store = await opened(kept)
    for run in (2, 3):
        assert stored(store.reader, run) == expected(samples(run, 0, SAMPLES[run] + 1500))
        assert store.reader.verify(run) == []
    assert (number, store.reader.program(5)) == (5, kept_store.program(2))
    assert [e.id for e in store.reader.events(2)] == [3]
    await store.close()


async def test_a_copy_is_kept_as_it_was(kept: Path) -> None:
    schema = version_of(kept / DATABASE)
    with closing(sqlite3.connect(kept / DATABASE)) as raw:
        before = list(raw.iterdump())
    await (await opened(kept)).close()
    copy = kept / f"{DATABASE}.schema-{schema}"
    with closing(sqlite3.connect(copy)) as raw:
        assert list(raw.iterdump()) == before
    stamp = copy.stat().st_mtime_ns
    await (await opened(kept)).close()
    assert copy.stat().st_mtime_ns == stamp
    assert not any(name.endswith(".tmp") for name in names(kept))


async def test_a_new_store_has_nothing_to_copy(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    assert not any("schema" in name for name in names(tmp_path))


async def test_without_room_for_the_copy_nothing_is_changed(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = version_of(kept / DATABASE)
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 1000))
        with pytest.raises(StorageError, match=r"MiB on its disk.*Nothing was changed. Make room"):
            await Store(kept).open()
    assert version_of(kept / DATABASE) == schema
    await (await opened(kept)).close()


async def test_a_copy_that_cannot_be_written_stops_the_migration(kept: Path) -> None:
    schema = version_of(kept / DATABASE)
    (kept / f"{DATABASE}.schema-{schema}").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        await Store(kept).open()
    assert version_of(kept / DATABASE) == schema


async def test_a_migration_that_is_killed_leaves_the_schema_before(tmp_path: Path) -> None:
    folder = unpack(1, tmp_path)
    command = [sys.executable, "-c", KILLED_WHILE_MIGRATING, str(folder)]
    child = await asyncio.to_thread(subprocess.run, command, check=False)
    assert child.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(folder / DATABASE)) as raw:
        tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}
        assert migrate.schema_version(raw) == 1
    assert not tables & {"program", "cell", "audit", "instrument"}
    store = await opened(folder)
    for run in STATES:
        assert stored(store.reader, run) == expected(samples(run))
        assert store.reader.program(run) == kept_store.program(run)
    await store.close()


def test_a_reader_says_what_to_do_with_an_older_database(kept: Path) -> None:
    with pytest.raises(StorageError, match=r"older sandtime \(schema \d.*sandtime serve"):
        Reader(kept)
