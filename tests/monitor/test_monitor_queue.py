"""The queue from outside: commands, a daemon that is killed, and a lab of real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labbench import Lab, cell, lab, sandtime

from protocols.errors import NotAllowedError
from scheduler.requests import MaintenanceRequest

LONG = "sandtime: 1\nname: long\nsteps:\n  - rest: {for: 100 h}\n"
SHORT = "sandtime: 1\nname: short\nsteps:\n  - rest: {for: 20 s}\n"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Lab]:
    for name, text in (("long.yaml", LONG), ("short.yaml", SHORT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in "abcd":
        (tmp_path / f"{name}.yaml").write_text(cell(f"cell {name}"), encoding="utf-8")
    with lab(tmp_path, ["seed = 1", "seed = 2"], speed=50.0, in_chamber=2) as made:
        yield made


def shown(bench: Lab, *arguments: str) -> Any:
    """Run a command, and return its JSON document."""
    done = sandtime(*arguments, "--json", folder=bench.folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(300)
def test_replicates_series_and_maintenance_survive_a_kill(bench: Lab) -> None:
    cells = ("--cell", "a.yaml", "--cell", "b.yaml", "--cell", "c.yaml")
    three = shown(bench, "submit", "long.yaml", *cells)["runs"]
    assert [(run["run"], run["station"]) for run in three] == [(1, "s1"), (2, "s2"), (3, "")]
    assert three[2]["candidates"] == ["s1", "s2"]
    series = ("submit", "short.yaml", "long.yaml", "--cell", "d.yaml")
    shown(bench, *series, "--needs", "chamber:25..60C", "--priority", "5")
    shown(bench, "maintenance", "on", "s1", "--reason", "new cable")
    bench.until(lambda: bench.info(2).state == "running", "the start")
    before = shown(bench, "queue")
    bench.kill_daemon()
    bench.start_daemon()
    bench.until(lambda: {bench.info(run).state for run in (1, 2)} == {"running"}, "both are taken over")
    after = shown(bench, "queue")
    told = ("run", "priority", "station", "candidates", "wants", "after")
    for now, then in zip(after["runs"], before["runs"], strict=True):
        assert [now[key] for key in told] == [then[key] for key in told]
    assert [run["run"] for run in after["runs"]] == [1, 2, 4, 5, 3]
    assert [entry["reason"] for entry in after["maintenance"]] == ["new cable"]
    assert after["runs"][2]["waits_for"].startswith("run 2 on s2, until about ")
    with bench.client() as client:
        client.stop(1)
        client.stop(2)
        bench.until(lambda: bench.info(2).state == "stopped", "the end")
        bench.until(lambda: client.run(4).waits_for.startswith("a person"), "the question")
        client.acknowledge(2)
        bench.until(lambda: bench.info(5).state == "running", "the second of the series")
        assert bench.info(5).station == "s2"
        waits = client.run(3).waits_for
        assert "s1" in waits and "s2" in waits
        with pytest.raises(NotAllowedError, match="in maintenance"):
            client.end_maintenance("s2")
        assert client.status().maintenance[0].name == "s1"
        client.end_maintenance("s1")
        client.acknowledge(1)
        bench.until(lambda: bench.info(3).state == "running", "the last one")
        assert client.begin_maintenance(MaintenanceRequest(name="vsp", reason="r")).who


@pytest.mark.timeout(300)
def test_people_look_ahead_change_their_minds_and_make_mistakes(bench: Lab) -> None:
    plan = sandtime("submit", "short.yaml", "--cell", "a.yaml", "--dry-run", folder=bench.folder)
    assert plan.stdout.startswith("s1: ") and "at most · short on cell a" in plan.stdout
    assert sandtime("queue", folder=bench.folder).stdout == "nothing runs, and nothing waits\n"
    for name in "ab":
        shown(bench, "submit", "long.yaml", "--cell", f"{name}.yaml")
    later = shown(
        bench, "submit", "short.yaml", "--cell", "c.yaml", "--not-before", "+2 h", "--chamber", "oven"
    )
    assert later["waits_for"].startswith("its start time")
    last = shown(bench, "submit", "short.yaml", "--cell", "d.yaml")["run"]
    moved = shown(bench, "queue", "move", str(last), "--priority", "9")["runs"]
    assert moved[2]["run"] == last
    table = sandtime("queue", folder=bench.folder).stdout.splitlines()
    assert "run 4 short on cell d: QUEUED · any of s1, s2 · priority 9 · waits for a free" in table[2]
    timetable = sandtime("queue", "--dry-run", folder=bench.folder).stdout
    assert timetable.count("at most") == 4
    gone = sandtime("queue", "cancel", str(last), folder=bench.folder)
    assert gone.stdout == f"run {last}: stopped, it had not started\n"
    refused = sandtime("submit", "short.yaml", "--cell", "a.yaml", "--needs", "eis:9MHz", folder=bench.folder)
    assert refused.returncode == 3
    assert "EIS to 9 MHz is asked for, the station measures impedance from" in refused.stderr
    wrong = [
        ("queue", "cancel", "1"),
        ("queue", "move", "1", "--priority", "3"),
        ("maintenance", "off", "s1"),
        ("maintenance", "on", "s9", "--reason", "r"),
        ("maintenance", "on", "s1", "--reason", " "),
        ("submit", "short.yaml", "--cell", "a.yaml", "--not-before", "yesterday"),
        ("submit", "short.yaml", "--cell", "a.yaml", "--cell", "b.yaml", "--name", "two"),
    ]
    codes = [sandtime(*words, folder=bench.folder).returncode for words in wrong]
    assert codes == [7, 7, 7, 3, 2, 2, 2]
