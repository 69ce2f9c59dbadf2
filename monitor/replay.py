"""Plays a recording through the engine: the same keeper, guards and store as for an instrument."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from drivers.recordings import PlaybackInstrument, open_recording, program_of, read_spectra
from protocols.cell import Cell
from protocols.cellfile import load_cell
from protocols.frozen import Frozen
from protocols.program import Program
from protocols.protocol import load_protocol
from protocols.records import RunInfo
from protocols.units import parse_amount
from protocols.verdicts import Verdict
from scheduler.clock import Clock
from scheduler.keeper import Keeper
from scheduler.recorder import Recorder
from scheduler.run import ActiveRun
from storage.reader import Reader
from storage.store import Store

PLAYBACK_AREA_M2 = 1e-4
"""Stands in where no cell file is given: nothing that a guard judges depends on the area alone."""


class Played(Frozen):
    """What a replay found."""

    run: int
    verdicts: Sequence[Verdict]
    samples: int
    hours: float
    spectra: int
    half_cycles: int


async def play(
    path: Path,
    folder: Path,
    *,
    cell: Path | None = None,
    guards: Path | None = None,
    spectra: Path | None = None,
    current: str | None = None,
) -> Played:
    """Play a recording to its end, or to the verdict that would have stopped it; keep the run in ``folder``.

    Raises InvalidFileError for files that can't be read.
    """
    current_A = None if current is None else parse_amount(current, "current").value
    recording = open_recording(path, current_A)
    if spectra is not None:
        recording = recording.with_spectra(read_spectra(spectra))
    known = load_cell(cell) if cell is not None else Cell(name=path.stem, area_m2=PLAYBACK_AREA_M2)
    program = program_of(recording, known)
    if guards is not None:
        program = program.model_copy(update={"guards": load_protocol(guards).content.guard_settings})
    store = Store(folder)
    await store.open()
    try:
        number = await _run(store, PlaybackInstrument(recording), program, path)
    finally:
        await store.close()
    return _played(Reader(folder), number)


async def _run(store: Store, instrument: PlaybackInstrument, program: Program, path: Path) -> int:
    clock = Clock()
    recorder = Recorder(store, clock)
    ended = asyncio.Event()
    info = RunInfo(
        run=store.next_run(),
        name=path.name,
        station="playback",
        protocol=program.protocol,
        cell=program.cell.name,
        state="queued",
        submitted_unix_s=clock.unix(),
    )
    store.add_run(info, program, {"recording": str(path)})
    keeper = Keeper(instrument, recorder, clock, lambda _: ended.set())
    keeper.submit(0, ActiveRun(info, program, store, recorder, clock))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keeper.keep(), name="play")
        await ended.wait()
        task.cancel()
    await recorder.commit()
    return info.run


def _played(reader: Reader, run: int) -> Played:
    last = reader.last_sample(run)
    return Played(
        run=run,
        verdicts=reader.verdicts(run),
        samples=reader.count(run),
        hours=0.0 if last is None else float(last["t_s"]) / 3600,
        spectra=len(reader.spectra(run)),
        half_cycles=len(reader.half_cycles(run)),
    )
