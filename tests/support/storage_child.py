"""A process of its own that uses the store until it is killed. Started by test_storage_crash.py.

``commit FOLDER``: continues two runs where the store ends, and prints ``run count`` after each commit.
``seal FOLDER``: seals run 1 and prints ``sealed``. ``seal-unnamed``: dies before the file gets its name.
``seal-unrecorded``: dies when the file is written and not recorded.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np

from protocols.measurements import Block, empty_block
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile


def samples(run: int, first: int, rows: int) -> Block:
    """Return samples ``first`` … of a run: each column follows from the number of the sample."""
    number = np.arange(first, first + rows)
    block = empty_block(rows)
    block["channel"] = run
    block["t_s"] = number * 0.5
    block["voltage_V"] = np.sin(number * run)
    block["charge_C"] = np.sqrt(number)
    block["visit"] = number
    return block


async def commit(store: Store) -> None:
    """Commit until killed."""
    lasts = {run: store.reader.last_sample(run) for run in (1, 2)}
    counts = {run: 0 if last is None else int(last["visit"]) + 1 for run, last in lasts.items()}
    while True:
        for run, rows in ((1, 40), (2, 7)):
            store.add_samples(samples(run, counts[run], rows))
            counts[run] += rows
        await store.commit()
        sys.stdout.write("".join(f"{run} {count}\n" for run, count in counts.items()))
        sys.stdout.flush()


def die(*_: object) -> None:
    """End as kill -9 does: nothing is flushed, closed or cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


async def seal(store: Store, how: str) -> None:
    """Seal run 1, in a process of its own being this one."""

    async def write(folder: Path, run: int) -> SealedFile:
        file = await asyncio.to_thread(seal_run, folder, run)
        if how == "seal-unrecorded":
            die()
        return file

    if how == "seal-unnamed":
        Path.replace = die  # type: ignore[method-assign,assignment]  # the moment to be killed at
    await store.seal(1, write)
    sys.stdout.write("sealed\n")


async def main(how: str, folder: Path) -> None:
    """Open the store and do what was asked."""
    store = Store(folder)
    await store.open()
    if how == "commit":
        await commit(store)
    await seal(store, how)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
