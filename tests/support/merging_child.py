"""A process of its own that merges the parts of run 1 and dies at a given moment.

``merge-unnamed FOLDER``: before the merged file gets its name. ``merge-unrecorded``: when it is written and
not recorded. ``merge-undeleted``: when it is recorded and the parts are still there. ``delete-half``: when
the first of them is deleted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from storage.compact import compact_run
from storage.store import Store
from storage.tables import SealedFile


def die(*_: object) -> None:
    """End as kill -9 does: nothing is flushed, closed or cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


async def main(moment: str, folder: Path) -> None:
    """Merge until the moment."""
    store = Store(folder)
    await store.open()
    unlink = Path.unlink

    async def write(where: Path, run: int) -> SealedFile | None:
        merged = await asyncio.to_thread(compact_run, where, run)
        if moment == "merge-unrecorded":
            die()
        return merged

    def unlink_and_die(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        die()

    if moment == "merge-unnamed":
        Path.replace = die  # type: ignore[method-assign,assignment]  # the moment to be killed at
    await store.merge(1, write)
    if moment == "merge-undeleted":
        die()
    Path.unlink = unlink_and_die  # type: ignore[method-assign,assignment]  # the moment to be killed at
    await store.delete_superseded()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
