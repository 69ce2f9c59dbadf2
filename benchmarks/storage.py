"""What stored samples take: bytes on disk, time to commit, time to look at an hour and at everything."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.child import in_child, uss_MB
from benchmarks.figures import Figure
from benchmarks.instruments import CURRENT_A, HALF_CYCLE_S, cycling, overpotential
from protocols.measurements import Block, empty_block
from protocols.records import RunInfo
from storage import chunks, codec
from storage.reader import Reader
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

TITLE = "Storage"
HOUR_S = 3600
LONG_H = 10_000
BATCH_H = 250
"""Hours of a long run that are handed over at once."""


def figures(runs: int = 1000, commits: int = 600, live_h: int = 6, long_h: int = LONG_H) -> list[Figure]:
    """Measure ``commits`` seconds of ``runs`` channels at 1 Hz, a live run and a sealed one."""
    return [
        *in_child(_committing, runs, commits),
        *in_child(_last_hour, live_h),
        *in_child(_long_run, long_h),
    ]


def cycling_samples(run: int, first_s: int, seconds: int) -> Block:
    """Return samples of one run at 1 Hz, as a cell of 60 Ω and a 16-bit instrument give them."""
    rng = np.random.default_rng(first_s)
    block = empty_block(seconds)
    t_s = first_s + np.arange(seconds) + rng.uniform(0.0, 3e-4, seconds)
    half_cycles = (t_s // HALF_CYCLE_S).astype(np.int32)
    sign = np.where(half_cycles % 2, -1.0, 1.0)
    block["channel"], block["t_s"] = run, t_s
    block["voltage_V"] = overpotential(t_s, sign, rng.standard_normal(seconds))
    current_A = sign * CURRENT_A + 1e-7 * rng.standard_normal(seconds)
    block["current_A"] = current_A.astype(np.float32)
    block["visit"], block["step"] = np.divmod(half_cycles, 2)
    block["half_cycle"] = half_cycles
    block["charge_C"] = _charge_C(block)
    return block


def _charge_C(samples: Block) -> NDArray[np.float64]:
    """Return the charge as the engine sums it up, by trapezoids, from 0 in each half-cycle."""
    current_A, t_s = samples["current_A"], samples["t_s"]
    passed_C = np.zeros(len(samples))
    passed_C[1:] = 0.5 * (current_A[:-1] + current_A[1:]) * np.diff(t_s)
    starts = np.flatnonzero(np.diff(samples["half_cycle"])) + 1
    return np.concatenate([np.add.accumulate(visit) for visit in np.split(passed_C, starts)])


def _committing(runs: int, commits: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_commit_all(Path(folder), runs, commits))


async def _commit_all(folder: Path, runs: int, commits: int) -> list[Figure]:
    store = Store(folder)
    await store.open()
    blocks = list(of_all_runs(runs, commits))
    held_MB = uss_MB()
    began_s = time.process_time()
    waits_s = [await _commit(store, block) for block in blocks[:-1]]
    cpu_s = time.process_time() - began_s
    grown_MB = uss_MB() - held_MB
    seen_s = typical_s(lambda: store.reader.samples(1, 0.0, None, ("t_s", "voltage_V", "current_A")), 5)
    await store.close()
    return [
        Figure(f"a commit of {runs} runs, one sample each, median", median(waits_s) * 1e3, "ms"),
        Figure("its CPU a sample", cpu_s / (runs * (commits - 1)) * 1e6, "µs"),
        Figure(f"memory a channel for {commits} s at 1 Hz until they fill a chunk", grown_MB / runs, "MB"),
        Figure(f"last {commits} s of one of {runs} channels, all in the journal", seen_s * 1e3, "ms", 10.0),
        Figure("packing a chunk, CPU a sample", _packing_us(), "µs"),
    ]


async def _commit(store: Store, block: Block) -> float:
    store.add_samples(block)
    began_s = time.monotonic()
    await store.commit()
    return time.monotonic() - began_s


def of_all_runs(runs: int, seconds: int, first_s: float = 0.0) -> Iterator[Block]:
    """Yield one sample of each run for each second; the runs are in different places of their half-cycles.

    Times are the instrument's own, which takes a sample every second by its clock.
    """
    rng = np.random.default_rng(0)
    phase_s = rng.uniform(0.0, 10 * HALF_CYCLE_S, runs)
    before = _at(phase_s + first_s - 1.0, rng)
    for second in range(seconds):
        block = _at(phase_s + first_s + second, rng)
        mean_A = 0.5 * (before["current_A"] + block["current_A"])
        passed_C = before["charge_C"] + mean_A * (block["t_s"] - before["t_s"])
        block["charge_C"] = np.where(block["half_cycle"] == before["half_cycle"], passed_C, 0.0)
        yield block
        before = block


def _at(t_s: NDArray[np.float64], rng: np.random.Generator) -> Block:
    """Return one sample of each of many runs, without the charge."""
    block = empty_block(len(t_s))
    half_cycles = (t_s // HALF_CYCLE_S).astype(np.int32)
    sign = np.where(half_cycles % 2, -1.0, 1.0)
    block["channel"], block["t_s"] = np.arange(1, len(t_s) + 1), t_s
    block["voltage_V"] = overpotential(t_s, sign, rng.standard_normal(len(t_s)))
    block["current_A"] = (sign * CURRENT_A + 1e-7 * rng.standard_normal(len(t_s))).astype(np.float32)
    block["visit"], block["step"] = np.divmod(half_cycles, 2)
    block["half_cycle"] = half_cycles
    return block


def _packing_us(times: int = 50) -> float:
    samples = cycling_samples(1, 0, chunks.CHUNK_SAMPLES)
    began_s = time.process_time()
    for _ in range(times):
        codec.pack(samples)
    return (time.process_time() - began_s) / (times * len(samples)) * 1e6


def _last_hour(hours: int) -> list[Figure]:
    """Measure on a run that goes on: chunks, and a tail in the journal."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_fill(Path(folder), hours, tail_s=300))
        reader = Reader(Path(folder))
        end_s = float(hours * HOUR_S + 300)

        def last_hour() -> object:
            return reader.samples(1, end_s - HOUR_S, None, ("t_s", "voltage_V", "current_A"))

        return [Figure("last hour of a channel that runs, 1 Hz", typical_s(last_hour) * 1e3, "ms", 10.0)]


