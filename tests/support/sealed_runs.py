"""A run of a cycling cell, and how an engine stores and seals it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from protocols.cell import Cell
from protocols.measurements import COLUMNS, SAMPLE, Block
from protocols.nodes import ConstantCurrent, Repeat
from protocols.program import Limits, Program
from protocols.records import RunInfo, RunState
from storage.columns import Columns
from storage.reader import Reader
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

HOUR_S = 3600.0
PLATE = ConstantCurrent(index=0, label="plate", current_A=-1e-4, duration_s=HOUR_S)
STRIP = ConstantCurrent(index=1, label="strip", current_A=1e-4, duration_s=HOUR_S)
PROGRAM = Program(
    protocol="cycling",
    cell=Cell(name="c", area_m2=1e-4),
    steps=(Repeat(total=99, stop=99, counts=True, body=(PLATE, STRIP)),),
    limits=Limits(voltage_min_V=-1, voltage_max_V=1, current_max_A=1),
)


def info(state: RunState) -> RunInfo:
    """Run 1 in this state."""
    return RunInfo(
        run=1, name="c", station="A", protocol="cycling", cell="c", state=state, submitted_unix_s=50.0
    )


async def opened(folder: Path) -> Store:
    """Return the open store of a folder."""
    store = Store(folder)
    await store.open()
    return store


async def with_run(folder: Path, state: RunState = "running", **record: float | None) -> Store:
    """Return an open store with run 1, whose program says these things of its recording."""
    store = await opened(folder)
    store.add_run(info(state), PROGRAM.model_copy(update=record), {})
    await store.commit()
    return store


def cycling(first: int, rows: int, interval_s: float = 10.0) -> Block:
    """Samples ``first`` … of a cell that plates for an hour, then strips for an hour, and so on."""
    number = np.arange(first, first + rows)
    block = np.zeros(rows, dtype=SAMPLE)
    t_s = number * interval_s
    half_cycle = (t_s // HOUR_S).astype(np.int32)
    block["channel"] = 1
    block["t_s"] = t_s
    block["voltage_V"] = np.sin(number)
    block["current_A"] = np.where(half_cycle % 2, 1e-4, -1e-4)
    block["charge_C"] = block["current_A"] * (t_s % HOUR_S)
    block["visit"], block["step"] = np.divmod(half_cycle, 2)
    block["half_cycle"] = half_cycle
    return block


async def write(folder: Path, run: int) -> SealedFile:
    """Seal in a thread, where a daemon has its worker."""
    return await asyncio.to_thread(seal_run, folder, run)


def stored(reader: Reader) -> Columns:
    """All samples of run 1."""
    return reader.samples(1)


def raw(columns: Columns | Block) -> dict[str, bytes]:
    """Columns bit for bit."""
    return {name: columns[name].tobytes() for name in COLUMNS}


async def add(store: Store, block: Block) -> None:
    """Store samples as an engine does: a little at a time."""
    for piece in np.array_split(block, max(1, len(block) // 300)):
        store.add_samples(piece)
        await store.commit()
