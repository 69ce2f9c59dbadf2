"""A trip opens the circuit first, then the cell is looked at: a false alarm goes on, a short does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted_guard import Judge, Script, found
from scripted_instrument import CURRENT_A, OHM, Bench, driven, ohmic, program, refused

from protocols.cell import Cell, Electrode
from protocols.nodes import ConstantCurrent, Geis, Rest, Step
from protocols.program import GuardSettings, Program
from protocols.tree import walk
from protocols.verdicts import Verdict, VerdictKind
from scheduler.looking import LOOKING
from scheduler.run import ActiveRun

pytestmark = pytest.mark.usefixtures("quick")

TRIP_C = 10.0 * CURRENT_A
"""Charge in a step at which the guard calls a short circuit."""
HEALTHY = {"healthy_ohm": OHM, "healthy_r_hf_ohm": 10.0}


def short_at(limit_C: float, **evidence: float) -> Judge:
    """Return a judge that calls a short once so much has passed in a step, in either direction."""

    def judge(t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        if abs(charge_C) < limit_C:
            return None
        return found("short_circuit", 1, t_s, **({"current_A": current_A} | HEALTHY | evidence))

    return judge


@pytest.fixture(autouse=True)
def script() -> Iterator[Script]:
    script = Script(samples=(short_at(TRIP_C),))
    with script.followed():
        yield script


def plating(seconds: float = 30.0, **changes: object) -> Program:
    return program(driven(0, CURRENT_A, seconds), **changes)


def shorted(bench: Bench, ohm: float = 2.0) -> None:
    """From now on the cell is a small resistor."""
    bench.instrument.voltage = lambda step, t_s, current_A: ohm * current_A
    bench.instrument.z_scales = [ohm / OHM]


async def ended(bench: Bench, run: ActiveRun, state: str) -> Verdict:
    """Wait for the end; return the one verdict that was stored."""
    await bench.until(lambda: run.number in bench.ended)
    await bench.recorder.commit()
    stored = bench.store.reader.run(run.number)
    assert stored.state == state, stored.reason
    assert stored.open_circuit_confirmed
    (verdict,) = bench.store.reader.verdicts(run.number)
    return verdict


def visits(bench: Bench) -> list[int]:
    return [step for step, *_ in bench.instrument.passed()]


def passed_C(bench: Bench) -> float:
    """Return all charge that has passed: the truth."""
    return sum(charge for *_, charge in bench.instrument.passed())


def is_looking(run: ActiveRun, step: int = 1) -> bool:
    """Whether a step of the look has really begun."""
    return run.phase == "look" and run.progress.step == step and run.progress.time_in_step_s > 0.5


def look_steps(bench: Bench) -> list[Step]:
    return [step for step, _ in walk(bench.instrument.past[1].program.steps)]


@pytest.mark.parametrize("impedance", [False, True])
async def test_a_false_alarm_is_cleared_and_the_test_passes_its_exact_charge(
    bench: Bench, script: Script, impedance: bool
) -> None:
    if impedance:
        bench.instrument.can_measure_impedance()
    run = bench.submit(plating())
    bench.keep()
    verdict = await ended(bench, run, "finished")
    assert (verdict.kind, verdict.tier, verdict.false_alarm) == ("short_circuit", 3, True)
    assert verdict.look["r_ohm"] == pytest.approx(OHM, rel=0.05)
    assert verdict.look["r_hf_ohm"] == (pytest.approx(10.0, rel=0.01) if impedance else "unknown")
    assert run.verdict is None
    assert script.looked == [("short_circuit", True)]
    assert visits(bench) == [0, 1, 3 if impedance else 2, 0]
    assert passed_C(bench) == pytest.approx(30.0 * CURRENT_A)
    (half_cycle,) = bench.store.reader.half_cycles(run.number)
    assert half_cycle.complete
    assert half_cycle.planned_charge_C == pytest.approx(30.0 * CURRENT_A)
    assert half_cycle.charge_C == pytest.approx(30.0 * CURRENT_A, rel=0.02)
    assert bench.states(run.number) == ["running", "stopping", "stopping", "running", "finished"]
    assert bench.data(run.number, "trip")[0]["kind"] == "short_circuit"


@pytest.mark.parametrize("impedance", [False, True])
@pytest.mark.parametrize(("ends_on", "state"), [(("short_circuit",), "finished"), ((), "protected")])
async def test_a_short_stays_one(
    bench: Bench, script: Script, impedance: bool, ends_on: object, state: str
) -> None:
    if impedance:
        bench.instrument.can_measure_impedance()
    afterwards = (Rest(index=1, label="afterwards", duration_s=5.0),)
    run = bench.submit(plating(ends_on=ends_on, afterwards=afterwards))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    shorted(bench)
    verdict = await ended(bench, run, state)
    assert (verdict.tier, verdict.false_alarm) == (1, False)
    assert verdict.look["r_ohm"] == pytest.approx(2.0, rel=0.05)
    assert script.looked == [("short_circuit", False)]
    assert visits(bench) == [0, 2, 4 if impedance else 3, 1]
    assert run.verdict == verdict
    (half_cycle,) = bench.store.reader.half_cycles(run.number)
    assert not half_cycle.complete
    stopping = [data["reason"] for data in bench.data(run.number, "state") if data["state"] == "stopping"]
    assert stopping[:2] == [verdict.message, LOOKING]


async def test_the_look_is_small_and_comes_after_the_circuit_was_confirmed_open(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(program(driven(0, -CURRENT_A, 30.0)))
    bench.keep()
    await ended(bench, run, "finished")
    rest, spectrum = look_steps(bench)
    assert isinstance(rest, Rest)
    assert isinstance(spectrum, Geis)
    assert spectrum.current_A == 0.0
    assert spectrum.amplitude_A <= 0.1 * CURRENT_A
    assert spectrum.frequency_start_Hz == 1e5
    journal = bench.journal
    first, second, _ = (place for place, call in enumerate(journal) if call == "start 0")
    assert first < journal.index("stop 0") < second


@pytest.mark.parametrize("sign", [1.0, -1.0])
async def test_without_spectra_a_small_pulse_in_the_direction_of_the_test_looks(
    bench: Bench, sign: float
) -> None:
    run = bench.submit(program(driven(0, sign * CURRENT_A, 30.0)))
    bench.keep()
    await ended(bench, run, "finished")
    rest, pulse = look_steps(bench)
    assert isinstance(rest, Rest)
    assert isinstance(pulse, ConstantCurrent)
    assert pulse.current_A == pytest.approx(0.1 * sign * CURRENT_A)
    assert pulse.duration_s <= 10.0
    assert bench.instrument.past[1].program.limits == run.program.limits


async def test_a_second_trip_in_one_half_cycle_is_final(bench: Bench, script: Script) -> None:
    script.samples = (short_at(TRIP_C), short_at(2.0 * TRIP_C))
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "protected"
    cleared, final = bench.store.reader.verdicts(run.number)
    assert cleared.false_alarm
    assert (final.tier, final.look) == (1, {})
    assert visits(bench) == [0, 1, 2, 0]


async def test_each_half_cycle_may_have_its_false_alarm(bench: Bench) -> None:
    run = bench.submit(program(driven(0, CURRENT_A, 30.0), driven(1, -CURRENT_A, 30.0)))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "finished"
    assert [verdict.false_alarm for verdict in bench.store.reader.verdicts(run.number)] == [True, True]
    assert passed_C(bench) == pytest.approx(0.0, abs=1e-9)


async def test_what_is_not_known_of_the_healthy_cell_clears_nothing(bench: Bench, script: Script) -> None:
    script.samples = (short_at(TRIP_C, healthy_ohm=0.0, healthy_r_hf_ohm=0.0),)
    run = bench.submit(plating())
    bench.keep()
    verdict = await ended(bench, run, "protected")
    assert "nothing" in str(verdict.look["found"])


@pytest.mark.parametrize(
    ("settings", "tier", "kind"),
    [
        (GuardSettings(look=False), 1, "short_circuit"),
        (GuardSettings(), 1, "soft_short"),
        (GuardSettings(), 1, "contact_loss"),
        (GuardSettings(), 0, "limit"),
    ],
)
async def test_other_verdicts_are_final_at_once(
    bench: Bench, script: Script, settings: GuardSettings, tier: int, kind: VerdictKind
) -> None:
    def judge(t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        return found(kind, tier, t_s, current_A=current_A, **HEALTHY) if charge_C >= TRIP_C else None

    script.samples = (judge,)
    run = bench.submit(plating(guards=settings))
    bench.keep()
    verdict = await ended(bench, run, "protected")
    assert (verdict.kind, verdict.look) == (kind, {})
    assert bench.instrument.starts() == 1


async def test_more_trouble_before_the_circuit_is_open_makes_it_final(bench: Bench, script: Script) -> None:
    """The limit on board fires before the stop comes."""
    bench.instrument.voltage = lambda step, t_s, current_A: (
        3.0 if t_s >= 12.0 and current_A else ohmic(step, t_s, current_A)
    )
    bench.instrument.tick_s = 50.0
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "protected"
    assert bench.instrument.starts() == 1
    assert run.verdict is not None and run.verdict.kind == "short_circuit"


# What can't be looked at


async def test_a_look_that_is_refused_makes_it_final(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.info.state == "running")
    bench.instrument.refusal = refused("firmware says no")
    verdict = await ended(bench, run, "protected")
    assert verdict.tier == 1
    assert "firmware says no" in str(verdict.look["found"])
    assert visits(bench) == [0]


async def test_a_verdict_without_a_current_is_not_looked_at(bench: Bench, script: Script) -> None:
    script.samples = (short_at(TRIP_C, current_A=0.0),)
    run = bench.submit(plating())
    bench.keep()
    verdict = await ended(bench, run, "protected")
    assert "not looked at" in str(verdict.look["found"])
    assert visits(bench) == [0]


async def test_a_channel_that_loses_the_look_makes_it_final(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: is_looking(run))
    await bench.die()
    bench.instrument.held.clear()
    await bench.live()
    run = bench.recover(run.number)
    bench.keep()
    verdict = await ended(bench, run, "protected")
    assert verdict.tier == 1
    assert bench.instrument.starts() == 2


async def test_a_spectrum_without_a_point_clears_nothing(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    bench.instrument.z_scales = [1.0, 0.0]
    run = bench.submit(plating())
    bench.keep()
    verdict = await ended(bench, run, "protected")
    assert verdict.look["r_ohm"] == "unknown"


async def test_while_the_circuit_is_not_confirmed_open_nothing_is_started(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.info.state == "running")
    bench.instrument.unconfirmed_stops = 10**6
    await bench.until(lambda: bench.journal.count("stop 0") > 5)
    assert bench.instrument.starts() == 1
    assert run.info.state == "stopping"
    bench.instrument.unconfirmed_stops = 0
    assert (await ended(bench, run, "finished")).false_alarm


# People


@pytest.mark.parametrize("moment", ["tripped", "looking"])
@pytest.mark.parametrize("killed", [False, True])
async def test_a_persons_stop_outranks_a_look(bench: Bench, moment: str, killed: bool) -> None:
    run = bench.submit(plating())
    bench.keep()
    if moment == "tripped":
        bench.instrument.unconfirmed_stops = 10**6
        await bench.until(lambda: run.course.trip is not None and run.info.state == "stopping")
    else:
        await bench.until(lambda: is_looking(run))
    bench.keeper.stop(run, "stopped by a person")
    if killed:
        await bench.rest()
        await bench.recorder.commit()
        await bench.killed()
        run = bench.recover(run.number)
        bench.keep()
    bench.instrument.unconfirmed_stops = 0
    verdict = await ended(bench, run, "protected")
    assert verdict.tier == 1
    assert visits(bench) == ([0] if moment == "tripped" else [0, 1])


@pytest.mark.parametrize("killed", [False, True])
async def test_a_pause_while_it_looks_goes_on_with_the_look(bench: Bench, killed: bool) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: is_looking(run))
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    if killed:
        await bench.recorder.commit()
        await bench.killed()
        run = bench.recover(run.number)
        bench.keep()
        await bench.until(lambda: run.open_confirmed)
    bench.keeper.resume(run)
    assert (await ended(bench, run, "finished")).false_alarm
    assert visits(bench) == [0, 1, 2, 0]
    assert passed_C(bench) == pytest.approx(30.0 * CURRENT_A)


# Kills


async def kill_at(bench: Bench, run: ActiveRun, moment: str) -> ActiveRun:
    """Kill the daemon at a moment of the look; return the run that the next one has."""
    match moment:
        case "tripped":
            # The deciding samples are stored; nothing else is.
            bench.instrument.unconfirmed_stops = 10**6
            await bench.until(lambda: run.course.trip is not None)
            await bench.rest()
            await bench.recorder.commit()
        case "opened":
            bench.store.holds = lambda: bench.journal.count("ticket intent") == 2
            await bench.until(lambda: bench.journal.count("ticket intent") == 2)
        case "looking":
            await bench.until(lambda: is_looking(run))
            await bench.rest()
            await bench.recorder.commit()
        case "pulse":
            await bench.until(lambda: is_looking(run, 2))
            await bench.rest()
            await bench.recorder.commit()
        case "looked":
            bench.store.holds = lambda: bench.journal.count("ticket intent") == 3 or run.verdict is not None
            await bench.until(lambda: bench.store.holds is not None and bench.store.holds())
    await bench.killed()
    bench.instrument.unconfirmed_stops = 0
    return bench.recover(run.number)


MOMENTS = ["tripped", "opened", "looking", "pulse", "looked"]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_kill_does_not_change_a_false_alarm(bench: Bench, moment: str) -> None:
    run = bench.submit(plating())
    bench.keep()
    run = await kill_at(bench, run, moment)
    bench.keep()
    verdict = await ended(bench, run, "finished")
    assert verdict.false_alarm
    assert visits(bench) == [0, 1, 2, 0]
    assert passed_C(bench) == pytest.approx(30.0 * CURRENT_A)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_kill_does_not_change_a_short(bench: Bench, moment: str) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    shorted(bench)
    run = await kill_at(bench, run, moment)
    bench.keep()
    verdict = await ended(bench, run, "protected")
    assert not verdict.false_alarm
    assert visits(bench)[:1] == [0] and 0 not in visits(bench)[1:]


async def test_a_trip_that_was_lost_with_its_samples_is_never_driven_again(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    bench.store.holds = lambda: run.course.trip is not None
    await bench.until(lambda: run.open_confirmed and run.course.trip is not None)
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "failed" and run.open_confirmed
    assert visits(bench) == [0]


async def test_a_look_whose_saved_state_cannot_be_read_clears_nothing(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: is_looking(run))
    await bench.rest()
    bench.store.save_guards(run.number, run.progress.t_s, {"course": "of another version"})
    await bench.recorder.commit()
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    assert (await ended(bench, run, "protected")).tier == 1
    assert visits(bench) == [0, 1]


async def test_a_pause_before_the_look_begins_looks_later(bench: Bench) -> None:
    run = bench.submit(plating())
    bench.keep()
    await bench.until(lambda: run.course.looking != ())
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    bench.keeper.resume(run)
    assert (await ended(bench, run, "finished")).false_alarm
    assert passed_C(bench) == pytest.approx(30.0 * CURRENT_A)


# A reverse pulse after E ran away


THIN = Cell(
    name="thin",
    geometry="asymmetric",
    area_m2=1e-4,
    working=Electrode(inventory_C_per_m2=100.0),
    counter=Electrode(inventory_C_per_m2=1e6),
)


def runaway(gross_C: float) -> Judge:
    def judge(t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        if charge_C < TRIP_C:
            return None
        evidence: dict[str, float | str] = {
            "current_A": current_A,
            "baseline": OHM,
            "stripping_side": "working",
            "net_stripped_C": charge_C,
            "gross_stripped_C": gross_C,
        }
        return found("contact_loss", 1, t_s, **evidence)

    return judge


@pytest.mark.parametrize(("ohm", "kind"), [(OHM, "li_depletion"), (5.0 * OHM, "contact_loss")])
async def test_a_reverse_pulse_refines_the_kind_and_ends_the_run(
    bench: Bench, script: Script, ohm: float, kind: str
) -> None:
    script.samples = (runaway(gross_C=0.02),)
    run = bench.submit(plating(cell=THIN, guards=GuardSettings(reverse_pulse=0.1)))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    bench.instrument.voltage = lambda step, t_s, current_A: ohm * current_A
    verdict = await ended(bench, run, "protected")
    assert (verdict.kind, verdict.tier) == (kind, 1)
    assert verdict.look["kind_before"] == "contact_loss"
    (_, _, _, pulse_C) = bench.instrument.passed()[-1]
    assert pulse_C == pytest.approx(-0.1 * CURRENT_A * 10.0)
    assert visits(bench) == [0, 1, 2]
    (half_cycle,) = bench.store.reader.half_cycles(run.number)
    assert not half_cycle.complete


async def test_a_reverse_pulse_without_a_current_is_an_open_clip(bench: Bench, script: Script) -> None:
    script.samples = (runaway(gross_C=0.02),)
    run = bench.submit(plating(cell=THIN, guards=GuardSettings(reverse_pulse=0.1)))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    bench.instrument.current = lambda step, time_s: 0.0
    verdict = await ended(bench, run, "protected")
    assert verdict.kind == "open_circuit"


async def test_without_the_option_a_runaway_is_final_at_once(bench: Bench, script: Script) -> None:
    script.samples = (runaway(gross_C=0.02),)
    run = bench.submit(plating(cell=THIN))
    bench.keep()
    assert (await ended(bench, run, "protected")).look == {}
    assert visits(bench) == [0]
