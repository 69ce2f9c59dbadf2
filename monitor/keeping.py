"""Changes to a data folder from the command line: by its daemon if one runs, else with the folder locked."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from monitor.client import Client
from protocols.errors import UnreachableError
from protocols.records import Archived, Event, RunInfo
from scheduler.archives import incoming_folder
from scheduler.clock import Clock
from storage.adopt import Adopted, prepare
from storage.files import INCOMING
from storage.store import Store

T = TypeVar("T")


@contextlib.contextmanager
def incoming(data: Path) -> Iterator[Path]:
    """Give a new folder in ``incoming/``, on the disk of the data; it is removed on the way out."""
    folder = data / INCOMING / secrets.token_hex(4)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another command is at work there
            (data / INCOMING).rmdir()


def adopt(data: Path, folder: Path, *, is_new: bool = False) -> RunInfo:
    """Make a run of a run's folder in ``incoming/``; return it. Raises StorageError, BusyError."""
    name = folder.relative_to(data / INCOMING).as_posix()
    return _by_daemon_or(
        data, lambda client: client.adopt(name, is_new=is_new), lambda: _adopt(data, name, is_new)
    )


def mark_archived(data: Path, run: int, archived: Archived) -> RunInfo:
    """Remember that a run's samples have left the data folder. Raises StorageError, BusyError."""
    return _by_daemon_or(
        data, lambda client: client.mark_archived(run, archived), lambda: _mark(data, run, archived)
    )


def _by_daemon_or(data: Path, ask: Callable[[Client], T], alone: Callable[[], T]) -> T:
    try:
        with Client.of_folder(data) as client:
            return ask(client)
    except UnreachableError:
        # Whether one is there after all shows the lock of the folder.
        return alone()


def _adopt(data: Path, name: str, is_new: bool) -> RunInfo:
    async def in_thread(folder: Path, number: int, identity: str) -> Adopted:
        return await asyncio.to_thread(prepare, folder, number, identity, is_new=is_new)

    async def work() -> RunInfo:
        async with _opened(data) as store:
            return await store.adopt(incoming_folder(data, name), in_thread)

    return asyncio.run(work())


def _mark(data: Path, run: int, archived: Archived) -> RunInfo:
    async def work() -> RunInfo:
        async with _opened(data) as store:
            info = store.mark_archived(run, archived)
            told = {"archived": archived.model_dump(mode="json")}
            store.add_event(run, Event(kind="note", unix_s=Clock().unix(), data=told))
            return info

    return asyncio.run(work())


@contextlib.asynccontextmanager
async def _opened(data: Path) -> AsyncIterator[Store]:
    """Give the store of a data folder, which commits on the way out."""
    store = Store(data)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
