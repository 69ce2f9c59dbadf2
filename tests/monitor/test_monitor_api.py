"""The HTTP API and its typed client, against a daemon and a simulated instrument that are real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from labbench import Lab, cell, lab, sandtime

from monitor.client import Client, user_name
from protocols.errors import InvalidFileError, NotAllowedError, SandtimeError, UnreachableError
from protocols.records import ENDED
from scheduler.requests import STATE_FILE, CalibrationRequest, Submission
from storage.reader import Reader

SPEED = 50.0

LONG = """\
sandtime: 1
name: long
steps:
  - rest: {for: 10 s}
  - constant_current: {current: 0.2 mA/cm², until: {time: 100 h}}
"""

SHORT = """\
sandtime: 1
name: short
steps:
  - rest: {for: 20 s}
"""

BREAKS_ITS_LIMIT = """\
sandtime: 1
name: breaks_its_limit
limits: {voltage: 10 mV}
steps:
  - constant_current: {current: 0.5 mA/cm², until: {time: 1 h}}
"""

MISSPELT = """\
sandtime: 1
name: misspelt
steps:
  - rets: {for: 10 s}
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a lab with a station for each test that drives one."""
    with lab(tmp_path_factory.mktemp("api"), ["seed = 1", "seed = 2", "seed = 3", "seed = 4"], SPEED) as made:
        yield made


def _credentials(bench: Lab) -> tuple[str, str]:
    state = json.loads((bench.data / STATE_FILE).read_text(encoding="utf-8"))
    return state["url"], state["token"]


def test_who_asked_for_what_is_kept(bench: Lab) -> None:
    run = bench.submit(SHORT, "s4", cell())
    with bench.client() as client:
        client.stop(run, "enough")
        client.calibrate(CalibrationRequest(instrument="vsp", channel=1, results={"resistance_ohm": 1e3}))
    url, token = _credentials(bench)
    signed = {"Authorization": f"Bearer {token}", "X-Sandtime-User": quote("Zoë")}
    refused = httpx.post(f"{url}/api/v1/runs/{run}/pause", headers=signed)
    assert refused.status_code == 403
    wanted = [(user_name(), "submit"), (user_name(), "stop"), ("Zoë", "pause"), ("Zoë", "pause")]
    bench.until(lambda: len(Reader(bench.data).catalogue.audit(run)) >= len(wanted), "all is committed")
    catalogue = Reader(bench.data).catalogue
    assert [(entry.who, entry.what) for entry in catalogue.audit(run)] == wanted
    assert [entry.who for entry in catalogue.calibrations("vsp", 1)] == [user_name()]
    [instrument] = catalogue.instruments()
    assert (instrument.identity.driver, instrument.simulated) == ("biologic", True)


def test_a_run_is_submitted_seen_and_stopped(bench: Lab) -> None:
    run = bench.submit(LONG, "s1", cell())
    bench.until(lambda: (bench.info(run).current_A or 0.0) > 0, "current flows")
    with bench.client() as client:
        status = client.status()
        assert status.ready
        assert [item.reachable for item in status.instruments] == [True]
        assert run in {info.run for info in status.runs}
        outcome = client.stop(run, "enough")
    assert outcome.open_circuit_confirmed
    assert outcome.state in ("stopping", "stopped")
    ended = bench.until_ended(run)
    assert (ended.state, ended.reason, ended.verdict) == ("stopped", "enough", None)
    assert ended.open_circuit_confirmed
    rows = bench.reader().samples(run, columns=("t_s", "current_A"))
    assert rows["current_A"].max() > 0
    states = [item.event.data["state"] for item in bench.reader().events(run) if item.event.kind == "state"]
    assert states[:2] == ["queued", "running"]
    assert states[-2:] == ["stopping", "stopped"]


def test_a_paused_run_goes_on_from_its_place(bench: Lab) -> None:
    run = bench.submit(LONG, "s2", cell())
    bench.until(lambda: (bench.info(run).current_A or 0.0) > 0, "current flows")
    with bench.client() as client:
        client.pause(run)
        bench.until(lambda: bench.info(run).state == "paused", "the pause")
        paused = bench.info(run)
        assert paused.open_circuit_confirmed
        with pytest.raises(NotAllowedError):
            client.pause(run)
        client.resume(run)
        bench.until(lambda: bench.info(run).t_s > paused.t_s + 30, "samples after the pause")
        assert bench.info(run).state == "running"
        client.stop(run)
    bench.until_ended(run)
    rows = bench.reader().samples(run, columns=("t_s", "step", "visit", "charge_C"))
    driven = rows["charge_C"][rows["step"] == rows["step"].max()]
    assert (driven[1:] >= driven[:-1]).all(), "charge that had passed was passed again or forgotten"


def test_a_protected_run_keeps_its_station_until_it_is_acknowledged(bench: Lab) -> None:
    first = bench.submit(BREAKS_ITS_LIMIT, "s3", cell())
    second = bench.submit(SHORT, "s3", cell())
    ended = bench.until_ended(first)
    assert ended.state == "protected"
    assert ended.verdict is not None
    with bench.client() as client:
        waiting = client.run(second)
        assert waiting.run.state == "queued"
        assert f"run {first}" in waiting.waits_for
        assert "acknowledge" in waiting.waits_for
        with pytest.raises(NotAllowedError):
            client.acknowledge(second)
        assert client.acknowledge(first).acknowledged
    assert bench.until_ended(second).state == "finished"


def test_a_waiting_run_says_for_which_it_waits_and_can_be_stopped(bench: Lab) -> None:
    first = bench.submit(LONG, "s4", cell())
    shown = sandtime(
        *("submit", "symmetric_cycling", "--cell", _cell_file(bench), "--station", "s4", "--json"),
        folder=bench.folder,
    )
    document = json.loads(shown.stdout)
    second = document["run"]
    assert document["state"] == "queued"
    assert document["waits_for"].startswith(f"run {first} on s4, until about ")
    table = sandtime("status", folder=bench.folder).stdout
    assert f"waits for run {first}" in table
    stopped = sandtime("stop", str(second), "--json", folder=bench.folder)
    assert json.loads(stopped.stdout)["state"] == "stopped"
    with bench.client() as client:
        outcomes = client.stop_all()
    assert [outcome.run for outcome in outcomes if outcome.open_circuit_confirmed] == [first]
    assert bench.until_ended(first).state == "stopped"
    assert bench.info(second).started_unix_s is None


def _cell_file(bench: Lab) -> Path:
    path = bench.folder / "cell.yaml"
    path.write_text(cell(), encoding="utf-8")
    return path


@pytest.mark.parametrize("authorization", [b"", b"Bearer wrong", "Bearer Zürich".encode()])
def test_without_the_token_nothing_is_said(bench: Lab, authorization: bytes) -> None:
    url, _ = _credentials(bench)
    headers = {b"Authorization": authorization} if authorization else {}
    reply = httpx.get(f"{url}/api/v1/status", headers=headers)
    assert reply.status_code == 401
    assert "vsp" not in reply.text
    assert httpx.post(f"{url}/api/v1/stop", headers=headers).status_code == 401


def test_a_foreign_host_name_is_refused(bench: Lab) -> None:
    url, token = _credentials(bench)
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{url}/api/v1/status", headers=headers).status_code == 200
    assert httpx.get(f"{url}/api/v1/status", headers={**headers, "Host": "evil.example"}).status_code == 400


def test_a_mistake_in_a_protocol_comes_with_its_place(bench: Lab) -> None:
    url, token = _credentials(bench)
    submission = Submission(protocol_text=MISSPELT, protocol_file="mine.yaml", cell_text=cell(), station="s1")
    reply = httpx.post(
        f"{url}/api/v1/runs", headers={"Authorization": f"Bearer {token}"}, json=submission.model_dump()
    )
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")
    (problem,) = reply.json()["problems"]
    line = MISSPELT.splitlines()[problem["line"] - 1]
    assert problem["file"] == "mine.yaml"
    assert line[problem["column"] - 1 :].startswith("rets")
    assert "rest" in problem["hint"]
    with bench.client() as client, pytest.raises(InvalidFileError) as raised:
        client.submit(submission)
    assert raised.value.problems[0].line == problem["line"]


def test_unknown_runs_and_stations_are_errors_with_a_name(bench: Lab) -> None:
    with bench.client() as client:
        with pytest.raises(SandtimeError, match="9999"):
            client.run(9999)
        with pytest.raises(InvalidFileError, match="attic"):
            client.submit(Submission(protocol_text=SHORT, cell_text=cell(), station="attic"))


def test_a_second_daemon_on_the_same_data_is_refused(bench: Lab) -> None:
    second = sandtime("serve", folder=bench.folder)
    assert second.returncode == 8
    assert "Traceback" not in second.stderr
    with bench.client() as client:
        assert client.status().ready


def test_a_port_in_use_is_a_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "service.toml").write_text(
            f'data = "data"\n[http]\nport = {port}\n[instruments]\n[stations]\n', encoding="utf-8"
        )
        done = sandtime("serve", folder=tmp_path)
    assert done.returncode == 8
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_state_file_is_private_and_goes_with_the_daemon(tmp_path: Path) -> None:
    with lab(tmp_path, ["seed = 1"], SPEED) as bench:
        state_file = bench.data / STATE_FILE
        assert stat.S_IMODE(state_file.stat().st_mode) == 0o600
        run = bench.submit(LONG, "s1", cell())
        bench.until(lambda: (bench.info(run).current_A or 0.0) > 0, "current flows")
        assert bench.daemon is not None
        os.kill(bench.daemon.pid, signal.SIGTERM)
        assert bench.daemon.wait(timeout=20) == 0
        assert not state_file.exists()
        with pytest.raises(UnreachableError):
            Client.of_folder(bench.data)
        bench.start_daemon()
        bench.until(lambda: bench.info(run).state == "running", "the run to be taken over")
        with bench.client() as client:
            assert client.stop(run).open_circuit_confirmed
        assert bench.until_ended(run).state in ENDED


def test_a_run_whose_instrument_was_never_reached_can_be_stopped(tmp_path: Path) -> None:
    alone = Lab(tmp_path, ['preset = "generic_symmetric"'])
    try:
        alone.start_daemon()
        run = alone.submit(LONG, "s1", cell())
        with alone.client() as client:
            outcome = client.stop(run)
        assert (outcome.state, outcome.started) == ("stopped", False)
        assert alone.info(run).state == "stopped"
    finally:
        alone.end()
