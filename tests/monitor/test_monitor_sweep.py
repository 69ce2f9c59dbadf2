"""When each guard would have fired on recorded data, and what a threshold costs in delay and false alarms."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labbench import sandtime

from monitor.sweep import parse_data, parse_events, parse_sweep

HALF_S, HALVES = 600, 6
SHORT_S = 4 * HALF_S + 300.0
"""In the fifth half-cycle."""
GLITCH_S = 2 * HALF_S + 200.0
GLITCH_SAMPLES = 5
CURRENT_A, OHM = 1e-3, 100.0


def record(path: Path, *, shorts: bool, glitch: bool = False, recovers: bool = False) -> Path:
    """Write a cell of 100 Ω at 1 Hz; it may drop to 2 Ω for good, for a minute, or for a few samples."""
    t = np.arange(1.0, HALF_S * HALVES + 1)
    current = CURRENT_A * np.where((t - 1) // HALF_S % 2 == 0, 1.0, -1.0)
    noise = 1.0 + 0.002 * np.random.default_rng(5).standard_normal(len(t))
    ohm = OHM * noise
    if shorts:
        ohm[(t >= SHORT_S) & (t < (SHORT_S + 60 if recovers else np.inf))] = 2.0
    if glitch:
        ohm[(t >= GLITCH_S) & (t < GLITCH_S + GLITCH_SAMPLES)] = 2.0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["test_time_second", "voltage_volt", "current_ampere"])
        writer.writerows(zip(t.tolist(), (ohm * current).tolist(), current.tolist(), strict=True))
    return path


@pytest.fixture(scope="module")
def shorted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("data") / "shorted.csv", shorts=True, glitch=True)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("data") / "healthy.csv", shorts=False)


def replay(*arguments: str | Path, folder: Path) -> Any:
    done = sandtime("replay", *arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_goes_on_after_the_first_stop_and_says_which_that_is(shorted: Path) -> None:
    found = replay(shorted, folder=shorted.parent)
    shorts = [verdict for verdict in found["verdicts"] if verdict["kind"] == "short_circuit"]
    assert len(shorts) >= 2
    assert found["first_stop_s"] == shorts[0]["time_s"] == pytest.approx(GLITCH_S, abs=10.0)
    assert any(SHORT_S <= verdict["time_s"] < SHORT_S + 10.0 for verdict in shorts)
    assert (found["samples"], found["half_cycles"]) == (HALF_S * HALVES, HALVES)
    first = {row["guard"]: row for row in found["guards"]}
    assert first["short_circuit"]["first_s"] == found["first_stop_s"]
    assert first["limits"] == {"guard": "limits", "first_s": None, "kind": None, "tier": None}
    text = sandtime("replay", shorted, folder=shorted.parent).stdout
    assert text.count("here the circuit would have been opened") == 1


def test_it_can_stop_where_a_test_would_have_been_stopped(shorted: Path) -> None:
    found = replay(shorted, "--stop-at-first", folder=shorted.parent)
    (verdict,) = found["verdicts"]
    assert verdict["time_s"] == found["first_stop_s"] == pytest.approx(GLITCH_S, abs=10.0)


def test_a_healthy_recording_has_no_stop(healthy: Path) -> None:
    found = replay(healthy, folder=healthy.parent)
    assert (found["verdicts"], found["first_stop_s"]) == ([], None)
    assert {row["first_s"] for row in found["guards"]} == {None}


def test_without_a_cell_file_nothing_is_per_area(shorted: Path, tmp_path: Path) -> None:
    cell = tmp_path / "cell.yaml"
    cell.write_text("sandtime: 1\nname: c\ngeometry: symmetric\narea: 2 cm²\n", encoding="utf-8")
    (bare, *_) = replay(shorted, folder=tmp_path)["verdicts"]
    (sized, *_) = replay(shorted, "--cell", cell, folder=tmp_path)["verdicts"]
    assert not any(key.endswith("_per_m2") for key in bare["evidence"])
    assert sized["evidence"]["current_density_A_per_m2"] == pytest.approx(CURRENT_A / 2e-4)


def test_a_sweep_shows_delay_against_false_alarms(shorted: Path, healthy: Path, tmp_path: Path) -> None:
    files = (f"{shorted}@{SHORT_S:g} s", f"{healthy}@none")
    plot = tmp_path / "sweep.png"
    found = replay(*files, "--sweep", "short_circuit.confirm_s=3s:12s:4", "--plot", plot, folder=tmp_path)
    rows = found["sweep"]
    assert [row["value"] for row in rows] == pytest.approx([3.0, 6.0, 9.0, 12.0])
    assert (found["guard"], found["threshold"]) == ("short_circuit", "confirm_s")
    assert [each["events_s"] for each in found["files"]] == [[SHORT_S], []]
    # The glitch lasts for five samples: with longer times it is no alarm, and the short is found later.
    assert rows[0]["false_alarms"] == 1
    assert rows[-1]["false_alarms"] == 0
    assert rows[0]["per_1000_h"] == pytest.approx(1000 / ((SHORT_S + HALF_S * HALVES) / 3600), rel=0.01)
    assert {row["missed"] for row in rows} == {0}
    delays = [row["delay_s"] for row in rows]
    assert delays == sorted(delays)
    # The recording begins at 1 s, which is its zero.
    assert 2.0 <= delays[0] < 10.0
    assert rows[0]["first_s"] == pytest.approx(SHORT_S + delays[0])
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_sweep_that_misses_the_short_says_so(shorted: Path) -> None:
    arguments = ("--event", f"{SHORT_S:g} s", "--sweep", "short_circuit.baseline_ratio=0.001:0.4:2")
    ohmic = shorted.parent / "guards.yaml"
    ohmic.write_text(
        "sandtime: 1\nname: g\nguards: {short_circuit: {local_ratio: 0.001}}\nsteps: [{rest: {for: 1 s}}]\n",
        encoding="utf-8",
    )
    rows = replay(shorted, *arguments, "--guards", ohmic, folder=shorted.parent)["sweep"]
    assert [row["missed"] for row in rows] == [1, 0]
    assert (rows[0]["first_s"], rows[0]["delay_s"]) == (None, None)


def test_without_an_event_delays_are_against_the_present_setting(shorted: Path) -> None:
    done = sandtime("replay", shorted, "--sweep", "short_circuit.confirm_s=1.8s:6s:2", folder=shorted.parent)
    assert done.returncode == 0, done.stderr
    assert "every verdict counts as a false alarm" in done.stdout
    rows = replay(shorted, "--sweep", "short_circuit.confirm_s=1.8s:6s:2", folder=shorted.parent)["sweep"]
    assert rows[0]["delay_s"] == 0.0
    assert rows[0]["false_alarms"] == rows[0]["verdicts"] >= 1


SWEEP = "short_circuit.confirm_s=2s:4s:2"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--sweep", "short_circuit"), 2, "is no sweep"),
        (("--sweep", "short_circuit.confirm_s=2s:4s:1"), 2, "2 to 1000 values"),
        (("--sweep", "short_circuit.confirm_s=2s:2s"), 2, "same value"),
        (("--sweep", "short_circuit.confirm_s=2:4"), 3, "has no unit"),
        (("--sweep", "short_circuit.confirm_s=2V:4V"), 3, "is a voltage"),
        (("--sweep", "short_circut.confirm_s=2s:4s"), 2, "Did you mean 'short_circuit'?"),
        (("--sweep", "short_circuit.confrm_s=2s:4s"), 2, "Did you mean 'confirm_s'?"),
        (("--sweep", SWEEP, "--event", "soon"), 3, "'soon' is not a time"),
        (("--sweep", SWEEP, "--event", "none", "--event", "3 h"), 2, "is not healthy"),
        (("--sweep", SWEEP, "--keep", "kept"), 2, "--keep"),
        (("--sweep", SWEEP, "--stop-at-first"), 2, "--stop-at-first"),
        (("--sweep", SWEEP, "--plot", "sweep.gif"), 1, ".png"),
        (("--event", "3 h"), 2, "--sweep"),
        (("--plot", "p.png"), 2, "--sweep"),
    ],
)
def test_a_mistake_is_one_clear_error(
    healthy: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = sandtime("replay", healthy, *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_several_recordings_are_for_a_sweep(healthy: Path, shorted: Path) -> None:
    done = sandtime("replay", healthy, shorted, folder=healthy.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--sweep" in done.stderr


def test_values_take_the_units_of_their_threshold() -> None:
    asked = parse_sweep("short_circuit.confirm_s=500ms:2 min:3")
    assert asked.values == pytest.approx((0.5, 60.25, 120.0))
    assert parse_sweep("a.b_V=10mV:1V:2").values == pytest.approx((0.01, 1.0))
    assert parse_sweep("a.ratio=20%:0.4:2").values == pytest.approx((0.2, 0.4))
    assert len(parse_sweep("a.ratio=0.1:0.2").values) == 10


def test_a_file_may_say_when_its_cell_shorted(tmp_path: Path) -> None:
    plain = tmp_path / "cell@45C.csv"
    plain.touch()
    assert parse_data(str(plain), []).path == plain
    assert parse_data("a.csv@2 h,3 h", []).events_s == (7200.0, 10800.0)
    assert parse_data("a.csv@none", ["1 h"]).events_s == ()
    assert parse_data("a.csv", ["1 h"]).events_s == (3600.0,)
    assert parse_events([]) is None
