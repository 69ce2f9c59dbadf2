"""The raw data around a verdict: its window at full rate, and the same phase of a half-cycle before.

In the run's folder, ``verdicts/<n>-<kind>``: ``.csv`` and ``-before.csv`` hold columns that
``sandtime replay`` reads, ``.json`` the verdict with all thresholds that held, ``.png`` a picture. They are
written by the worker; nothing that runs waits for them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from guards.watch import Watch
from protocols.measurements import FLAG_EIS, as_json
from protocols.records import ENDED, HalfCycle, RunInfo
from protocols.verdicts import Verdict
from storage.checksums import renew_checksums
from storage.columns import Columns
from storage.files import make_folder, run_folder, whole_file, write_json
from storage.reader import Reader
from storage.run_reader import RunReader

MARGIN_S = 600.0
"""Run time before the event and after the verdict that is kept."""
COLUMNS = ("t_s", "voltage_V", "current_A", "step", "half_cycle", "flags")
NAMES = {
    "t_s": "test_time_second",
    "voltage_V": "voltage_volt",
    "current_A": "current_ampere",
    "step": "step_id",
    "half_cycle": "half_cycle",
}
"""Column → its name in a csv: those of the Battery Data Format, as in every export."""
FOLDER = "verdicts"
FLOWS = 0.01
"""|I| above this part of the largest in a window is a current; below it E/I is no resistance."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """What was measured around a verdict."""

    info: RunInfo
    verdict: Verdict
    number: int
    """Of the verdict in its run, from 1."""
    samples: Columns
    """DC samples from :data:`MARGIN_S` before the event to as long after the verdict."""
    before: Columns
    """DC samples of an earlier half-cycle of the same direction, else of the other one, if there is any."""
    before_event_s: float
    """The run time in ``before`` at the same phase as the event."""

    @property
    def name(self) -> str:
        """How the files are called, without their endings."""
        return f"{self.number}-{self.verdict.kind}"


Draw = Callable[[Window, Path], None]
"""Draws a window into a file."""


def is_kept(verdict: Verdict) -> bool:
    """Whether the raw data around a verdict are kept as files: what did or might have stopped the test."""
    return verdict.tier <= 2 or verdict.false_alarm


def folder_of(data: Path, info: RunInfo) -> Path:
    """Return where the windows of a run are."""
    return run_folder(data, info.run, info.name) / FOLDER


def window_of(reader: RunReader, run: int, number: int) -> Window:
    """Return the raw data around a run's verdict; ``number`` counts from 1."""
    verdict = reader.verdicts(run)[number - 1]
    samples = _direct(reader, run, verdict.event_s - MARGIN_S, verdict.time_s + MARGIN_S)
    earlier, event_s = _same_phase(reader, run, verdict)
    t0, t1 = event_s - MARGIN_S, event_s + (verdict.time_s - verdict.event_s) + MARGIN_S
    before: Columns = {name: np.empty(0) for name in COLUMNS}
    if earlier is not None:
        before = _direct(reader, run, max(t0, earlier.t_start_s), min(t1, earlier.t_end_s))
    return Window(reader.run(run), verdict, number, samples, before, event_s)


def _direct(reader: RunReader, run: int, t0: float, t1: float) -> Columns:
    """Return samples between two run times without those of impedance sweeps."""
    columns = reader.samples(run, t0=t0, t1=t1, columns=COLUMNS)
    is_dc = (columns["flags"] & FLAG_EIS) == 0
    return {name: values[is_dc] for name, values in columns.items()}


def _same_phase(reader: RunReader, run: int, verdict: Verdict) -> tuple[HalfCycle | None, float]:
    """Return the half-cycle to compare with, and the run time in it at the phase of the event."""
    number = verdict.evidence.get("half_cycle")
    current_A = float(verdict.evidence.get("half_cycle_A", 0.0))
    rows = {row.number: row for row in reader.half_cycles(run) if row.complete}
    earlier = [rows[k] for k in (int(number or 0) - 2, int(number or 0) - 1) if k in rows]
    alike = [row for row in earlier if row.set_current_A * current_A > 0.0]
    chosen = next(iter(alike + earlier), None)
    if number is None or chosen is None:
        return None, verdict.event_s
    columns = reader.samples(run, chosen.t_start_s, chosen.t_end_s, ("t_s", "current_A"))
    # The place is known at the verdict; what passed since the event belongs to it.
    phase = float(verdict.evidence.get("half_cycle_phase", 0.5))
    lasted_s = verdict.time_s - verdict.event_s
    return chosen, _time_at(columns["t_s"], columns["current_A"], phase, chosen) - lasted_s


