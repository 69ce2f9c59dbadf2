"""Steps that the host ends: by drift, steadiness, charge, a temperature or a person; and kills in between."""

from __future__ import annotations

import pytest
from scripted_instrument import CURRENT_A, Bench, ScriptedClimate, driven, program, runs_short

from protocols.errors import BusyError, NotAllowedError
from protocols.nodes import ChargePassed, ConstantVoltage, Drift, HostEnd, Person, Rest, Soak, Steady, Step
from protocols.program import GuardSettings, Program
from scheduler.run import ActiveRun

pytestmark = pytest.mark.usefixtures("quick")

LONG_S = 1e4
HOT_K = 333.15


def waiting(index: int, *ends: HostEnd, seconds: float = LONG_S) -> Rest:
    return Rest(index=index, label=f"rest {index}", duration_s=seconds, host_ends=ends)


def held(index: int, *ends: HostEnd) -> ConstantVoltage:
    return ConstantVoltage(
        index=index, label=f"hold {index}", duration_s=LONG_S, voltage_V=0.1, host_ends=ends
    )


def relaxes(step: Step, t_s: float, current_A: float) -> float:
    """E of a cell that relaxes by 10 mV and needs a minute for it."""
    return 0.01 * 2.0 ** (-t_s / 10.0) if not current_A else 0.1


DRIFT = Drift(rate_V_per_s=1e-5, over_s=10.0)
DRIFTING = program(waiting(0, DRIFT), driven(1, CURRENT_A, 5.0))


async def ended(bench: Bench, run: ActiveRun, state: str = "finished") -> None:
    await bench.until(lambda: run.number in bench.ended)
    await bench.recorder.commit()
    stored = bench.store.reader.run(run.number)
    assert stored.state == state, stored.reason
    assert stored.open_circuit_confirmed


def seconds_in(bench: Bench, step: int) -> float:
    return sum(seconds for index, _, seconds, _ in bench.instrument.passed() if index == step)


async def test_a_rest_ends_when_e_no_longer_drifts(bench: Bench) -> None:
    bench.instrument.voltage = relaxes
    run = bench.submit(DRIFTING)
    bench.keep()
    await ended(bench, run)
    # 10 mV × ln 2 / 10 s × 2^(−t/10 s) is 10 µV/s after 61 s, in the middle of a window of 10 s.
    assert seconds_in(bench, 0) == pytest.approx(67.0, abs=4.0)
    assert seconds_in(bench, 1) == 5.0
    (event,) = bench.data(run.number, "step_ended")
    assert event["label"] == "rest 0" and "drifts" in str(event["why"])
    assert bench.states(run.number) == ["running", "finished"]


async def test_a_hold_ends_when_the_current_is_steady(bench: Bench) -> None:
    run = bench.submit(program(held(0, Steady(change=0.05, over_s=20.0)), driven(1, CURRENT_A, 5.0)))
    bench.keep()
    await ended(bench, run)
    assert 40.0 < seconds_in(bench, 0) < 100.0


async def test_a_hold_ends_after_a_charge(bench: Bench) -> None:
    run = bench.submit(program(held(0, ChargePassed(charge_C=6e-3)), driven(1, CURRENT_A, 5.0)))
    bench.keep()
    await ended(bench, run)
    last = bench.store.reader.samples(run.number, columns=("step", "charge_C"))
    reached_C = last["charge_C"][last["step"] == 0]
    assert reached_C[-1] >= 6e-3
    assert reached_C[-3] < 6e-3


async def test_the_intention_is_durable_before_the_circuit_is_opened(bench: Bench) -> None:
    bench.instrument.voltage = relaxes
    run = bench.submit(DRIFTING)
    bench.keep()
    bench.store.holds = lambda: run.course.interrupting
    await bench.until(lambda: run.course.interrupting)
    assert "stop 0" not in bench.journal
    bench.store.holds = None
    await ended(bench, run)


@pytest.mark.parametrize("told_end", [False, True])
async def test_a_kill_after_the_stop_and_before_the_next_start(bench: Bench, told_end: bool) -> None:
    bench.instrument.voltage = relaxes
    run = bench.submit(DRIFTING)
    bench.keep()
    bench.store.holds = lambda: "stop 0" in bench.journal
    await bench.until(lambda: "stop 0" in bench.journal)
    await bench.killed()
    bench.instrument.held[0].told_end = told_end
    assert bench.instrument.starts() == 1
    run = bench.recover(run.number)
    bench.keep()
    await ended(bench, run)
    assert bench.instrument.starts() == 2
    assert seconds_in(bench, 0) < 100.0
    assert seconds_in(bench, 1) == 5.0


