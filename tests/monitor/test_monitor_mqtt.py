"""What other tools hear over MQTT, from the embedded broker and from a real mosquitto."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from labbench import Lab, cell, lab
from mqttlistener import Listener
from services import needs

from monitor.publishing import BROKER_FILE
from protocols.measurements import COLUMNS

BASE = "sandtime/v1/hall"
SITE = 'site = "hall"'
SPEED = 100.0

SHORT = """\
sandtime: 1
name: short
steps:
  - rest: {for: 20 s}
  - constant_current: {current: 0.2 mA/cm², until: {time: 60 s}}
"""

LONG = """\
sandtime: 1
name: long
steps:
  - constant_current: {current: 0.2 mA/cm², until: {time: 100 h}}
"""


class Mosquitto:
    """A real broker on a free port, with a fixed place so that it can come back there."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        text = f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\n"
        self._config.write_text(text, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([_mosquitto(), "-c", str(self._config)])
        while self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
        raise AssertionError("mosquitto did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _mosquitto() -> str:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a running mosquitto."""
    needs("mosquitto", bool(_mosquitto()))
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.kill()


def _embedded_port(bench: Lab) -> int:
    """Return the port of the embedded broker, as any program on this computer would find it."""
    state_file = bench.data / BROKER_FILE
    bench.until(state_file.exists, "the embedded broker's state file")
    return int(json.loads(state_file.read_text(encoding="utf-8"))["port"])


def _broker_of(bench: Lab) -> psutil.Process:
    """Return the embedded broker: a child of the daemon."""
    assert bench.daemon is not None
    children = psutil.Process(bench.daemon.pid).children()
    (broker,) = [child for child in children if "monitor.broker" in child.cmdline()]
    return broker


def _lab(folder: Path, port: int | None, channels: int = 2) -> contextlib.AbstractContextManager[Lab]:
    broker = SITE if port is None else f'{SITE}\nbroker = "127.0.0.1:{port}"'
    return lab(folder, [f"seed = {number}" for number in range(channels)], SPEED, mqtt=broker)


@contextlib.contextmanager
def _listening(bench: Lab, port: int) -> Iterator[Listener]:
    with Listener(port) as listener:
        bench.until(lambda: listener.last(f"{BASE}/status").get("state") == "online", "the status online")
        yield listener


def _check_a_finished_run(bench: Lab, listener: Listener, run: int) -> None:
    events = [message.content for message in listener.of(f"{BASE}/s1/event")]
    states = [event["state"] for event in events if event["kind"] == "state"]
    assert (states[0], states[1], states[-1]) == ("queued", "running", "finished")
    numbers = [event["id"] for event in events]
    assert numbers == sorted(set(numbers))
    committed = {stored.id for stored in bench.reader().events(run)}
    assert set(numbers) <= committed


def _check_the_samples(bench: Lab, listener: Listener, runs: list[int]) -> None:
    messages = [message.content for message in listener.of(f"{BASE}/vsp/sample")]
    assert messages
    for content in messages:
        lengths = {len(content[name]) for name in ("run", *COLUMNS)}
        assert len(lengths) == 1
        assert content["durable"] is False
    heard = {run: np.concatenate([_times(content, run) for content in messages]) for run in runs}
    assert any(len(set(content["run"])) == len(runs) for content in messages), "one message for all channels"
    for run in runs:
        stored = bench.reader().samples(run, columns=("t_s",))["t_s"]
        assert np.isin(heard[run], stored).all()
        assert len(heard[run]) > 0.5 * len(stored)


def _times(content: dict[str, list[float]], run: int) -> list[float]:
    return [t_s for t_s, of in zip(content["t_s"], content["run"], strict=True) if of == run]


def _hear_two_runs(bench: Lab, port: int) -> None:
    with _listening(bench, port) as listener:
        runs = [bench.submit(SHORT, station, cell()) for station in ("s1", "s2")]
        bench.until(
            lambda: all(
                listener.last(f"{BASE}/{station}/state").get("state") == "finished"
                for station in ("s1", "s2")
            ),
            "the ends of both runs",
        )
        _check_a_finished_run(bench, listener, runs[0])
        _check_the_samples(bench, listener, runs)
    with _listening(bench, port) as late:
        bench.until(lambda: bool(late.last(f"{BASE}/s2/state")), "the retained states")
        assert late.last(f"{BASE}/s1/state")["run"] == runs[0]
        assert late.last(f"{BASE}/s1/state")["state"] == "finished"
        assert all(message.retained for message in late.messages)
        assert not late.of(f"{BASE}/s1/event")


def test_the_embedded_broker_tells_everything_and_ends_with_the_daemon(tmp_path: Path) -> None:
    with _lab(tmp_path, None) as bench:
        _hear_two_runs(bench, _embedded_port(bench))
        broker = _broker_of(bench)
        bench.kill_daemon()
        broker.wait(timeout=20)
        bench.start_daemon()
        with _listening(bench, _embedded_port(bench)) as after:
            bench.until(lambda: after.last(f"{BASE}/s1/state").get("state") == "finished", "states kept")


def test_an_embedded_broker_that_dies_is_started_again(tmp_path: Path) -> None:
    with _lab(tmp_path, None, channels=1) as bench:
        run = bench.submit(LONG, "s1", cell())
        with _listening(bench, _embedded_port(bench)) as listener:
            bench.until(lambda: bool(listener.of(f"{BASE}/vsp/sample")), "samples")
        first = _broker_of(bench)
        first.kill()
        bench.until(lambda: _new_broker(bench, first.pid), "another broker")
        with _listening(bench, _embedded_port(bench)) as listener:
            bench.until(lambda: listener.last(f"{BASE}/s1/state").get("state") == "running", "the state")
            bench.until(lambda: bool(listener.of(f"{BASE}/vsp/sample")), "samples again")
        assert bench.reader().gaps(run) == []


def _new_broker(bench: Lab, old: int) -> bool:
    with contextlib.suppress(ValueError, psutil.NoSuchProcess):
        return _broker_of(bench).pid != old and (bench.data / BROKER_FILE).exists()
    return False


def test_mosquitto_hears_everything_and_the_last_will(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with _lab(tmp_path, mosquitto.port) as bench:
        _hear_two_runs(bench, mosquitto.port)
        with _listening(bench, mosquitto.port) as listener:
            bench.kill_daemon()
            bench.until(lambda: listener.last(f"{BASE}/status")["state"] == "offline", "the last will")
    heard = subprocess.run(
        ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(mosquitto.port), "-t", f"{BASE}/#", "-v", "-W", "1"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    ).stdout
    retained = {line.partition(" ")[0] for line in heard.splitlines()}
    assert retained == {f"{BASE}/{name}" for name in ("status", "storage", "alarms", "s1/state", "s2/state")}


def test_a_daemon_that_is_told_to_end_says_goodbye(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with _lab(tmp_path, mosquitto.port, channels=1) as bench, _listening(bench, mosquitto.port) as listener:
        assert bench.daemon is not None
        bench.daemon.send_signal(signal.SIGTERM)
        assert bench.daemon.wait(timeout=20) == 0
        bench.until(lambda: listener.last(f"{BASE}/status")["state"] == "offline", "the goodbye")
        assert "ts" in listener.last(f"{BASE}/status")


def test_a_broker_that_comes_back_hears_on_and_no_run_was_disturbed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    with _lab(tmp_path, mosquitto.port, channels=1) as bench:
        run = bench.submit(LONG, "s1", cell())
        with _listening(bench, mosquitto.port) as listener:
            bench.until(lambda: bool(listener.of(f"{BASE}/vsp/sample")), "samples")
        mosquitto.kill()
        before = bench.reader().count(run)
        bench.until(lambda: bench.reader().count(run) > before + 100, "samples without a broker")
        mosquitto.start()
        with _listening(bench, mosquitto.port) as listener:
            bench.until(lambda: listener.last(f"{BASE}/s1/state").get("state") == "running", "the state")
            bench.until(lambda: bool(listener.of(f"{BASE}/vsp/sample")), "samples again")
        times = bench.reader().samples(run, columns=("t_s",))["t_s"]
        assert np.diff(times).max() < 2.0
        assert bench.reader().gaps(run) == []


def test_a_daemon_ends_though_its_broker_is_gone(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with _lab(tmp_path, mosquitto.port, channels=1) as bench:
        with _listening(bench, mosquitto.port):
            mosquitto.kill()
        assert bench.daemon is not None
        bench.daemon.send_signal(signal.SIGTERM)
        assert bench.daemon.wait(timeout=20) == 0