def _time_at(t_s: Floats, current_A: Floats, phase: float, half_cycle: HalfCycle) -> float:
    """Return when this part of a half-cycle's planned charge had passed, or the end of its data."""
    if len(t_s) < 2:
        return half_cycle.t_end_s
    steps = 0.5 * (current_A[1:] + current_A[:-1]) * np.diff(t_s)
    passed = np.concatenate(([0.0], np.cumsum(np.abs(steps))))
    planned_C = half_cycle.planned_charge_C or abs(half_cycle.charge_C)
    return float(np.interp(phase * planned_C, passed, t_s))


def due_s(verdict: Verdict) -> float:
    """Return the run time at which the window of a verdict is over."""
    return verdict.time_s + MARGIN_S


def write_windows(data: Path, run: int, draw: Draw | None) -> float | None:
    """Write what is missing of a run's windows; return when the next one is over, in run time, if any.

    To be run in another process than the daemon: it may load pyarrow, and ``draw`` matplotlib. May be done
    again at any time: what is there and up to date stays as it is.
    """
    reader = Reader(data)
    info = reader.run(run)
    newest = reader.last_sample(run)
    reached_s = 0.0 if newest is None else float(newest["t_s"])
    open_s: list[float] = []
    written: list[str] = []
    for number, verdict in enumerate(reader.verdicts(run), 1):
        if not is_kept(verdict):
            continue
        if info.state not in ENDED and reached_s < due_s(verdict):
            open_s.append(due_s(verdict))
        elif not _is_written(folder_of(data, info) / f"{number}-{verdict.kind}.json", verdict):
            written += write_window(data, reader, window_of(reader, run, number), draw)
    if written:
        renew_checksums(folder_of(data, info).parent, [f"{FOLDER}/{name}" for name in written])
    return min(open_s, default=None)


def _is_written(path: Path, verdict: Verdict) -> bool:
    """Whether a window's files are there and tell of the verdict as it is now."""
    if not path.exists():
        return False
    document = json.loads(path.read_text(encoding="utf-8"))
    return bool(document["verdict"] == as_json(verdict))


def write_window(data: Path, reader: RunReader, window: Window, draw: Draw | None) -> list[str]:
    """Write the files of a window; return their names. The ``.json`` is last: it says that all are there."""
    folder = folder_of(data, window.info)
    make_folder(folder, data)
    stem = folder / window.name
    files = [_write_csv(stem.with_name(f"{stem.name}.csv"), window.samples, window.verdict.event_s)]
    if len(window.before["t_s"]):
        path = stem.with_name(f"{stem.name}-before.csv")
        files.append(_write_csv(path, window.before, window.before_event_s))
    if draw is not None:
        picture = stem.with_name(f"{stem.name}.png")
        draw(window, picture)
        files.append(picture.name)
    program = reader.program_at(window.info.run, window.verdict.time_s)
    document: dict[str, object] = {
        "run": window.info.run,
        "number": window.number,
        "verdict": as_json(window.verdict),
        "thresholds": Watch.for_program(program).thresholds,
        "guards": as_json(program.guards),
        "cell": as_json(program.cell),
        "files": files,
    }
    write_json(stem.with_name(f"{stem.name}.json"), document)
    return [*files, f"{stem.name}.json"]


def resistance_ohm(samples: Columns) -> Floats:
    """Return E/I where current flows, NaN elsewhere."""
    current_A, voltage_V = samples["current_A"], samples["voltage_V"]
    flows = np.abs(current_A) > FLOWS * np.abs(current_A).max(initial=0.0)
    resistance = np.full(len(current_A), np.nan)
    resistance[flows] = voltage_V[flows] / current_A[flows]
    return resistance


def _write_csv(path: Path, samples: Columns, event_s: float) -> str:
    """Write samples with names that say the unit; R where current flows. Returns the file's name."""
    columns = [samples[name].tolist() for name in NAMES]
    columns.append((samples["t_s"] - event_s).tolist())
    columns.append([f"{value:.6g}" if np.isfinite(value) else "" for value in resistance_ohm(samples)])
    with whole_file(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*NAMES.values(), "time_from_event_second", "resistance_ohm"])
        writer.writerows(zip(*columns, strict=True))
    return path.name
