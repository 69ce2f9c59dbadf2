"""The store keeps exactly what was added, however it was cut into blocks, commits and openings."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.cell import Cell
from protocols.errors import StorageError
from protocols.measurements import COLUMNS, SAMPLE, Block, empty_block
from protocols.nodes import ConstantCurrent
from protocols.program import Limits, Program
from protocols.records import Event, RunInfo
from storage import tails
from storage.columns import Columns
from storage.database import DATABASE
from storage.reader import Reader
from storage.store import Store

RUNS = (1, 2, 3)


def info(run: int) -> RunInfo:
    return RunInfo(
        run=run,
        name=f"cell {run}",
        station="A",
        protocol="cycling",
        cell="LLZO",
        state="running",
        submitted_unix_s=1.7e9,
    )


def program() -> Program:
    step = ConstantCurrent(index=0, label="plate", current_A=-1e-4, duration_s=3600)
    limits = Limits(voltage_min_V=-2, voltage_max_V=2, current_max_A=1e-3)
    return Program(protocol="cycling", cell=Cell(name="LLZO", area_m2=1e-4), steps=(step,), limits=limits)


def bits(seed: int, run: int, rows: int, t0_s: float, dt_s: float) -> Block:
    """Samples in order of time; every other column holds any bits at all, NaN and infinity among them."""
    block = np.frombuffer(np.random.default_rng(seed).bytes(rows * SAMPLE.itemsize), dtype=SAMPLE).copy()
    block["channel"] = run
    block["t_s"] = t0_s + dt_s * np.arange(1, rows + 1)
    return block


def raw(columns: Columns) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in columns.items()}


def expected(blocks: list[Block], run: int) -> dict[str, bytes]:
    joined = np.concatenate([empty_block(), *blocks])
    return {name: joined[joined["channel"] == run][name].tobytes() for name in COLUMNS}


async def opened(folder: Path) -> Store:
    store = Store(folder)
    await store.open()
    return store


pieces = st.tuples(
    st.integers(0, 2**32 - 1),
    st.sampled_from(RUNS),
    st.sampled_from([1, 2, 7, 599, 600, 601, 1900]),
    st.sampled_from([0.0, 0.01, 1.0, 90.0]),
)
actions = st.one_of(pieces, st.just("commit"), st.just("reopen"))


@settings(max_examples=20)
@given(st.lists(actions, max_size=12))
async def test_samples_are_exactly_what_was_added(todo: list[str | tuple[int, int, int, float]]) -> None:
    added: list[Block] = []
    newest = dict.fromkeys(RUNS, 0.0)
    with tempfile.TemporaryDirectory() as name:
        store = await opened(Path(name))
        for action in todo:
            if isinstance(action, tuple):
                seed, run, rows, dt_s = action
                added.append(bits(seed, run, rows, newest[run], dt_s))
                newest[run] = float(added[-1]["t_s"][-1])
                store.add_samples(added[-1])
            elif action == "commit":
                await store.commit()
            else:
                await store.close()
                store = await opened(Path(name))
        await store.commit()
        for run in RUNS:
            assert raw(store.reader.samples(run)) == expected(added, run)
            assert store.reader.verify(run) == []
            assert store.reader.count(run) == sum(len(b) for b in added if b["channel"][0] == run)
            last = store.reader.last_sample(run)
            mine = [block for block in added if block["channel"][0] == run]
            assert (
                (last is None)
                if not mine
                else (last is not None and last.tobytes() == mine[-1][-1].tobytes())
            )
        await store.close()


async def test_a_stretch_of_some_columns(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    blocks = [bits(k, 1, 250, 250.0 * k, 1.0) for k in range(9)]
    for block in blocks:
        store.add_samples(block)
        await store.commit()
    whole = np.concatenate(blocks)
    inside = whole[(whole["t_s"] >= 333.0) & (whole["t_s"] <= 2100.0)]
    found = store.reader.samples(1, 333.0, 2100.0, ("step", "voltage_V"))
    assert raw(found) == {"step": inside["step"].tobytes(), "voltage_V": inside["voltage_V"].tobytes()}
    assert len(store.reader.samples(1, 1e9)["t_s"]) == 0
    with pytest.raises(StorageError, match="temperature"):
        store.reader.samples(1, columns=("temperature",))
    await store.close()


async def test_nothing_is_seen_before_its_commit(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    store.add_run(info(1), program(), {})
    store.add_samples(bits(0, 1, 5, 0.0, 1.0))
    other = Reader(tmp_path)
    assert (other.runs(), other.count(1), store.pending()) == ([], 0, 5)
    await store.commit()
    assert ([r.run for r in other.runs()], other.count(1), store.pending()) == ([1], 5, 0)
    await store.close()
    assert other.count(1) == 5


async def test_closing_commits_what_is_pending(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    block = bits(0, 1, 5, 0.0, 1.0)
    store.add_samples(block)
    await store.close()
    assert raw(Reader(tmp_path).samples(1)) == expected([block], 1)


async def test_mixed_blocks_are_sorted_by_run_and_keep_their_order(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    mixed = bits(1, 1, 3000, 0.0, 1.0)
    mixed["channel"] = np.random.default_rng(2).integers(1, 4, len(mixed))
    for part in np.array_split(mixed, 11):
        store.add_samples(part)
        await store.commit()
    for run in RUNS:
        assert raw(store.reader.samples(run)) == expected([mixed], run)
    await store.close()


async def test_a_full_database_keeps_the_queue_for_the_next_commit(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    blocks = [bits(k, 1, 700, 700.0 * k, 1.0) for k in range(3)]
    store.add_samples(blocks[0])
    await store.commit()

    await leave_pages(store, 0)
    store.add_samples(blocks[1])
    store.add_event(1, Event(kind="note", unix_s=1.0))
    with pytest.raises(StorageError, match="full"):
        await store.commit()
    store.add_samples(blocks[2])
    store.add_event(1, Event(kind="note", unix_s=2.0))
    assert store.pending() == 1400
    assert store.reader.count(1) == 700

    await leave_pages(store, 1_000_000)
    assert [stored.event.unix_s for stored in await store.commit()] == [1.0, 2.0]
    assert raw(store.reader.samples(1)) == expected(blocks, 1)
    assert store.reader.verify(1) == []
    await store.close()


async def test_a_commit_that_fails_halfway_leaves_no_trace(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    blocks = []
    failed = 0
    for k in range(6):
        blocks += [bits(k, 1, 650, 650.0 * k, 1.0), bits(k, 2, 5, 500.0 * k, 100.0)]
        store.add_samples(blocks[-2])
        store.add_samples(blocks[-1])
        for more in range(0, 200, 8):  # each time a later statement of the transaction finds no room
            await leave_pages(store, more)
            try:
                await store.commit()
                break
            except StorageError:
                failed += 1
    await leave_pages(store, 1_000_000)
    assert (store.pending(), failed > 3) == (0, True)
    for run in (1, 2):
        assert raw(store.reader.samples(run)) == expected(blocks, run)
        assert store.reader.verify(run) == []
    await store.close()


async def leave_pages(store: Store, more: int) -> None:
    """Let the database grow by so many pages: SQLite then gives a real SQLITE_FULL."""
    writer = store._opened()

    def pragma() -> None:
        with writer._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}")

    await store._submit(pragma)


async def test_commits_at_the_same_time_store_each_thing_once(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    blocks = [bits(k, 1, 20, 20.0 * k, 1.0) for k in range(30)]

    async def add(number: int) -> int:
        store.add_samples(blocks[number])
        store.add_event(1, Event(kind="note", unix_s=float(number)))
        return len(await store.commit())

    returned = await asyncio.gather(*(add(k) for k in range(30)))
    assert sum(returned) == 30
    assert raw(store.reader.samples(1)) == expected(blocks, 1)
    assert [stored.event.unix_s for stored in store.reader.events()] == [float(k) for k in range(30)]
    await store.close()


async def test_a_cancelled_commit_stores_once_and_loses_nothing(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    blocks = [bits(k, 1, 20, 20.0 * k, 1.0) for k in range(10)]
    for block in blocks:
        store.add_samples(block)
        task = asyncio.create_task(store.commit())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store.commit()
    assert store.pending() == 0
    assert raw(store.reader.samples(1)) == expected(blocks, 1)
    await store.close()


async def test_run_numbers_never_come_twice(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    numbers = [store.next_run(), store.next_run()]
    store.add_run(info(numbers[1]), program(), {})
    await store.close()
    (tmp_path / "runs" / "7-left-by-hand").mkdir(parents=True)
    store = await opened(tmp_path)
    numbers.append(store.next_run())
    assert numbers == [1, 2, 8]
    await store.close()


async def test_a_torn_journal_row_is_left_out_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await opened(tmp_path)
    blocks = [bits(k, 1, 5, 5.0 * k, 1.0) for k in range(4)]
    for block in blocks[:3]:
        store.add_samples(block)
        await store.commit()
    store.add_samples(bits(9, 2, 5, 0.0, 1.0))
    await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("UPDATE journal SET samples = zeroblob(length(samples)) WHERE id = 2")

    store = await opened(tmp_path)
    store.add_samples(blocks[3])
    with caplog.at_level(logging.WARNING):
        await store.commit()
    assert "journal row 2 is damaged" in caplog.text
    for _ in range(2):
        assert raw(store.reader.samples(1)) == expected([blocks[0], blocks[2], blocks[3]], 1)
        assert len(store.reader.verify(1)) == 1
        assert "journal row 2" in store.reader.verify(1)[0]
        assert store.reader.verify(2) == []
        store.add_samples(empty_block())
        await store.commit()
    more = bits(10, 1, 700, 20.0, 1.0)
    store.add_samples(more)
    await store.commit()
    assert store.reader.count(1) == 15 + 700
    assert len(store.reader.verify(1)) == 1
    await store.close()


async def test_a_damaged_chunk_is_left_out_and_reported(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    blocks = [bits(k, 1, 600, 600.0 * k, 1.0) for k in range(3)]
    for block in blocks:
        store.add_samples(block)
        await store.commit()
    await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("UPDATE chunk SET voltage_V = zeroblob(50) WHERE seq0 = 600")
    reader = Reader(tmp_path)
    assert raw(reader.samples(1)) == expected([blocks[0], blocks[2]], 1)
    assert reader.verify(1) == ["samples 600 to 1199 fail their checksum"]


async def test_missing_samples_and_time_that_goes_back_are_reported(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    store.add_samples(bits(0, 1, 700, 0.0, 1.0))
    store.add_samples(bits(1, 1, 700, 300.0, 1.0))
    store.add_samples(bits(2, 2, 1300, 0.0, 1.0))
    await store.close()
    assert Reader(tmp_path).verify(1) == ["t_s goes back at 700 s"]
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("DELETE FROM chunk WHERE run = 2 AND seq0 = 0")
    assert Reader(tmp_path).verify(2) == ["samples 0 to 649 are missing"]


async def test_a_run_that_stands_still_does_not_keep_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "JOURNAL_ROWS", 20)
    store = await opened(tmp_path)
    idle = bits(0, 1, 3, 0.0, 1.0)
    store.add_samples(idle)
    busy = [bits(k, 2, 100, 100.0 * k, 1.0) for k in range(60)]
    for block in busy:
        store.add_samples(block)
        await store.commit()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        (rows,) = database.execute("SELECT count(*) FROM journal").fetchone()
    assert rows <= 20
    assert raw(store.reader.samples(1)) == expected([idle], 1)
    assert raw(store.reader.samples(2)) == expected(busy, 2)
    await store.close()


async def test_samples_that_are_none_are_refused(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    with pytest.raises(StorageError, match="dtype"):
        store.add_samples(np.zeros(3, dtype=[("t_s", "<f8")]))
    timeless = empty_block(2)
    timeless["t_s"][1] = np.nan
    with pytest.raises(StorageError, match="finite t_s"):
        store.add_samples(timeless)
    assert store.pending() == 0
    await store.close()
