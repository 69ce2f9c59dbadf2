"""A store that has grown large: what a look and a restart take, and what a sample costs until it is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from sqlalchemy import Connection, insert

from benchmarks.child import in_child
from benchmarks.figures import Figure
from benchmarks.instruments import cycling
from benchmarks.storage import HOUR_S, cycling_samples, of_all_runs, typical_s
from protocols.measurements import Block
from protocols.records import RunInfo, Ticket
from storage import chunks, tables
from storage.chunks import CHUNK_SAMPLES, Head
from storage.database import DATABASE, open_writer
from storage.held import HeldReader
from storage.reader import Reader
from storage.store import Store

TITLE = "A large store"
TAIL_S = 300
"""Seconds at 1 Hz that are in the journal, in no chunk yet: half of what a chunk holds."""
FILL_BYTES = 1 << 16


def figures(
    samples: int = 100_000_000, channels: int = 1000, size_GB: float = 5.0, commits: int = 1300
) -> list[Figure]:
    """Measure ``commits`` seconds of ``channels`` at 1 Hz, and a store of so many samples and bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tail_s = min(TAIL_S, commits)
        in_child(_build, folder, samples // channels // CHUNK_SAMPLES or 1, channels, size_GB, tail_s)
        return [
            *in_child(_looks, folder, samples, channels),
            *in_child(_restart, folder),
            *in_child(_writing, channels, commits),
        ]


def _build(folder: Path, chunks_each: int, channels: int, size_GB: float, tail_s: int) -> None:
    """Write runs whose chunks are packed once for all channels, and fill the file up to its size."""
    asyncio.run(_begin_runs(folder, channels))
    engine = open_writer(folder)
    with engine.begin() as connection:
        for number in range(chunks_each):
            _insert_chunks(connection, channels, number)
    with engine.begin() as connection:
        _fill(connection, folder / DATABASE, channels + 1, size_GB)
    engine.dispose()
    asyncio.run(_add_tail(folder, channels, chunks_each * CHUNK_SAMPLES, tail_s))


async def _begin_runs(folder: Path, channels: int) -> None:
    store = Store(folder)
    await store.open()
    program = cycling()
    for run in range(1, channels + 1):
        info = RunInfo(
            run=run,
            name="bench",
            station=f"s{run}",
            protocol="p",
            cell="c",
            state="running",
            submitted_unix_s=0.0,
        )
        store.add_run(info, program, {})
        store.save_ticket(Ticket(run=run, segment=0, program=program.digest()), program, "started", 0.0, 0.0)
        store.save_guards(run, 0.0, {"watch": {}})
    await store.close()


def _insert_chunks(connection: Connection, channels: int, number: int) -> None:
    first = number * CHUNK_SAMPLES
    row = chunks.row(Head(first, 0), 0, cycling_samples(1, first, CHUNK_SAMPLES))
    connection.execute(insert(tables.Chunk), [{"run": run, **row} for run in range(1, channels + 1)])


def _fill(connection: Connection, file: Path, run: int, size_GB: float) -> None:
    """Add what another run might have left, in large chunks."""
    row = chunks.row(Head(), 0, cycling_samples(run, 0, CHUNK_SAMPLES))
    missing = int(size_GB * 1e9) - file.stat().st_size
    for number in range(max(0, missing // FILL_BYTES)):
        filled = {**row, "run": run, "seq0": number * CHUNK_SAMPLES, "voltage_V": os.urandom(FILL_BYTES)}
        connection.execute(insert(tables.Chunk), filled)


async def _add_tail(folder: Path, channels: int, first_s: int, seconds: int) -> None:
    store = Store(folder)
    await store.open()
    # No run's time may go back: each goes on where it is in its half-cycles.
    for block in of_all_runs(channels, seconds, first_s):
        store.add_samples(block)
        await store.commit()
    await store.close()


def _looks(folder: Path, samples: int, channels: int) -> list[Figure]:
    reader = Reader(folder)
    run = channels // 2 + 1
    newest = reader.last_sample(run)
    end_s = 0.0 if newest is None else float(newest["t_s"])

    def last_hour() -> object:
        return reader.samples(run, end_s - HOUR_S, None, ("t_s", "voltage_V", "current_A"))

    size_GB = (folder / DATABASE).stat().st_size / 1e9
    what = f"last hour of one of {channels} channels, {samples:.0e} samples stored"
    return [
        Figure(what, typical_s(last_hour) * 1e3, "ms", 10.0),
        Figure("size of its database", size_GB, "GB"),
    ]


def _restart(folder: Path) -> list[Figure]:
    return asyncio.run(_open_and_look(folder))


async def _open_and_look(folder: Path) -> list[Figure]:
    began_s = time.monotonic()
    store = Store(folder)
    await store.open()
    opened_s = time.monotonic() - began_s
    with contextlib.closing(HeldReader(folder)) as reader:
        for info in reader.runs():
            reader.tickets(info.run)
            reader.guards(info.run)
            reader.last_sample(info.run)
    all_s = time.monotonic() - began_s
    await store.close()
    return [
        Figure("opening it", opened_s, "s"),
        Figure("opening it and looking where every run is", all_s, "s", 2.0),
    ]


def _writing(channels: int, commits: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(_write(Path(name), list(of_all_runs(channels, commits))))


async def _write(folder: Path, blocks: list[Block]) -> list[Figure]:
    store = Store(folder)
    await store.open()
    written, cpu_s = psutil.Process().io_counters().write_chars, time.process_time()
    for half in (half for block in blocks for half in np.array_split(block, 2)):
        # Two commits a second, as the daemon makes them, each with what has come meanwhile.
        store.add_samples(half)
        await store.commit()
    await store.close()  # what waits in the write-ahead log is written once more
    cpu_s = time.process_time() - cpu_s
    written = psutil.Process().io_counters().write_chars - written
    samples = sum(map(len, blocks))
    return [
        Figure("bytes written a sample, 1 Hz: journal, its merging, chunk", written / samples, "bytes", 90.0),
        Figure("samples made durable a second of CPU", samples / cpu_s, "1/s", 20_000.0, at_least=True),
    ]
