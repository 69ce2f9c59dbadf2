"""``sandtime convert``: files in and out, exit codes, and what stands on stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import run
from protocols.protocol import parse_protocol

CELL = "sandtime: 1\nname: any\ngeometry: symmetric\narea: 1 cm²\nelectrolyte: {class: garnet}\n"
PROTOCOL = """\
sandtime: 1
name: one_way
steps:
  - constant_current: {current: 0.1 mA/cm², until: {areal_capacity: 0.1 mAh/cm²}}
"""
UNICYCLER = {"record": {"time_s": 10}, "method": [{"step": "open_circuit_voltage", "until_time_s": 60}]}
ALL = "guards,limits,record"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cell.yaml").write_text(CELL, encoding="utf-8")
    (tmp_path / "one_way.yaml").write_text(PROTOCOL, encoding="utf-8")
    (tmp_path / "rest.json").write_text(json.dumps(UNICYCLER), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str
) -> tuple[Any, str, str]:
    """Return exit code, stdout and stderr of ``sandtime convert``."""
    monkeypatch.setattr(sys, "argv", ["sandtime", "convert", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        run()
    shown = capfd.readouterr()
    return ended.value.code, shown.out, shown.err


def test_a_json_file_becomes_a_protocol(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(monkeypatch, capfd, "rest.json")
    assert not code
    assert parse_protocol(out, "rest.yaml").name == "rest"
    code, nothing, err = call(monkeypatch, capfd, "rest.json", "-o", "rest.yaml")
    assert (code, nothing, err) == (0, "", "wrote rest.yaml\n")
    assert (folder / "rest.yaml").read_text(encoding="utf-8") == out
    code, document, _ = call(monkeypatch, capfd, "rest.json", "--json")
    assert json.loads(document) == {"protocol": out, "lost": []}


def test_a_wrong_json_file_is_code_3(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "rest.json").write_text('{"record": {"time_s": 1, "colour": 1}}', encoding="utf-8")
    code, out, err = call(monkeypatch, capfd, "rest.json")
    assert (code, out) == (3, "")
    assert "rest.json:1:26: $.record.colour" in err
    assert "$.method: This is missing" in err


def test_a_protocol_is_written_only_if_the_losses_are_agreed_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ("one_way.yaml", "--cell", "cell.yaml", "--to", "pybamm")
    code, out, err = call(monkeypatch, capfd, *given, "--json")
    assert code == 3
    assert {loss["what"] for loss in json.loads(out)["lost"]} == {"guards", "limits", "record"}
    assert f"--without {ALL}" in err
    code, out, err = call(monkeypatch, capfd, *given, "--without", ALL)
    assert code == 0
    assert json.loads(out) == ["Charge at 0.1 mA for 3600.0 seconds"]
    assert "left out: guards › short_circuit" in err
    code, out, _ = call(
        monkeypatch, capfd, *given, "--without", "guards,limits", "--without", "record", "--json"
    )
    assert set(json.loads(out)["lost"][0]) == {"what", "place", "message", "acceptable"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("one_way.yaml", "--to", "pybamm"),
        ("one_way.yaml", "--cell", "cell.yaml"),
        ("one_way.yaml", "--cell", "cell.yaml", "--to", "maccor"),
        ("one_way.yaml", "--cell", "cell.yaml", "--to", "pybamm", "--without", "guard"),
        ("rest.json", "--to", "pybamm"),
    ],
)
def test_what_can_not_be_meant_is_code_2(
    arguments: tuple[str, ...],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = call(monkeypatch, capfd, *arguments)
    assert (code, out) == (2, "")