def _long_run(hours: int) -> list[Figure]:
    """Measure on a run that has ended and is sealed."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_fill(Path(folder), hours))
        reader = Reader(Path(folder))
        sealed = asyncio.run(_seal(Path(folder)))
        size = (Path(folder) / sealed.file).stat().st_size
        end_s = float(hours * HOUR_S)

        def overview() -> object:
            return reader.overview(1)

        def last_hour() -> object:
            return reader.samples(1, end_s - HOUR_S, None, ("t_s", "voltage_V", "current_A"))

        return [
            Figure("a sealed sample, plain Parquet", size / sealed.n, "bytes", 20.0),
            Figure("last hour of a sealed run", typical_s(last_hour) * 1e3, "ms", 10.0),
            Figure(f"overview of a run of {hours} h at 1 Hz", typical_s(overview) * 1e3, "ms", 50.0),
        ]


def typical_s(look: Callable[[], object], times: int = 9) -> float:
    """Return the median time that a look takes, once it is warm."""
    look()
    spent_s = []
    for _ in range(times):
        began_s = time.monotonic()
        look()
        spent_s.append(time.monotonic() - began_s)
    return median(spent_s)


async def _fill(folder: Path, hours: int, tail_s: int = 0) -> None:
    """Store a run of so many hours at 1 Hz, the last ``tail_s`` in commits of half a second's worth."""
    store = Store(folder)
    await store.open()
    program = cycling()
    info = RunInfo(
        run=1, name="long", station="bench", protocol="p", cell="c", state="finished", submitted_unix_s=0.0
    )
    store.add_run(info, program, {})
    for first_h in range(0, hours, BATCH_H):
        seconds = min(BATCH_H, hours - first_h) * HOUR_S
        store.add_samples(cycling_samples(1, first_h * HOUR_S, seconds))
        await store.commit()
    for second in range(tail_s):
        store.add_samples(cycling_samples(1, hours * HOUR_S + second, 1))
        await store.commit()
    await store.close()


async def _seal(folder: Path) -> SealedFile:
    store = Store(folder)
    await store.open()

    async def write(where: Path, run: int) -> SealedFile:
        return await asyncio.to_thread(seal_run, where, run)

    sealed = await store.seal(1, write)
    await store.close()
    return sealed
