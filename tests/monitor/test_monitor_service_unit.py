"""The unit for systemd: the paths of this computer, whatever they are called, and nothing systemd minds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import Here
from services import needs

from monitor.service_unit import Place, service_unit

PLACE = Place(Path("/opt/lab/bin/python"), Path("/srv/lab/service.toml"), Path("/srv/lab/data"), "lab")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(monkeypatch, capsys)


def settings(unit: str) -> dict[str, str]:
    lines = [line for line in unit.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.partition("=")[::2] for line in lines)


def test_paths_are_filled_in(tmp_path: Path, call: Here) -> None:
    (tmp_path / "service.toml").write_text('data = "kept"\n[instruments]\n[stations]\n', encoding="utf-8")
    found = settings(call("service-unit", "--user", "lab", folder=tmp_path).stdout)
    assert found["ExecStart"].endswith(f"serve --config {tmp_path / 'service.toml'}")
    assert found["ReadWritePaths"] == str(tmp_path / "kept")
    assert (found["User"], found["Type"], found["WatchdogSec"]) == ("lab", "notify", "60s")


def test_odd_paths_stay_one_word() -> None:
    odd = Path('/srv/my "lab" 100% $HOME')
    found = settings(service_unit(Place(PLACE.python, odd / "service.toml", odd / "data", "lab")))
    assert found["ExecStart"].endswith(r'--config "/srv/my \"lab\" 100%% $$HOME/service.toml"')
    assert found["ReadWritePaths"] == r'"/srv/my \"lab\" 100%% $HOME/data"'


def test_systemd_finds_no_mistake(tmp_path: Path) -> None:
    needs("systemd-analyze", shutil.which("systemd-analyze") is not None)
    unit = tmp_path / "sandtime.service"
    here = Path(shutil.which("true") or "/bin/true")
    unit.write_text(service_unit(Place(here, tmp_path / "service.toml", tmp_path, "root")), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, encoding="utf-8", check=False
    )
    assert "sandtime.service" not in done.stderr, done.stderr
