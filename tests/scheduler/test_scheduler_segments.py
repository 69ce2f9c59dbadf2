"""Programs with a host in them: decisions, messages, prepared spectra; and kills in between."""

from __future__ import annotations

import asyncio
import math

import pytest
from scripted_instrument import CURRENT_A, OHM, Bench, driven, program, sweep

from protocols.cell import Cell
from protocols.nodes import (
    ConstantVoltage,
    Criterion,
    Decision,
    Geis,
    Jump,
    Measured,
    Message,
    Node,
    OnPasses,
    Repeat,
    Rest,
)
from scheduler.run import ActiveRun

pytestmark = pytest.mark.usefixtures("quick")


def rest(index: int, seconds: float = 3.0) -> Rest:
    return Rest(index=index, label=f"rest {index}", duration_s=seconds)


def when(
    index: int,
    quantity: Measured,
    above: float,
    then: tuple[Node, ...] = (),
    otherwise: tuple[Node, ...] = (),
    *,
    then_jump: Jump | None = None,
    comparison: str = "above",
) -> Decision:
    criterion = Criterion.model_validate({"quantity": quantity, "comparison": comparison, "value": above})
    return Decision(
        index=index,
        label=f"decision {index}",
        criteria=(criterion,),
        then=then,
        then_jump=then_jump,
        otherwise=otherwise,
    )


def loop(times: int, *body: Node, counts: bool = False) -> Repeat:
    return Repeat(total=times, stop=times, body=body, counts=counts)


async def finished(bench: Bench, run: ActiveRun) -> None:
    await bench.until(lambda: run.number in bench.ended)
    await bench.recorder.commit()
    assert bench.store.reader.run(run.number).state == "finished", bench.store.reader.run(run.number).reason


def visits(bench: Bench) -> list[tuple[int, int]]:
    return [(step, visit) for step, visit, *_ in bench.instrument.passed()]


async def test_a_program_without_a_host_in_it_is_one_segment(bench: Bench) -> None:
    whole = program(loop(3, driven(0, CURRENT_A, 5.0), sweep(1), driven(2, -CURRENT_A, 5.0)))
    run = bench.submit(whole)
    bench.keep()
    await finished(bench, run)
    (segment,) = bench.instrument.past
    assert segment.program.steps == whole.steps
    assert bench.states(run.number) == ["running", "finished"]


async def test_messages_come_in_their_place_at_open_circuit(bench: Bench) -> None:
    hello = Message(index=1, label="hello", text="half way")
    run = bench.submit(program(driven(0, CURRENT_A, 5.0), hello, driven(2, -CURRENT_A, 5.0)))
    bench.keep()
    await finished(bench, run)
    assert bench.data(run.number, "message") == [{"text": "half way", "label": "hello"}]
    assert visits(bench) == [(0, 0), (2, 0)]
    told = bench.journal.index("event message")
    assert "stop 0" in bench.journal[:told], "the circuit is confirmed open before the host does its part"
    assert bench.states(run.number) == ["running", "finished"]


async def test_a_loop_that_a_decision_leaves(bench: Bench) -> None:
    decide = when(2, "cycle", 1.5, then_jump="leave")
    body = (driven(0, CURRENT_A, 5.0), driven(1, -CURRENT_A, 5.0), decide)
    run = bench.submit(program(loop(50, *body, counts=True), rest(3)))
    bench.keep()
    await finished(bench, run)
    assert visits(bench) == [(0, 0), (1, 0), (0, 1), (1, 1), (3, 0)]
    assert [event["answer"] for event in bench.data(run.number, "decision")] == [False, True]
    assert bench.data(run.number, "decision")[1] == {
        "label": "decision 2",
        "answer": True,
        "values": {"cycle": 2.0},
    }


async def test_a_decision_that_ends_the_program_finishes_it(bench: Bench) -> None:
    decide = when(1, "time", 0.0, then_jump="end")
    run = bench.submit(program(driven(0, CURRENT_A, 5.0), decide, rest(2)))
    bench.keep()
    await finished(bench, run)
    assert visits(bench) == [(0, 0)]
    (half_cycle,) = bench.store.reader.half_cycles(run.number)
    assert half_cycle.complete


