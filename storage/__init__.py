"""Keeps every sample: journal, chunks and sealed files behind one query, and low-rate rows beside them.

For scripts and notebooks: ``storage.open_run("data", 3).pandas()``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.opened import OpenedRun

__all__ = ["open_run"]


def open_run(folder: str | Path, run: int) -> OpenedRun:
    """Open one run of a data folder for reading, also while the daemon writes to it.

    Raises StorageError if the folder holds no data of sandtime, NotFoundError if it has no such run.
    """
    from storage import opened

    return opened.open_run(Path(folder), run)
