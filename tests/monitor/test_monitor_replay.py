"""Recordings through the guards as if they were live, and what is written for other programs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labbench import Lab, cell, lab, sandtime

from protocols.protocol import find_protocol

RAMP = find_protocol("ccd_constant_capacity").read_text(encoding="utf-8")
SHORTS_AT = 0.5
LEVELS = {"start": "0.3 mA/cm²", "step": "0.1 mA/cm²", "highest": "0.8 mA/cm²", "capacity": "0.05 mAh/cm²"}

NO_GALVANI = """\
import sys


class _Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "galvani":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, _Absent())
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a lab in which run 1 has ended with a short circuit."""
    channels = [f"seed = 4, short_at_mA_per_cm2 = {SHORTS_AT}, short_after_mAh_per_cm2 = 0.02"]
    with lab(tmp_path_factory.mktemp("recorded"), channels, 1000.0) as bench:
        ended = bench.until_ended(bench.submit(RAMP, "s1", cell(), LEVELS))
        assert (ended.state, ended.verdict and ended.verdict.kind) == ("finished", "short_circuit")
        bench.until(lambda: bench.reader().is_sealed(1), "the sealed file")
        yield bench


def _export(bench: Lab, kind: str, name: str) -> Path:
    done = sandtime("export", "1", "--format", kind, "-o", name, folder=bench.folder)
    assert done.returncode == 0, done.stderr
    return bench.folder / name


def _replay(*arguments: str | Path, folder: Path) -> Any:
    done = sandtime("replay", *arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_real_recording_with_spectra_in_it(recordings: Path, tmp_path: Path) -> None:
    found = _replay(recordings / "symmetric" / "li_llzo_li_peis_and_cycling.mpr", folder=tmp_path)
    assert (found["spectra"], found["half_cycles"], found["verdicts"]) == (8, 8, [])
    assert found["samples"] > 0
    assert found["hours"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_text_export_of_the_vendor(recordings: Path, tmp_path: Path) -> None:
    found = _replay(
        recordings / "biologic" / "cp.issue_149.mpt", "--keep", tmp_path / "kept", folder=tmp_path
    )
    assert (found["half_cycles"], found["verdicts"]) == (1, [])
    (tmp_path / "service.toml").write_text('data = "kept"\n[instruments]\n[stations]\n', encoding="utf-8")
    checked = sandtime("verify", "--json", folder=tmp_path)
    assert json.loads(checked.stdout)["problems"] == {"database": [], "1": []}


def test_without_galvani_an_mpr_says_what_to_install(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_GALVANI, encoding="utf-8")
    done = sandtime(
        "replay",
        recordings / "symmetric" / "li_llzo_li_peis_and_cycling.mpr",
        "--json",
        folder=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert "pip install" in done.stderr
    assert "galvani" in done.stderr or "sandtime[readers]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recorded_short_is_found_again(recorded: Lab) -> None:
    path = _export(recorded, "bdf-csv", "run1.bdf.csv")
    validated = subprocess.run(
        [str(Path(sys.executable).with_name("bdf")), "validate", str(path)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert validated.returncode == 0, validated.stdout + validated.stderr
    assert "warn" not in (validated.stdout + validated.stderr).lower()
    found = _replay(path, folder=recorded.folder)
    verdict = next(each for each in found["verdicts"] if each["kind"] == "short_circuit")
    live = recorded.reader().verdicts(1)[0]
    assert verdict["kind"] == "short_circuit"
    assert set(verdict) == {"kind", "tier", "time_s", "evidence"}
    assert verdict["time_s"] == pytest.approx(live.time_s, abs=5.0)


def test_time_and_voltage_alone_need_the_current(recorded: Lab) -> None:
    rows = recorded.reader().samples(1, columns=("t_s", "voltage_V", "current_A"))
    last = np.abs(rows["current_A"]).max()
    level = np.abs(rows["current_A"] - last) < 0.01 * last
    path = recorded.folder / "time_and_voltage.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Test Time / s", "Voltage / V"])
        writer.writerows(zip(rows["t_s"][level].tolist(), rows["voltage_V"][level].tolist(), strict=True))
    refused = sandtime("replay", path, "--json", folder=recorded.folder)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "--current" in refused.stderr
    found = _replay(path, "--current", f"{last * 1e3:.6f} mA", folder=recorded.folder)
    assert found["samples"] == level.sum()
    assert found["half_cycles"] == 1


def test_every_format_is_written_and_what_is_stored_is_whole(recorded: Lab) -> None:
    parquet = _export(recorded, "bdf-parquet", "run1.bdf.parquet")
    assert parquet.read_bytes().startswith(b"PAR1")
    spectra = recorded.reader().spectra(1)
    with _export(recorded, "eis-csv", "run1.eis.csv").open(encoding="utf-8") as file:
        points = list(csv.DictReader(file))
    assert len(points) == sum(len(spectrum.frequency_Hz) for spectrum, _ in spectra) > 0
    document = json.loads(_export(recorded, "json", "run1.json").read_text(encoding="utf-8"))
    assert "short_circuit" in json.dumps(document)
    verified = sandtime("verify", "1", folder=recorded.folder)
    assert verified.returncode == 0
    missing = sandtime("export", "7", folder=recorded.folder)
    assert missing.returncode == 2
    assert "run 7" in missing.stderr


def test_verify_finds_a_changed_file(recorded: Lab) -> None:
    sealed = next((recorded.data / "runs").rglob("samples-*.parquet"))
    whole = sealed.read_bytes()
    try:
        sealed.write_bytes(whole[:-200] + bytes(200))
        done = sandtime("verify", "--json", folder=recorded.folder)
    finally:
        sealed.write_bytes(whole)
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"]["1"]
