"""Progress: charge, steps and half-cycles of a stream, however it is cut; and the same again by recovery."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_instrument import AREA_M2, CURRENT_A, Bench, Voltage, driven, ohmic, program, runs_short, sweep

from protocols.cell import Cell, Electrode
from protocols.nodes import Repeat, Rest
from protocols.position import Position
from protocols.program import GuardSettings, Program
from protocols.records import ENDED, Gap, HalfCycle
from scheduler import keeper
from scheduler import run as run_module
from scheduler.progress import Progress
from scheduler.run import ActiveRun

HEALTHY = program(
    Repeat(
        total=2,
        stop=2,
        body=(
            driven(0, CURRENT_A, 20.0),
            Rest(index=1, label="rest", duration_s=3.0),
            sweep(2),
            driven(3, CURRENT_A, 10.0),
            driven(4, -CURRENT_A, 30.0),
        ),
    )
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little between polls; no test depends on how little."""
    monkeypatch.setattr(keeper, "POLL_MIN_S", 0.001)
    monkeypatch.setattr(keeper, "POLL_MAX_S", 0.001)
    monkeypatch.setattr(keeper, "FIRST_SAMPLE_POLL_S", 0.001)
    monkeypatch.setattr(keeper, "BACKOFF_FIRST_S", 0.005)


@dataclass(frozen=True)
class Outcome:
    """What is left of a run when it is over."""

    state: str
    verdict: str | None
    event_s: float | None
    half_cycles: list[HalfCycle]
    charge_C: list[float]
    half_cycle: list[int]
    t_s: list[float]
    gaps: list[Gap]
    stored_half_cycles: list[str]
    passed: list[tuple[int, int, float, float]]


async def outcome_of(folder: Path, whole: Program, voltage: Voltage, script: Script) -> Outcome:
    """Run a program; the daemon is killed or the run paused after the given numbers of samples."""
    bench = Bench(folder)
    bench.instrument.voltage = voltage
    bench.instrument.tick_s = script.tick_s
    bench.instrument.host = bench.host
    await bench.live()
    run = bench.submit(whole)
    bench.keep()
    for kind, after_s in script.moments:
        run = await _happen(bench, run, kind, after_s)
    await bench.until(lambda: run.number in bench.ended)
    await bench.rest()
    await bench.recorder.commit()
    found = _outcome(bench, run.number)
    await bench.store.close()
    return found


@dataclass(frozen=True)
class Script:
    """When what happens to a run, in run time; and how much each poll brings."""

    moments: tuple[tuple[str, float], ...] = ()
    tick_s: float = 1.0


async def _happen(bench: Bench, run: ActiveRun, kind: str, after_s: float) -> ActiveRun:
    """Pause and resume a run, or kill the daemon and start it again; nothing if the run is over by then."""
    await bench.until(lambda: run.number in bench.ended or run.progress.t_s >= after_s)
    if run.number in bench.ended:
        return run
    if kind == "pause":
        bench.keeper.pause(run)
        await bench.until(lambda: run.number in bench.ended or run.info.state == "paused")
        if run.info.state == "paused":
            bench.keeper.resume(run)
            # A kill between intent and start is another story: that run is never started again.
            await bench.until(lambda: run.number in bench.ended or run.info.state == "running")
        return run
    await bench.rest()
    await bench.recorder.commit()
    await bench.die()
    await bench.live()
    if bench.store.reader.run(run.number).state in ENDED:
        bench.ended.append(run.number)
        return run
    run = bench.recover(run.number)
    bench.keep()
    return run


def _outcome(bench: Bench, run: int) -> Outcome:
    reader = bench.store.reader
    info, samples = reader.run(run), reader.samples(run)
    return Outcome(
        state=info.state,
        verdict=info.verdict.kind if info.verdict else None,
        event_s=info.verdict.event_s if info.verdict else None,
        half_cycles=reader.half_cycles(run),
        charge_C=samples["charge_C"].tolist(),
        half_cycle=samples["half_cycle"].tolist(),
        t_s=samples["t_s"].tolist(),
        gaps=reader.gaps(run),
        stored_half_cycles=[call for call in bench.journal if call.startswith("store half-cycle")],
        passed=bench.instrument.passed(),
    )


def run_once(whole: Program, voltage: Voltage, script: Script) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(outcome_of(Path(folder), whole, voltage, script))


