"""The keeper: commands in their order, states that follow from what was confirmed, no cell left driven."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_instrument import (
    CURRENT_A,
    Bench,
    bench_in,
    driven,
    program,
    refused,
    runs_away,
    runs_short,
)

from protocols.errors import BusyError, InstrumentError, UnreachableError
from protocols.nodes import Rest
from protocols.program import GuardSettings, Program
from protocols.records import Ticket
from scheduler import keeper
from scheduler.run import ActiveRun


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little between polls and before a new connection; no test depends on how little."""
    monkeypatch.setattr(keeper, "POLL_MIN_S", 0.002)
    monkeypatch.setattr(keeper, "POLL_MAX_S", 0.002)
    monkeypatch.setattr(keeper, "FIRST_SAMPLE_POLL_S", 0.002)
    monkeypatch.setattr(keeper, "BACKOFF_FIRST_S", 0.005)
    monkeypatch.setattr(keeper, "BACKOFF_MAX_S", 0.02)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_in(tmp_path) as bench:
        yield bench


def plating(seconds: float = 60.0, **changes: object) -> Program:
    return program(driven(0, CURRENT_A, seconds), **changes)


AFTERWARDS = (Rest(index=1, label="afterwards", duration_s=5.0),)
UNLOOKED = GuardSettings(look=False)
"""A short circuit is final at once."""


def before(journal: list[str], first: str, then: str) -> bool:
    return journal.index(first) < journal.index(then)


# Start


async def test_intent_is_durable_before_the_command_and_the_outcome_after(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    journal = bench.journal
    start = journal.index("start 0")
    assert journal[:start].index("ticket intent") < journal[:start].index("committed")
    assert "ticket started" not in journal[:start]
    after = journal[start:]
    assert after.index("ticket started") < after.index("committed")
    assert [ticket.state for ticket in bench.store.reader.tickets(run.number)] == ["ended"]
    assert bench.states(run.number) == ["running", "finished"]


async def test_a_refused_start_fails_with_the_circuit_confirmed_open(bench: Bench) -> None:
    bench.instrument.refusal = refused("firmware says no")
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    stored = bench.store.reader.run(run.number)
    assert stored.state == "failed"
    assert "firmware says no" in stored.reason
    assert stored.open_circuit_confirmed
    assert before(bench.journal, "start 0", "stop 0")
    assert [ticket.state for ticket in bench.store.reader.tickets(run.number)] == ["refused"]


async def test_what_others_run_on_a_channel_is_not_stopped(bench: Bench) -> None:
    bench.keep()
    await bench.until(lambda: bench.keeper.reachable)
    # They started after our look.
    bench.instrument.foreign.add(0)
    bench.instrument.refusal = BusyError("it runs already")
    run = bench.submit(plating())
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "failed"
    assert not run.info.open_circuit_confirmed
    assert "stop 0" not in bench.journal
    assert "alarm" in bench.kinds(run.number)


async def test_no_command_without_a_durable_intent(bench: Bench) -> None:
    bench.store.full = True
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.held)
    assert "storage" in run.snapshot().waits_for
    assert bench.instrument.starts() == 0
    bench.store.full = False
    await bench.recorder.commit()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "finished"
    assert before(bench.journal, "committed", "start 0")


# Verdicts and ends


async def test_a_verdict_opens_the_circuit_before_anything_of_its_poll_is_stored(bench: Bench) -> None:
    bench.instrument.voltage = runs_short(30.0)
    run = bench.submit(plating(300.0))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    stored_before_stop = bench.journal[: bench.journal.index("stop 0")].count("store samples")
    assert run.verdict is not None
    # A poll brings one second: the poll that held the deciding sample was not stored before the stop.
    newest_s = run.verdict.time_s
    assert stored_before_stop <= newest_s
    assert before(bench.journal, "stop 0", "store verdict short_circuit")
    assert run.info.state == "protected"


