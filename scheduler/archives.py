"""Runs that come to a data folder as folders, and samples that leave it: what the daemon's store is told.

Whoever asks has written and read back the archive, or unpacked it into ``incoming/``; only the store is
changed here, since the daemon alone writes to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from protocols.errors import NotFoundError
from protocols.records import Archived, RunInfo
from scheduler.recorder import Recorder
from scheduler.worker import Worker
from storage.adopt import Adopted, prepare
from storage.files import INCOMING
from storage.store import Store


class Archives:
    """Takes runs in, and marks those whose samples are elsewhere."""

    def __init__(
        self, store: Store, recorder: Recorder, worker: Worker, on_change: Callable[[RunInfo], None]
    ) -> None:
        """``on_change`` is told each run that has come or changed."""
        self._store = store
        self._on_change = on_change
        self._recorder = recorder
        self._worker = worker

    async def adopt(self, name: str, *, is_new: bool = False) -> RunInfo:
        """Take over the run's folder ``name`` in ``incoming/``; return the run, with its number here.

        ``is_new``: it was made here, and has no origin elsewhere. A run that is here already is returned as
        it is. Raises NotFoundError, StorageError, NotAllowedError.
        """
        incoming = incoming_folder(self._store.folder, name)

        async def in_worker(folder: Path, number: int, identity: str) -> Adopted:
            return await self._worker.run(prepare, folder, number, identity, is_new=is_new)

        info = await self._store.adopt(incoming, in_worker)
        self._on_change(info)
        return info

    async def mark_archived(self, run: int, archived: Archived) -> RunInfo:
        """Remember that a run's samples have left the data folder. Raises NotAllowedError, StorageError."""
        info = self._store.mark_archived(run, archived)
        self._recorder.event(run, "note", None, {"archived": archived.model_dump(mode="json")})
        await self._recorder.commit()
        self._on_change(info)
        return info


def incoming_folder(data: Path, name: str) -> Path:
    """Return a folder in ``incoming/``. Raises NotFoundError for one that is not there or leads elsewhere."""
    root = (data / INCOMING).resolve()
    folder = (root / name).resolve()
    if not folder.is_relative_to(root) or folder == root or not folder.is_dir():
        raise NotFoundError(f"there is no folder {name!r} in {data / INCOMING}")
    return folder
