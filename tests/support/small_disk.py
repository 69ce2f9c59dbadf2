"""Disks on which nothing can be written any more, by the word of the kernel: for daemons of tests.

``tmpfs``: a small file system, full to the last byte (ENOSPC); needs the right to mount. ``limit``: the
kernel refuses every write to a file by the daemon (EFBIG), its log included; needs no right at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SIZE = "24m"
BALLAST = "ballast"


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    if sys.platform != "linux":
        return False
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"]
    with contextlib.suppress(OSError):
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return False


WAYS = ["limit", "tmpfs"] if can_mount() else ["limit"]
"""Those that work here; the first one does anywhere."""


class Disk:
    """The disk of one folder, as one process sees it."""

    def __init__(self, folder: Path, way: str) -> None:
        self._folder = folder
        self._way = way

    def fill(self, pid: int) -> None:
        """From now on nothing more can be written."""
        if self._way == "limit":
            # Python ignores the signal that goes with it.
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            return
        with (self._folder / BALLAST).open("wb", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12, 1):
                self._write_all(ballast.fileno(), size)

    @staticmethod
    def _write_all(file: int, size: int) -> None:
        try:
            while os.write(file, b"\0" * size):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def make_room(self, pid: int) -> None:
        """There is room again."""
        if self._way == "limit":
            with contextlib.suppress(ProcessLookupError):  # it was killed: its limit went with it
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            (self._folder / BALLAST).unlink()


@contextlib.contextmanager
def disk_for(folder: Path, way: str) -> Iterator[Disk]:
    """Give a folder a disk that can be filled."""
    folder.mkdir(parents=True, exist_ok=True)
    if way == "limit":
        yield Disk(folder, way)
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    try:
        yield Disk(folder, way)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount_read_only(folder: Path) -> None:
    """Nothing on a folder's disk can be changed any more; nobody may have a file open there."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
