"""``sandtime run``: hosts a daemon where none answers, and opens the circuit at Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from labbench import SANDTIME, Lab, cell, sandtime

from monitor.commands.watching import describe
from protocols.records import RunInfo
from scheduler.requests import STATE_FILE

LONG = """\
sandtime: 1
name: long
steps:
  - constant_current: {current: 0.2 mA/cm², until: {time: 100 h}}
"""

BREAKS_ITS_LIMIT = """\
sandtime: 1
name: breaks_its_limit
limits: {voltage: 10 mV}
steps:
  - constant_current: {current: 0.5 mA/cm², until: {time: 1 h}}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    """Return a lab whose instrument runs, but no daemon."""
    made = Lab(tmp_path, ["seed = 1"], speed=200.0)
    (tmp_path / "cell.yaml").write_text(cell(), encoding="utf-8")
    (tmp_path / "long.yaml").write_text(LONG, encoding="utf-8")
    (tmp_path / "limit.yaml").write_text(BREAKS_ITS_LIMIT, encoding="utf-8")
    try:
        made.start_box()
        yield made
    finally:
        made.end()


def _start(bench: Lab, protocol: str) -> subprocess.Popen[str]:
    """Start ``sandtime run`` as a shell would, in a process group that Ctrl-C goes to."""
    return subprocess.Popen(
        [SANDTIME, "run", protocol, "--cell", "cell.yaml", "--station", "s1", "--json"],
        cwd=bench.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def _current_flows(bench: Lab) -> bool:
    with bench.client() as client:
        return any((info.current_A or 0.0) > 0 for info in client.status().runs)


def test_ctrl_c_opens_the_circuit_and_leaves_no_daemon(bench: Lab) -> None:
    process = _start(bench, "long.yaml")
    try:
        bench.until(lambda: _current_flows(bench), "current flows")
        daemon = psutil.Process(json.loads((bench.data / STATE_FILE).read_text(encoding="utf-8"))["pid"])
        family = [daemon, *daemon.children(recursive=True)]
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    assert "open, confirmed" in stderr
    assert json.loads(stdout)["state"] == "stopped"
    stored = bench.reader().run(1)
    assert stored.state == "stopped"
    assert stored.open_circuit_confirmed
    assert "Ctrl-C" in stored.reason
    assert not (bench.data / STATE_FILE).exists()
    assert not [member for member in family if member.is_running()]


def test_a_protected_run_has_its_own_exit_code(bench: Lab) -> None:
    done = sandtime(
        *("run", "limit.yaml", "--cell", "cell.yaml", "--station", "s1", "--json"), folder=bench.folder
    )
    assert done.returncode == 6, done.stderr
    document = json.loads(done.stdout)
    assert (document["state"], document["verdict"]["kind"]) == ("protected", "polarization")
    assert "PROTECTED" in done.stderr
    assert not (bench.data / STATE_FILE).exists()


def test_run_uses_the_daemon_that_is_there(bench: Lab) -> None:
    bench.start_daemon()
    process = _start(bench, "long.yaml")
    try:
        bench.until(lambda: _current_flows(bench), "current flows")
        done = sandtime("stop", "1", "--json", folder=bench.folder)
        assert json.loads(done.stdout)["open_circuit_confirmed"]
        process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0
    with bench.client() as client:
        assert client.status().ready


def test_run_says_that_its_instrument_does_not_answer(tmp_path: Path) -> None:
    alone = Lab(tmp_path, ["seed = 1"])
    (tmp_path / "cell.yaml").write_text(cell(), encoding="utf-8")
    (tmp_path / "long.yaml").write_text(LONG, encoding="utf-8")
    process = _start(alone, "long.yaml")
    try:
        assert process.stderr is not None
        said = ""
        while "contact with vsp" not in said:
            line = process.stderr.readline()
            assert line, f"ended without a word of the instrument: {said}"
            said += line
    finally:
        process.kill()
        daemon = psutil.Process(json.loads((alone.data / STATE_FILE).read_text(encoding="utf-8"))["pid"])
        daemon.terminate()
        process.communicate()
    daemon.wait(timeout=60)


def test_the_progress_line_leaves_out_what_no_longer_holds() -> None:
    info = RunInfo(
        run=3,
        name="mine",
        station="s1",
        protocol="p",
        cell="c",
        state="running",
        t_s=1800.0,
        step="steps 1",
        voltage_V=0.0123,
        current_A=0.5e-3,
        submitted_unix_s=0.0,
    )
    running = describe(info, longest_s=7200.0)
    assert "0.50 h of at most 2.00 h" in running
    assert "E 12.30 mV, I 0.500 mA" in running
    ended = describe(
        info.model_copy(update={"state": "finished", "reason": "all steps done"}), longest_s=7200.0
    )
    assert "at most" not in ended
    assert "mV" not in ended
    assert ended.endswith("all steps done")