# Charge, steps, half-cycles


def followed(cuts: list[int], t: list[float], current: list[float], step: list[int]) -> list[float]:
    progress = Progress(program(driven(0, CURRENT_A, 1e3), driven(1, -CURRENT_A, 1e3)))
    edges = [0, *sorted(set(cuts)), len(t)]
    charges: list[float] = []
    for a, b in itertools.pairwise(edges):
        if a < b:
            visit = [0] * (b - a)
            charges += progress.take(t[a:b], [0.1] * (b - a), current[a:b], step[a:b], visit)[0]
    return charges


@given(
    steps=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30),
    change=st.integers(1, 29),
    cuts=st.lists(st.integers(1, 29)),
    noise=st.randoms(use_true_random=False),
)
def test_charge_is_the_integral_however_the_stream_is_cut(
    steps: list[float], change: int, cuts: list[int], noise: object
) -> None:
    rng = np.random.default_rng(len(steps))
    t = np.cumsum([0.0, *steps[1:]]).tolist()
    step = [0 if k < change else 1 for k in range(len(t))]
    current = (np.where(np.array(step) == 0, CURRENT_A, -CURRENT_A) * rng.uniform(0.9, 1.1, len(t))).tolist()
    cuts = [cut for cut in cuts if cut < len(t)]
    charges = followed(cuts, t, current, step)
    assert charges == followed([], t, current, step)
    first = np.array(charges[:change])
    expected = [np.trapezoid(current[: k + 1], t[: k + 1]) for k in range(len(first))]
    assert first == pytest.approx(expected, abs=1e-12)


def test_a_step_that_begins_between_two_samples_counts_from_the_last_one_before() -> None:
    charges = followed([], [0.0, 1.0, 2.0, 3.0], [1.0, 1.0, -2.0, -2.0], [0, 0, 1, 1])
    assert charges == [0.0, 1.0, -2.0, -4.0]


def test_after_a_gap_a_new_step_counts_from_one_interval_before_its_first_sample() -> None:
    charges = followed([], [0.0, 1.0, 50.0], [1.0, 1.0, -2.0], [0, 0, 1])
    assert charges[-1] == -2.0


def test_time_and_charge_of_a_step_go_on_in_the_next_segment() -> None:
    whole = program(driven(0, CURRENT_A, 100.0))
    progress = Progress(whole)
    progress.take([0.0, 1.0, 2.0], [0.1] * 3, [CURRENT_A] * 3, [0] * 3, [0] * 3)
    progress.arrive(Position(step=0, time_s=2.5, charge_C=2.5 * CURRENT_A))
    progress.begin_segment(1000.0, whole, progress.position())
    progress.take([1000.0, 1001.0], [0.1] * 2, [CURRENT_A] * 2, [0] * 2, [0] * 2)
    position = progress.position()
    assert position.time_s == pytest.approx(3.5)
    assert position.charge_C == pytest.approx(3.5 * CURRENT_A)


def test_an_instrument_that_knows_less_does_not_send_a_run_back() -> None:
    progress = Progress(program(driven(0, CURRENT_A, 100.0), driven(1, CURRENT_A, 100.0)))
    progress.take([0.0, 1.0, 2.0], [0.1] * 3, [CURRENT_A] * 3, [0, 1, 1], [0] * 3)
    there = progress.position()
    progress.arrive(Position(step=0))
    assert progress.position() == there


def test_half_cycles_go_on_over_rests_and_spectra() -> None:
    found = run_once(HEALTHY, ohmic, Script())
    assert found.state == "finished"
    assert [cycle.set_current_A for cycle in found.half_cycles] == [CURRENT_A, -CURRENT_A] * 2
    assert [cycle.charge_C for cycle in found.half_cycles] == pytest.approx(
        [0.03, -0.03, 0.03, -0.03], rel=1e-6
    )
    assert all(cycle.complete for cycle in found.half_cycles)


def test_what_recovery_needs_survives_json() -> None:
    progress = Progress(HEALTHY)
    progress.take([0.0, 1.0], [0.1] * 2, [CURRENT_A] * 2, [0] * 2, [0] * 2)
    other = Progress(HEALTHY)
    other.restore(progress.state())
    assert other.state() == progress.state()
    with pytest.raises(TypeError):
        other.restore({**progress.state(), "values": 1})


