"""Nothing fires on recordings of healthy cells, as they are and as others might have logged them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from drivers.recordings import Recording, open_recording, program_of
from monitor.replay import Given
from monitor.sweep import Tried, prepare, verdicts_in
from protocols.cell import Cell, Geometry
from protocols.errors import SandtimeError
from protocols.verdicts import Verdict

SYMMETRIC = "symmetric/li_llzo_li_peis_and_cycling.mpr"
LITHIUM = Cell(name="Li|LLZO|Li", area_m2=1e-4)


def serious(recording: Recording, geometry: Geometry = "symmetric") -> list[Verdict]:
    """Return what stops a test or has the cell looked at."""
    program = program_of(recording, LITHIUM.model_copy(update={"geometry": geometry}))
    prepared = prepare(Tried(recording.source, None), recording, program)
    return [verdict for verdict in verdicts_in(prepared, program) if verdict.tier <= 2]


def picked(recording: Recording, rows: np.ndarray) -> Recording:
    """Return some of the samples, without spectra."""
    return replace(
        recording,
        t_s=recording.t_s[rows],
        voltage_V=recording.voltage_V[rows],
        current_A=recording.current_A[rows],
        step=None if recording.step is None else recording.step[rows],
        cycle=None,
        spectra=(),
        samples_before=(),
    )


def everything(recording: Recording) -> np.ndarray:
    return np.arange(len(recording.t_s))


@pytest.fixture(scope="module")
def cycling(recordings: Path) -> Recording:
    return open_recording(recordings / SYMMETRIC)


@pytest.mark.parametrize("geometry", ["symmetric", "asymmetric", "half", "full", "blocking"])
def test_every_readable_recording_is_healthy(recordings: Path, geometry: Geometry) -> None:
    found: dict[str, list[Verdict]] = {}
    for path in sorted(path for path in recordings.rglob("*.*") if path.is_file()):
        try:
            recording, _ = Given().load(path)
        except SandtimeError:
            continue
        found[path.name] = serious(recording, geometry)
    assert len(found) > 20
    assert {name: verdicts for name, verdicts in found.items() if verdicts} == {}


@pytest.mark.parametrize(
    ("name", "geometry"), [("nda_v22.parquet", "full"), ("new_nda_file.parquet", "symmetric")]
)
def test_a_cycler_that_logs_in_its_own_units(
    recordings: Path, tmp_path: Path, name: str, geometry: Geometry
) -> None:
    table = pq.read_table(recordings / "neware" / name).to_pydict()
    path = tmp_path / "cycler.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["test_time_second", "voltage_volt", "current_ampere", "step_count"])
        for t_s, millivolt, microampere, step in zip(
            *(table[column] for column in ("Total Time", "Voltage(mV)", "Current(uA)", "Step Count")),
            strict=True,
        ):
            writer.writerow([t_s, millivolt * 1e-3, microampere * 1e-6, step])
    recording = open_recording(path)
    assert len(recording.t_s) == len(table["Total Time"])
    assert serious(recording, geometry) == []


@pytest.mark.parametrize("interval_s", [2e-4, 1e-3, 0.1, 1.0, 10.0, 60.0, 120.0])
def test_any_interval_between_samples(cycling: Recording, interval_s: float) -> None:
    usual_s = float(np.median(np.diff(cycling.t_s)))
    other = picked(cycling, everything(cycling))
    assert serious(replace(other, t_s=other.t_s * (interval_s / usual_s))) == []


@pytest.mark.parametrize("every", [2, 10, 30])
def test_coarse_logging(cycling: Recording, every: int) -> None:
    assert serious(picked(cycling, everything(cycling)[::every])) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_samples_and_whole_stretches_that_are_missing(cycling: Recording, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = everything(cycling)
    kept = random.random(len(rows)) > 0.4
    for first in random.integers(0, len(rows), 5):
        kept[first : first + 40] = False
    assert serious(picked(cycling, rows[kept])) == []


@pytest.mark.parametrize("sense", [1.0, -1.0])
def test_one_way(cycling: Recording, sense: float) -> None:
    assert serious(picked(cycling, np.flatnonzero(sense * cycling.current_A > 1e-7))) == []


@pytest.mark.parametrize("offset_V", [-1e-3, -2e-4, 2e-4, 1e-3])
def test_an_offset_of_a_few_tenths_of_e(cycling: Recording, offset_V: float) -> None:
    assert serious(replace(cycling, voltage_V=cycling.voltage_V + offset_V)) == []


def test_without_the_vendors_steps(cycling: Recording) -> None:
    assert serious(replace(cycling, step=None, cycle=None)) == []


def test_turned_leads(cycling: Recording) -> None:
    turned = replace(cycling, voltage_V=-cycling.voltage_V, current_A=-cycling.current_A)
    assert serious(turned) == []


def test_a_short_put_into_the_recording_is_found(cycling: Recording) -> None:
    """What is silent on all of the above does not sleep."""
    voltage = cycling.voltage_V.copy()
    driven = np.flatnonzero(np.abs(cycling.current_A) > 1e-6)
    begin = driven[len(driven) * 2 // 3]
    voltage[begin:] *= 0.02
    found = serious(replace(cycling, voltage_V=voltage))
    assert [verdict.kind for verdict in found][:1] == ["short_circuit"]
    assert 0.0 <= found[0].event_s - (cycling.t_s[begin] - cycling.t_start_s) < 120.0
