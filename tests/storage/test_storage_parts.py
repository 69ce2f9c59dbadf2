"""A run's samples go to files part by part while it runs, and nobody who reads them notices."""

from __future__ import annotations

import dataclasses
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from sealed_runs import HOUR_S, PROGRAM, add, cycling, info, opened, raw, stored, with_run, write

import storage
from protocols.errors import StorageError
from storage.database import DATABASE
from storage.reader import Reader
from storage.seal import is_due
from storage.store import Store
from storage.tables import SealedFile

FIRST_SCHEMA = Path(storage.__file__).with_name("migrations") / "0001_first.sql"


async def test_a_run_that_goes_on_is_sealed_but_for_its_newest_hour(tmp_path: Path) -> None:
    store = await with_run(tmp_path)
    days = cycling(0, 8640 + 600)
    await add(store, days)
    first = await store.seal(1, write)
    assert (first.part, first.file) == (0, "runs/1-c/samples-000.bdf.parquet")
    assert 80_000.0 < first.t1_s <= days["t_s"][-1] - HOUR_S
    assert first.n == first.rows
    assert store.reader.parts(1) == [first]
    spans = store.reader.chunk_spans(1)
    assert spans[0].seq0 == first.n
    assert raw(stored(store.reader)) == raw(days)

    more = cycling(len(days), 2000)
    await add(store, more)
    second = await store.seal(1, write)
    assert (second.part, second.first) == (1, first.n)
    both = np.concatenate([days, more])
    assert (raw(stored(store.reader)), store.reader.verify(1)) == (raw(both), [])
    assert store.reader.count(1) == len(both)
    assert not store.reader.is_sealed(1)

    store.save_run(info("finished"))
    third = await store.seal(1, write)
    assert store.reader.parts(1) == [first, second, third]
    assert (third.stop, store.reader.is_sealed(1), store.reader.chunk_spans(1)) == (len(both), True, [])
    assert raw(stored(store.reader)) == raw(both)
    inside = store.reader.samples(1, first.t1_s - 50, first.t1_s + 50, ("t_s",))["t_s"]
    assert inside.tolist() == [t for t in both["t_s"] if first.t1_s - 50 <= t <= first.t1_s + 50]
    await store.close()


