"""The daemon as a service: what its manager hears, figures, a changed service.toml, no secret anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from labbench import Lab, cell, sandtime
from prometheus_client.parser import text_string_to_metric_families as parsed
from service_manager import ServiceManager, service_manager

from monitor import children
from protocols.errors import BusyError, InvalidFileError
from scheduler.requests import STATE_FILE

PASSWORD, TOKEN = "planted-password-1", "planted-token-2"
LONG = """\
sandtime: 1
name: long
steps:
  - rest: {for: 5 s}
  - constant_current: {current: 0.2 mA/cm², until: {time: 100 h}}
"""
SHORTS = """\
sandtime: 1
name: shorts
limits: {voltage: 10 mV}
steps:
  - constant_current: {current: 0.5 mA/cm², until: {time: 1 h}}
"""
OPERATION = """
[log]
format = "json"
level = "info"
[metrics]
token = { file = "token" }
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    """Return a lab whose daemon is not started yet."""
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    (tmp_path / "password").chmod(0o600)
    made = Lab(tmp_path, ["seed = 1", "seed = 2"], 50.0)
    change(made, "[mqtt]", f"{OPERATION}[mqtt]")
    try:
        made.start_box()
        yield made
    finally:
        made.end()


def change(bench: Lab, old: str, new: str) -> None:
    text = bench.config.read_text(encoding="utf-8")
    assert old in text
    bench.config.write_text(text.replace(old, new, 1), encoding="utf-8")


def running(bench: Lab, station: str = "s1") -> int:
    run = bench.submit(LONG, station, cell())
    bench.until(lambda: (bench.info(run).current_A or 0.0) > 0, "current flows")
    return run


def scrape(bench: Lab, token: str = TOKEN) -> httpx.Response:
    url = json.loads((bench.data / STATE_FILE).read_text(encoding="utf-8"))["url"]
    return httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"} if token else {})


def figures(bench: Lab) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    reply = scrape(bench)
    assert reply.status_code == 200, reply.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parsed(reply.text)
        for sample in family.samples
    }


