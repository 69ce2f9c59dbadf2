"""The commands that need nothing but files: messages, exit codes, and what stands on stdout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import Done, Here
from labbench import sandtime

PLAN_KEYS = {
    "duration_s",
    "charge_C",
    "max_current_A",
    "voltage_limit_V",
    "steps",
    "held_on_board",
    "held_by_host",
}

WRONG = """\
sandtime: 1
name: wrong
steps:
  - rest: {for: 1 min}
  - constant_curent: {current: 0.5 mA/cm², until: {time: 1 h}}
  - constant_current: {current: 0.5 V, until: {time: 1 h}}
"""

UNTIL_VOLTAGE = """\
sandtime: 1
name: until_voltage
limits: {voltage: 0.6 V}
steps:
  - constant_current: {current: 0.1 mA/cm², until: {voltage: 0.5 V, time: 1 h}}
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files that ``init`` writes."""
    folder = tmp_path_factory.mktemp("cli")
    done = sandtime("init", "lab", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "lab"


@pytest.fixture
def lab_folder(started: Path, tmp_path: Path) -> Path:
    """Return a copy of these files, and nothing else."""
    shutil.copytree(started, tmp_path / "lab")
    return tmp_path / "lab"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    return Here(monkeypatch, capfd)


def _document(done: Done, code: int = 0) -> Any:
    """Return the one JSON document of a command's stdout."""
    assert done.code == code, done.stderr
    return json.loads(done.stdout)


