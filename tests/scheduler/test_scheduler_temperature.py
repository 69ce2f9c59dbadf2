"""The temperature around a cell: told when it has changed, stored, and told again after a restart."""

from __future__ import annotations

import pytest
from scripted_instrument import CURRENT_A, Bench, ScriptedClimate, driven, program

from protocols.nodes import Repeat, Rest, Soak
from scheduler.run import ActiveRun

pytestmark = pytest.mark.usefixtures("quick")

ROOM_K = 298.15


def told(bench: Bench, number: int) -> list[object]:
    stored = bench.store.reader.events_of(number, "temperature")
    return [each.event.data["temperature_K"] for each in stored]


async def reached(bench: Bench, run: ActiveRun, t_s: float) -> None:
    await bench.until(lambda: run.progress.t_s >= t_s)


async def told_once_more(bench: Bench, run: ActiveRun) -> None:
    before = run.progress.temperatures
    await bench.until(lambda: run.progress.temperatures > before)


async def test_a_temperature_is_told_once_and_again_when_it_has_changed(bench: Bench) -> None:
    bench.climate = climate = ScriptedClimate(ROOM_K)
    run = bench.submit(program(driven(0, CURRENT_A, 1e4)))
    bench.keep()
    for t_s, kelvin in ((5.0, ROOM_K + 0.1), (10.0, ROOM_K + 0.2), (15.0, ROOM_K + 0.3)):
        await reached(bench, run, t_s)
        climate.temperature_K = kelvin
    await reached(bench, run, 20.0)
    await bench.rest()
    await bench.recorder.commit()
    assert told(bench, run.number) == [ROOM_K, ROOM_K + 0.2]


async def test_a_chamber_that_does_not_answer_tells_nothing(bench: Bench) -> None:
    bench.climate = climate = ScriptedClimate(ROOM_K)
    climate.temperature_K = None
    run = bench.submit(program(driven(0, CURRENT_A, 20.0)))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert told(bench, run.number) == []


async def test_a_drift_is_reported_with_what_it_does_to_the_resistance(bench: Bench) -> None:
    bench.climate = climate = ScriptedClimate(ROOM_K)
    bench.instrument.tick_s = 50.0
    run = bench.submit(program(driven(0, CURRENT_A, 1e4)))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 3000.0)
    climate.temperature_K = ROOM_K + 10.0
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "finished"
    (verdict,) = bench.store.reader.verdicts(run.number)
    assert (verdict.kind, verdict.tier) == ("temperature_drift", 3)
    assert verdict.evidence["value"] == pytest.approx(10.0)
    assert 0.5 < float(verdict.evidence["resistance_factor"]) < 0.8


async def test_a_temperature_that_the_program_asks_for_is_no_drift(bench: Bench) -> None:
    bench.climate = climate = ScriptedClimate(ROOM_K)
    bench.instrument.tick_s = 50.0
    soak = Soak(target_K=ROOM_K + 30.0, tolerance_K=0.5, hold_s=0.0)
    wait = Rest(index=1, label="warm", duration_s=1e5, host_ends=(soak,))
    run = bench.submit(program(driven(0, CURRENT_A, 3000.0), wait, driven(2, CURRENT_A, 5000.0)))
    bench.keep()
    await bench.until(lambda: climate.demands != [])
    await bench.until(lambda: run.progress.step == 1 and run.progress.time_in_step_s > 100.0)
    for warmer_K in range(1, 31):
        climate.temperature_K = ROOM_K + warmer_K
        if warmer_K < 30:
            await told_once_more(bench, run)
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "finished"
    assert bench.store.reader.verdicts(run.number) == []


@pytest.mark.parametrize("saved", [False, True])
async def test_a_new_daemon_tells_them_again_in_their_places(bench: Bench, saved: bool) -> None:
    bench.climate = climate = ScriptedClimate(ROOM_K)
    # Steps end where samples share a time with the next step's first.
    steps = (driven(0, CURRENT_A, 3.0), driven(1, -CURRENT_A, 3.0))
    run = bench.submit(program(Repeat(total=1000, stop=1000, body=steps)))
    bench.keep()
    for moment in range(20):
        climate.temperature_K = ROOM_K + 0.5 * moment
        if moment:
            await told_once_more(bench, run)
        else:
            await bench.until(lambda: run.progress.temperatures == 1)
        if saved and moment == 10:
            await bench.rest()
            run.save_progress()
            bench.keep()
    await bench.rest()
    await bench.recorder.commit()
    before = run.progress.state()
    events = len(told(bench, run.number))
    await bench.killed()
    run = bench.recover(run.number)
    assert run.progress.state() == before
    assert run.progress.temperatures == events == 20
    bench.keep()
    await reached(bench, run, run.progress.t_s + 5.0)
    await bench.rest()
    await bench.recorder.commit()
    # What is known is no news.
    assert len(told(bench, run.number)) == events