async def test_what_was_not_measured_does_not_hold(bench: Bench) -> None:
    before = when(1, "resistance", 0.0, then=(rest(2),), otherwise=(rest(3),))
    after = when(5, "resistance", 0.0, then=(rest(6),), otherwise=(rest(7),))
    run = bench.submit(program(rest(0), before, sweep(4), after))
    bench.keep()
    await finished(bench, run)
    assert visits(bench) == [(0, 0), (3, 0), (4, 0), (6, 0)]


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("voltage", -OHM * CURRENT_A),
        ("current", -CURRENT_A),
        ("charge", 8.0 * CURRENT_A),
        ("overpotential", OHM * CURRENT_A),
        ("resistance", 100.0),
        ("resistance_hf", 10.0),
        ("resistance_interface", 90.0),
        ("resistance_change", 0.0),
        ("coulombic_efficiency", 10.0 / 8.0),
        ("retention", 1.0),
        ("time_since_spectrum", 8.0),
        ("charge_since_spectrum", 8.0 * CURRENT_A),
    ],
)
async def test_a_decision_sees_what_was_found_up_to_it(
    bench: Bench, quantity: Measured, expected: float
) -> None:
    """Charging and discharging a cell that plates first: the half-cycle that has just ended counts."""
    decide = when(7, quantity, 0.0)
    steps = (
        rest(0),
        sweep(1),
        driven(2, -CURRENT_A, 8.0),
        driven(3, CURRENT_A, 10.0),
        sweep(4),
        driven(5, -CURRENT_A, 8.0),
        decide,
    )
    run = bench.submit(program(*steps))
    bench.keep()
    await finished(bench, run)
    (event,) = bench.data(run.number, "decision")
    values = event["values"]
    assert isinstance(values, dict)
    assert values[quantity] == pytest.approx(expected, rel=0.05, abs=1e-9)
    assert len(bench.store.reader.half_cycles(run.number)) == 3


async def test_constant_voltage_after_constant_current_is_one_half_cycle(bench: Bench) -> None:
    hold = ConstantVoltage(index=1, label="hold", duration_s=20.0, voltage_V=0.1, set_current_A=CURRENT_A)
    run = bench.submit(program(driven(0, CURRENT_A, 10.0), hold, driven(2, -CURRENT_A, 10.0)))
    bench.keep()
    await finished(bench, run)
    first, second = bench.store.reader.half_cycles(run.number)
    falling_C = CURRENT_A * (0.1 * 20.0 + 9.0 * (1.0 - math.exp(-2.0)))
    assert first.charge_C == pytest.approx(10.0 * CURRENT_A + falling_C, rel=0.01)
    assert first.planned_charge_C is None
    assert second.charge_C == pytest.approx(-10.0 * CURRENT_A, rel=0.01)
    assert run.verdict is None


async def test_what_runs_in_some_passes_only(bench: Bench) -> None:
    every = OnPasses(every=2, body=(sweep(1),))
    run = bench.submit(program(loop(4, driven(0, CURRENT_A, 4.0), every)))
    bench.keep()
    await finished(bench, run)
    assert visits(bench) == [(0, 0), (0, 1), (1, 1), (0, 2), (0, 3), (1, 3)]


# Kills and pauses where the host has its part


DECIDING = program(
    loop(
        4,
        driven(0, CURRENT_A, 5.0),
        driven(1, -CURRENT_A, 5.0),
        when(2, "cycle", 2.5, then_jump="leave"),
        Message(index=3, label="m", text="again"),
        counts=True,
    ),
    rest(4),
)
DECIDED = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (4, 0)]


async def test_a_kill_after_a_decision_and_before_the_next_start(bench: Bench) -> None:
    run = bench.submit(DECIDING)
    bench.keep()
    # Nothing of the second decision gets to the disk, nor does the intent of what follows it.
    bench.store.holds = lambda: bench.journal.count("event decision") >= 2
    await bench.until(lambda: bench.store.holds is not None and bench.store.holds())
    starts = bench.instrument.starts()
    await bench.killed()
    assert bench.instrument.starts() == starts
    run = bench.recover(run.number)
    bench.keep()
    await finished(bench, run)
    assert visits(bench) == DECIDED
    assert len(bench.store.reader.half_cycles(run.number)) == 6


async def test_a_kill_after_the_intent_and_before_the_start_is_never_driven_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.submit(DECIDING)
    reached = asyncio.Event()
    bench.keep()
    await bench.until(lambda: bench.instrument.starts() == 1)
    with monkeypatch.context() as patch:

        async def dies(*_: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        patch.setattr(bench.instrument, "start", dies)
        await reached.wait()
        await bench.killed()
    starts = bench.instrument.starts()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "failed" and run.open_confirmed
    assert bench.instrument.starts() == starts


@pytest.mark.parametrize("at_s", [2.0, 7.0, 12.0, 18.0, 24.0])
async def test_pause_and_kill_in_the_middle_change_nothing(bench: Bench, at_s: float) -> None:
    run = bench.submit(DECIDING)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= at_s)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    await bench.recorder.commit()
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.open_confirmed)
    bench.keeper.resume(run)
    await finished(bench, run)
    assert visits(bench) == DECIDED
    charges = [charge for *_, charge in bench.instrument.passed()]
    assert charges[:6] == pytest.approx([5.0 * CURRENT_A, -5.0 * CURRENT_A] * 3)


async def test_a_stop_while_the_circuit_cannot_be_confirmed_open_for_a_decision(bench: Bench) -> None:
    run = bench.submit(DECIDING)
    bench.instrument.unconfirmed_stops = 10**6
    bench.keep()
    await bench.until(lambda: bench.journal.count("stop 0") > 3)
    assert "event decision" not in bench.journal
    assert run.info.state == "stopping"
    bench.keeper.stop(run, "stopped by a person")
    bench.instrument.unconfirmed_stops = 0
    await bench.until(lambda: run.number in bench.ended)
    assert bench.states(run.number)[-1] == "stopped"
    assert "event decision" not in bench.journal


