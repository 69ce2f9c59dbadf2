"""The check before a start, through real processes: bad cells, and what a person does about them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from labbench import Lab, cell, lab, sandtime

from drivers.simulation.control import inject
from drivers.simulation.faults import Fault
from protocols.check import CheckOutcome, is_check
from protocols.errors import NotAllowedError
from protocols.records import ENDED
from scheduler.requests import Submission

SPEED = 200.0
PROTOCOL = """\
sandtime: 1
name: short
steps:
  - constant_current: {current: 0.2 mA/cm², until: {time: 5 min}}
"""
FULL = """\
sandtime: 1
name: full
geometry: full
area: 0.785 cm²
counter: {lithium: 50 µm}
electrolyte: {class: liquid}
voltage_window: {from: 2.5 V, to: 3.65 V}
"""
NAMED = cell() + "identity: A-17\n"
CHANNELS = ['preset = "generic_symmetric"', "shorted = true", 'preset = "lfp_full"', "seed = 4"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("checked"), CHANNELS, SPEED, checks="before_start = true") as made:
        yield made


def spoil(bench: Lab, kind: str, channel: int) -> None:
    """Let something be wrong at a channel's leads for as long as the test takes."""
    fault = Fault.model_validate({"kind": kind, "duration_s": 1e7, "channel": channel})
    inject(bench.data / "simulation.json", "vsp", fault)


def until_held_back(bench: Lab, run: int) -> list[CheckOutcome]:
    bench.until(lambda: bench.info(run).state == "paused", f"run {run} is held back")
    return outcomes(bench, run)


def outcomes(bench: Lab, run: int) -> list[CheckOutcome]:
    return [
        CheckOutcome.model_validate(stored.event.data) for stored in bench.reader().events_of(run, "check")
    ]


def results(outcome: CheckOutcome) -> dict[str, str]:
    return {finding.name: finding.result for finding in outcome.findings}


def test_a_sound_cell_is_tested_and_its_check_counts_nowhere(bench: Lab) -> None:
    run = bench.submit(PROTOCOL, "s1", cell())
    assert bench.until_ended(run).state == "finished"
    (outcome,) = outcomes(bench, run)
    assert outcome.outcome == "passed"
    assert results(outcome)["resistance"] == "fine"
    assert outcome.seconds < 120.0
    assert abs(outcome.charge_C) < 1e-3
    reader = bench.reader()
    bench.until(lambda: reader.results(run) is not None, "the results")
    assert (reader.results(run) or {})["spectra"] == 0
    assert [is_check(spectrum.step) for spectrum, _ in reader.spectra(run)] == [True]
    assert not reader.events_of(run, "resolved_spectrum")
    (half_cycle,) = reader.half_cycles(run)
    assert half_cycle.complete


def test_a_shorted_cell_is_held_back_until_a_person_says_why_it_starts(bench: Lab) -> None:
    run = bench.submit(PROTOCOL, "s2", cell())
    (outcome,) = until_held_back(bench, run)
    assert results(outcome)["short"] == "refused"
    shown = sandtime("status", folder=bench.folder).stdout
    assert f"sandtime resume {run} --anyway" in shown and "R_hf" in shown
    assert bench.info(run).open_circuit_confirmed
    assert not len(bench.reader().half_cycles(run))
    done = sandtime("resume", str(run), "--anyway", "a wire on purpose", "--json", folder=bench.folder)
    assert done.returncode == 0, done.stderr
    assert bench.until_ended(run).state in ENDED - {"failed"}
    assert [each.outcome for each in outcomes(bench, run)] == ["refused", "overridden"]
    explained = json.loads(sandtime("why", str(run), "--json", folder=bench.folder).stdout)
    assert explained["checks"][1]["reason"] == "a wire on purpose"
    audited = bench.reader().catalogue.audit(run)
    assert [entry.details.get("anyway") for entry in audited if entry.what == "resume"] == [
        "a wire on purpose"
    ]


def test_leads_that_are_exchanged_and_a_clip_that_is_off_are_told_apart(bench: Lab) -> None:
    spoil(bench, "swapped_leads", 3)
    spoil(bench, "open_clip", 4)
    swapped, unclipped = bench.submit(PROTOCOL, "s3", FULL), bench.submit(PROTOCOL, "s4", cell())
    (of_swapped,), (of_unclipped,) = until_held_back(bench, swapped), until_held_back(bench, unclipped)
    assert results(of_swapped)["polarity"] == "refused"
    assert results(of_swapped)["contact"] == "fine"
    assert results(of_unclipped)["contact"] == "refused"
    assert "clip" in sandtime("why", str(unclipped), folder=bench.folder).stdout
    with bench.client() as client:
        for run in (swapped, unclipped):
            assert client.stop(run).state == "stopped"


def test_only_what_was_held_back_is_overridden(bench: Lab) -> None:
    run = bench.submit(PROTOCOL.replace("5 min", "100 h"), "s1", cell("any"))
    bench.until(lambda: bench.info(run).state == "running" and bool(outcomes(bench, run)), "the test")
    with bench.client() as client:
        assert client.pause(run).state == "paused"
        with pytest.raises(NotAllowedError, match="not held back"):
            client.resume(run, "because")
        assert client.resume(run).state == "waiting"
        assert client.stop(run).state in ("stopped", "stopping")
    bench.until_ended(run)


def test_without_a_check_it_starts_on_record(bench: Lab) -> None:
    asked = Submission(protocol_text=PROTOCOL, cell_text=cell("dummy"), station="s1", no_check="a dummy cell")
    with bench.client() as client:
        run = client.submit(asked).run.run
    assert bench.until_ended(run).state == "finished"
    assert [(each.outcome, each.reason) for each in outcomes(bench, run)] == [("skipped", "a dummy cell")]


def test_a_daemon_that_is_killed_in_the_check_makes_it_all_the_same(bench: Lab) -> None:
    run = bench.submit(PROTOCOL, "s1", cell("killed"))
    bench.until(lambda: bench.info(run).state == "running", "its check")
    bench.kill_daemon()
    bench.start_daemon()
    bench.until_ended(run)
    assert [each.outcome for each in outcomes(bench, run)] == ["passed"]


def test_another_cell_than_the_one_that_was_left_asks_a_person(tmp_path: Path) -> None:
    with lab(tmp_path, ["bulk_ohm_cm2 = 50"], SPEED, checks="before_start = true") as bench:
        first = bench.submit(PROTOCOL, "s1", NAMED)
        assert bench.until_ended(first).state == "finished"
        again = bench.submit(PROTOCOL, "s1", NAMED)
        assert bench.until_ended(again).state == "finished"
        assert results(outcomes(bench, again)[0])["same_cell"] == "fine"
        bench.end()
        text = bench.config.read_text(encoding="utf-8")
        bench.config.write_text(text.replace("bulk_ohm_cm2 = 50", "bulk_ohm_cm2 = 500"), encoding="utf-8")
        (bench.data / "simulation.json").unlink(missing_ok=True)
        bench.start_box()
        bench.start_daemon()
        other = bench.submit(PROTOCOL, "s1", NAMED)
        (outcome,) = until_held_back(bench, other)
        assert outcome.outcome == "asks"
        assert f"run {again} left it" in outcome.reason