# Recovery and pause: the run is the same as without


moments = st.lists(st.floats(0.0, 130.0), min_size=1, max_size=3).map(sorted)
ticks = st.sampled_from([0.9, 2.5, 20.0])


@settings(max_examples=6)
@given(moments=moments, tick_s=ticks, snapshot_s=st.sampled_from([0.0, 7.0, 600.0]))
def test_a_killed_daemon_changes_nothing(moments: list[float], tick_s: float, snapshot_s: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "SNAPSHOT_S", snapshot_s)
        whole = run_once(HEALTHY, ohmic, Script(tick_s=tick_s))
        killed = run_once(HEALTHY, ohmic, Script(tuple(("kill", t) for t in moments), tick_s))
    assert replace(killed, half_cycles=[]) == replace(whole, half_cycles=[])
    # The sums of a half-cycle are made poll by poll, so their last digit depends on the polls.
    for mine, theirs in zip(killed.half_cycles, whole.half_cycles, strict=True):
        assert mine.model_dump() == pytest.approx(theirs.model_dump(), rel=1e-9)
    assert len(set(killed.stored_half_cycles)) == len(killed.stored_half_cycles)


@settings(max_examples=6)
@given(moments=moments, snapshot_s=st.sampled_from([0.0, 7.0, 600.0]))
def test_a_killed_daemon_finds_the_same_short(moments: list[float], snapshot_s: float) -> None:
    steps = Repeat(total=2, stop=2, body=(driven(0, CURRENT_A, 60.0), driven(1, -CURRENT_A, 60.0)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "SNAPSHOT_S", snapshot_s)
        # A look would find this cell healed: its short comes at a time of each segment.
        short = program(steps, guards=GuardSettings(look=False))
        whole = run_once(short, runs_short(100.0), Script())
        killed = run_once(short, runs_short(100.0), Script(tuple(("kill", t) for t in moments)))
    assert (whole.state, whole.verdict) == ("protected", "short_circuit")
    assert (killed.state, killed.verdict, killed.event_s) == (whole.state, whole.verdict, whole.event_s)
    assert len(killed.half_cycles) == len(whole.half_cycles)
    n = min(len(whole.charge_C), len(killed.charge_C))
    assert killed.charge_C[:n] == whole.charge_C[:n]


@settings(max_examples=8)
@given(
    moments=st.lists(
        st.tuples(st.sampled_from(["pause", "kill"]), st.floats(0.0, 130.0)), min_size=1, max_size=4
    ).map(lambda found: tuple(sorted(found, key=lambda moment: moment[1]))),
    tick_s=st.sampled_from([0.9, 1.7]),
)
def test_pauses_pass_the_same_charge_and_repeat_no_step(
    moments: tuple[tuple[str, float], ...], tick_s: float
) -> None:
    steps = Repeat(
        total=2,
        stop=2,
        body=(
            driven(0, CURRENT_A, 20.0),
            Rest(index=1, label="r", duration_s=3.0),
            driven(2, -CURRENT_A, 40.0),
        ),
    )
    whole = run_once(program(steps), ohmic, Script(tick_s=tick_s))
    paused = run_once(program(steps), ohmic, Script(moments, tick_s))
    assert paused.state == "finished"
    assert [visit[:2] for visit in paused.passed] == [visit[:2] for visit in whole.passed]
    assert np.array(paused.passed) == pytest.approx(np.array(whole.passed), rel=1e-9)
    assert len(paused.half_cycles) == len(whole.half_cycles)


def test_lithium_that_runs_out_after_a_kill_is_still_found() -> None:
    poor = Cell(
        name="poor",
        area_m2=AREA_M2,
        geometry="asymmetric",
        working=Electrode(inventory_C_per_m2=100 * CURRENT_A / AREA_M2),
        counter=Electrode(inventory_C_per_m2=1e6),
    )
    whole = program(driven(0, CURRENT_A, 300.0), cell=poor)

    def voltage(step: object, t_s: float, current_A: float) -> float:
        return 0.1 if t_s < 110.0 else 0.8

    plain = run_once(whole, voltage, Script())
    killed = run_once(whole, voltage, Script((("kill", 50.0), ("kill", 105.0))))
    assert plain.verdict == killed.verdict == "li_depletion"
    assert plain.event_s == killed.event_s
