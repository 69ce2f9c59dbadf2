"""The main job, whole: ``sandtime demo``, with its daemon killed twice on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from labbench import SANDTIME, sandtime

from monitor.client import Client
from monitor.demo import RUNS
from protocols.errors import SandtimeError
from protocols.records import ENDED
from scheduler.requests import STATE_FILE
from storage.reader import Reader

TIMEOUT_S = 240.0
KILL_AT_H = (8.0, 20.0)
"""Between the ends of the runs, so that no deciding window is lost."""


def _data(folder: Path) -> Path | None:
    return next(iter(folder.glob("*/data")), None)


def _kill_daemon_at(demo: subprocess.Popen[str], folder: Path, hours: float) -> psutil.Process:
    """Kill the demonstration's daemon with -9 when the runs have come so far; return what was killed."""
    give_up = time.monotonic() + TIMEOUT_S
    while time.monotonic() < give_up and demo.poll() is None:
        data = _data(folder)
        with contextlib.suppress(SandtimeError):
            if data is not None and _reached(data) >= hours:
                state = json.loads((data / STATE_FILE).read_text(encoding="utf-8"))
                daemon = psutil.Process(state["pid"])
                daemon.kill()
                return daemon
        time.sleep(0.05)
    raise AssertionError(f"the demonstration did not come to {hours} h")


def _reached(data: Path) -> float:
    with Client.of_folder(data) as client:
        return max((info.t_s / 3600 for info in client.status().runs), default=0.0)


@pytest.mark.timeout(300)
def test_the_demonstration_ends_as_it_has_to_though_its_daemon_is_killed(tmp_path: Path) -> None:
    family: set[psutil.Process] = set()
    killed = []
    with (
        (tmp_path / "stderr").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            [SANDTIME, "demo", "--json", "--folder", "results"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            start_new_session=True,
        ) as demo,
    ):
        try:
            for hours in KILL_AT_H:
                killed.append(_kill_daemon_at(demo, tmp_path / "results", hours))
                family |= set(psutil.Process(demo.pid).children(recursive=True))
            stdout, _ = demo.communicate(timeout=TIMEOUT_S)
        finally:
            demo.send_signal(signal.SIGINT)
    said = (tmp_path / "stderr").read_text(encoding="utf-8")
    assert demo.returncode == 0, said
    assert len({daemon.pid for daemon in killed}) == len(KILL_AT_H)
    _check_document(json.loads(stdout))
    assert not [child for child in family if child.is_running()]
    _check_folder(tmp_path / "results")


def _check_document(document: dict[str, list[dict[str, object]]]) -> None:
    """All that a reader of the JSON counts on; the values are checked by the demonstration itself, too."""
    assert set(document) == {"runs"}
    rows = document["runs"]
    assert [row["name"] for row in rows] == [run.name for run in RUNS]
    for row in rows:
        assert set(row) == {"name", "protocol", "cell", "state", "verdict", "results"}
    short, early, asymmetric, twin, geis = rows
    found = [(row["state"], _verdict(row).get("kind")) for row in rows]
    assert found == [
        ("finished", "short_circuit"),
        ("finished", "short_circuit"),
        ("protected", "li_depletion"),
        ("finished", None),
        ("finished", None),
    ]
    for row in (short, early, asymmetric):
        assert set(_verdict(row)) == {"kind", "tier", "time_s", "evidence"}
    assert _result(short, "ccd_mA_per_cm2") == 2.4
    assert (_result(early, "ccd_mA_per_cm2"), _result(early, "failed_at_mA_per_cm2")) == (0.1, 0.2)
    assert _result(asymmetric, "li_depletion_side") == "working"
    assert _result(asymmetric, "li_lost_mAh_per_cm2_per_cycle") == pytest.approx(0.25, rel=0.02)
    assert _result(asymmetric, "hours") == pytest.approx(30.0, abs=2.0)
    assert _result(twin, "hours") == pytest.approx(30.0, abs=0.5)
    assert int(str(_result(geis, "spectra"))) >= 10


def _verdict(row: dict[str, object]) -> dict[str, object]:
    verdict = row["verdict"]
    return verdict if isinstance(verdict, dict) else {}


def _result(row: dict[str, object], key: str) -> object:
    results = row["results"]
    assert isinstance(results, dict)
    return results[key]


def _check_folder(results: Path) -> None:
    """What the demonstration leaves: figures, data that are whole, a configuration to look at them with."""
    (folder,) = results.iterdir()
    figures = sorted(path.name for path in folder.glob("*.png"))
    assert figures == ["asymmetric_and_twin.png", *(f"run{number}.png" for number in range(1, 6))]
    assert len(list(folder.rglob("samples*.parquet"))) == len(RUNS)
    assert not (folder / "data" / STATE_FILE).exists()
    checked = sandtime("verify", "--json", folder=folder)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.timeout(120)
def test_ctrl_c_opens_every_circuit_and_ends_all_that_was_started(tmp_path: Path) -> None:
    with subprocess.Popen(
        [SANDTIME, "demo", "--json", "--folder", "results", "--speed", "50"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as demo:
        give_up = time.monotonic() + 60.0
        while not _all_run(tmp_path / "results"):
            assert time.monotonic() < give_up and demo.poll() is None
            time.sleep(0.05)
        family = psutil.Process(demo.pid).children(recursive=True)
        os.killpg(demo.pid, signal.SIGINT)
        stdout, stderr = demo.communicate(timeout=60)
    assert demo.returncode == 130, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    assert not [child for child in family if child.is_running()]
    (folder,) = (tmp_path / "results").iterdir()
    infos = Reader(folder / "data").runs()
    assert {(info.state, info.open_circuit_confirmed) for info in infos} == {("stopped", True)}


def _all_run(folder: Path) -> bool:
    data = _data(folder)
    with contextlib.suppress(SandtimeError):
        if data is not None:
            with Client.of_folder(data) as client:
                runs = client.status().runs
            assert not [info for info in runs if info.state in ENDED]
            return len(runs) == len(RUNS) and all(info.state == "running" for info in runs)
    return False
