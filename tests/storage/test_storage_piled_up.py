"""What piled up in memory while the disk was gone is written in parts: all of it, in order, samples first."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import StorageError
from protocols.measurements import SAMPLE, Block
from protocols.records import Event, RunInfo
from storage import store as storing
from storage.batch import Batch
from storage.database import DATABASE
from storage.store import Store

MOST = 100


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MOST_SAMPLES", MOST)


def block(run: int, first: int, rows: int) -> Block:
    samples = np.zeros(rows, dtype=SAMPLE)
    samples["channel"], samples["t_s"] = run, np.arange(first, first + rows)
    return samples


def state(reached: str) -> RunInfo:
    return RunInfo(
        run=1,
        name="r",
        station="A",
        protocol="p",
        cell="c",
        state="running",
        reason=reached,
        submitted_unix_s=0,
    )


async def opened(folder: Path) -> Store:
    store = Store(folder)
    await store.open()
    return store


def hold_the_file(folder: Path) -> sqlite3.Connection:
    """Another program has the database for itself: commits fail after the busy time-out."""
    other = sqlite3.connect(folder / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


async def test_parts_come_in_order_and_the_rest_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.database.BUSY_TIMEOUT_S", 0.01)
    store = await opened(tmp_path)
    other = hold_the_file(tmp_path)
    for k in range(95):
        store.add_samples(block(1, 10 * k, 10))
        store.save_run(state(f"reached {k}"))
        store.add_event(1, Event(kind="note", unix_s=float(k)))
        if k % 20 == 0:
            with pytest.raises(StorageError, match="locked"):
                await store.commit()
    assert (store.pending(), store.settled, store.reader.count(1)) == (950, False, 0)
    other.execute("ROLLBACK")
    other.close()
    events = await store.commit()
    assert [stored.event.unix_s for stored in events] == [float(k) for k in range(95)]
    assert [float(t) for t in store.reader.samples(1)["t_s"]] == [float(t) for t in range(950)]
    assert store.reader.run(1).reason == "reached 94"
    assert (store.pending(), store.settled) == (0, True)
    await store.close()


async def test_a_disk_that_fails_again_half_way_loses_no_part(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for k in range(50):
        store.add_samples(block(1, 20 * k, 20))
    store.add_event(1, Event(kind="note", unix_s=1.0))
    with sqlite3.connect(tmp_path / DATABASE, isolation_level=None) as other:
        # The third part is one too many.
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON journal WHEN (SELECT count(*) FROM journal) >= 2 "
            "BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    other.close()
    with pytest.raises(StorageError, match="no room"):
        await store.commit()
    assert (store.reader.count(1), store.pending()) == (2 * MOST, 1000 - 2 * MOST)
    assert store.reader.events(1) == []
    store.add_samples(block(1, 1000, 20))
    with sqlite3.connect(tmp_path / DATABASE, isolation_level=None) as other:
        other.execute("DROP TRIGGER full")
    other.close()
    assert len(await store.commit()) == 1
    assert [float(t) for t in store.reader.samples(1)["t_s"]] == [float(t) for t in range(1020)]
    assert store.reader.verify(1) == []
    await store.close()


@given(st.lists(st.integers(1, 300), max_size=12))
def test_a_batch_falls_into_parts_that_are_the_batch(sizes: list[int]) -> None:
    batch = Batch()
    first = 0
    for size in sizes:
        batch.add(block(1, first, size))
        first += size
    batch.events.append((1, Event(kind="note", unix_s=0.0)))
    found: list[float] = []
    while batch.samples > MOST:
        part = batch.oldest(MOST)
        assert part.samples <= MOST or len(part.blocks) == 1
        assert not (part.events or part.rows)
        found += [float(t) for piece in part.blocks for t in piece["t_s"]]
        batch = batch.without(part)
        assert batch.samples == sum(map(len, batch.blocks))
    found += [float(t) for piece in batch.blocks for t in piece["t_s"]]
    assert found == [float(t) for t in range(sum(sizes))]
    assert len(batch.events) == 1
    assert batch.without(batch).empty
