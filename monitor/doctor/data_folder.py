"""Checks of the data folder: can it be written, is it safe there, whose is it, is what it holds whole?"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from monitor.doctor.file_systems import IN_MEMORY, kind_of_disk, why_unsafe
from monitor.doctor.finding import Finding, Setup, ok, problem, warning
from protocols.errors import StorageError
from protocols.records import ENDED
from scheduler.requests import STATE_FILE
from scheduler.storage_watch import GB, free_bytes
from storage.database import DATABASE
from storage.lock import LOCK
from storage.migrate import require_current
from storage.reader import Reader
from storage.verify import verify_run

LONG_SAMPLES = 20_000_000
"""To look at a longer run would take minutes."""


def folder(setup: Setup) -> Iterator[Finding]:
    """Can the data folder be written, and is it ours?"""
    data = _data(setup)
    if data is None:
        return
    if not data.exists():
        parent = next(parent for parent in data.parents if parent.exists())
        if os.access(parent, os.W_OK):
            yield ok("data folder", f"{data} is made when the daemon starts")
        else:
            yield problem(
                "data folder",
                f"{data} does not exist, and {parent} can't be written",
                f"Make it, for who runs the daemon: sudo install -d -o $USER {data}",
            )
        return
    try:
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        yield problem(
            "data folder", f"{data} can't be written: {error.strerror}", f"sudo chown -R $USER {data}"
        )
        return
    yield from _owner(data)
    yield ok("data folder", f"{data} can be written")


def _owner(data: Path) -> Iterator[Finding]:
    if os.name == "posix" and data.stat().st_uid != os.getuid() and os.getuid() != 0:
        yield warning(
            "data folder",
            f"{data} belongs to another user",
            "Let one user run the daemon, and the same one own its data.",
        )


def disk(setup: Setup) -> Iterator[Finding]:
    """Is there room, and is it a disk that keeps what it is given?"""
    data = _data(setup)
    if data is None or not data.exists() or setup.config is None:
        return
    kind = kind_of_disk(data)
    unsafe = why_unsafe(kind)
    if kind in IN_MEMORY:
        message = f"{data} is on {kind}: that is memory, and all is gone when the computer goes off"
        yield warning("disk", message, "Put `data` in service.toml on a disk.")
    if unsafe:
        yield problem("disk", f"{data} is on {kind}: {unsafe}", "Put `data` in service.toml on a local disk.")
    free, settings = free_bytes(data) / GB, setup.config.storage
    remedy = "Delete what is not needed; `sandtime archive` moves ended runs elsewhere."
    if free < settings.least_gigabytes:
        yield problem("disk", f"{free:.1f} GB are free: no run starts", remedy)
    elif free < settings.warn_gigabytes:
        yield warning("disk", f"only {free:.1f} GB are free", remedy)
    else:
        yield ok("disk", f"{free:.0f} GB are free{f' ({kind})' if kind else ''}")


def daemon(setup: Setup) -> Iterator[Finding]:
    """Does a daemon run here, and only one?"""
    data = _data(setup)
    if data is None:
        return
    state_file = data / STATE_FILE
    if setup.status is not None:
        word = "ready" if setup.status.ready else "looking at its instruments"
        yield ok("daemon", f"answers, {word}; {len(setup.status.runs)} runs")
        if not setup.status.storing:
            yield problem("daemon", setup.status.storage.problem, "Make room on the disk, or bring it back.")
        yield from _private(state_file)
        return
    holder = _number(data / LOCK)
    claimed = _pid_of(state_file)
    if claimed is not None and _lives(claimed):
        yield problem(
            "daemon",
            f"process {claimed} is there, but does not answer. Runs go on within their limits.",
            f"Look at its log; to start it again: kill {claimed}   then: sandtime serve",
        )
    elif holder is not None and _lives(holder):
        yield warning(
            "daemon",
            f"process {holder} may hold {data}, but no daemon answers",
            f"Is it starting? See what it is: ps -p {holder}",
        )
    elif claimed is not None:
        yield warning(
            "daemon",
            "the last one was killed, or the computer was. Runs go on within their limits.",
            "Start it again, and it takes them over: sandtime serve",
        )
    else:
        yield ok("daemon", "none runs; start it with: sandtime serve")


def _private(state_file: Path) -> Iterator[Finding]:
    if os.name != "posix" or not state_file.exists():
        return
    if stat.S_IMODE(state_file.stat().st_mode) & 0o077:
        yield problem(
            "daemon",
            f"{state_file} can be read by others, who may then stop and start runs",
            f"chmod 600 {state_file}   then start the daemon anew, for a new token",
        )


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _pid_of(state_file: Path) -> int | None:
    try:
        return int(json.loads(state_file.read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lives(pid: int) -> bool:
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def database(setup: Setup) -> Iterator[Finding]:
    """Is the database of this version?"""
    data = _data(setup)
    if data is None or not (data / DATABASE).is_file():
        return
    file = data / DATABASE
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as raw:
            require_current(raw, file)
    except StorageError as error:
        yield problem("database", str(error), "See docs/damaged_data.md.")
    except sqlite3.Error as error:
        yield problem("database", f"{file} can't be read: {error}", "See docs/damaged_data.md.")
    else:
        yield ok("database", f"{file.name} is of this version")


def newest_run(setup: Setup) -> Iterator[Finding]:
    """Is what is stored of the last run whole?"""
    data = _data(setup)
    if data is None or not (data / DATABASE).is_file():
        return
    try:
        reader = Reader(data)
        ended = [info for info in reader.runs() if info.state in ENDED and info.archived is None]
        if not ended:
            return
        info = ended[-1]
        if info.samples > LONG_SAMPLES:
            yield ok("newest run", f"run {info.run} is long: look at it with `sandtime verify {info.run}`")
            return
        faults = verify_run(reader, info.run).problems
    except StorageError as error:
        yield problem("newest run", str(error), "See docs/damaged_data.md.")
        return
    for fault in faults:
        yield problem("newest run", f"run {info.run}: {fault}", "See docs/damaged_data.md.")
    if not faults:
        yield ok("newest run", f"run {info.run} is whole")


def _data(setup: Setup) -> Path | None:
    return None if setup.config is None else setup.config.data
