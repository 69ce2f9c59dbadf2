"""The daemon, on a computer whose UTC somebody sets: ``python -m benchmarks.soak.daemon CONFIG STEPS``.

The file STEPS holds by how many seconds UTC is ahead just now. Nothing else is different.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from monitor import daemon
from scheduler.clock import Clock
from scheduler.config import load_config


def stepped(file: Path) -> Clock:
    """Return a clock whose UTC is ahead by what the file says."""

    def unix() -> float:
        try:
            return time.time() + float(file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            # It is just being written, or was never set.
            return time.time()

    return Clock(unix=unix)


def main() -> None:
    """Serve until SIGTERM."""
    service, steps = load_config(Path(sys.argv[1])), Path(sys.argv[2])
    # The one seam for this trial: the daemon makes its clock itself.
    setattr(daemon, "Clock", lambda: stepped(steps))  # noqa: B010
    daemon.run_loop(lambda: daemon.serve(service))


if __name__ == "__main__":
    main()