async def test_verdict_and_states_are_published_after_their_commit(bench: Bench) -> None:
    seen: list[tuple[str, bool]] = []

    def note(stored: object) -> None:
        numbers = {event.id for event in bench.store.reader.events()}
        seen.append((str(stored), getattr(stored, "id", None) in numbers))

    bench.recorder.on_event(note)
    bench.instrument.voltage = runs_short(30.0)
    run = bench.submit(plating(300.0))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert "verdict" in bench.kinds(run.number)
    assert seen and all(durable for _, durable in seen)


@pytest.mark.parametrize(("ends_on", "state"), [(("short_circuit",), "finished"), ((), "protected")])
async def test_a_planned_short_finishes_any_other_protects(
    bench: Bench, ends_on: tuple[str, ...], state: str
) -> None:
    bench.instrument.voltage = runs_short(30.0)
    run = bench.submit(plating(300.0, ends_on=ends_on, guards=UNLOOKED))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    stored = bench.store.reader.run(run.number)
    assert (stored.state, stored.open_circuit_confirmed) == (state, True)
    assert stored.verdict is not None and stored.verdict.kind == "short_circuit"
    assert [verdict.kind for verdict in bench.store.reader.verdicts(run.number) if verdict.stops] == [
        "short_circuit"
    ]
    assert bench.states(run.number) == ["running", "stopping", state]


async def test_the_tail_after_the_stop_is_stored(bench: Bench) -> None:
    bench.instrument.tick_s = 10.0
    run = bench.submit(plating(300.0))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 20.0)
    bench.keeper.stop(run, "enough")
    await bench.until(lambda: run.number in bench.ended)
    (segment,) = bench.instrument.past
    last = bench.store.reader.last_sample(run.number)
    assert last is not None and last["t_s"] == int(segment.end_s)
    assert bench.store.reader.run(run.number).state == "stopped"
    assert bench.store.reader.run(run.number).reason == "enough"


@pytest.mark.parametrize("ends_on", [("short_circuit",), ()])
async def test_afterwards_runs_after_a_planned_and_a_protected_end(
    bench: Bench, ends_on: tuple[str, ...]
) -> None:
    bench.instrument.voltage = runs_short(30.0)
    run = bench.submit(plating(300.0, ends_on=ends_on, afterwards=AFTERWARDS, guards=UNLOOKED))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert bench.instrument.starts() == 2
    assert bench.instrument.passed()[-1][:3] == (1, 0, 5.0)
    assert run.info.state == ("finished" if ends_on else "protected")
    assert "running" not in bench.states(run.number)[2:]
    assert bench.store.reader.run(run.number).open_circuit_confirmed


async def test_afterwards_does_not_run_after_a_failure(bench: Bench) -> None:
    bench.instrument.refusal = refused()
    run = bench.submit(plating(afterwards=AFTERWARDS))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert (run.info.state, bench.instrument.starts()) == ("failed", 1)


async def test_afterwards_does_not_close_a_circuit_that_a_person_opened(bench: Bench) -> None:
    run = bench.submit(plating(afterwards=AFTERWARDS))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 3.0)
    bench.keeper.stop(run, "stopped by a person")
    await bench.until(lambda: run.number in bench.ended)
    assert (run.info.state, bench.instrument.starts()) == ("stopped", 1)


async def test_a_protected_run_stays_protected_when_afterwards_is_refused(bench: Bench) -> None:
    bench.instrument.voltage = runs_short(30.0)
    run = bench.submit(plating(300.0, afterwards=AFTERWARDS, guards=UNLOOKED))
    bench.keep()
    await bench.until(lambda: run.info.state == "running")
    bench.instrument.refusal = refused()
    await bench.until(lambda: run.number in bench.ended)
    assert bench.instrument.starts() == 2
    assert bench.store.reader.run(run.number).state == "protected"
    assert bench.store.reader.run(run.number).open_circuit_confirmed


async def test_a_limit_on_board_is_named(bench: Bench) -> None:
    bench.instrument.voltage = runs_away(20.0)
    bench.instrument.tick_s = 40.0
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    stored = bench.store.reader.run(run.number)
    assert stored.state == "protected"
    assert stored.verdict is not None and stored.verdict.tier == 0
    assert stored.verdict.time_s == 20.0
    assert [verdict.kind for verdict in bench.store.reader.verdicts(run.number)] == [stored.verdict.kind]


