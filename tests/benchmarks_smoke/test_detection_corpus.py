"""The drawn cells of the detection benchmark are what they are said to be, and so are its sums."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from analysis.kramers_kronig import summarize
from benchmarks.detection import corpus, report
from benchmarks.detection.bench import Bench
from benchmarks.detection.classes import CLASSES, Drawn, draw
from benchmarks.detection.full_cells import FullRun
from benchmarks.detection.lab_rules import LabRules
from benchmarks.detection.render import FREQUENCY_HZ, Run, Stretch
from benchmarks.detection.score import percentiles, rate_bound, recall_bound, score
from benchmarks.detection.show import show
from guards.look import Seen, judge_look
from protocols.verdicts import Verdict

SEEDS = range(12)


def lithium(name: str, number: int) -> tuple[Run, Drawn]:
    drawn = draw(CLASSES[name], number, "development")
    assert isinstance(drawn.run, Run)
    return drawn.run, drawn


def driven(run: Run | FullRun, until_s: float) -> list[Stretch]:
    return [stretch for stretch in run.stretches(until_s) if stretch.facts.set_current_A and len(stretch.t_s)]


@pytest.mark.parametrize("name", CLASSES)
def test_a_run_is_always_the_same_and_its_time_goes_on(name: str) -> None:
    def columns() -> list[np.ndarray]:
        stretches = list(draw(CLASSES[name], 3, "development").run.stretches(3 * 3600.0))
        return [np.concatenate([getattr(s, c) for s in stretches]) for c in ("t_s", "voltage_V", "charge_C")]

    first, again = columns(), columns()
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True))
    assert (np.diff(first[0]) > 0).all()
    other = next(draw(CLASSES[name], 3, "held-out").run.stretches(1.0))
    assert not np.array_equal(other.voltage_V[:50], first[1][: len(other.voltage_V[:50])])


@pytest.mark.parametrize("number", SEEDS)
def test_a_healthy_cell_stays_within_its_limit(number: int) -> None:
    run, drawn = lithium("healthy-1Hz", number)
    run.dist = dataclasses.replace(run.dist, glitches_per_h=0.0, ranges_per_h=0.0)
    assert all(np.abs(s.voltage_V).max() < run.limit_V for s in driven(run, drawn.until_s))


@pytest.mark.parametrize("number", SEEDS)
def test_the_high_frequency_resistance_is_that_of_the_bulk(number: int) -> None:
    run, _ = lithium("healthy-1Hz", number)
    run.cell = dataclasses.replace(run.cell, fast_s=0.1, exponent=1.0, slow_s=100.0, wire_ohm=0.0)
    run.spectrum_noise = 0.0
    bulk = run.cell.bulk_ohm * run.cell.heated(run.dist.temperature_K(np.array([15.0])))[0][0]
    share = (run.cell.fast_ohm + run.cell.slow_ohm) / bulk
    found = summarize(run.spectrum(1, 0, 0.0, 0.0, 30.0)).r_hf_ohm
    assert found == pytest.approx(bulk, rel=1e-3 + 0.03 * share)


@pytest.mark.parametrize("name", ["hard-1Hz", "soft-0.8", "soft-0.3", "gradual"])
@pytest.mark.parametrize("number", range(4))
def test_a_short_is_a_resistor_in_parallel(name: str, number: int) -> None:
    run, drawn = lithium(name, number)
    assert run.short is not None and drawn.complete_s is not None
    run.cell = dataclasses.replace(run.cell, fast_s=0.1, exponent=1.0, wire_ohm=0.0)
    run.spectrum_noise = 0.0
    at_s = drawn.complete_s + 1.0
    shorted, healthy = (run.spectrum(1, 0, at_s, 0.0, 30.0, healed=healed) for healed in (False, True))
    change = 1.0 / shorted.impedance() - 1.0 / healthy.impedance()
    assert change == pytest.approx(np.full(len(FREQUENCY_HZ), run.conductance_S(at_s)), rel=1e-6)
    assert summarize(shorted).r_hf_ohm < summarize(healthy).r_hf_ohm


@pytest.mark.parametrize("number", range(8))
def test_a_short_takes_e_to_its_depth(number: int) -> None:
    run, _ = lithium("soft-0.5", number)
    assert run.short is not None
    steps = list(run.plan.steps_until(run.short.t_s))
    current_A = abs(steps[-1].current_A) or run.plan.current_A
    at_s = run.short.t_s
    healthy = run.chord_ohm(at_s, current_A, shorted=False)
    run.short = dataclasses.replace(run.short, fall_s=1e-9)
    assert run.chord_ohm(at_s + 1e-6, current_A) / healthy == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("name", ["hard-1Hz", "depletion", "contact", "open"])
def test_before_its_event_a_cell_is_healthy(name: str) -> None:
    run, drawn = lithium(name, 2)
    twin, _ = lithium(name, 2)
    twin.short = twin.runaway = None
    assert drawn.event_s is not None
    for ill, well in zip(run.stretches(drawn.event_s), twin.stretches(drawn.event_s), strict=False):
        if ill.facts.t_s + ill.planned.duration_s < drawn.event_s:
            assert np.array_equal(ill.voltage_V, well.voltage_V, equal_nan=True)


@pytest.mark.parametrize("number", SEEDS)
def test_a_side_runs_out_while_it_strips_and_its_books_say_that_it_can(number: int) -> None:
    run, drawn = lithium("depletion", number)
    assert run.runaway is not None and drawn.event_s is not None
    side, facts = run.runaway.side, run.facts()
    assert side is not None
    sign = 1.0 if side == "working" else -1.0
    net = gross = 0.0
    current_A = 0.0
    for stretch in run.stretches(drawn.event_s):
        end_s = min(stretch.facts.t_s + stretch.planned.duration_s, drawn.event_s)
        current_A = sign * stretch.facts.set_current_A
        net += current_A * (end_s - stretch.facts.t_s)
        gross += max(current_A, 0.0) * (end_s - stretch.facts.t_s)
    assert current_A > 0.0
    inventory = facts.inventory_C(side)
    assert inventory is not None and net + facts.max_loss * gross >= 0.9 * inventory


def test_an_open_circuit_carries_no_current() -> None:
    run, drawn = lithium("open", 1)
    assert run.runaway is not None and drawn.event_s is not None
    last = driven(run, drawn.until_s)[-1]
    assert abs(last.current_A[-1]) < 0.01 * abs(last.facts.set_current_A)
    assert abs(last.voltage_V[-1]) > run.limit_V


def test_lab_rules_find_a_short_and_say_nothing_of_a_flat_cell() -> None:
    run, drawn = lithium("hard-1Hz", next(k for k in range(99) if _is_plain("hard-1Hz", k)))
    assert drawn.event_s is not None
    rules = LabRules()
    for stretch in run.stretches(drawn.until_s):
        rules.take(stretch)
    found = [fired for fired in rules.fired if fired.rule == "moving median"]
    assert found and 0.0 <= found[0].t_s - drawn.event_s < 30.0


def _is_plain(name: str, number: int) -> bool:
    """Whether a short comes well inside a half-cycle of a cell that was quiet before."""
    run, drawn = lithium(name, number)
    return drawn.where == "anywhere" and run.dist.spike < 0.5 and run.plan.kind == "cycling"


def test_a_leak_makes_a_charge_longer() -> None:
    drawn = next(
        found
        for found in (draw(CLASSES["full-short"], k, "development") for k in range(99))
        if found.where == "leak"
    )
    assert isinstance(drawn.run, FullRun) and drawn.event_s is not None
    charges = [s for s in driven(drawn.run, drawn.until_s) if s.facts.set_current_A > 0.0]
    before = [s.charge_C[-1] for s in charges if s.t_s[-1] < drawn.event_s]
    after = [s.charge_C[-1] for s in charges if s.t_s[0] > drawn.event_s]
    assert after[0] > 1.1 * before[-1]


def test_a_look_clears_a_trip_only_if_all_is_as_it_was() -> None:
    evidence: dict[str, float | str] = {"healthy_ohm": 100.0, "healthy_r_hf_ohm": 20.0}
    trip = Verdict(kind="short_circuit", tier=1, time_s=1.0, event_s=0.0, message="", evidence=evidence)
    assert judge_look(trip, Seen(2.0, 0.0, 20.5, 105.0, 1e-4)).false_alarm
    assert judge_look(trip, Seen(2.0, 0.0, 20.5, 30.0, 1e-4)).stops
    assert judge_look(trip, Seen(2.0, 0.0, None, None, 0.0)).stops


def test_a_shorted_cell_is_not_cleared() -> None:
    run, drawn = lithium("hard-1Hz", 0)
    assert drawn.complete_s is not None
    stretch = driven(run, drawn.until_s)[-1]
    healthy = run.chord_ohm(0.0, stretch.facts.set_current_A, shorted=False)
    for eis in (False, True):
        seen = Bench(run, eis=eis).look(stretch, drawn.complete_s + 1.0)
        assert seen.r_ohm is not None and seen.r_ohm < 0.5 * healthy


def test_bounds_are_those_of_the_textbook() -> None:
    assert rate_bound(0, 1.0) == pytest.approx(2.996, rel=1e-3)
    assert recall_bound(4000, 4000) == pytest.approx(0.05 ** (1 / 4000), rel=1e-9)
    assert recall_bound(0, 10) == 0.0
    assert percentiles([1.0, 2.0, 3.0])[0] == 2.0


def test_a_run_is_scored_reported_and_drawn(tmp_path: Path) -> None:
    results = [score(CLASSES[name], 0, "development") for name in ("hard-1Hz", "depletion", "open")]
    text = report.text(results)
    assert all(result.corpus in text for result in results)
    assert all(result.after["stop"].samples <= 60 for result in results)
    show("hard-1Hz", 0, "development", tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 0


def test_an_interrupted_benchmark_goes_on_where_it_was(tmp_path: Path) -> None:
    some = partial(corpus.run, ["open"], seeds="development", jobs=1, lab_share=0.0, keep=tmp_path)
    first = list(some(share=1 / 2000))
    (file,) = tmp_path.iterdir()
    with file.open("a") as torn:
        torn.write('{"corpus": "op')
    more = list(some(share=2 / 2000))
    assert more[0] == first[0]
    assert [scored.number for scored in more] == [0, 1]
    assert len(file.read_text().splitlines()) == 2