async def test_a_kill_before_the_intention_was_stored_lets_the_window_fill_again(bench: Bench) -> None:
    bench.instrument.voltage = relaxes
    run = bench.submit(DRIFTING)
    bench.keep()
    bench.store.holds = lambda: run.course.interrupting
    await bench.until(lambda: run.course.interrupting)
    bench.store.holds = None
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await ended(bench, run)
    assert bench.instrument.starts() == 2


async def test_a_verdict_in_the_same_moment_outranks_the_end(bench: Bench) -> None:
    bench.instrument.voltage = runs_short(30.0)
    bench.instrument.tick_s = 200.0
    hold = held(1, ChargePassed(charge_C=1e-4))
    steps = (driven(0, CURRENT_A, 100.0), hold, driven(2, CURRENT_A, 5.0))
    run = bench.submit(program(*steps, guards=GuardSettings(look=False)))
    bench.keep()
    await ended(bench, run, "protected")
    assert bench.instrument.starts() == 1


async def test_a_person_s_stop_in_the_same_moment_outranks_the_end(bench: Bench) -> None:
    bench.instrument.voltage = relaxes
    run = bench.submit(DRIFTING)
    bench.keep()
    bench.store.holds = lambda: run.course.interrupting
    await bench.until(lambda: run.course.interrupting)
    bench.keeper.stop(run, "stopped by a person")
    bench.store.holds = None
    await ended(bench, run, "stopped")
    assert bench.instrument.starts() == 1


async def test_a_pause_in_the_same_moment_keeps_the_step_ended(bench: Bench) -> None:
    bench.instrument.voltage = relaxes
    run = bench.submit(DRIFTING)
    bench.keep()
    bench.store.holds = lambda: run.course.interrupting
    await bench.until(lambda: run.course.interrupting)
    bench.keeper.pause(run)
    bench.store.holds = None
    await bench.until(lambda: run.info.state == "paused")
    bench.keeper.resume(run)
    await ended(bench, run)
    assert bench.instrument.starts() == 2
    assert seconds_in(bench, 0) < 100.0


async def test_an_end_that_comes_with_the_step_s_own_is_no_interruption(bench: Bench) -> None:
    bench.instrument.tick_s = 20.0
    short = waiting(0, Drift(rate_V_per_s=1.0, over_s=5.0), seconds=10.0)
    run = bench.submit(program(short, driven(1, CURRENT_A, 50.0)))
    bench.keep()
    await ended(bench, run)
    assert bench.instrument.starts() == 1
    assert "step_ended" not in bench.kinds(run.number)


async def test_a_stop_that_is_not_confirmed_is_loud_and_goes_on_when_it_is(bench: Bench) -> None:
    bench.instrument.voltage = relaxes
    run = bench.submit(DRIFTING)
    bench.instrument.unconfirmed_stops = 3
    bench.keep()
    await ended(bench, run)
    assert bench.kinds(run.number).count("alarm") == 1
    assert bench.states(run.number) == ["running", "stopping", "running", "finished"]


# A person


ASKING = program(waiting(0, Person(message="refill the argon")), driven(1, CURRENT_A, 5.0))


async def test_a_person_says_that_it_may_go_on(bench: Bench) -> None:
    run = bench.submit(ASKING)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    assert run.waits_for_person()
    assert run.snapshot().waits_for == (f"a person: refill the argon; to go on: sandtime resume {run.number}")
    bench.keeper.go_on(run)
    await ended(bench, run)
    assert bench.data(run.number, "message") == [{"text": "refill the argon", "label": "rest 0"}]
    assert seconds_in(bench, 0) < LONG_S
    assert bench.states(run.number) == ["running", "finished"]
    assert run.snapshot().waits_for == ""