# Stopping


async def test_a_stop_is_tried_until_it_is_confirmed(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    bench.instrument.tick_s = 0.0
    bench.instrument.unconfirmed_stops = 10**6
    bench.keeper.stop(run, "stopped by a person")
    await bench.until(lambda: bench.journal.count("stop 0") > 3)
    assert (run.info.state, run.open_confirmed) == ("stopping", False)
    bench.instrument.unconfirmed_stops = 0
    await bench.until(lambda: run.number in bench.ended)
    assert not bench.instrument.running(0)
    assert bench.states(run.number) == ["running", "stopping", "stopped"]
    assert bench.kinds(run.number).count("alarm") == 1
    kinds = bench.kinds(run.number)
    assert kinds.index("alarm") < kinds.index("open_circuit")


@pytest.mark.parametrize("error", [refused("bad answer"), UnreachableError("gone")])
async def test_a_stop_that_raises_is_tried_again(bench: Bench, error: InstrumentError) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    bench.instrument.stop_error = error
    bench.keeper.stop(run, "stopped by a person")
    await bench.until(lambda: bench.journal.count("stop 0") >= 3)
    assert (run.info.state, run.open_confirmed) == ("stopping", False)
    bench.instrument.stop_error = None
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "stopped"
    assert bench.kinds(run.number).count("alarm") == 1


async def test_a_run_does_not_end_before_its_circuit_is_open(bench: Bench) -> None:
    run = bench.submit(plating(5.0))
    bench.instrument.unconfirmed_stops = 10**6
    bench.keep()
    await bench.until(lambda: bench.journal.count("stop 0") > 3)
    assert run.info.state == "stopping"
    bench.instrument.unconfirmed_stops = 0
    await bench.until(lambda: run.number in bench.ended)
    assert (run.info.state, run.open_confirmed) == ("finished", True)


async def test_a_stop_in_vain_on_one_channel_leaves_the_other_watched(bench: Bench) -> None:
    first, second = bench.submit(plating(1e4), 0), bench.submit(plating(1e4), 1)
    bench.keep()
    await bench.until(lambda: min(first.progress.t_s, second.progress.t_s) >= 2.0)
    bench.instrument.stop_error = refused("bad answer")
    bench.keeper.stop(first, "stopped by a person")
    await bench.until(lambda: bench.journal.count("stop 0") >= 2)
    reached_s = second.progress.t_s
    await bench.until(lambda: second.progress.t_s > reached_s + 5.0)
    assert second.info.state == "running"
    bench.instrument.stop_error = None


async def test_a_run_that_is_stopped_before_its_start_is_never_driven(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keeper.stop(run, "changed my mind")
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert (run.info.state, run.info.reason) == ("stopped", "changed my mind")
    assert bench.instrument.starts() == 0


# Contact


async def test_contact_lost_and_found_goes_on_without_a_second_start(bench: Bench) -> None:
    run = bench.submit(plating(1000.0))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    bench.instrument.reachable = False
    await bench.until(lambda: run.info.state == "lost")
    failed = bench.journal.count("connect")
    await bench.until(lambda: bench.journal.count("connect") >= failed + 3)
    bench.instrument.now_s += 100.0
    bench.instrument.reachable = True
    await bench.until(lambda: run.number in bench.ended)
    assert bench.states(run.number) == ["running", "lost", "running", "finished"]
    assert bench.instrument.starts() == 1
    t = bench.store.reader.samples(run.number)["t_s"]
    assert t.tolist() == [float(k) for k in range(1001)]


async def test_a_segment_that_is_gone_fails_and_is_stopped(bench: Bench) -> None:
    run = bench.submit(plating(1e4))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    bench.instrument.reachable = False
    await bench.until(lambda: run.info.state == "lost")
    bench.instrument.held.clear()
    bench.instrument.host_died()
    bench.instrument.reachable = True
    await bench.until(lambda: run.number in bench.ended)
    assert (run.info.state, run.info.open_circuit_confirmed) == ("failed", True)
    assert "stop 0" in bench.journal
    assert bench.instrument.starts() == 1


async def test_a_channel_that_others_took_is_left_alone(bench: Bench) -> None:
    run = bench.submit(plating(1e4))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    bench.instrument.reachable = False
    await bench.until(lambda: run.info.state == "lost")
    bench.instrument.held.clear()
    bench.instrument.host_died()
    bench.instrument.foreign.add(0)
    bench.instrument.reachable = True
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "failed"
    assert bench.instrument.running(0)
    assert "stop 0" not in bench.journal


async def test_one_channel_that_cannot_be_looked_at_leaves_the_other_watched(bench: Bench) -> None:
    first, second = bench.submit(plating(1e4), 0), bench.submit(plating(1e4), 1)
    bench.keep()
    await bench.until(lambda: min(first.progress.t_s, second.progress.t_s) >= 2.0)
    bench.instrument.reachable = False
    await bench.until(lambda: second.info.state == "lost")
    bench.instrument.attach_error[0] = refused("board gone")
    bench.instrument.host_died()
    bench.instrument.reachable = True
    reached_s = second.progress.t_s
    await bench.until(lambda: second.progress.t_s > reached_s + 5.0)
    assert (first.info.state, second.info.state) == ("lost", "running")
    bench.instrument.attach_error.clear()
    await bench.until(lambda: first.info.state == "running")
    assert bench.instrument.starts() == 2


# Faults of our own


async def test_an_unexpected_exception_is_survived(bench: Bench) -> None:
    run = bench.submit(plating(200.0))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    bench.instrument.poll_error = ZeroDivisionError("a bug")
    await bench.until(lambda: run.number in bench.ended)
    assert bench.states(run.number) == ["running", "lost", "running", "finished"]


async def test_a_run_whose_data_cannot_be_followed_is_opened_and_the_other_goes_on(bench: Bench) -> None:
    first, second = bench.submit(plating(1e4), 0), bench.submit(plating(1e4), 1)
    bench.keep()
    await bench.until(lambda: min(first.progress.t_s, second.progress.t_s) >= 2.0)
    for row in range(len(bench.instrument.held[0]._rows)):
        t_s, voltage_V, current_A, _, visit = bench.instrument.held[0]._rows[row]
        bench.instrument.held[0]._rows[row] = (t_s, voltage_V, current_A, 99, visit)
    await bench.until(lambda: first.number in bench.ended)
    assert first.info.state == "failed" and first.info.open_circuit_confirmed
    reached_s = second.progress.t_s
    await bench.until(lambda: second.progress.t_s > reached_s + 5.0)
    assert second.info.state == "running"
    stored = bench.store.reader.samples(second.number)["t_s"]
    assert stored.tolist() == [float(k) for k in range(len(stored))]


async def test_a_listener_that_fails_does_not_reach_the_measurement(bench: Bench) -> None:
    def fails(_: object) -> None:
        raise ValueError("a face with a bug")

    bench.recorder.on_samples(fails)
    bench.recorder.on_event(fails)
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert bench.states(run.number) == ["running", "finished"]


async def test_measuring_goes_on_while_the_disk_is_full(bench: Bench) -> None:
    run = bench.submit(plating(300.0))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    bench.store.full = True
    reached_s = run.progress.t_s
    await bench.until(lambda: run.progress.t_s > reached_s + 20.0)
    bench.store.full = False
    await bench.until(lambda: run.number in bench.ended)
    await bench.recorder.commit()
    assert bench.store.reader.samples(run.number)["t_s"].tolist() == [float(k) for k in range(301)]


async def test_cancelling_the_keeper_leaves_the_cell_running(bench: Bench) -> None:
    run = bench.submit(plating(1e6))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    await bench.rest()
    assert bench.instrument.running(0)
    assert "stop 0" not in bench.journal


# Pause


async def paused(bench: Bench, run: ActiveRun, at_s: float) -> None:
    await bench.until(lambda: run.progress.t_s >= at_s)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")


async def test_pause_and_resume_run_the_rest_and_nothing_twice(bench: Bench) -> None:
    whole = program(driven(0, CURRENT_A, 20.0), driven(1, -CURRENT_A, 20.0))
    run = bench.submit(whole)
    bench.instrument.tick_s = 0.7
    bench.keep()
    await paused(bench, run, 7.0)
    assert run.open_confirmed and not bench.instrument.running(0)
    bench.host.now_s += 500.0
    bench.keeper.resume(run)
    await bench.until(lambda: run.number in bench.ended)
    assert bench.states(run.number) == ["running", "stopping", "paused", "waiting", "running", "finished"]
    assert [(step, visit) for step, visit, *_ in bench.instrument.passed()] == [(0, 0), (1, 0)]
    assert [charge for *_, charge in bench.instrument.passed()] == pytest.approx(
        [20.0 * CURRENT_A, -20.0 * CURRENT_A]
    )
    t = bench.store.reader.samples(run.number)["t_s"]
    assert t[-1] == pytest.approx(540.0, abs=1.0)


async def test_a_stop_outranks_a_pause(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    bench.keeper.pause(run)
    bench.keeper.stop(run, "stopped by a person")
    await bench.until(lambda: run.number in bench.ended)
    assert (run.info.state, run.info.reason) == ("stopped", "stopped by a person")


async def test_a_stop_just_after_a_resume_keeps_the_circuit_open(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await paused(bench, run, 2.0)
    bench.keeper.resume(run)
    bench.keeper.stop(run, "stopped by a person")
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "stopped"
    assert bench.instrument.starts() == 1
    assert not bench.instrument.running(0)


async def test_a_paused_run_that_is_given_up_keeps_its_half_cycle(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await paused(bench, run, 5.0)
    bench.keeper.release(run, "stopped by a person")
    await bench.recorder.commit()
    assert bench.store.reader.run(run.number).state == "stopped"
    (half_cycle,) = bench.store.reader.half_cycles(run.number)
    assert not half_cycle.complete
    assert bench.ended == [run.number] and not bench.keeper.runs


async def test_a_pause_that_comes_with_the_last_sample_finishes(bench: Bench) -> None:
    run = bench.submit(plating(10.0))
    bench.instrument.tick_s = 5.0
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    bench.instrument.tick_s = 0.0
    bench.instrument.now_s += 20.0
    bench.keeper.pause(run)
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "finished"


async def test_an_unconfirmed_pause_is_not_called_paused(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    bench.instrument.unconfirmed_stops = 3
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    assert run.open_confirmed
    assert bench.states(run.number)[:2] == ["running", "stopping"]


# What no run owns


async def test_markers_name_the_folder(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    (segment,) = bench.instrument.past
    assert segment.marker.startswith(f"sandtime/{bench.store.identity}/{run.number}/")


async def test_an_orphan_of_ours_is_opened_and_one_of_another_folder_is_not(bench: Bench) -> None:
    for channel, folder in ((1, bench.store.identity), (2, "another-folder")):
        ticket = Ticket(run=99, segment=0, program="0" * 64, folder=folder)
        await bench.instrument.start(channel, plating(1e6), ticket)
    bench.keep()
    await bench.until(lambda: not bench.instrument.running(1))
    run = bench.submit(plating())
    await bench.until(lambda: run.number in bench.ended)
    assert bench.instrument.running(2)
    assert "stop 2" not in bench.journal
    assert [stored.event.kind for stored in bench.events if stored.run is None] == ["alarm", "alarm"]


async def test_values_that_are_not_measured_stop_a_run(bench: Bench) -> None:
    bench.instrument.voltage = lambda step, t_s, current_A: math.nan if t_s >= 20.0 else 0.1
    run = bench.submit(plating(1e4))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "protected" and run.info.open_circuit_confirmed
    assert run.verdict is not None and run.verdict.kind == "over_range"
