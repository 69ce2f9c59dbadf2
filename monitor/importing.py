"""Recordings of other programs become finished runs of a data folder, with where they came from.

Nothing is invented: what a file does not say stays unknown, or is named as inferred. No guard judges an
imported recording (``sandtime replay`` does that), and its program is what was found in it.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from drivers.recordings import Recording
from monitor.keeping import adopt, incoming
from monitor.replay import PLAYBACK_AREA_M2, Given, play_run
from protocols.errors import InvalidFileError, Problem
from protocols.program import GuardSettings, Program
from protocols.records import RunInfo
from protocols.yamlfile import read_text
from scheduler.clock import Clock
from scheduler.results import results_of
from storage.files import sha256
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

DEVICE = "device"
"""Key of a recording's metadata that names its instrument."""


@dataclass(frozen=True, slots=True)
class Source:
    """A recording that is imported, and what is known of it."""

    file: Path
    recording: Recording
    program: Program
    extra: dict[str, str]
    """Kept with the run: provenance, and the cell file."""
    inferred: list[str]
    """What the file does not say, a sentence each."""
    start_unix_s: float


def import_recording(file: Path, data: Path, given: Given, name: str = "") -> tuple[RunInfo, list[str]]:
    """Make a finished run of a recording; return it, and what had to be inferred.

    Raises InvalidFileError for files that can't be read, StorageError, BusyError.
    """
    source = _read(file, given)
    with incoming(data) as scratch:
        number = asyncio.run(_store(source, scratch, name or file.name))
        (folder,) = (scratch / "runs").glob(f"{number}-*")
        return adopt(data, folder, is_new=True), source.inferred


def _read(file: Path, given: Given) -> Source:
    if file.is_dir():
        hint = "the folder of a run comes in with: sandtime restore FOLDER"
        raise InvalidFileError([Problem(str(file), 0, 0, "this is a folder and no recording", hint)])
    recording, program = given.load(file)
    program = program.model_copy(update={"guards": GuardSettings(enabled=())})
    start_unix_s, inferred = _start(file, recording)
    if recording.step is None and len(recording.t_s):
        inferred.append("steps: where the current changes, since the file numbers none")
    if given.cell is None:
        inferred.append(f"electrode area: {PLAYBACK_AREA_M2 * 1e4:g} cm² stands in; give --cell to say it")
    if recording.inferred_current:
        inferred.append(f"current: {given.current}, given by a person")
    note = recording.metadata.get("note")
    extra = {
        "recording": file.name,
        "recording_sha256": sha256(file),
        "reader": recording.metadata.get("format", ""),
        "instrument": recording.metadata.get(DEVICE, ""),
        "recording_metadata": json.dumps(dict(recording.metadata), ensure_ascii=False),
        "inferred": "; ".join([*inferred, *([note] if note else [])]),
    }
    if given.cell is not None:
        extra |= {"cell_text": read_text(given.cell), "cell_file": str(given.cell)}
    return Source(file, recording, program, extra, [*inferred, *([note] if note else [])], start_unix_s)


def _start(file: Path, recording: Recording) -> tuple[float, list[str]]:
    """Return when a recording began by UTC, and what of that is inferred."""
    known = recording.metadata.get("start_unix_s")
    if known is not None:
        return float(known), []
    written = recording.metadata.get("started")
    says = f"the file says '{written}', without a time zone" if written else "the file does not say it"
    last_s = max([*recording.t_s[-1:].tolist(), *(s.t_end_s for s in recording.spectra)])
    began_unix_s = file.stat().st_mtime - (last_s - recording.t_start_s)
    return began_unix_s, [f"time of the start: {says}; taken is when the file was last written"]


async def _store(source: Source, folder: Path, name: str) -> int:
    """Store a recording as the only run of a data folder of its own; return its number."""
    clock = Clock(unix=lambda: source.start_unix_s)
    store = Store(folder)
    await store.open()
    try:
        run, _ = await play_run(store, source.recording, source.program, name, source.extra, clock)
        info = store.reader.run(run)
        ended_unix_s = source.start_unix_s + info.t_s
        store.save_run(
            info.model_copy(
                update={
                    "submitted_unix_s": Clock().unix(),
                    "ended_unix_s": ended_unix_s,
                    "samples": store.reader.count(run),
                }
            )
        )
        store.save_result(run, results_of(store.reader, run))
        await store.seal(run, _seal)
    finally:
        await store.close()
    return run


async def _seal(folder: Path, run: int) -> SealedFile:
    return await asyncio.to_thread(seal_run, folder, run)
