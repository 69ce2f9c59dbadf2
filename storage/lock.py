"""One daemon per data folder."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import IO

from protocols.errors import BusyError

LOCK = "sandtime.lock"


class FolderLock:
    """An exclusive lock on a data folder. The system lets go of it when the process ends, however it ends.

    On a folder of the network it holds among the processes of one computer; whether it does among several is
    up to the file server (NFS from version 4, SMB). SQLite's log needs a local disk anyway.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take the lock. Raises BusyError if another process, or another store of this one, holds it."""
        file = self._path.open("a+b", buffering=0)
        try:
            _lock(file)
        except OSError as error:
            file.close()
            raise BusyError(
                f"{self._path.parent} is in use by another sandtime daemon{_owner(self._path)}. "
                "Stop that one first, or choose another data folder."
            ) from error
        self._file = file
        # Only for the words of who comes second: on a full disk the lock holds without them.
        with contextlib.suppress(OSError):
            file.truncate(0)
            file.write(b"%d" % os.getpid())

    def release(self) -> None:
        """Let go of the lock. The file stays: deleting it would let two processes lock two files."""
        if self._file is not None:
            self._file.close()
            self._file = None


def holder(folder: Path) -> int | None:
    """Return the process that holds a data folder's lock now; None if none does, or it is not known."""
    try:
        with (folder / LOCK).open("rb+") as file:
            _lock(file)
    except FileNotFoundError:
        return None
    except OSError:
        text = _owned_by(folder / LOCK)
        return int(text) if text.isdecimal() else None
    return None


def _owner(path: Path) -> str:
    text = _owned_by(path)
    return f" (process {text})" if text else ""


def _owned_by(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # Windows refuses to read a locked byte
        return ""


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