# A spectrum whose amplitude follows from the last |Z|


def asked(index: int, response_V: float, largest_A: float = 1e-3) -> Geis:
    return sweep(index).model_copy(update={"response_V": response_V, "amplitude_A": largest_A})


def amplitudes(bench: Bench, run: ActiveRun) -> list[float]:
    return [spectrum.amplitude for spectrum, _ in bench.store.reader.spectra(run.number)]


async def test_the_amplitude_follows_from_the_last_spectrum(bench: Bench) -> None:
    run = bench.submit(program(sweep(0), asked(1, 5e-3)))
    bench.keep()
    await finished(bench, run)
    assert amplitudes(bench, run) == pytest.approx([1e-5, 5e-3 / 99.0], rel=0.02)


@pytest.mark.parametrize(("steps", "ohm"), [((driven(0, CURRENT_A, 5.0),), OHM), ((rest(0),), 1000.0)])
async def test_before_any_spectrum_the_resistance_counts_or_what_is_usual(
    bench: Bench, steps: tuple[Node, ...], ohm: float
) -> None:
    bench.instrument.z_scales = [ohm / 100.0]
    run = bench.submit(program(*steps, asked(1, 5e-3)))
    bench.keep()
    await finished(bench, run)
    assert amplitudes(bench, run) == pytest.approx([5e-3 / ohm], rel=0.02)


async def test_a_response_that_was_far_off_is_measured_again(bench: Bench) -> None:
    bench.instrument.z_scales = [0.1]
    run = bench.submit(program(rest(0), asked(1, 5e-3), rest(2)))
    bench.keep()
    await finished(bench, run)
    assert amplitudes(bench, run) == pytest.approx([5e-3 / 1000.0, 5e-3 / 9.9], rel=0.02)
    (note,) = bench.data(run.number, "note")
    assert "measured again" in str(note["message"])
    assert visits(bench) == [(0, 0), (1, 0), (2, 0)]


async def test_a_spectrum_is_measured_three_times_at_most(bench: Bench) -> None:
    run = bench.submit(program(asked(0, 5e-3, largest_A=1e3)))
    # Each spectrum finds a tenth of the impedance that the one before found.
    bench.instrument.z_scales = [1.0, 0.1, 0.01, 0.001]
    bench.keep()
    await finished(bench, run)
    assert len(amplitudes(bench, run)) == 3
    assert bench.kinds(run.number).count("note") == 2


async def test_an_amplitude_that_cannot_grow_is_not_tried_again(bench: Bench) -> None:
    bench.instrument.z_scales = [1e-3]
    run = bench.submit(program(asked(0, 5e-3, largest_A=1e-6)))
    bench.keep()
    await finished(bench, run)
    assert amplitudes(bench, run) == [1e-6]
    assert "note" not in bench.kinds(run.number)


# Voltages relative to open circuit, and dense samples


RELATIVE = ConstantVoltage(index=1, label="hold", duration_s=20.0, voltage_V=0.1, relative=True)


@pytest.mark.parametrize("killed", [False, True])
async def test_a_voltage_goes_on_from_the_rest_before_it_after_a_pause(bench: Bench, killed: bool) -> None:
    bench.instrument.voltage = lambda step, t_s, current_A: 0.25 if isinstance(step, Rest) else 0.35
    run = bench.submit(program(rest(0), RELATIVE, cell=Cell(name="full", geometry="full", area_m2=1e-4)))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 10.0)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    assert run.progress.position().reference_V == pytest.approx(0.25)
    if killed:
        await bench.recorder.commit()
        await bench.killed()
        run = bench.recover(run.number)
        bench.keep()
        await bench.until(lambda: run.open_confirmed)
    bench.keeper.resume(run)
    await finished(bench, run)
    (step,) = bench.instrument.past[-1].program.steps
    assert isinstance(step, ConstantVoltage)
    assert step.voltage_V == pytest.approx(0.35)
    assert not step.relative


async def test_samples_that_come_densely_are_followed(bench: Bench) -> None:
    dense = driven(0, CURRENT_A, 10.0).model_copy(update={"dense_s": 2.0})
    run = bench.submit(program(dense))
    bench.keep()
    await finished(bench, run)
    samples = bench.store.reader.samples(run.number)
    assert sum(samples["t_s"] < 1.95) == 20
    assert samples["charge_C"][-1] == pytest.approx(10.0 * CURRENT_A)
    assert not bench.store.reader.gaps(run.number)


async def test_a_sweep_without_a_measured_point_is_told_and_the_run_goes_on(bench: Bench) -> None:
    bench.instrument.z_scales = [0.0]
    bench.keep()
    number = bench.submit(program(sweep(0), driven(1, CURRENT_A, 5.0))).number
    await bench.until(lambda: number in bench.ended)
    assert bench.store.reader.run(number).state == "finished"
    assert "measured impedance" in str(bench.data(number, "unusable_spectrum")[0]["reason"])
    assert not bench.store.reader.spectra(number)
