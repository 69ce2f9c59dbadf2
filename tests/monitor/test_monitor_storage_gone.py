"""A real daemon on a disk that is full or gone: alerts, memory, safe end; and two daemons on one folder."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from labbench import SANDTIME, TIMEOUT_S, Lab, cell, sandtime
from mqttlistener import Listener
from small_disk import WAYS, Disk, can_mount, disk_for, remount_read_only

from monitor.publishing import BROKER_FILE
from protocols.errors import SandtimeError
from protocols.records import ENDED
from scheduler.requests import StorageInfo
from storage.lock import LOCK

SPEED = 50.0
BASE = "sandtime/v1/hall"
MQTT = 'site = "hall"'
ROOMY = "warn_gigabytes = 0\nwarn_hours = 0\nleast_gigabytes = 0\n"
"""The disks of these tests are small."""
SOON = "hold_minutes = 0.05\n"
LONG = """\
sandtime: 1
name: long
steps:
  - constant_current: {current: 0.05 mA/cm², until: {time: 200 h}}
"""


@contextlib.contextmanager
def lab_on(folder: Path, way: str, storage: str = "", mqtt: str = "") -> Iterator[tuple[Lab, Disk]]:
    """Yield a lab whose data folder has a disk of its own."""
    with disk_for(folder / "data", way) as disk:
        made = Lab(folder, ["seed = 1", "seed = 2"], SPEED, mqtt=mqtt)
        text = made.config.read_text(encoding="utf-8")
        made.config.write_text(f"{text}\n[storage]\n{ROOMY}{storage}", encoding="utf-8")
        try:
            made.start_box()
            made.start_daemon()
            yield made, disk
        finally:
            made.end()


def pid_of(bench: Lab) -> int:
    assert bench.daemon is not None
    return bench.daemon.pid


def storage_of(bench: Lab) -> StorageInfo:
    with bench.client() as client:
        return client.status().storage


def until_failing(bench: Lab) -> None:
    bench.until(lambda: storage_of(bench).state == "failing", "storage that fails")


def until_samples(bench: Lab, run: int, more: int) -> None:
    wanted = bench.info(run).samples + more
    bench.until(lambda: bench.info(run).samples >= wanted, f"{more} more samples of run {run}")


def assert_whole(bench: Lab, run: int) -> None:
    """Every sample of a run that has ended is stored, once, and no stretch is missing."""
    reader = bench.reader()
    times = reader.samples(run, columns=("t_s",))["t_s"]
    assert len(times) == bench.info(run).samples
    assert np.diff(times).max() < 1.5, "a sample a second"
    assert (reader.gaps(run), reader.verify(run)) == ([], [])


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_that_gets_room_in_time_costs_nothing(tmp_path: Path, way: str) -> None:
    with lab_on(tmp_path, way, mqtt=MQTT) as (bench, disk):
        state_file = bench.data / BROKER_FILE
        bench.until(state_file.exists, "the broker")
        port = int(json.loads(state_file.read_text(encoding="utf-8"))["port"])
        with Listener(port) as heard:
            run = bench.submit(LONG, "s1", cell())
            until_samples(bench, run, 20)
            disk.fill(pid_of(bench))
            until_failing(bench)
            bench.until(lambda: heard.last(f"{BASE}/storage").get("state") == "failing", "the alert")
            shown = sandtime("status", folder=tmp_path).stdout
            assert "STORAGE FAILS since" in shown and "ALL RUNS END IN" in shown
            with pytest.raises(SandtimeError, match="no run is taken"):
                bench.submit(LONG, "s2", cell())
            until_samples(bench, run, 200)
            assert storage_of(bench).waiting_samples > 100
            assert bench.info(run).state == "running"
            disk.make_room(pid_of(bench))
            bench.until(lambda: storage_of(bench).state == "ok", "storage that works")
            bench.until(lambda: heard.last(f"{BASE}/storage").get("state") == "ok", "the end of the alert")
            bench.until(lambda: len(heard.of(f"{BASE}/event")) >= 2, "both events")
        other = bench.submit(LONG, "s2", cell())
        until_samples(bench, other, 5)
        with bench.client() as client:
            client.stop_all()
        bench.until_ended(run)
        bench.until(lambda: bench.reader().count(run) == bench.info(run).samples, "the last commit")
        assert_whole(bench, run)
        told = [stored.event for stored in bench.reader().events() if stored.event.kind == "storage"]
        assert [event.data["state"] for event in told] == ["failing", "ok"]
        assert float(str(told[1].data["seconds"])) > 0.0
        assert int(str(told[1].data["samples_in_memory"])) > 100


@pytest.mark.parametrize("way", WAYS)
def test_a_disk_that_stays_full_ends_the_runs_at_open_circuit(tmp_path: Path, way: str) -> None:
    with lab_on(tmp_path, way, SOON) as (bench, disk):
        runs = [bench.submit(LONG, station, cell()) for station in ("s1", "s2")]
        for run in runs:
            until_samples(bench, run, 20)
        disk.fill(pid_of(bench))
        for run in runs:
            info = bench.until_ended(run)
            assert info.state == "failed"
            assert info.reason.startswith("storage: nothing could be stored")
            assert info.open_circuit_confirmed
        assert storage_of(bench).ended_runs
        assert "ALL RUNS WERE ENDED" in sandtime("status", folder=tmp_path).stdout
        assert bench.reader().run(runs[0]).state not in ENDED, "its end waits in memory"
        disk.make_room(pid_of(bench))
        bench.until(lambda: storage_of(bench).state == "ok", "storage that works")
        stored = bench.reader()
        bench.until(lambda: {stored.run(run).state for run in runs} == {"failed"}, "the stored ends")
        for run in runs:
            assert_whole(bench, run)
        bench.until(lambda: bench.reader().unsealed() == [], "the sealed files")


def test_a_daemon_killed_on_a_full_disk_loses_what_was_not_acknowledged_and_says_so(tmp_path: Path) -> None:
    with lab_on(tmp_path, WAYS[-1]) as (bench, disk):
        run = bench.submit(LONG, "s1", cell())
        until_samples(bench, run, 20)
        disk.fill(pid_of(bench))
        until_failing(bench)
        acknowledged = bench.reader().count(run)
        until_samples(bench, run, 100)
        pid = pid_of(bench)
        bench.kill_daemon()
        disk.make_room(pid)
        assert bench.reader().count(run) == acknowledged
        bench.start_daemon()
        until_samples(bench, run, 20)
        with bench.client() as client:
            assert client.stop(run).open_circuit_confirmed
        bench.until_ended(run)
        times = bench.reader().samples(run, columns=("t_s",))["t_s"]
        assert (np.diff(times) > 0).all()
        (gap,) = bench.reader().gaps(run)
        assert gap.t_to_s - gap.t_from_s > 50.0
        assert "daemon died" in gap.reason


# A daemon that can't begin


def serve(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Run ``sandtime serve`` until it ends by itself."""
    return subprocess.run(
        [*before, SANDTIME, "serve"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


def assert_refused(ended: subprocess.CompletedProcess[str], word: str) -> None:
    assert ended.returncode == 1, ended.stderr
    assert word in ended.stderr
    assert "Traceback" not in ended.stderr


LIMITED = f"""\
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, {resource.RLIM_INFINITY}))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_daemon_that_can_write_nothing_says_so_and_ends(tmp_path: Path) -> None:
    Lab(tmp_path, ["seed = 1"])
    assert_refused(serve(tmp_path, sys.executable, "-c", LIMITED), "data")


@pytest.mark.skipif(not can_mount(), reason="needs the right to mount; the test above does not")
def test_a_daemon_on_a_read_only_disk_says_so_and_ends(tmp_path: Path) -> None:
    with disk_for(tmp_path / "data", "tmpfs"):
        Lab(tmp_path, ["seed = 1"])
        remount_read_only(tmp_path / "data")
        assert_refused(serve(tmp_path), "Read-only file system")


# Two daemons


def test_a_second_daemon_is_refused_until_the_first_is_gone_however_it_went(tmp_path: Path) -> None:
    bench = Lab(tmp_path, ["seed = 1"])
    try:
        bench.start_box()
        bench.start_daemon()
        first = pid_of(bench)
        second = serve(tmp_path)
        assert second.returncode == 8
        assert f"process {first}" in second.stderr
        assert "Traceback" not in second.stderr
        with bench.client() as client:
            assert client.status().ready, "the first one is not disturbed"
        os.kill(first, signal.SIGKILL)
        assert bench.daemon is not None
        bench.daemon.wait()
        assert (bench.data / LOCK).read_text() == str(first), "what is left behind holds nobody up"
        bench.start_daemon()
        assert (bench.data / LOCK).read_text() == str(pid_of(bench))
    finally:
        bench.end()
