"""What this process takes of the computer, under the names that Prometheus' own clients use."""

from __future__ import annotations

import os
import time
from pathlib import Path

from monitor.exposition import Family

STATM = Path("/proc/self/statm")
OPEN_FILES = Path("/proc/self/fd")


def process_families() -> list[Family]:
    """Return CPU time, and on Linux memory and open files."""
    families = [_one("process_cpu_seconds_total", "counter", "CPU time in all.", time.process_time())]
    try:
        resident = int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = len(list(OPEN_FILES.iterdir()))
    except OSError:  # not Linux
        return families
    families.append(_one("process_resident_memory_bytes", "gauge", "Memory.", resident))
    families.append(_one("process_open_fds", "gauge", "Open files and connections.", files))
    return families


def _one(name: str, kind: str, about: str, value: float) -> Family:
    return Family(name, "counter" if kind == "counter" else "gauge", about, [({}, value)])
