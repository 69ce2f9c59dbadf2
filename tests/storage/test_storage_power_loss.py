"""What was acknowledged outlives a power cut, at any moment, whatever the disk made of unsynced writes."""

from __future__ import annotations

import asyncio
import filecmp
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import power_child
import pytest
from power_child import RUNS
from power_loss import NOT_KEPT, Disk, Record, logged_run

from storage.database import DATABASE
from storage.reader import Reader
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

CHILD = Path(power_child.__file__)
ROOT = CHILD.parent.parent.parent
DATA = Path("lab", "data")
"""Neither folder is there before the first store makes them."""
CUTS, SOAK_CUTS = 200, 6000
FOLDED = 10
"""The trial must hold more folds of SQLite's log than those at opening and closing."""
AIMED_KINDS = "odDrust"
"""Around these the outcome is decided: names, syncs, lengths; most other records are pages in the middle."""


class Acknowledged:
    """What the child had been told is durable, at one place of the log."""

    def __init__(self) -> None:
        self.identity = ""
        self.samples = dict.fromkeys(RUNS, 0)
        self.event = 0
        self.sealed: set[int] = set()

    def take(self, printed: str) -> None:
        """Take a line that the child printed."""
        match printed.split():
            case ["opened", identity]:
                self.identity = identity
            case ["run", run, count]:
                self.samples[int(run)] = int(count)
            case ["event", number]:
                self.event = int(number)
            case ["sealed", run]:
                self.sealed.add(int(run))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """Return the folder in which a store was used, and all that was done there."""
    folder = tmp_path_factory.mktemp("power")
    disk = folder / "disk"
    disk.mkdir()
    return disk, logged_run([CHILD, disk / DATA], disk, folder / "log", ROOT)


def test_the_log_holds_all_that_was_written(log: tuple[Path, list[Record]], tmp_path: Path) -> None:
    root, records = log
    disk = Disk(root)
    for record in records:
        disk.play(record)
    disk.write_image(tmp_path / "image", None)
    names = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    names = {name for name in names if not name.name.endswith(NOT_KEPT)}
    _, differing, unread = filecmp.cmpfiles(root, tmp_path / "image", list(map(str, names)), shallow=False)
    assert (differing, unread) == ([], [])
    assert {"w", "t", "s", "r", "u", "d", "p"} <= {record.kind for record in records}
    opened = {record.path: record.inode for record in records if record.kind == "o"}
    database = opened[str(root / DATA / DATABASE)]
    folded = [record for record in records if record.kind == "s" and record.inode == database]
    assert len(folded) > FOLDED, "the log was hardly ever folded into the database"


def cuts(records: list[Record], number: int, chance: random.Random) -> list[int]:
    """Return places of the log: half of them anywhere, half just before or after what decides."""
    aimed = [place + chance.randrange(2) for place, r in enumerate(records) if r.kind in AIMED_KINDS]
    anywhere = chance.choices(range(len(records) + 1), k=number // 2)
    return sorted(anywhere + chance.choices(aimed, k=number - len(anywhere)))


async def check(image: Path, acknowledged: Acknowledged, chance: random.Random) -> None:
    """Check that everything acknowledged is in a store, with its values, and that the store works."""
    data = image / DATA
    if acknowledged.event and chance.random() < 0.2:
        # Somebody looks at the folder before a daemon has been there.
        assert_there(Reader(data), acknowledged)
    store = Store(data)
    await store.open()
    assert acknowledged.identity in ("", store.identity)
    if acknowledged.event:
        assert_there(store.reader, acknowledged)
        assert store.next_run() > max(RUNS)
    if chance.random() < 0.2:
        await seal_again(store)
    await store.close()
    with closing(sqlite3.connect(data / DATABASE)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def assert_there(reader: Reader, acknowledged: Acknowledged) -> None:
    """Check samples, events and sealed files."""
    for run, count in acknowledged.samples.items():
        found = reader.samples(run)
        number = np.arange(len(found["visit"]))
        assert len(number) >= count
        assert np.array_equal(found["visit"], number)
        assert np.array_equal(found["t_s"], number * 0.5)
        assert np.array_equal(found["voltage_V"], np.sin(number * run))
        assert reader.verify(run) == []
    events = [stored.id for stored in reader.events(limit=1_000_000)]
    assert events == list(range(1, len(events) + 1))
    assert len(events) >= acknowledged.event
    assert not acknowledged.sealed & set(reader.unsealed())


async def seal_again(store: Store) -> None:
    """Do what a new daemon does: seal what has ended and is not sealed."""

    async def write(folder: Path, run: int) -> SealedFile:
        return seal_run(folder, run)

    for run in store.reader.unsealed()[:1]:
        count = store.reader.count(run)
        await store.seal(run, write)
        assert store.reader.count(run) == len(store.reader.samples(run)["t_s"]) == count
        assert store.reader.verify(run) == []


async def cut_and_check(log: tuple[Path, list[Record]], folder: Path, number: int, seed: int) -> None:
    """Cut the power at so many places, and look at what each leaves."""
    root, records = log
    chance = random.Random(seed)
    disk, acknowledged, done = Disk(root), Acknowledged(), 0
    for turn, place in enumerate(cuts(records, number, chance)):
        for record in records[done:place]:
            disk.play(record)
            acknowledged.take(record.data.decode() if record.kind == "p" else "")
        done = place
        image = folder / f"cut-{turn}-at-{place}-of-seed-{seed}"
        await asyncio.to_thread(disk.write_image, image, chance)
        try:
            await check(image, acknowledged, chance)
        except Exception as error:
            error.add_note(f"the power was cut after record {place}; the image is kept: {image}")
            raise
        shutil.rmtree(image)


def test_the_model_loses_what_was_not_synced(tmp_path: Path) -> None:
    def record(kind: str, path: str = "", inode: int = 0, data: bytes = b"") -> Record:
        return Record(kind, inode, 0, str(tmp_path / path) if path else "", data)

    new, old = b"n" * 10_000, b"o" * 10_000
    named = [record("D", ".", 1), record("o", "a", 2), record("w", "", 2, old), record("s", "", 2)]
    cases: dict[str, tuple[list[Record], set[bytes | None]]] = {
        "neither name nor content": (named[:3], {None, b"", old}),
        "no name": (named, {None, old}),
        "nothing": ([*named, record("s", "", 1)], {old}),
        "new content": ([*named, record("s", "", 1), record("w", "", 2, new)], {old, new}),
    }
    for what, (records, possible) in cases.items():
        disk, chance, found = Disk(tmp_path), random.Random(1), set()
        for each in records:
            disk.play(each)
        for turn in range(60):
            disk.write_image(tmp_path / f"{what} {turn}", chance)
            left = tmp_path / f"{what} {turn}" / "a"
            found.add(left.read_bytes() if left.exists() else None)
        mixed = found - possible
        assert possible <= found, what
        assert all(set(content or b"") <= set(old + new + b"\0") for content in mixed), what
        assert bool(mixed) == (what in ("neither name nor content", "new content")), "torn writes"


@pytest.mark.timeout(600)
async def test_a_power_cut_loses_nothing_that_was_acknowledged(
    log: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    await cut_and_check(log, tmp_path, CUTS, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(2, 5))
async def test_power_cuts_at_very_many_places(
    log: tuple[Path, list[Record]], tmp_path: Path, seed: int
) -> None:
    await cut_and_check(log, tmp_path, SOAK_CUTS, seed)
