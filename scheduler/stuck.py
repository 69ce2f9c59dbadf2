"""Does measuring make progress? What the service manager's watchdog is fed by (docs/operation.md)."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.keeper import Keeper
from scheduler.recorder import Recorder


def why_stuck(keepers: Mapping[str, Keeper], recorder: Recorder, limit_s: float) -> str:
    """Say what has not gone on for longer than ``limit_s``; empty if all goes on.

    An instrument that is out of contact is no standstill: its keeper tries again. Nor is a disk that fails:
    the storage watch has said so, and ends the runs in time.
    """
    for name, keeper in keepers.items():
        if keeper.reachable and keeper.figures.idle_s > limit_s:
            return f"{name} is in contact, but was not polled for {keeper.figures.idle_s:.0f} s"
    if not recorder.storage_problem and recorder.behind_s > limit_s:
        return f"nothing was committed for {recorder.behind_s:.0f} s, and no error says why"
    return ""