def log_lines(bench: Lab) -> list[dict[str, object]]:
    text = (bench.folder / "daemon.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_figures_follow_what_happens_and_secrets_are_nowhere(bench: Lab) -> None:
    bench.start_daemon()
    run = running(bench)
    before = figures(bench)
    vsp = frozenset({("instrument", "vsp")})
    assert before["sandtime_instrument_reachable", vsp] == 1
    assert before["sandtime_runs", frozenset({("state", "running")})] == 1
    bench.until(
        lambda: figures(bench)["sandtime_samples_total", vsp] > before["sandtime_samples_total", vsp],
        "more samples",
    )
    protected = bench.submit(SHORTS, "s2", cell())
    waiting = bench.submit(LONG, "s2", cell())
    assert bench.until_ended(protected).state == "protected"
    verdicts = "sandtime_verdicts_total"
    bench.until(lambda: any(name == verdicts for name, _ in figures(bench)), "the verdict is counted")
    after = figures(bench)
    assert after["sandtime_queue_length_runs", frozenset()] == 1
    assert after["sandtime_commits_total", frozenset({("outcome", "ok")})] > 0
    assert after["sandtime_poll_lateness_seconds_count", vsp] > 0
    assert after["sandtime_storage_free_bytes", frozenset()] > 0
    labels = {label for _, labels in after for label, _ in labels}
    assert labels <= {"instrument", "chamber", "state", "kind", "tier", "outcome", "what", "version", "le"}
    lines = [line for line in log_lines(bench) if line.get("run") == run]
    assert {(line["station"], line["instrument"]) for line in lines} == {("s1", "vsp")}
    with bench.client() as client:
        client.stop(waiting)
    _nowhere(bench, TOKEN)


def test_only_who_has_a_token_reads_figures_unless_all_may(bench: Lab) -> None:
    bench.start_daemon()
    assert scrape(bench, "").status_code == 401
    assert scrape(bench, "wrong").status_code == 401
    api_token = json.loads((bench.data / STATE_FILE).read_text(encoding="utf-8"))["token"]
    assert scrape(bench, api_token).status_code == 200
    change(bench, 'token = { file = "token" }', "without_token = true")
    assert sandtime("reload", folder=bench.folder).stdout == "[metrics] changed\n"
    assert scrape(bench, "").status_code == 200
    change(bench, "without_token = true", "enabled = false")
    sandtime("reload", folder=bench.folder)
    assert scrape(bench).status_code == 404
    url = json.loads((bench.data / STATE_FILE).read_text(encoding="utf-8"))["url"]
    signed = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.post(f"{url}/api/v1/stop", headers=signed).status_code == 401, "a scraper commands nothing"


def test_a_reload_takes_a_new_station_and_leaves_the_run_alone(bench: Lab) -> None:
    change(bench, '[stations.s2]\ninstrument = "vsp"\nchannel = 2\n', "")
    bench.start_daemon()
    run = running(bench)
    with bench.client() as client, pytest.raises(InvalidFileError, match="s2"):
        bench.submit(LONG, "s2", cell())
        client.status()
    change(bench, "[stations.s1]", '[stations.s2]\ninstrument = "vsp"\nchannel = 2\n[stations.s1]')
    done = sandtime("reload", "--json", folder=bench.folder)
    assert json.loads(done.stdout) == {"changes": ["station s2 added"]}
    running(bench, "s2")
    assert bench.info(run).state == "running"
    assert bench.reader().gaps(run) == []
    change(bench, 'address = "192.168.0.10"', 'address = "192.168.0.99"')
    done = sandtime("reload", folder=bench.folder)
    assert done.returncode == BusyError.exit_code
    assert f"instrument vsp can't be changed: run {run} is running on s1" in done.stderr
    assert bench.info(run).state == "running"
    [entry, refused] = [e for e in bench.reader().catalogue.audit() if e.what == "reload"][-2:]
    assert "can't be changed" in str(refused.details["error"])
    assert entry.who == refused.who


def test_a_bad_file_changes_nothing_and_says_what_is_wrong(bench: Lab) -> None:
    bench.start_daemon()
    change(bench, "channel = 1\n", "channel = 1\nchanel = 1\n")
    done = sandtime("reload", folder=bench.folder)
    assert done.returncode == InvalidFileError.exit_code
    assert "chanel" in done.stderr
    assert "service.toml:" in done.stderr
    assert bench.daemon is not None
    bench.daemon.send_signal(signal.SIGHUP)
    bench.until(lambda: any("chanel" in str(line["message"]) for line in log_lines(bench)), "the daemon's no")
    with bench.client() as client:
        assert client.status().ready
    assert [stored for stored in bench.reader().events(None) if stored.event.kind == "reload"] == []


def test_a_reload_brings_a_broker_and_another_log(bench: Lab) -> None:
    bench.start_daemon()
    change(bench, "enabled = false", 'site = "hall"')
    change(bench, 'format = "json"', 'format = "text"')
    assert sandtime("reload", folder=bench.folder).stdout == "[mqtt] changed\n[log] changed\n"
    bench.until((bench.data / "mqtt.json").exists, "the embedded broker")
    change(bench, 'site = "hall"', "enabled = false")
    sandtime("reload", folder=bench.folder)
    bench.until(lambda: not (bench.data / "mqtt.json").exists(), "the broker's end")
    log = (bench.folder / "daemon.log").read_text(encoding="utf-8")
    assert "monitor.event_log: reload: [mqtt] changed" in log


def test_a_broker_that_refuses_the_password_does_not_learn_us_to_tell_it(bench: Lab) -> None:
    change(
        bench,
        "enabled = false",
        'broker = "127.0.0.1:1"\nuser = "me"\npassword = { file = "password" }\ntls = true',
    )
    bench.start_daemon()
    bench.until(
        lambda: "127.0.0.1:1" in (bench.folder / "daemon.log").read_text(encoding="utf-8"), "the refusal"
    )
    (bench.folder / "password").unlink()
    done = sandtime("reload", folder=bench.folder)
    assert "can't be read" in done.stderr
    _nowhere(bench, PASSWORD)


def _nowhere(bench: Lab, secret: str) -> None:
    """No command, no reply and no log shows a secret."""
    shown = [
        sandtime(*words, folder=bench.folder) for words in (("doctor",), ("status", "--json"), ("audit",))
    ]
    texts = [done.stdout + done.stderr for done in shown]
    texts += [(bench.folder / name).read_text(encoding="utf-8") for name in ("daemon.log", "box.log")]
    texts.append(scrape(bench).text)
    assert all(text for text in texts[:2])
    assert [text for text in texts if secret in text] == []
    database = b"".join(path.read_bytes() for path in bench.data.glob("sandtime.sqlite*"))
    assert secret.encode() not in database


def test_the_service_manager_hears_how_the_daemon_stands(bench: Lab) -> None:
    with service_manager() as manager:
        process = _served(bench, manager)
        try:
            _hears(manager, {"READY": "1"})
            _hears(manager, {"WATCHDOG": "1"})
            process.send_signal(signal.SIGHUP)
            reloading = _hears(manager, {"RELOADING": "1"})
            assert int(reloading["MONOTONIC_USEC"]) > 0
            _hears(manager, {"READY": "1"})
            process.send_signal(signal.SIGTERM)
            _hears(manager, {"STOPPING": "1"})
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    assert "STATUS" in {name for message in manager.all for name in message}


def _served(bench: Lab, manager: ServiceManager) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "monitor.entry", "serve", "--config", str(bench.config)],
        env={**os.environ, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "2000000"},
        stderr=subprocess.DEVNULL,
    )


def _hears(manager: ServiceManager, wanted: dict[str, str]) -> dict[str, str]:
    """Wait for a message that says something."""
    while True:
        message = manager.next()
        if wanted.items() <= message.items():
            return message


def test_a_daemon_that_was_hosted_for_a_command_is_quiet(bench: Lab) -> None:
    arguments = ["serve", "--config", str(bench.config), "--exit-without-client", "30"]
    process = children.start(arguments, bench.folder / "daemon.log")
    try:
        children.wait_until_ready(bench.data, process)
    finally:
        children.end(process)
    assert (bench.folder / "daemon.log").read_text(encoding="utf-8") == ""
