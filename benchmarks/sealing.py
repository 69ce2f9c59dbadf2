"""What sealing costs and brings: bytes, time to look at what is sealed, and how late polls are meanwhile."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.child import in_child
from benchmarks.figures import Figure, p99
from benchmarks.instruments import cycling
from benchmarks.storage import cycling_samples, typical_s
from benchmarks.throughput import Bench, Load, Outcome
from monitor.daemon import run_loop
from protocols.measurements import Block
from protocols.records import RunInfo
from scheduler.worker import Worker
from storage.compact import compact_run
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

TITLE = "Sealing"
TITLE_OF_LATENESS = "Polls while others are sealed"
DAY_S = 86_400
HOUR_S = 3600.0
LOOKED_AT = ("t_s", "voltage_V", "current_A")


def figures(days: int = 417, rate_Hz: int = 10) -> list[Figure]:
    """Measure a run of so many days in daily parts, and a day at a high rate."""
    return [*in_child(_days, days), *in_child(_dense_day, rate_Hz)]


def lateness(load: Load | None = None, runs: int = 60) -> list[Figure]:
    """Measure polls while the worker seals a day at 1 Hz of run after run."""
    load = load or Load(0.1)
    late_ms = in_child(_lateness_ms, load, runs)
    return [Figure(f"lateness of a poll, p99, {load.rate}, sealing all the time", late_ms, "ms", 20.0)]


def _days(days: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure_days(Path(folder), days))


async def _measure_days(folder: Path, days: int) -> list[Figure]:
    """A sample every 10 s, sealed daily: what an overview takes depends on the time alone."""
    store = await _with_run(folder, "running")
    for day in range(days):
        await _store(store, slower(cycling_samples(1, day * DAY_S // 10, DAY_S // 10), 10.0))
        if day:
            await store.seal(1, _write)
    reader, hours = store.reader, days * 24
    weeks_s = min(41, days) * DAY_S
    found = [
        _ms(f"overview of {hours} h in {days - 1} daily parts", lambda: reader.overview(1), 50.0),
        _ms("overview of 6 weeks of it", lambda: reader.overview(1, t1=weeks_s), 50.0),
    ]
    began_s = time.process_time()
    while await store.merge(1, _merge):
        pass
    merging_us = (time.process_time() - began_s) / reader.count(1) * 1e6
    parts = len(reader.parts(1))
    found += [
        Figure("merging, CPU a sample", merging_us, "µs"),
        _ms(f"overview, its parts merged to {parts}", lambda: reader.overview(1), 50.0),
        _ms("overview of 6 weeks of it, merged", lambda: reader.overview(1, t1=weeks_s), 50.0),
    ]
    await store.close()
    return found


def slower(block: Block, times: float) -> Block:
    """Return samples with so many times the interval."""
    block["t_s"] *= times
    block["charge_C"] *= times
    return block


def _dense_day(rate_Hz: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure_day(Path(folder), rate_Hz))


async def _measure_day(folder: Path, rate_Hz: int) -> list[Figure]:
    """A day at a high rate, whole and thinned."""
    store = await _with_run(folder, "finished")
    await _add_run(store, 2, "finished", record_s=10.0)
    samples = slower(cycling_samples(1, 0, DAY_S * rate_Hz), 1.0 / rate_Hz)
    thinned = samples.copy()
    thinned["channel"] = 2
    for block in (samples, thinned):
        await _store(store, block)
    began_s = time.process_time()
    whole = await store.seal(1, _write)
    sealing_us = (time.process_time() - began_s) / whole.n * 1e6
    few = await store.seal(2, _write)
    reader = store.reader

    def last_hour() -> object:
        return reader.samples(1, DAY_S - HOUR_S, None, LOOKED_AT)

    size = (folder / whole.file).stat().st_size
    found = [
        Figure(f"a sealed sample at {rate_Hz} Hz", size / whole.n, "bytes", 20.0),
        Figure("sealing, CPU a sample", sealing_us, "µs"),
        _ms(f"last hour of a sealed run, {rate_Hz} Hz", last_hour, 10.0),
        Figure("rows kept with `record: {every: 10 s}`", 100.0 * few.rows / few.n, "%"),
        Figure("their bytes for each sample measured", (folder / few.file).stat().st_size / few.n, "bytes"),
    ]
    await store.close()
    return found


def _lateness_ms(load: Load, sealed: int) -> float:
    """Return how late a poll is, p99, while the worker seals a day's samples of so many runs, for ever."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_prepare(Path(folder), sealed))
        outcome: Outcome = run_loop(SealingBench(load, Path(folder), sealed).run)
    return p99(outcome.lateness_s) * 1e3


async def _prepare(folder: Path, runs: int) -> None:
    """Store a day of each of some ended runs."""
    store = await _opened(folder)
    for run in range(1, runs + 1):
        await _add_run(store, run, "finished")
        block = cycling_samples(1, 0, DAY_S)
        block["channel"] = run
        await _store(store, block)
    await store.close()


class SealingBench(Bench):
    """The whole way of a sample, while a worker seals what :func:`_prepare` has stored."""

    def __init__(self, load: Load, folder: Path, sealed: int) -> None:
        super().__init__(load, folder)
        self._left = range(1, sealed + 1)

    async def _shake(self) -> None:
        worker = Worker()
        sealing = asyncio.create_task(self._seal(worker), name="seal")
        try:
            await super()._shake()
        finally:
            # The part that is being written comes to its end: no child leaves a busy worker behind.
            self._left = range(0)
            await sealing
            worker.close()

    async def _seal(self, worker: Worker) -> None:
        while self._left:
            run, self._left = self._left[0], self._left[1:]
            await self._store.seal(run, lambda folder, number: worker.run(seal_run, folder, number))


def _ms(what: str, look: Callable[[], object], reach: float) -> Figure:
    return Figure(what, typical_s(look) * 1e3, "ms", reach)


async def _opened(folder: Path) -> Store:
    store = Store(folder)
    await store.open()
    return store


async def _with_run(folder: Path, state: str) -> Store:
    store = await _opened(folder)
    await _add_run(store, 1, state)
    return store


async def _add_run(store: Store, run: int, state: str, **record: float) -> None:
    info = RunInfo(
        run=run, name="r", station="b", protocol="p", cell="c", state="running", submitted_unix_s=0.0
    ).model_copy(update={"state": state})
    store.add_run(info, cycling().model_copy(update=record), {})
    await store.commit()


async def _store(store: Store, block: Block) -> None:
    store.add_samples(block)
    await store.commit()


async def _write(folder: Path, run: int) -> SealedFile:
    return await asyncio.to_thread(seal_run, folder, run)


async def _merge(folder: Path, run: int) -> SealedFile | None:
    return await asyncio.to_thread(compact_run, folder, run)
