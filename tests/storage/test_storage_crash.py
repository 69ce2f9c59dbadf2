"""What was acknowledged outlives kill -9, at any moment, once."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import storage_child

from protocols.cell import Cell
from protocols.measurements import COLUMNS, SAMPLE
from protocols.nodes import Rest
from protocols.program import Limits, Program
from protocols.records import RunInfo
from storage.reader import Reader
from storage.store import Store

CHILD = Path(storage_child.__file__)
ROOT = CHILD.parent.parent.parent
KILLS = 5


def start(how: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(CHILD), how, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def kill_after(folder: Path, lines: int) -> dict[int, int]:
    """Let the child commit, kill it after so many lines, and return what it had acknowledged of each run."""
    acknowledged: dict[int, int] = {}
    with start("commit", folder) as child:
        assert child.stdout is not None
        for number, line in enumerate(child.stdout):
            run, count = line.split()
            acknowledged[int(run)] = int(count)
            if number == lines:
                child.kill()
    assert child.returncode < 0
    return acknowledged


def assert_whole(reader: Reader, run: int) -> int:
    """Check that a run's samples are 0, 1, 2 … each once, with the values the child gave them."""
    found = reader.samples(run)
    number = np.arange(len(found["visit"]))
    assert np.array_equal(found["visit"], number)
    assert np.array_equal(found["t_s"], number * 0.5)
    assert np.array_equal(found["voltage_V"], np.sin(number * run))
    assert np.array_equal(found["charge_C"], np.sqrt(number))
    assert reader.verify(run) == []
    return len(number)


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    moments = random.Random()
    for _ in range(KILLS):
        lines = moments.randrange(1, 90)
        acknowledged = await asyncio.to_thread(kill_after, tmp_path, lines)
        reader = Reader(tmp_path)
        for run, count in acknowledged.items():
            assert assert_whole(reader, run) >= count, f"killed after {lines} lines"


async def a_run(folder: Path, rows: int) -> dict[str, bytes]:
    """Store one ended run; return its samples."""
    limits = Limits(voltage_min_V=-1, voltage_max_V=1, current_max_A=1)
    rest = Rest(index=0, label="rest", duration_s=1)
    program = Program(protocol="p", cell=Cell(name="c", area_m2=1e-4), steps=(rest,), limits=limits)
    store = Store(folder)
    await store.open()
    block = np.frombuffer(np.random.default_rng(3).bytes(rows * SAMPLE.itemsize), dtype=SAMPLE).copy()
    block["channel"] = 1
    block["t_s"] = np.arange(rows)
    info = RunInfo(
        run=1, name="one/run", station="A", protocol="p", cell="c", state="finished", submitted_unix_s=0.0
    )
    store.add_run(info, program, {})
    for part in np.array_split(block, 7):
        store.add_samples(part)
        await store.commit()
    await store.close()
    return {name: block[name].tobytes() for name in COLUMNS}


def stored(reader: Reader) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in reader.samples(1).items()}


@pytest.mark.parametrize("how", ["seal-unnamed", "seal-unrecorded"])
async def test_sealing_that_was_killed_is_done_again(tmp_path: Path, how: str) -> None:
    expected = await a_run(tmp_path, 1500)
    with start(how, tmp_path) as child:
        assert await asyncio.to_thread(child.wait) < 0
    reader = Reader(tmp_path)
    assert stored(reader) == expected
    assert (reader.unsealed(), reader.verify(1)) == ([1], [])

    with start("seal", tmp_path) as child:
        assert await asyncio.to_thread(child.wait) == 0
    assert stored(reader) == expected
    assert (reader.unsealed(), reader.verify(1)) == ([], [])
    names = {path.name for path in (tmp_path / "runs" / "1-one-run").iterdir()}
    assert names > {"run.json", "samples-000.bdf.parquet", "checksums.sha256"}
    assert not [name for name in names if name.endswith(".tmp")]
