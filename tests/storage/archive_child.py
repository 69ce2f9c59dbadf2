"""Archives, removes and restores a run, killed before each single change on the disk in turn.

``archive_child.py DATA WORK FIRST STEP`` copies the data folder DATA anew for each of the places FIRST,
FIRST + STEP, …, and lets a child process do everything until that place, where it dies as by kill -9. After
each death the run has to be whole: in the data folder, or in the archive. Prints the number of places.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from protocols.records import Archived
from storage.adopt import Adopted, prepare
from storage.archive import check_archive, ready_folder, unpack, write_archive
from storage.files import INCOMING
from storage.reader import Reader
from storage.store import Store
from storage.verify import verify_run

RUN = 1
FINISHED, KILLED = 0, 9
CHANGES = (
    (Path, "replace"),
    (Path, "rename"),
    (Path, "unlink"),
    (os, "fsync"),
    (shutil, "copyfileobj"),
)


class Place:
    """Counts changes of the disk, and ends the process before the one that is asked for."""

    def __init__(self, at: int) -> None:
        self._left = at

    def before(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """Return the change, with the count before it."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                os._exit(KILLED)
            return change(*args, **kwargs)

        return counted


async def move(data: Path, archive: Path) -> None:
    """Archive a run, remove its samples, and bring them back."""
    store = Store(data)
    await store.open()
    reader = store.reader
    (copy,) = write_archive([ready_folder(reader, RUN)], archive)
    store.mark_archived(RUN, Archived(file=str(copy.path), sha256=copy.sha256, unix_s=1.0))
    await store.commit()
    for file in reader.parts(RUN):
        (data / file.file).unlink()
    await bring_back(store, archive)
    await store.close()


async def bring_back(store: Store, archive: Path) -> None:
    """Restore a run into the store."""
    into = store.folder / INCOMING / "x"
    shutil.rmtree(into, ignore_errors=True)
    (folder,) = unpack(archive, into)

    async def here(folder: Path, number: int, identity: str) -> Adopted:
        return prepare(folder, number, identity)

    await store.adopt(folder, here)


def killed_at(place: int, data: Path, archive: Path) -> bool:
    """Do everything in a process of its own until a place; return whether there was such a place."""
    child = os.fork()
    if child == 0:
        count = Place(place)
        for owner, name in CHANGES:
            setattr(owner, name, count.before(getattr(owner, name)))
        asyncio.run(move(data, archive))
        os._exit(FINISHED)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (FINISHED, KILLED), code
    return code == KILLED


async def check(data: Path, archive: Path, samples: bytes) -> None:
    """See that the run is whole somewhere, and can be had back."""
    store = Store(data)
    await store.open()
    if store.reader.run(RUN).archived is not None:
        assert check_archive(archive) == []
        await bring_back(store, archive)
    assert store.reader.samples(RUN)["voltage_V"].tobytes() == samples
    assert verify_run(store.reader, RUN).problems == []
    assert store.reader.verdicts(RUN)
    await store.close()


def places(data: Path, work: Path, first: int, step: int) -> Iterator[int]:
    """Yield each place at which the process was killed, checked."""
    samples = Reader(data).samples(RUN)["voltage_V"].tobytes()
    place = first
    while True:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(work)
        shutil.copytree(data, work / "data")
        was_killed = killed_at(place, work / "data", work / "a.tar")
        asyncio.run(check(work / "data", work / "a.tar", samples))
        if not was_killed:
            return
        yield place
        place += step


if __name__ == "__main__":
    sys.stdout.write(str(len(list(places(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))))))
