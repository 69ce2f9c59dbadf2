"""Edits as a person makes them, on a simulated instrument behind its real wire, also through kill -9."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from labbench import Lab, cell, lab, sandtime

from protocols.errors import BusyError, InvalidFileError
from scheduler.requests import EditRequest, EndRequest, SpectrumRequest

SPEED = 50.0
HALF_CYCLE_S = 300.0
AREA_CM2 = 0.785
CHARGE_C = 0.2e-3 * AREA_CM2 * HALF_CYCLE_S
CYCLING = """\
sandtime: 1
name: cycling
steps:
  - repeat:
      times: 2
      counts: cycles
      steps:
        - constant_current: {current: 0.2 mA/cm², until: {time: 5 min}}
        - constant_current: {current: -0.2 mA/cm², until: {time: 5 min}}
"""
LONG = CYCLING.replace("5 min", "100 h")
LOOP = "steps 1 › repeat"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("edits"), ["seed = 1", "seed = 2", "seed = 3"], SPEED) as made:
        yield made


def driven(bench: Lab, run: int) -> bool:
    """Whether current flows."""
    return bool(bench.info(run).current_A)


@pytest.mark.timeout(300)
def test_an_edit_outlives_a_killed_daemon_and_is_done_once(bench: Lab) -> None:
    run = bench.submit(CYCLING, "s1", cell())
    bench.until(lambda: driven(bench, run), "current")
    with bench.client() as client:
        reply = client.edit(run, EditRequest(cycles=4))
    assert reply.changes == [f"{LOOP}: 4 passes, not 2"]
    bench.kill_daemon()
    bench.start_daemon()
    assert bench.until_ended(run).state == "finished"
    reader = bench.reader()
    half_cycles = reader.half_cycles(run)
    assert [row.number for row in half_cycles] == list(range(8))
    # What passed between the kill and the next start may be missing among the samples.
    unseen = {gap.t_to_s for gap in reader.gaps(run)}
    whole = [row for row in half_cycles if not any(row.t_start_s <= t <= row.t_end_s for t in unseen)]
    assert len(whole) >= 4
    assert [abs(row.charge_C) for row in whole] == pytest.approx([CHARGE_C] * len(whole), rel=0.02)
    assert [cycle.number for cycle in reader.cycles(run)] == [1, 2, 3, 4]
    (edited,) = reader.events_of(run, "edited")
    assert edited.event.data["to"] == reply.program == reader.program(run).digest()
    assert [entry.what for entry in reader.catalogue.audit(run)] == ["submit", "edit"]


@pytest.mark.timeout(300)
def test_a_spectrum_and_a_skip_from_the_command_line(bench: Lab) -> None:
    run = bench.submit(LONG, "s2", cell())
    bench.until(lambda: driven(bench, run), "current")
    done = sandtime("edit", str(run), "--spectrum", "10 kHz .. 10 Hz", "--json", folder=bench.folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["takes_effect"] == "now"
    bench.until(lambda: len(bench.reader().spectra(run)) == 1, "the spectrum")
    bench.until(lambda: driven(bench, run) and not bench.info(run).edits, "the step that goes on")
    assert bench.info(run).step.endswith("constant_current 1")
    done = sandtime("edit", str(run), "--skip", folder=bench.folder)
    assert done.returncode == 0, done.stderr
    assert f"{LOOP} › constant_current 1: what is left of it is skipped" in done.stdout
    bench.until(lambda: (bench.info(run).current_A or 0.0) < 0.0, "the next half-cycle")
    (row,) = bench.reader().half_cycles(run)
    assert not row.complete
    with bench.client() as client:
        client.stop(run)
    export = sandtime("export", str(run), "--format", "json", "-o", "run.json", folder=bench.folder)
    assert export.returncode == 0, export.stderr
    document = json.loads((bench.folder / "run.json").read_text(encoding="utf-8"))
    assert [edit["kind"] for edit in document["edits"]] == ["inserted", "edited"]


@pytest.mark.timeout(300)
def test_what_is_asked_for_is_shown_checked_and_compared_with_what_is_known(bench: Lab) -> None:
    run = bench.submit(LONG, "s3", cell())
    bench.until(lambda: driven(bench, run), "current")
    shown = sandtime("edit", str(run), folder=bench.folder)
    assert shown.returncode == 0, shown.stderr
    assert f"{LOOP}: 2 passes, 1 begun" in shown.stdout
    assert "constant_current 1: time 100 h, areal capacity 20 mAh/cm²" in shown.stdout
    with bench.client() as client:
        known = client.editable(run)
        ends = (EndRequest(step="constant_current 2", which="areal_capacity", value="1 mAh/cm²"),)
        dry = client.edit(run, EditRequest(ends=ends, limits={"voltage": "1 V"}, dry_run=True))
        assert client.editable(run) == known
        assert dry.changes == [
            "safety limit voltage_min: -1 V, not -2 V",
            "safety limit voltage_max: 1 V, not 2 V",
            f"{LOOP} › constant_current 2: areal capacity 1 mAh/cm², not 20 mAh/cm²",
        ]
        client.edit(run, EditRequest(cycles=3, expects=known.program))
        with pytest.raises(BusyError, match="was edited meanwhile"):
            client.edit(run, EditRequest(cycles=5, expects=known.program))
        with pytest.raises(InvalidFileError, match="is outside the channel"):
            client.edit(run, EditRequest(spectrum=SpectrumRequest(start="90 MHz")))
        assert [text for text in client.editable(run).pending if text.startswith(f"{LOOP}: 3 passes")]
        client.stop(run)
    done = sandtime("edit", str(run), "--cycles", "9", folder=bench.folder)
    assert done.returncode == 7, done.stdout
    assert "is stopped" in done.stderr


def test_what_is_no_edit_is_refused_before_it_is_sent(bench: Lab) -> None:
    for arguments in (["--limit", "1 V"], ["--end", "voltage=1 V"], ["--spectrum", "1 kHz"]):
        done = sandtime("edit", "1", *arguments, folder=bench.folder)
        assert done.returncode == 2, done.stdout
        assert "write for example" in done.stderr.replace("\n", " ")
