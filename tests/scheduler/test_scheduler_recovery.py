"""What a new daemon makes of a run that an earlier one left, where it is not plainly going on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_instrument import CURRENT_A, Bench, bench_in, driven, program, runs_away, runs_short

from protocols.nodes import Rest
from protocols.program import GuardSettings
from scheduler import judging, keeper
from scheduler.columns import Columns
from scheduler.run import ActiveRun


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little between polls; no test depends on how little."""
    monkeypatch.setattr(keeper, "POLL_MIN_S", 0.002)
    monkeypatch.setattr(keeper, "POLL_MAX_S", 0.002)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_in(tmp_path) as bench:
        yield bench


async def die_at(bench: Bench, run: ActiveRun, t_s: float) -> None:
    await bench.until(lambda: run.progress.t_s >= t_s)
    await bench.rest()
    await bench.recorder.commit()
    await bench.die()
    await bench.live()


async def test_samples_that_were_fetched_and_not_stored_leave_a_gap_row(bench: Bench) -> None:
    run = bench.submit(program(driven(0, CURRENT_A, 60.0)))
    bench.keep()
    await die_at(bench, run, 10.0)
    stored_s = bench.store.reader.samples(run.number)["t_s"][-1]
    bench.instrument.now_s += 20.0
    segment = bench.instrument.held[0]
    fetched_s = float(segment.fetch(bench.instrument.now_s - segment.begun_s)[0]["t_s"][-1])
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    (gap,) = bench.store.reader.gaps(run.number)
    assert (gap.t_from_s, gap.t_to_s) == (stored_s, fetched_s + 1.0)


async def test_a_short_that_is_only_in_stored_samples_is_found_and_stops(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.instrument.voltage = runs_short(30.0)
    run = bench.submit(program(driven(0, CURRENT_A, 1e4), guards=GuardSettings(look=False)))
    with monkeypatch.context() as patch:
        # The earlier daemon dies with the deciding samples stored, before it has acted on them.
        patch.setattr(judging, "heed", lambda run, verdict: None)
        bench.keep()
        await die_at(bench, run, 90.0)
    assert bench.store.reader.verdicts(run.number) == []
    starts = bench.instrument.starts()
    run = bench.recover(run.number)
    assert run.verdict is not None and run.verdict.event_s == 30.0
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "protected" and run.open_confirmed
    assert bench.instrument.starts() == starts
    assert [found.kind for found in bench.store.reader.verdicts(run.number)] == ["short_circuit"]


async def test_a_limit_whose_tail_the_dead_daemon_had_fetched_is_a_limit(bench: Bench) -> None:
    bench.instrument.voltage = runs_away(20.0)
    run = bench.submit(program(driven(0, CURRENT_A, 60.0)))
    bench.keep()
    # Everything is drained and stored, and the end was told to nobody who could store it.
    await bench.until(lambda: run.progress.t_s >= 19.0)
    await bench.rest()
    segment = bench.instrument.held[0]
    bench.instrument.now_s += 20.0
    block, _ = segment.fetch(30.0)
    if len(block):
        columns = Columns.of(block)
        run.take(columns, slice(0, len(block)))
        columns.write(block)
        bench.store.add_samples(block)
    segment.told_end = True
    await bench.store.commit()
    await bench.die()
    await bench.live()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "protected"
    assert run.verdict is not None and run.verdict.tier == 0


async def test_a_fault_inside_the_limits_stays_a_failure_and_leaves_a_gap_row(bench: Bench) -> None:
    run = bench.submit(program(driven(0, CURRENT_A, 60.0)))
    bench.keep()
    await die_at(bench, run, 10.0)
    segment = bench.instrument.held[0]
    bench.instrument.now_s += 100.0
    segment.fetch(1e9)
    segment.told_end = True
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "failed"
    assert len(bench.store.reader.gaps(run.number)) == 1


async def test_a_paused_run_is_still_paused_and_goes_on(bench: Bench) -> None:
    run = bench.submit(program(driven(0, CURRENT_A, 60.0)))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 10.0)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    await die_at(bench, run, 0.0)
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.open_confirmed)
    assert run.snapshot().state == "paused"
    bench.keeper.resume(run)
    await bench.until(lambda: run.number in bench.ended)
    assert bench.store.reader.run(run.number).state == "finished"
    ((step, visit, seconds, charge),) = bench.instrument.passed()
    assert (step, visit) == (0, 0)
    assert (seconds, charge) == pytest.approx((60.0, 60.0 * CURRENT_A))


@pytest.mark.parametrize("pausing", [False, True])
async def test_a_stop_that_was_asked_for_is_not_forgotten(bench: Bench, pausing: bool) -> None:
    run = bench.submit(program(driven(0, CURRENT_A, 1e4)))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    bench.instrument.unconfirmed_stops = 10**9
    if pausing:
        bench.keeper.pause(run)
    else:
        bench.keeper.stop(run, "stopped by a person")
    await bench.until(lambda: run.info.state == "stopping")
    await die_at(bench, run, 0.0)
    run = bench.recover(run.number)
    bench.instrument.unconfirmed_stops = 0
    bench.keep()
    wanted = "paused" if pausing else "stopped"
    await bench.until(lambda: run.info.state == wanted)
    assert not bench.instrument.running(0)


async def test_a_protected_run_that_dies_in_afterwards_stays_protected(bench: Bench) -> None:
    bench.instrument.voltage = runs_short(30.0)
    afterwards = (Rest(index=1, label="afterwards", duration_s=1e4),)
    run = bench.submit(program(driven(0, CURRENT_A, 1e4), afterwards=afterwards))
    bench.keep()
    await bench.until(lambda: run.phase == "afterwards" and run.progress.step == 1)
    await die_at(bench, run, 0.0)
    bench.instrument.held.clear()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert bench.store.reader.run(run.number).state == "protected"


async def test_an_end_that_was_stored_is_not_forgotten(bench: Bench) -> None:
    """The daemon dies after the last sample and before the circuit was confirmed open."""
    bench.instrument.unconfirmed_stops = 10**9
    run = bench.submit(program(driven(0, CURRENT_A, 20.0), Rest(index=1, label="", duration_s=5.0)))
    bench.keep()
    await bench.until(lambda: run.end is not None and run.info.state == "stopping")
    await bench.rest()
    await bench.recorder.commit()
    await bench.die()
    await bench.live()
    bench.instrument.unconfirmed_stops = 0
    bench.instrument.held.clear()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert bench.store.reader.run(run.number).state == "finished"
    assert not bench.store.reader.gaps(run.number)
