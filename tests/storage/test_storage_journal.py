"""Journal rows: one run is read alone, damage stays where it is, merging loses nothing."""

from __future__ import annotations

import logging
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.measurements import COLUMNS, SAMPLE, Block, empty_block
from storage import chunks, frames, journal, tails
from storage.database import DATABASE
from storage.reader import Reader
from storage.store import Store

RUNS = 400


def bits(seed: int, runs: list[int]) -> Block:
    """A sample for each entry of ``runs``; all but the run and the time hold any bits at all."""
    raw = np.random.default_rng(seed).bytes(len(runs) * SAMPLE.itemsize)
    block = np.frombuffer(raw, dtype=SAMPLE).copy()
    block["channel"], block["t_s"] = runs, seed + np.arange(len(runs)) / 1e4
    return block


def stored(reader: Reader, run: int) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in reader.samples(run).items()}


def expected(blocks: list[Block], run: int) -> dict[str, bytes]:
    whole = np.concatenate([empty_block(), *blocks])
    return {name: whole[whole["channel"] == run][name].tobytes() for name in COLUMNS}


def row_ids(folder: Path) -> list[int]:
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        return [row for (row,) in database.execute("SELECT id FROM journal ORDER BY id")]


async def opened(folder: Path) -> Store:
    store = Store(folder)
    await store.open()
    return store


@given(st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=60), st.integers(1, 40), st.integers(0, 99))
def test_a_row_gives_back_every_run(runs: list[int], times: int, seed: int) -> None:
    grouped = journal.group([bits(seed, runs * times)])
    index, packed = frames.pack(grouped)
    again, damaged = frames.unpack(index, packed)
    assert not damaged
    assert again.samples.tobytes() == grouped.samples.tobytes()
    assert again.index.tobytes() == grouped.index.tobytes()
    for run in {*runs, 7}:
        assert frames.unpack_one(index, packed, run).tobytes() == grouped.of(run).tobytes()


@given(st.data())
def test_damage_in_a_row_hides_one_frame_at_most(data: st.DataObject) -> None:
    grouped = journal.group([bits(1, list(range(RUNS)) * 2)])
    index, packed = frames.pack(grouped)
    sizes = frames.SIZE.itemsize * (len(frames.layout_of(index).bounds) - 1)
    place = data.draw(st.integers(sizes, len(packed) - 1))
    broken = bytearray(packed)
    broken[place] ^= data.draw(st.integers(1, 255))
    found, damaged = frames.unpack(index, bytes(broken))
    assert damaged
    assert len(grouped.samples) - len(found.samples) <= 2 * frames.FRAME_SAMPLES
    for run, samples in found.by_run():
        assert samples.tobytes() == grouped.of(run).tobytes()


async def test_a_damaged_frame_costs_its_runs_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = await opened(tmp_path)
    blocks = [bits(k, list(range(1, RUNS + 1))) for k in range(3)]
    for block in blocks:
        store.add_samples(block)
        await store.commit()
    await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        (packed,) = database.execute("SELECT samples FROM journal WHERE id = 2").fetchone()
        database.execute("UPDATE journal SET samples = ? WHERE id = 2", [packed[:-9] + bytes(9)])
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            store = await opened(tmp_path)
            assert stored(store.reader, 1) == expected(blocks, 1)
            assert stored(store.reader, RUNS) == expected([blocks[0], blocks[2]], RUNS)
        assert "journal row 2 is damaged" in caplog.text
        assert store.reader.verify(RUNS) == [
            f"journal row 2 is damaged: up to {RUNS} samples of this run are lost"
        ]
        await store.close()


async def test_rows_of_few_samples_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "MERGED_ROWS", 4)
    store = await opened(tmp_path)
    blocks = [bits(k, [3, 1, 2]) for k in range(10)]
    for block in blocks:
        store.add_samples(block)
        await store.commit()
    assert row_ids(tmp_path) == [4, 8, 9, 10]
    for _ in range(2):
        for run in (1, 2, 3):
            assert stored(store.reader, run) == expected(blocks, run)
            assert store.reader.verify(run) == []
        await store.close()
        store = await opened(tmp_path)
    await store.close()


@settings(max_examples=25)
@given(data=st.data())
async def test_merging_chunks_and_restarts_lose_and_repeat_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("store")
    sizes = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=40))
    restarts = data.draw(st.sets(st.integers(0, 40), max_size=3))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("MERGED_ROWS", 4), ("CHUNK_SAMPLES", 9), ("RUNS_PER_COMMIT", 2)):
            patch.setattr(tails, name, value)
        store = await opened(folder)
        blocks = []
        for k, n in enumerate(sizes):
            # Run 1 is in every commit; the others come and go, and become due for a chunk at other times.
            blocks.append(bits(k, [1, *((k * step) % 4 + 1 for step in range(n))]))
            store.add_samples(blocks[-1])
            await store.commit()
            if k in restarts:
                await store.close()
                store = await opened(folder)
        for run in range(1, 5):
            assert stored(store.reader, run) == expected(blocks, run)
            assert store.reader.verify(run) == []
            assert store.reader.count(run) == len(expected(blocks, run)["step"]) // 4
        await store.close()


async def test_rows_are_numbered_on_when_all_are_in_chunks(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    blocks = [bits(k, [1] * chunks.CHUNK_SAMPLES) for k in range(3)]
    for block in blocks:
        store.add_samples(block)
        await store.commit()
        await store.close()
        store = await opened(tmp_path)
    assert row_ids(tmp_path) == [3]
    assert stored(store.reader, 1) == expected(blocks, 1)
    await store.close()


async def test_a_raw_row_of_release_1_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.close()
    block = bits(0, [1, 1])
    index = np.array([(1, 2)], dtype=frames.INDEX).tobytes()
    whole = zlib.crc32(block.tobytes(), zlib.crc32(index))
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        for crc in (whole, whole ^ 1):
            row = (2, crc, index, block.tobytes(), journal.RAW)
            columns = "n, crc, runs, samples, codec"
            database.execute(f"INSERT INTO journal ({columns}) VALUES (?, ?, ?, ?, ?)", row)  # noqa: S608 - no input
    assert stored(Reader(tmp_path), 1) == expected([block], 1)
    assert len(Reader(tmp_path).verify(1)) == 1
