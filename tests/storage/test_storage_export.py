"""Exports open in other programs and say what they hold."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cycled_run import HOURS, SHORT, cycling, store_cycled_run
from pyarrow import parquet

from protocols.errors import StorageError
from protocols.measurements import COLUMNS, Spectrum, empty_block
from protocols.program import Program
from protocols.records import RunInfo
from protocols.verdicts import Verdict
from storage.bdf import ChargeCounter, CycleCounter, StepCounter
from storage.export import Format, export_run, tables
from storage.reader import Reader

TYPES = {
    "test_time_second": "double",
    "voltage_volt": "double",
    "current_ampere": "double",
    "unix_time_second": "double",
    "cycle_count": "int32",
    "step_count": "int32",
    "net_capacity_ah": "double",
    "charging_capacity_ah": "double",
    "discharging_capacity_ah": "double",
}


@pytest.fixture
async def reader(tmp_path: Path) -> Reader:
    return await store_cycled_run(tmp_path / "data")


def validate(path: Path) -> subprocess.Popen[str]:
    """Start ``bdf validate``, its own warnings being errors."""
    warned = ("-W", "error::UserWarning", "-W", "error::RuntimeWarning")
    call = "from bdf.cli import app; app()"
    command = [sys.executable, *warned, "-c", call, "validate", "--strict", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_bdf_accepts_an_export_without_a_warning(reader: Reader, tmp_path: Path) -> None:
    formats: tuple[Format, ...] = ("bdf-csv", "bdf-parquet")
    paths = [tmp_path / f"a.bdf.{fmt.removeprefix('bdf-')}" for fmt in formats]
    for fmt, path in zip(formats, paths, strict=True):
        export_run(reader, 1, fmt, path)
    for process in [validate(path) for path in paths]:
        said, _ = process.communicate()
        assert process.returncode == 0, said
        assert "validation passed" in said
        for complaint in ("Non-canonical", "Missing", "monotonic", "Warning", "warning"):
            assert complaint not in said, said


def test_bdf_parquet_has_the_names_types_and_order(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROWS", 500)
    path = tmp_path / "a.bdf.parquet"
    export_run(reader, 1, "bdf-parquet", path)
    table = parquet.read_table(path)
    assert {field.name: str(field.type) for field in table.schema} == TYPES
    columns = {name: table[name].to_numpy() for name in TYPES}
    samples = cycling()
    assert np.array_equal(columns["test_time_second"], samples["t_s"])
    assert np.array_equal(columns["voltage_volt"], samples["voltage_V"])
    assert np.array_equal(columns["current_ampere"], samples["current_A"])
    assert np.all(np.diff(columns["test_time_second"]) > 0)
    assert np.array_equal(columns["unix_time_second"], 1.7e9 + samples["t_s"])
    assert np.array_equal(columns["step_count"], samples["half_cycle"] + 1)
    assert np.array_equal(columns["cycle_count"], samples["half_cycle"] // 2 + 1)


def test_capacities_add_up_over_the_whole_run(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROWS", 500)
    path = tmp_path / "a.bdf.parquet"
    export_run(reader, 1, "bdf-parquet", path)
    table = parquet.read_table(path)
    current = cycling()["current_A"]
    net = np.cumsum(current * 10.0) / 3600
    assert np.allclose(table["net_capacity_ah"].to_numpy(), net, rtol=0, atol=1e-12)
    charging = np.cumsum(np.maximum(current, 0) * 10.0) / 3600
    assert np.allclose(table["charging_capacity_ah"].to_numpy(), charging, rtol=0, atol=1e-12)
    discharging = np.cumsum(np.maximum(-current, 0) * 10.0) / 3600
    assert np.allclose(table["discharging_capacity_ah"].to_numpy(), discharging, rtol=0, atol=1e-12)


def test_csv_and_parquet_hold_the_same(reader: Reader, tmp_path: Path) -> None:
    export_run(reader, 1, "bdf-csv", tmp_path / "a.bdf.csv")
    export_run(reader, 1, "bdf-parquet", tmp_path / "a.bdf.parquet")
    table = parquet.read_table(tmp_path / "a.bdf.parquet")
    with (tmp_path / "a.bdf.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    assert names == table.column_names
    values = [list(row.values()) for row in table.to_pylist()]
    assert [[float(cell) for cell in row] for row in rows] == values


def test_a_visit_that_was_interrupted_counts_its_charge_once() -> None:
    columns = {
        "step": np.array([0, 0, 5, 0, 0], dtype=np.int32),
        "visit": np.zeros(5, dtype=np.int32),
        "charge_C": np.array([1800.0, 3600.0, 0.0, 5400.0, 7200.0]),
    }
    assert ChargeCounter().count(columns)["net_capacity_ah"].tolist() == [0.5, 1.0, 1.0, 1.5, 2.0]
    assert StepCounter().count(columns).tolist() == [1, 1, 2, 3, 3]


def test_spectra_as_csv(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "eis.csv"
    export_run(reader, 1, "eis-csv", path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["index", "frequency_hertz", "real_impedance_ohm", "imaginary_impedance_ohm"]
    points = [
        (index, f, real, imaginary, t_s, whole.voltage_V, whole.current_A)
        for index, (whole, _) in enumerate(reader.spectra(1))
        for f, real, imaginary, t_s in zip(
            whole.frequency_Hz, whole.z_real_ohm, whole.z_imag_ohm, whole.t_s, strict=True
        )
    ]
    assert [tuple(map(float, row.values())) for row in rows] == points


def test_everything_else_as_json(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    export_run(reader, 1, "json", path)
    document = json.loads(path.read_text())
    assert RunInfo.model_validate(document["run"]) == reader.run(1)
    assert Program.model_validate(document["program"]) == reader.program(1)
    assert [Spectrum.model_validate(s["spectrum"]) for s in document["spectra"]] == [
        whole for whole, _ in reader.spectra(1)
    ]
    assert document["results"] == {"hours": HOURS}
    assert [Verdict.model_validate(verdict) for verdict in document["verdicts"]] == [SHORT]
    assert len(document["half_cycles"]) == HOURS


@pytest.mark.parametrize("fmt", ["bdf-csv", "bdf-parquet", "eis-csv", "json"])
def test_each_export_says_what_it_means(reader: Reader, tmp_path: Path, fmt: Format) -> None:
    path = tmp_path / "out.dat"
    export_run(reader, 1, fmt, path)
    about = json.loads((tmp_path / "out.dat.metadata.json").read_text())
    assert "oxidises the working electrode" in about["conventions"]["current"]
    assert about["cell"]["area_m2"] == 1e-4
    assert about["gaps"] == [{"t_from_s": 1.0, "t_to_s": 2.0, "reason": "crash"}]
    assert ("step_count" in about["columns"]) == fmt.startswith("bdf")
    assert ("frequency_hertz" in about["columns"]) == (fmt == "eis-csv")


def test_what_cannot_be_exported(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no run 9"):
        export_run(reader, 9, "bdf-csv", tmp_path / "a.csv")
    with pytest.raises(StorageError, match="does not exist"):
        export_run(reader, 1, "bdf-csv", tmp_path / "none" / "a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_cycles_are_those_that_the_program_counts() -> None:
    step = {"kind": "rest", "label": "", "duration_s": 1.0}
    body = ({**step, "index": 1}, {**step, "index": 2})
    loop = {"kind": "repeat", "total": 3, "stop": 3, "counts": True, "body": body}
    counting = Program.model_validate(
        {
            "protocol": "p",
            "cell": {"name": "c", "area_m2": 1e-4},
            "limits": {"voltage_min_V": -1.0, "voltage_max_V": 1.0, "current_max_A": 1.0},
            "steps": ({**step, "index": 0}, loop),
            "afterwards": ({**step, "index": 3},),
        }
    )
    samples = empty_block(9)
    samples["step"] = [0, 1, 1, 2, 1, 2, 1, 3, 3]
    samples["visit"] = [0, 0, 0, 0, 1, 1, 2, 0, 0]
    columns = {name: samples[name] for name in COLUMNS}
    counter = CycleCounter(counting)
    pieces = [{name: column[part] for name, column in columns.items()} for part in (slice(4), slice(4, 9))]
    assert [number for piece in pieces for number in counter.count(piece)] == [0, 1, 1, 1, 2, 2, 3, 3, 3]
