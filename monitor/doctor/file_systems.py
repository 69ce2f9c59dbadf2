"""On what kind of disk a folder lies, and whether a database may."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
OF_THE_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "davfs")
IN_MEMORY = ("tmpfs", "ramfs")
"""Whose content is gone when the computer goes off."""
SHARED_BY_HOST = ("vboxsf", "vmhgfs", "prl_fs", "virtiofs", "drvfs")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def kind_of_disk(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of file system that a folder lies on, as ``ext4``; empty if it can't be seen."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return ""
    best, kind = -1, ""
    where = folder.resolve()
    for line in lines:
        words, _, behind = line.partition(" - ")
        point = Path(_ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), words.split()[4]))
        if where.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), behind.split()[0]
    return kind


def why_unsafe(kind: str) -> str:
    """Say why a database should not lie there; empty if it may."""
    if kind in OF_THE_NETWORK or kind.startswith("fuse.ssh"):
        return "that is a disk of the network, on which SQLite's log does not work and stops are noticed late"
    if kind in SHARED_BY_HOST:
        return "that is a folder shared with a virtual machine's host, on which locks do not hold"
    return ""
