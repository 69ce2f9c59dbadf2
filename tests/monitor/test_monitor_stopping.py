"""The red button on real processes: from the command line, by a signal, and while nobody answers."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import httpx
from faultylab import FaultyLab, mode
from labbench import Lab, cell, lab, sandtime

from drivers.simulation.faults import Fault
from scheduler.requests import STATE_FILE

LONG = """\
sandtime: 1
name: long
steps:
  - constant_current: {current: 0.2 mA/cm², until: {time: 100 h}}
"""
WARM = """\
sandtime: 1
name: warm
steps:
  - temperature: {to: 40 °C, for: 1 s}
  - constant_current: {current: 0.2 mA/cm², until: {time: 100 h}}
"""


def driven(bench: Lab, *stations: str) -> list[int]:
    runs = [bench.submit(LONG, station, cell()) for station in stations]
    bench.until(lambda: all((bench.info(run).current_A or 0.0) > 0 for run in runs), "current flows")
    return runs


def press_by_signal(bench: Lab) -> None:
    assert bench.daemon is not None
    os.kill(bench.daemon.pid, signal.SIGUSR1)


def test_the_signal_opens_every_circuit_and_holds_the_queue(tmp_path: Path) -> None:
    with lab(tmp_path, ["seed = 1", "seed = 2"], 20.0) as bench:
        runs = driven(bench, "s1", "s2")
        press_by_signal(bench)
        ended = [bench.until_ended(run) for run in runs]
        assert [(info.state, info.open_circuit_confirmed) for info in ended] == [("stopped", True)] * 2
        waiting = bench.submit(LONG, "s1", cell())
        assert "everything was stopped by SIGUSR1" in sandtime("status", folder=bench.folder).stdout
        bench.kill_daemon()
        bench.start_daemon()
        assert bench.info(waiting).state == "queued"
        done = sandtime("resume-queue", folder=bench.folder)
        assert (done.returncode, done.stdout) == (0, "runs may start again\n")
        bench.until(lambda: bench.info(waiting).state == "running", "the run that waited")


def test_the_signal_works_while_the_http_server_is_busy(tmp_path: Path) -> None:
    with lab(tmp_path, ["seed = 1"], 20.0) as bench:
        [run] = driven(bench, "s1")
        state = json.loads((bench.data / STATE_FILE).read_text(encoding="utf-8"))
        over = threading.Event()

        def ask_for_ever() -> None:
            with httpx.Client(headers={"Authorization": f"Bearer {state['token']}"}, timeout=60.0) as client:
                while not over.is_set():
                    client.get(f"{state['url']}/api/v1/status")

        askers = [threading.Thread(target=ask_for_ever) for _ in range(8)]
        for asker in askers:
            asker.start()
        try:
            press_by_signal(bench)
            bench.until(lambda: bench.reader().run(run).state == "stopped", "an open circuit in the store")
        finally:
            over.set()
            for asker in askers:
                asker.join()
        assert bench.reader().run(run).open_circuit_confirmed


def test_a_circuit_that_can_not_be_opened_is_said_until_it_was_seen(tmp_path: Path) -> None:
    with FaultyLab(tmp_path, ["seed = 1"], speed=1.0) as bench:
        [run] = driven(bench, "s1")
        bench.go_wrong(Fault(kind="drop_link", duration_s=15.0))
        bench.until(lambda: bench.info(run).state == "lost", "the loss of contact")
        press_by_signal(bench)
        alarm = f"the circuit of run {run} on s1 is to be open"
        bench.until(lambda: alarm in sandtime("status", folder=bench.folder).stdout, "the alarm")
        bench.kill_daemon()
        bench.start_daemon()
        assert alarm in sandtime("status", folder=bench.folder).stdout
        assert bench.until_ended(run).state == "stopped"
        bench.until(
            lambda: "in order again" in sandtime("status", folder=bench.folder).stdout, "the good news"
        )
        assert sandtime("ack", str(run), folder=bench.folder).returncode == 0
        assert alarm not in sandtime("status", folder=bench.folder).stdout


def test_a_daemon_that_does_not_answer_is_told_by_a_signal(tmp_path: Path) -> None:
    with lab(tmp_path, ["seed = 1"], 20.0) as bench:
        [run] = driven(bench, "s1")
        state_file = bench.data / STATE_FILE
        state = json.loads(state_file.read_text(encoding="utf-8"))
        # As good as a server that hangs: nobody listens there.
        state_file.write_text(json.dumps({**state, "url": "http://127.0.0.1:9"}), encoding="utf-8")
        done = sandtime("stop", "--all", folder=bench.folder)
        assert done.returncode == 4
        assert "told by a signal" in done.stderr
        bench.until(lambda: bench.reader().run(run).state == "stopped", "an open circuit in the store")


def test_chambers_keep_their_set_point_unless_asked(tmp_path: Path) -> None:
    with FaultyLab(tmp_path, ["seed = 1"], speed=100.0, in_chamber=1) as bench:
        text = cell() + "temperature_window: {from: 10 °C, to: 60 °C}\n"
        bench.submit(WARM, "s1", text)
        bench.until(lambda: mode(bench) == b"CONSTANT\r\n", "a chamber that is switched on")
        assert sandtime("stop", "--all", folder=bench.folder).returncode == 0
        assert mode(bench) == b"CONSTANT\r\n"
        done = sandtime("stop", "--all", "--chambers-off", folder=bench.folder)
        assert done.returncode == 0, done.stderr
        assert mode(bench) == b"OFF\r\n"
