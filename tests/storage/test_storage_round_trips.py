"""What was exported reads back, here and in the tools that people use, as it was measured."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import duckdb
import numpy as np
import pandas
import polars
import pytest
from cycled_run import cycling, store_cycled_run
from services import needs

from drivers.recordings.files import open_recording, read_spectra
from protocols.measurements import Spectrum
from storage.export import Format, export_run
from storage.reader import Reader

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PYPROBE = REPOSITORY / ".venv" / "pyprobe" / "bin" / "python"
MEASURED = {"test_time_second": "t_s", "voltage_volt": "voltage_V", "current_ampere": "current_A"}
BDF: tuple[Format, ...] = ("bdf-csv", "bdf-parquet")


@pytest.fixture
async def reader(tmp_path: Path) -> Reader:
    return await store_cycled_run(tmp_path / "data")


def exported(reader: Reader, fmt: Format, folder: Path) -> Path:
    path = folder / f"run.{'parquet' if fmt == 'bdf-parquet' else 'csv'}"
    export_run(reader, 1, fmt, path)
    return path


@pytest.mark.parametrize("fmt", BDF)
def test_sandtime_reads_its_own_samples_back(reader: Reader, tmp_path: Path, fmt: Format) -> None:
    recording = open_recording(exported(reader, fmt, tmp_path))
    samples = cycling()
    assert np.array_equal(recording.t_s, samples["t_s"])
    assert np.array_equal(recording.voltage_V, samples["voltage_V"])
    assert np.array_equal(recording.current_A, samples["current_A"])
    assert recording.step is not None
    assert recording.cycle is not None
    assert np.array_equal(recording.step, samples["half_cycle"] + 1)
    assert np.array_equal(recording.cycle, samples["half_cycle"] // 2 + 1)


def test_sandtime_reads_its_own_spectra_back(reader: Reader, tmp_path: Path) -> None:
    path = exported(reader, "eis-csv", tmp_path)
    assert [measured(spectrum) for spectrum in read_spectra(path)] == [
        measured(spectrum) for spectrum, _ in reader.spectra(1)
    ]


def measured(spectrum: Spectrum) -> tuple[object, ...]:
    points = (spectrum.frequency_Hz, spectrum.z_real_ohm, spectrum.z_imag_ohm, spectrum.t_s)
    return (*points, spectrum.voltage_V, spectrum.current_A)


@pytest.mark.parametrize("fmt", BDF)
def test_pandas_reads_an_export(reader: Reader, tmp_path: Path, fmt: Format) -> None:
    path = exported(reader, fmt, tmp_path)
    frame = pandas.read_parquet(path) if fmt == "bdf-parquet" else pandas.read_csv(path)
    for name, stored in MEASURED.items():
        # pandas rounds the last bit of some numbers in a csv, unless it is told not to.
        assert np.allclose(frame[name].to_numpy(), cycling()[stored], rtol=1e-15, atol=0)
    assert frame["step_count"].dtype.kind == "i"


@pytest.mark.parametrize("fmt", BDF)
def test_polars_reads_an_export(reader: Reader, tmp_path: Path, fmt: Format) -> None:
    path = exported(reader, fmt, tmp_path)
    frame = polars.read_parquet(path) if fmt == "bdf-parquet" else polars.read_csv(path)
    for name, stored in MEASURED.items():
        assert np.array_equal(frame[name].to_numpy(), cycling()[stored])
    assert frame["step_count"].dtype.is_integer()


@pytest.mark.parametrize("fmt", BDF)
def test_duckdb_reads_an_export(reader: Reader, tmp_path: Path, fmt: Format) -> None:
    path = exported(reader, fmt, tmp_path)
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {', '.join(MEASURED)} FROM '{path}'").fetchnumpy()  # noqa: S608
    for name, stored in MEASURED.items():
        assert np.array_equal(found[name], cycling()[stored])


def test_pyprobe_reads_an_export_and_finds_its_steps(reader: Reader, tmp_path: Path) -> None:
    needs("PyProBE (make .venv/.pyprobe)", PYPROBE.exists())
    script = REPOSITORY / "tests" / "support" / "read_with_pyprobe.py"
    command = [PYPROBE, script, exported(reader, "bdf-csv", tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    columns, samples = found["columns"], cycling()
    assert columns["Time [s]"] == samples["t_s"].tolist()
    assert columns["Voltage [V]"] == samples["voltage_V"].tolist()
    assert columns["Current [A]"] == samples["current_A"].tolist()
    one_sample_Ah = 1e-4 * 10 / 3600
    assert found["first_charge_Ah"] == pytest.approx(1e-4, abs=1.01 * one_sample_Ah)
