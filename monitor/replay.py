"""Plays a recording through the engine: the same keeper, guards and store as for an instrument."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.recordings import PlaybackInstrument, Recording, open_recording, program_of, read_spectra
from monitor.recorded_run import recording_of_folder
from protocols.cell import Cell
from protocols.cellfile import load_cell
from protocols.frozen import Frozen
from protocols.program import GuardSettings, Program
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
    guards: Sequence[str] = ()
    """The guards that watched."""

    @property
    def first_stop(self) -> Verdict | None:
        """The verdict that would have opened the circuit."""
        return next((verdict for verdict in self.verdicts if verdict.stops), None)

    def first_of(self, guard: str) -> Verdict | None:
        """The first verdict of a guard."""
        return next((v for v in self.verdicts if v.evidence.get("guard") == guard), None)


@dataclass(frozen=True, slots=True)
class Given:
    """What a person gives besides a recording."""

    cell: Path | None = None
    guards: Path | None = None
    """A protocol whose guards are used."""
    spectra: Path | None = None
    current: str | None = None
    """Of a recording of time and voltage alone."""

    def load(self, path: Path) -> tuple[Recording, Program]:
        """Read a recording; return it with its program. Raises InvalidFileError for what can't be read."""
        known = load_cell(self.cell) if self.cell else Cell(name=path.stem, area_m2=PLAYBACK_AREA_M2)
        settings = GuardSettings()
        if path.is_dir():
            recording, ran = recording_of_folder(path, self.current)
            known = known if self.cell else ran.cell
            # An imported recording was judged by nobody; a test by what its protocol says.
            settings = ran.guards if ran.kind == "test" else settings
        else:
            current_A = None if self.current is None else parse_amount(self.current, "current").value
            recording = open_recording(path, current_A)
        if self.spectra is not None:
            recording = recording.with_spectra(read_spectra(self.spectra))
        if self.guards is not None:
            settings = load_protocol(self.guards).content.guard_settings
        return recording, program_of(recording, known).model_copy(update={"guards": settings})


async def play(path: Path, folder: Path, given: Given, *, stop_at_first: bool = False) -> Played:
    """Play a recording to its end; keep the run in ``folder``.

    ``stop_at_first``: or to the verdict that would have stopped it. Raises InvalidFileError for files that
    can't be read.
    """
    recording, program = given.load(path)
    store = Store(folder)
    await store.open()
    try:
        extra = {"recording": str(path)}
        number, names = await play_run(
            store, recording, program, path.name, extra, Clock(), stop_at_first=stop_at_first
        )
    finally:
        await store.close()
    return _played(Reader(folder), number, names)


async def play_run(
    store: Store,
    recording: Recording,
    program: Program,
    name: str,
    extra: dict[str, str],
    clock: Clock,
    *,
    stop_at_first: bool = False,
) -> tuple[int, Sequence[str]]:
    """Play a recording as a run; return its number and the guards that watched. ``extra`` is kept with it."""
    recorder = Recorder(store, clock)
    ended = asyncio.Event()
    info = RunInfo(
        run=store.next_run(),
        name=name,
        station="playback",
        protocol=program.protocol,
        cell=program.cell.name,
        state="queued",
        submitted_unix_s=clock.unix(),
    )
    store.add_run(info, program, extra)
    # Nobody makes room while a recording plays: the last commit below says what is wrong.
    recorder.on_failure(ended.set)
    keeper = Keeper(PlaybackInstrument(recording), recorder, clock, lambda _: ended.set())
    run = ActiveRun(info, program, store, recorder, clock)
    run.progress.watch.stops = stop_at_first
    keeper.submit(0, run)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keeper.keep(), name="play")
        await ended.wait()
        task.cancel()
    try:
        await recorder.commit()
    finally:
        await recorder.close()
    return info.run, tuple(run.progress.watch.thresholds)


def _played(reader: Reader, run: int, guards: Sequence[str]) -> Played:
    last = reader.last_sample(run)
    return Played(
        run=run,
        verdicts=reader.verdicts(run),
        samples=reader.count(run),
        hours=0.0 if last is None else float(last["t_s"]) / 3600,
        spectra=len(reader.spectra(run)),
        half_cycles=len(reader.half_cycles(run)),
        guards=guards,
    )