async def test_steps_and_cycles_are_counted_on_from_part_to_part(tmp_path: Path) -> None:
    store = await with_run(tmp_path)
    for first in (0, 1000, 2000):
        await add(store, cycling(first, 1000))
        await store.seal(1, write)
    store.save_run(info("finished"))
    await store.seal(1, write)
    tables = [parquet.read_table(tmp_path / part.file) for part in store.reader.parts(1)]
    assert len(tables) == 4
    half_cycle = cycling(0, 3000)["half_cycle"]
    assert [n for table in tables for n in table["step_count"].to_pylist()] == (half_cycle + 1).tolist()
    assert [n for table in tables for n in table["cycle_count"].to_pylist()] == (half_cycle // 2 + 1).tolist()
    await store.close()


async def test_a_run_is_due_when_a_day_of_run_time_can_be_sealed(tmp_path: Path) -> None:
    store = await with_run(tmp_path)
    assert not is_due(store.reader, 1)
    await add(store, cycling(0, 8640))
    assert not is_due(store.reader, 1)
    await add(store, cycling(8640, 1000))
    assert is_due(store.reader, 1)
    await store.seal(1, write)
    assert not is_due(store.reader, 1)
    await store.close()


async def test_what_is_young_is_not_sealed(tmp_path: Path) -> None:
    store = await with_run(tmp_path)
    await add(store, cycling(0, 300))
    with pytest.raises(StorageError, match="goes on and has nothing yet"):
        await store.seal(1, write)
    assert raw(stored(store.reader)) == raw(cycling(0, 300))
    await store.close()


async def test_a_part_that_does_not_follow_is_not_recorded(tmp_path: Path) -> None:
    store = await with_run(tmp_path, "finished")
    await add(store, cycling(0, 2000))

    async def less(folder: Path, run: int) -> SealedFile:
        whole = await write(folder, run)
        return dataclasses.replace(whole, n=whole.n - 1)

    with pytest.raises(StorageError, match="not the next whole chunks"):
        await store.seal(1, less)
    assert (store.reader.parts(1), raw(stored(store.reader))) == ([], raw(cycling(0, 2000)))
    await store.close()


async def test_a_part_that_is_missing_is_reported(tmp_path: Path) -> None:
    store = await with_run(tmp_path, "finished")
    await add(store, cycling(0, 700))
    await store.seal(1, write)
    await add(store, cycling(700, 700))
    await store.seal(1, write)
    await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("DELETE FROM part WHERE part = 0")
    assert Reader(tmp_path).verify(1) == ["samples 0 to 699 are in no file"]


async def test_what_a_killed_process_was_writing_is_deleted_at_the_next_start(tmp_path: Path) -> None:
    store = await with_run(tmp_path, "finished")
    await add(store, cycling(0, 700))
    part = await store.seal(1, write)
    await store.close()
    draft = (tmp_path / part.file).with_name(".samples-001.bdf.parquet.4711.tmp")
    draft.write_bytes(b"PAR1")
    store = await opened(tmp_path)
    assert not draft.exists()
    assert raw(stored(store.reader)) == raw(cycling(0, 700))
    await store.close()


async def test_the_one_file_that_a_run_had_before_is_its_part_0(tmp_path: Path) -> None:
    store = await with_run(tmp_path / "new", "finished")
    await add(store, cycling(0, 700))
    part = await store.seal(1, write)
    await store.close()
    old = tmp_path / "old"
    name = "runs/1-c/samples.bdf.parquet"
    (old / name).parent.mkdir(parents=True)
    (old / name).write_bytes((tmp_path / "new" / part.file).read_bytes())
    with closing(sqlite3.connect(old / DATABASE)) as database, database:
        database.executescript(FIRST_SCHEMA.read_text(encoding="utf-8"))
        database.execute(
            "INSERT INTO run (run, name, state, info, program) VALUES (1, 'c', 'finished', ?, ?)",
            (info("finished").model_dump_json(), PROGRAM.model_dump_json()),
        )
        values = (1, name, part.n, part.sha256, 0, part.last, 9.5)
        database.execute("INSERT INTO sealed VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    store = await opened(old)
    expected = SealedFile(1, 0, name, 0, 700, 700, t0_s=0.0, t1_s=6990.0, sha256=part.sha256, last=part.last)
    assert store.reader.parts(1) == [expected]
    assert (raw(stored(store.reader)), store.reader.verify(1)) == (raw(cycling(0, 700)), [])
    assert store.reader.is_sealed(1)
    await add(store, cycling(700, 50))
    await store.seal(1, write)
    assert (raw(stored(store.reader)), store.reader.verify(1)) == (raw(cycling(0, 750)), [])
    await store.close()


actions = st.lists(st.sampled_from([1, 7, 599, 601, 2000, "seal", "commit", "reopen", "end"]), max_size=14)


@settings(max_examples=15)
@given(actions)
async def test_samples_are_the_same_however_they_were_sealed(todo: list[int | str]) -> None:
    count = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = await with_run(folder)
        for action in todo:
            if isinstance(action, int):
                store.add_samples(cycling(count, action))
                count += action
            elif action == "end":
                store.save_run(info("finished"))
            elif action == "reopen":
                await store.close()
                store = await opened(folder)
            elif action == "seal" and (is_old(store) or store.reader.run(1).state == "finished"):
                await store.seal(1, write)
            else:
                await store.commit()
        await store.commit()
        assert raw(stored(store.reader)) == raw(cycling(0, count))
        assert store.reader.verify(1) == []
        assert store.reader.count(1) == count
        await store.close()


def is_old(store: Store) -> bool:
    """Whether chunks of the run can be sealed while it goes on."""
    spans = store.reader.chunk_spans(1)
    return bool(spans) and spans[0].t1_s <= spans[-1].t1_s - HOUR_S
