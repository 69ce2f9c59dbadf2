"""Sealing moves a run's samples to a file of their own, and nobody who reads them notices."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from protocols.cell import Cell
from protocols.errors import StorageError
from protocols.measurements import COLUMNS, SAMPLE, Block, empty_block
from protocols.nodes import Rest
from protocols.program import Limits, Program
from protocols.records import RunInfo, Ticket
from storage import seal
from storage.database import DATABASE
from storage.reader import Reader
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

LIMITS = Limits(voltage_min_V=-1, voltage_max_V=1, current_max_A=1)
PROGRAM = Program(
    protocol="p",
    cell=Cell(name="c", area_m2=1e-4),
    steps=(Rest(index=0, label="rest", duration_s=1),),
    limits=LIMITS,
)


async def opened(folder: Path) -> Store:
    """A store with two runs."""
    store = Store(folder, clock=lambda: 1234.5)
    await store.open()
    for run in (1, 2):
        info = RunInfo(
            run=run,
            name=f"cell {run}",
            station="A",
            protocol="p",
            cell="c",
            state="finished",
            submitted_unix_s=50.0,
        )
        store.add_run(info, PROGRAM, {"protocol": "text"})
    return store


def samples(run: int, rows: int, t0_s: float = 0.0) -> Block:
    block = np.frombuffer(np.random.default_rng(run).bytes(rows * SAMPLE.itemsize), dtype=SAMPLE).copy()
    block["channel"] = run
    block["t_s"] = t0_s + np.arange(rows)
    return block


async def write(folder: Path, run: int) -> SealedFile:
    return await asyncio.to_thread(seal_run, folder, run)


def stored(reader: Reader, run: int) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in reader.samples(run).items()}


def raw(block: Block) -> dict[str, bytes]:
    return {name: block[name].tobytes() for name in COLUMNS}


async def test_samples_are_the_same_after_sealing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "ROW_GROUP", 1000)
    store = await opened(tmp_path)
    blocks = {1: samples(1, 4321), 2: samples(2, 77)}
    store.add_samples(np.concatenate(list(blocks.values())))
    await store.commit()
    late = samples(2, 5, 77.0)
    store.add_samples(late)

    file = await store.seal(1, write)
    assert (file.run, file.n) == (1, 4321)
    assert stored(store.reader, 1) == raw(blocks[1])
    assert stored(store.reader, 2) == raw(np.concatenate([blocks[2], late]))
    inside = blocks[1][1500:2501]
    found = store.reader.samples(1, 1500.0, 2500.0, ("current_A",))
    assert found["current_A"].tobytes() == inside["current_A"].tobytes()
    last = store.reader.last_sample(1)
    assert last is not None
    assert last.tobytes() == blocks[1][-1].tobytes()
    assert (store.reader.count(1), store.reader.verify(1), store.reader.unsealed()) == (4321, [], [2])
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        assert database.execute("SELECT count(*) FROM chunk WHERE run = 1").fetchone() == (0,)
        assert database.execute("SELECT sealed_unix_s FROM sealed").fetchone() == (1234.5,)
    assert await store.seal(1, write) == file
    await store.close()


async def test_a_run_without_samples_is_sealed(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    assert (await store.seal(1, write)).n == 0
    assert store.reader.last_sample(1) is None
    assert stored(store.reader, 1) == dict.fromkeys(COLUMNS, b"")
    await store.close()


async def test_samples_that_come_while_sealing_stop_it(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    first, late = samples(1, 700), samples(1, 9, 700.0)
    store.add_samples(first)

    async def late_write(folder: Path, run: int) -> SealedFile:
        file = await write(folder, run)
        store.add_samples(late)
        await store.commit()
        return file

    with pytest.raises(StorageError, match="got samples while"):
        await store.seal(1, late_write)
    both = raw(np.concatenate([first, late]))
    assert stored(store.reader, 1) == both
    await store.seal(1, write)
    assert stored(store.reader, 1) == both
    await store.close()


async def test_samples_after_sealing_stay_in_the_database(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    first, late = samples(1, 700), samples(1, 9, 700.0)
    store.add_samples(first)
    await store.seal(1, write)
    store.add_samples(late)
    await store.close()
    store = await opened(tmp_path)
    both = np.concatenate([first, late])
    assert stored(store.reader, 1) == raw(both)
    last = store.reader.last_sample(1)
    assert last is not None
    assert last.tobytes() == both[-1].tobytes()
    with pytest.raises(StorageError, match="more samples since"):
        await store.seal(1, write)
    assert stored(store.reader, 1) == raw(both)
    assert store.reader.verify(1) == []
    await store.close()


async def test_damaged_samples_are_not_sealed_away(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    store.add_samples(samples(1, 1300))
    await store.commit()
    await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("UPDATE chunk SET flags = zeroblob(9) WHERE seq0 = 0")
    store = await opened(tmp_path)
    with pytest.raises(StorageError, match="samples 0 to 649 fail"):
        await store.seal(1, write)
    assert store.reader.count(1) == 1300
    await store.close()


async def test_a_changed_or_missing_file_is_reported(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    store.add_samples(samples(1, 700))
    path = tmp_path / (await store.seal(1, write)).file
    with path.open("ab") as file:
        file.write(b"!")
    assert "checksum" in store.reader.verify(1)[0]
    path.unlink()
    assert "missing" in store.reader.verify(1)[0]
    with pytest.raises(StorageError, match="backup"):
        store.reader.samples(1)
    await store.close()


async def test_a_sealed_file_names_its_columns_as_bdf_does(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    block = empty_block(6)
    block["channel"] = 1
    block["t_s"] = [0, 1, 2, 3, 4, 5]
    block["step"] = [0, 0, 1, 1, 0, 0]
    block["visit"] = [0, 0, 0, 0, 1, 1]
    block["half_cycle"] = [0, 0, 1, 1, 2, 2]
    store.add_samples(block)
    for segment, (offset_s, anchor_unix_s) in enumerate([(0.0, 1000.0), (3.0, 2000.0)]):
        ticket = Ticket(run=1, segment=segment, program=PROGRAM.digest())
        store.save_ticket(ticket, PROGRAM, "ended", offset_s, anchor_unix_s)
    refused = Ticket(run=1, segment=2, program=PROGRAM.digest())
    store.save_ticket(refused, PROGRAM, "refused", 4.0, 9e9)
    file = await store.seal(1, write)
    table = parquet.read_table(tmp_path / file.file)
    assert {"test_time_second", "voltage_volt", "current_ampere", "step_id"} <= set(table.column_names)
    assert table["unix_time_second"].to_pylist() == [1000, 1001, 1002, 2000, 2001, 2002]
    assert table["step_count"].to_pylist() == [1, 1, 2, 2, 3, 3]
    assert table["cycle_count"].to_pylist() == [1, 1, 1, 1, 2, 2]

    about = json.loads((tmp_path / file.file).with_name("run.json").read_text())
    assert [row["sha256"] for row in about["files"]] == [file.sha256]
    assert about["run"]["name"] == "cell 1"
    assert about["texts"] == {"protocol": "text"}
    assert set(about["columns"]) == set(table.column_names)
    assert "oxidises the working electrode" in about["conventions"]["current"]
    await store.close()
