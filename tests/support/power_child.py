"""A process of its own that uses a store, step by step. Started by test_storage_power_loss.py FOLDER.

After each step that the store has acknowledged it prints a line: ``opened IDENTITY``, ``run NUMBER COUNT``,
``event ID``, ``sealed NUMBER``, ``closed``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from storage_child import samples

from protocols.cell import Cell
from protocols.nodes import Rest
from protocols.program import Limits, Program
from protocols.records import Event, RunInfo
from storage import database
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

RUNS = (1, 2, 3)
SAMPLES = {1: 250, 2: 7, 3: 90}
"""A commit brings so many samples of each run: chunks of one fill often, those of another seldom."""
COMMITS = (20, 20, 15)
"""Commits before the store is closed and opened again, before run 1 is sealed, and before the end."""
LOG_BYTES = 100_000
"""SQLite folds its log into the file so often (as a rule at 64 MiB), to have it in a short trial."""


def tell(*words: object) -> None:
    """Print a line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def opened(folder: Path) -> Store:
    """Return an open store."""
    store = Store(folder)
    await store.open()
    tell("opened", store.identity)
    return store


def add_runs(store: Store) -> None:
    """Queue the runs."""
    limits = Limits(voltage_min_V=-1, voltage_max_V=1, current_max_A=1)
    rest = Rest(index=0, label="rest", duration_s=1)
    program = Program(protocol="p", cell=Cell(name="c", area_m2=1e-4), steps=(rest,), limits=limits)
    for run in RUNS:
        info = RunInfo(
            run=run,
            name=f"r{run}",
            station="A",
            protocol="p",
            cell="c",
            state="finished",
            submitted_unix_s=0.0,
        )
        store.add_run(info, program, {})


async def commit(store: Store, times: int, counts: dict[int, int]) -> None:
    """Commit samples of the runs in ``counts``, and an event with each commit."""
    for _ in range(times):
        for run, count in counts.items():
            store.add_samples(samples(run, count, SAMPLES[run]))
            counts[run] = count + SAMPLES[run]
        store.add_event(None, Event(kind="note", t_s=None, unix_s=0.0, data={}))
        (event,) = await store.commit()
        for run, count in counts.items():
            tell("run", run, count)
        tell("event", event.id)


async def seal(store: Store, run: int) -> None:
    """Seal a run."""

    async def write(folder: Path, number: int) -> SealedFile:
        return await asyncio.to_thread(seal_run, folder, number)

    await store.seal(run, write)
    tell("sealed", run)


async def main(folder: Path) -> None:
    """Use a new store, close it, open it again."""
    database.LOG_BYTES = LOG_BYTES
    counts = dict.fromkeys(RUNS, 0)
    store = await opened(folder)
    add_runs(store)
    await commit(store, COMMITS[0], counts)
    await store.close()
    tell("closed")
    store = await opened(folder)
    await commit(store, COMMITS[1], counts)
    await seal(store, 1)
    del counts[1]
    await commit(store, COMMITS[2], counts)
    await seal(store, 2)
    await store.close()
    tell("closed")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