async def test_nobody_says_so(bench: Bench) -> None:
    run = bench.submit(program(waiting(0, Person(), seconds=7200.0), driven(1, CURRENT_A, 5.0)))
    bench.instrument.tick_s = 2000.0
    bench.keep()
    await ended(bench, run, "failed")
    assert run.info.reason == "nobody said go on within 2 h"
    assert bench.instrument.starts() == 1


async def test_a_wait_outlives_the_daemon(bench: Bench) -> None:
    run = bench.submit(ASKING)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    await bench.recorder.commit()
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.info.state == "running" and run.progress.t_s >= 10.0)
    assert run.waits_for_person()
    bench.keeper.go_on(run)
    await ended(bench, run)
    assert bench.kinds(run.number).count("message") == 1


# A temperature


def soaking(seconds: float = LONG_S) -> Program:
    soak = Soak(target_K=HOT_K, tolerance_K=0.5, hold_s=20.0, soak_s=30.0)
    return program(waiting(0, soak, seconds=seconds), driven(1, CURRENT_A, 5.0))


async def test_a_soak_begins_when_the_chamber_is_there(bench: Bench) -> None:
    climate = bench.climate = ScriptedClimate()
    run = bench.submit(soaking())
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 100.0)
    assert climate.demands == [(run.number, HOT_K)]
    assert "60.0 °C" in run.snapshot().waits_for
    climate.temperature_K = HOT_K + 0.4
    there_s = run.progress.t_s
    await bench.until(lambda: run.progress.t_s >= there_s + 30.0)
    climate.temperature_K = HOT_K + 1.0
    left_s = run.progress.t_s
    await bench.until(lambda: run.progress.t_s >= left_s + 5.0)
    climate.temperature_K = HOT_K
    there_s = run.progress.t_s
    await ended(bench, run)
    assert there_s + 49.0 <= seconds_in(bench, 0) <= there_s + 56.0
    assert climate.released == [run.number]


async def test_a_chamber_that_does_not_get_there(bench: Bench) -> None:
    climate = bench.climate = ScriptedClimate()
    run = bench.submit(soaking(6 * 3600.0))
    bench.instrument.tick_s = 5000.0
    bench.keep()
    await ended(bench, run, "failed")
    assert run.info.reason == "the chamber did not reach 60.0 °C within 6 h"
    assert climate.released == [run.number]


@pytest.mark.parametrize("error", [NotAllowedError("60 °C is too hot"), BusyError("another run holds it")])
@pytest.mark.parametrize("first", [True, False])
async def test_a_chamber_that_refuses_fails_the_run(bench: Bench, error: Exception, first: bool) -> None:
    climate = bench.climate = ScriptedClimate()
    climate.refusal = error  # type: ignore[assignment]  # both are errors of ours
    whole = soaking() if first else program(driven(2, CURRENT_A, 5.0), *soaking().steps)
    run = bench.submit(whole)
    bench.keep()
    await ended(bench, run, "failed")
    assert run.info.reason == str(error)
    assert bench.instrument.starts() == (0 if first else 1)


async def test_a_station_without_a_chamber_cannot_soak(bench: Bench) -> None:
    run = bench.submit(soaking())
    bench.keep()
    await ended(bench, run, "failed")
    assert "has no chamber" in run.info.reason


async def test_a_temperature_is_demanded_again_by_a_new_daemon(bench: Bench) -> None:
    climate = bench.climate = ScriptedClimate(HOT_K)
    after = program(*soaking().steps, driven(2, CURRENT_A, 1e4))
    run = bench.submit(after)
    bench.keep()
    await bench.until(lambda: run.progress.step == 2 and run.progress.time_in_step_s > 0.5)
    await bench.recorder.commit()
    climate.demands.clear()
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.info.state == "running")
    assert climate.demands == [(run.number, HOT_K)]


async def test_a_temperature_that_can_no_longer_be_had_opens_the_circuit(bench: Bench) -> None:
    climate = bench.climate = ScriptedClimate(HOT_K)
    run = bench.submit(program(*soaking().steps, driven(2, CURRENT_A, 1e4)))
    bench.keep()
    await bench.until(lambda: run.progress.step == 2 and run.progress.time_in_step_s > 0.5)
    await bench.recorder.commit()
    await bench.killed()
    climate.refusal = BusyError("another run holds it")
    run = bench.recover(run.number)
    bench.keep()
    await ended(bench, run, "failed")
    assert run.info.reason == "another run holds it"
