"""Parts of a run are merged, and nothing is lost or doubled, whenever that ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from sealed_runs import add, cycling, info, opened, raw, stored, with_run, write

from protocols.errors import StorageError
from protocols.records import Event
from storage import compact
from storage.compact import compact_run
from storage.reader import Reader
from storage.store import Store
from storage.tables import SealedFile

CHILD = Path(__file__).parent.parent / "support" / "merging_child.py"
ROOT = CHILD.parent.parent.parent
ROWS = 700
SERVICE = """
data = "data"
[instruments.box]
driver = "biologic"
[stations.A]
instrument = "box"
channel = 1
"""


async def merge(folder: Path, run: int) -> SealedFile | None:
    return await asyncio.to_thread(compact_run, folder, run)


async def with_parts(folder: Path, count: int) -> Store:
    """Return a store whose ended run 1 has so many parts."""
    store = await with_run(folder, "finished")
    for number in range(count):
        await add(store, cycling(number * ROWS, ROWS))
        await store.seal(1, write)
    return store


def names(folder: Path) -> list[str]:
    """The files of parts, and what no kill may leave behind."""
    present = (path.name for path in (folder / "runs" / "1-c").iterdir())
    return sorted(name for name in present if name.endswith((".parquet", ".tmp")))


def files_of(part: str) -> list[str]:
    rollups = [f"rollup-{width}s-{part}.parquet" for width in (3600, 60)]
    return [*rollups, f"samples-{part}.bdf.parquet"]


async def test_merged_parts_hold_what_the_parts_held(tmp_path: Path) -> None:
    store = await with_parts(tmp_path, 4)
    before = [parquet.read_table(tmp_path / part.file) for part in store.reader.parts(1)]
    seen = [store.reader.overview(1, points) for points in (5, 50)]
    assert await store.merge(1, merge)
    (part,) = store.reader.parts(1)
    assert (part.file, part.part) == ("runs/1-c/samples-000-to-003.bdf.parquet", 3)
    assert (part.first, part.n, part.rows) == (0, 4 * ROWS, 4 * ROWS)
    assert raw(stored(store.reader)) == raw(cycling(0, 4 * ROWS))
    after = parquet.read_table(tmp_path / part.file)
    for name in after.column_names:
        assert after[name].to_pylist() == [v for table in before for v in table[name].to_pylist()]
    for points, expected in zip((5, 50), seen, strict=True):
        found = store.reader.overview(1, points)
        assert all(found[name] == pytest.approx(values) for name, values in expected.items())
    assert (store.reader.verify(1), store.reader.is_sealed(1)) == ([], True)
    assert not await store.merge(1, merge)
    await store.close()


async def test_files_stay_for_a_while_after_they_were_merged(tmp_path: Path) -> None:
    now_s = 1000.0
    store = Store(tmp_path, clock=lambda: now_s)
    await (await with_parts(tmp_path, 2)).close()
    await store.open()
    await store.merge(1, merge)
    await store.delete_superseded(older_than_s=600.0)
    assert len([name for name in names(tmp_path) if name.startswith("samples")]) == 3
    now_s += 601.0
    await store.delete_superseded(older_than_s=600.0)
    assert names(tmp_path) == files_of("000-to-001")
    assert raw(stored(store.reader)) == raw(cycling(0, 2 * ROWS))
    await store.close()


async def test_what_was_merged_is_deleted_at_the_next_start_at_last(tmp_path: Path) -> None:
    store = await with_parts(tmp_path, 3)
    await store.merge(1, merge)
    await store.close()
    store = await opened(tmp_path)
    assert names(tmp_path) == files_of("000-to-002")
    await store.close()


async def test_samples_that_come_after_a_merge_are_merged_with_it(tmp_path: Path) -> None:
    store = await with_parts(tmp_path, 2)
    await store.merge(1, merge)
    await add(store, cycling(2 * ROWS, ROWS))
    later = await store.seal(1, write)
    assert later.file == "runs/1-c/samples-002.bdf.parquet"
    await store.merge(1, merge)
    await store.delete_superseded()
    assert names(tmp_path) == files_of("000-to-002")
    assert raw(stored(store.reader)) == raw(cycling(0, 3 * ROWS))
    await store.close()


async def test_no_file_becomes_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "MOST_ROWS", 2 * ROWS)
    store = await with_parts(tmp_path, 5)
    while await store.merge(1, merge):
        pass
    await store.delete_superseded()
    samples = [Path(part.file).name for part in store.reader.parts(1)]
    assert samples == [f"samples-{n}.bdf.parquet" for n in ("000-to-001", "002-to-003", "004")]
    assert raw(stored(store.reader)) == raw(cycling(0, 5 * ROWS))
    assert store.reader.verify(1) == []
    await store.close()


async def test_parts_of_a_run_that_goes_on_can_be_merged(tmp_path: Path) -> None:
    store = await with_run(tmp_path)
    for number in range(3):
        await add(store, cycling(number * 1000, 1000))
        await store.seal(1, write)
    assert await store.merge(1, merge)
    assert not store.reader.is_sealed(1)
    await add(store, cycling(3000, 1000))
    store.save_run(info("finished"))
    await store.seal(1, write)
    assert [part.part for part in store.reader.parts(1)] == [2, 3]
    assert raw(stored(store.reader)) == raw(cycling(0, 4000))
    await store.close()


async def test_damaged_parts_are_not_merged(tmp_path: Path) -> None:
    store = await with_parts(tmp_path, 2)
    path = tmp_path / store.reader.parts(1)[1].file
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"x" + whole[-8:])
    with pytest.raises(StorageError, match=r"samples-001.*was changed"):
        await store.merge(1, merge)
    path.write_bytes(whole)
    assert len(store.reader.parts(1)) == 2
    assert names(tmp_path) == sorted({*files_of("000"), *files_of("001")})
    await store.close()


async def test_a_merge_of_parts_that_have_changed_since_is_not_recorded(tmp_path: Path) -> None:
    store = await with_parts(tmp_path, 2)
    merged = await merge(tmp_path, 1)
    await store.merge(1, merge)

    async def again(folder: Path, run: int) -> SealedFile | None:
        return merged

    with pytest.raises(StorageError, match="stay as they are"):
        await store.merge(1, again)
    await store.close()


async def test_what_sealing_commits_is_told_by_the_next_commit(tmp_path: Path) -> None:
    store = await with_run(tmp_path, "finished")
    event = Event(kind="note", unix_s=1.0)
    store.add_event(1, event)
    await store.seal(1, write)
    assert [stored.event for stored in await store.commit()] == [event]
    assert await store.commit() == []
    await store.close()


@pytest.mark.parametrize("moment", ["merge-unnamed", "merge-unrecorded", "merge-undeleted", "delete-half"])
async def test_a_merge_that_is_killed_loses_and_doubles_nothing(tmp_path: Path, moment: str) -> None:
    await (await with_parts(tmp_path, 3)).close()
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), moment, str(tmp_path), env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert await child.wait() < 0
    reader = Reader(tmp_path)
    assert (raw(stored(reader)), reader.verify(1)) == (raw(cycling(0, 3 * ROWS)), [])
    assert int(reader.overview(1, 10)["n"].sum()) == 3 * ROWS

    store = await opened(tmp_path)
    await store.merge(1, merge)
    await store.delete_superseded()
    assert (raw(stored(store.reader)), store.reader.verify(1)) == (raw(cycling(0, 3 * ROWS)), [])
    assert names(tmp_path) == files_of("000-to-002")
    await store.close()


def test_compact_merges_without_a_daemon(tmp_path: Path) -> None:
    asyncio.run(_three_parts(tmp_path / "data"))
    (tmp_path / "service.toml").write_text(SERVICE)
    done = [
        subprocess.run(
            [sys.executable, "-m", "monitor.entry", "compact", "--json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert '"before": 3' in done[0]
    assert '"after": 1' in done[0]
    assert '"runs": []' in done[1]
    assert names(tmp_path / "data") == files_of("000-to-002")


async def _three_parts(folder: Path) -> None:
    await (await with_parts(folder, 3)).close()


def test_neighbours_fill_files_from_the_first_on() -> None:
    def part(number: int, rows: int) -> SealedFile:
        return SealedFile(1, number, f"{number}", 0, rows, rows, 0.0, 1.0, "", b"")

    most = compact.MOST_ROWS
    sizes = [most, most // 2, most // 2, most // 2]
    found = compact.mergeable([part(k, rows) for k, rows in enumerate(sizes)])
    assert [p.part for p in found] == [1, 2]
    assert compact.mergeable([part(0, most), part(1, most)]) == []
    assert compact.mergeable([part(0, 1)]) == []
    assert np.sum([p.rows for p in compact.mergeable([part(k, 1) for k in range(9)])]) == 9