def test_check_names_place_mistake_and_remedy(lab_folder: Path, call: Here) -> None:
    (lab_folder / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    found = _document(call("check", "wrong.yaml", "--json", folder=lab_folder), code=3)
    assert set(found) == {"errors", "warnings"}
    lines = WRONG.splitlines()
    by_line = {error["line"]: error for error in found["errors"]}
    misspelt = lines.index(next(line for line in lines if "curent:" in line)) + 1
    wrong_unit = lines.index(next(line for line in lines if "0.5 V," in line)) + 1
    assert set(by_line) == {misspelt, wrong_unit}
    for error in found["errors"]:
        assert set(error) == {"file", "line", "column", "message", "hint"}
        assert error["file"] == "wrong.yaml"
    assert lines[misspelt - 1][by_line[misspelt]["column"] - 1 :].startswith("constant_curent")
    assert "constant_current" in by_line[misspelt]["hint"]
    assert lines[wrong_unit - 1][by_line[wrong_unit]["column"] - 1 :].startswith("0.5 V")


def test_what_init_writes_can_be_checked_and_planned(lab_folder: Path, call: Here) -> None:
    given = ("first_protocol.yaml", "--cell", "my_cell.yaml", "--station", "bench-1")
    assert _document(call("check", *given, "--json", folder=lab_folder)) == {"errors": [], "warnings": []}
    made = _document(call("plan", *given, "--json", folder=lab_folder))
    assert set(made) >= PLAN_KEYS
    doubled = _document(call("plan", *given, "--set", "current=1 mA/cm²", "--json", folder=lab_folder))
    assert doubled["max_current_A"] == pytest.approx(2 * made["max_current_A"])
    assert doubled["charge_C"] == pytest.approx(made["charge_C"])
    again = call("init", ".", folder=lab_folder)
    assert again.code == 3
    assert "exists already" in again.stderr


def test_plan_says_who_holds_which_limit(lab_folder: Path, call: Here) -> None:
    (lab_folder / "until.yaml").write_text(UNTIL_VOLTAGE, encoding="utf-8")
    until = _document(call("plan", "until.yaml", "--cell", "my_cell.yaml", "--json", folder=lab_folder))
    assert any("opposite limit -0.6 V" in text for text in until["held_by_host"])
    assert any("0.5 V" in text for text in until["held_on_board"])
    geis = _document(
        call("plan", "unidirectional_geis", "--cell", "my_cell.yaml", "--json", folder=lab_folder)
    )
    assert any(text.startswith("geis: voltage") for text in geis["held_by_host"])
    assert not any(text.startswith("geis: voltage") for text in geis["held_on_board"])
    assert any(text.startswith("constant_current: voltage") for text in geis["held_on_board"])
    shown = call("plan", "unidirectional_geis", "--cell", "my_cell.yaml", folder=lab_folder)
    host_part = shown.stdout.partition("held by the host:")[2]
    assert "geis: voltage within" in host_part


def test_plan_draws_a_figure(lab_folder: Path, call: Here) -> None:
    plan = ("plan", "first_protocol.yaml", "--cell", "my_cell.yaml", "--plot")
    done = call(*plan, "current.png", folder=lab_folder)
    assert done.code == 0, done.stderr
    assert (lab_folder / "current.png").read_bytes().startswith(b"\x89PNG")


MISTAKES = {
    "unknown station": (
        3,
        ("plan", "first_protocol.yaml", "--cell", "my_cell.yaml", "-s", "attic"),
        "bench-1",
    ),
    "no such protocol": (3, ("plan", "nowhere.yaml", "--cell", "my_cell.yaml"), "nowhere.yaml"),
    "no such cell": (3, ("plan", "first_protocol.yaml", "--cell", "nowhere.yaml"), "nowhere.yaml"),
    "unknown parameter": (
        3,
        ("plan", "first_protocol.yaml", "--cell", "my_cell.yaml", "--set", "curent=1 mA/cm²"),
        "'current'",
    ),
    "no equals sign": (2, ("plan", "first_protocol.yaml", "--cell", "my_cell.yaml", "--set", "x"), "'='"),
    "figure into nowhere": (
        1,
        ("plan", "first_protocol.yaml", "--cell", "my_cell.yaml", "--plot", "no/such/p.png"),
        "no/such/p.png",
    ),
    "no daemon": (4, ("status",), "sandtime serve"),
    "stop without a daemon": (4, ("stop", "--all"), "sandtime serve"),
    "stop what": (2, ("stop",), "--all"),
    "no service.toml": (3, ("status", "--config", "nowhere.toml"), "sandtime init"),
    "no data": (1, ("verify",), "no sandtime data"),
    "no recording": (3, ("replay", "nowhere.mpr"), "nowhere.mpr"),
    "no recording at all": (3, ("replay", "service.toml"), ".mpr"),
}


def test_devices_names_the_chambers_limits_and_what_it_does_without_a_host(
    lab_folder: Path, call: Here
) -> None:
    done = call("devices", folder=lab_folder)
    assert "oven: chamber, 10.0 °C to 80.0 °C; when the host dies it keeps its set-point" in done.stdout


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_message_and_an_exit_code(lab_folder: Path, call: Here, mistake: str) -> None:
    code, arguments, said = MISTAKES[mistake]
    done = call(*arguments, folder=lab_folder)
    assert (done.code, done.stdout) == (code, "")
    assert said in done.stderr


SERVICE_MISTAKES = {
    "not TOML": (("status",), 'data = "data', "TOML"),
    "no instruments": (("status",), 'data = "data"\n', "instruments"),
    "unknown driver": (
        ("devices",),
        'data = "d"\n[instruments.a]\ndriver = "abacus"\n[stations.s]\ninstrument = "a"\nchannel = 1\n',
        "abacus",
    ),
    "misspelt key": (
        ("serve",),
        'data = "d"\n[instruments.a]\ndriver = "biologic"\nadress = "192.168.0.10"\n[stations]\n',
        "adress",
    ),
    "unknown driver of a chamber": (
        ("serve",),
        'data = "d"\n[instruments]\n[stations]\n[chambers.oven]\ndriver = "abacus"\n',
        "chamber oven: no driver 'abacus'",
    ),
    "chamber without limits": (
        ("serve",),
        'data = "d"\n[instruments]\n[stations]\n[chambers.oven]\ndriver = "espec"\naddress = "simulation"\n',
        "[chambers.oven] lowest_celsius",
    ),
    "nothing to simulate": (
        ("simulate",),
        'data = "d"\n[instruments]\n[stations]\n',
        "[simulation]",
    ),
}


@pytest.mark.parametrize("mistake", SERVICE_MISTAKES)
def test_a_mistake_in_service_toml(tmp_path: Path, call: Here, mistake: str) -> None:
    arguments, text, said = SERVICE_MISTAKES[mistake]
    (tmp_path / "service.toml").write_text(text, encoding="utf-8")
    done = call(*arguments, folder=tmp_path)
    assert done.code == 3
    assert said in done.stderr


def test_folders_of_the_user_do_not_shadow_ours(lab_folder: Path) -> None:
    for name in ("analysis", "storage", "protocols", "scheduler", "drivers", "guards"):
        (lab_folder / name).mkdir()
        (lab_folder / name / "__init__.py").write_text("raise SystemExit('shadowed')", encoding="utf-8")
    done = sandtime("devices", "--json", folder=lab_folder, PYTHONPATH=".")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"bench-1", "bench-2"}


def test_the_installed_command_shows_no_traceback(lab_folder: Path) -> None:
    done = sandtime("plan", "first_protocol.yaml", "--cell", "nowhere.yaml", "--json", folder=lab_folder)
    assert (done.returncode, done.stdout) == (3, "")
    assert "nowhere.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_repositorys_service_toml_is_the_one_that_init_writes(tmp_path: Path) -> None:
    ours = Path(__file__).resolve().parent.parent.parent / "service.toml"
    assert sandtime("init", "lab", folder=tmp_path).returncode == 0
    assert ours.read_text(encoding="utf-8") == (tmp_path / "lab" / "service.toml").read_text(encoding="utf-8")
