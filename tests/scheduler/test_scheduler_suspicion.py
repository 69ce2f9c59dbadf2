"""A guard that suspects something: the test is interrupted, the cell looked at, and the test goes on.

Where the program has no steps for it and the channel has spectra, the engine measures one of its own under
the current that runs; its charge counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from scripted_instrument import CURRENT_A, Bench, driven, program, runs_short, sweep

from guards.guard import Guard, State, StepFacts
from guards.watch import Watch
from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.nodes import ConstantCurrent, Geis, Rest
from protocols.program import GuardSettings, Program
from protocols.verdicts import Verdict
from scheduler.run import ActiveRun

pytestmark = pytest.mark.usefixtures("quick")


SUSPECTED = "it looks like a soft short"


@dataclass
class Told:
    """What the guard was told, and what it finds in a spectrum."""

    spectra: list[SpectrumSummary] = field(default_factory=list)
    looked: list[tuple[str, bool]] = field(default_factory=list)
    verdict: Verdict | None = None


class Suspicious(Guard):
    """Suspects a soft short whenever a driven step has gone on for so long, at each sample again."""

    name = "suspicious"
    after_s = 10.0

    def __init__(self, told: Told) -> None:
        super().__init__()
        self._told = told
        self._since_s: float | None = None

    def enter(self, step: StepFacts) -> None:
        self._since_s = step.t_s if step.set_current_A else None

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        if self._since_s is None or abs(charge_C) < self.after_s * CURRENT_A:
            return None
        return Verdict(kind="soft_short", tier=2, time_s=t_s, event_s=t_s, message=SUSPECTED)

    def spectrum(self, summary: SpectrumSummary, change: SpectrumChange | None) -> Verdict | None:
        self._told.spectra.append(summary)
        return self._told.verdict

    def looked(self, verdict: Verdict, healthy: bool) -> None:
        self._told.looked.append((verdict.kind, healthy))

    def state(self) -> State:
        return {"since_s": self._since_s}

    def restore(self, state: State) -> None:
        self._since_s = float(str(state["since_s"])) if state["since_s"] is not None else None


@pytest.fixture(autouse=True)
def told() -> Iterator[Told]:
    """Let every run be watched by the suspicious guard besides."""
    told = Told()
    usual = Watch.for_program.__func__  # type: ignore[attr-defined]  # a classmethod

    def watched(cls: type[Watch], of: Program) -> Watch:
        watch: Watch = usual(cls, of)
        return Watch([*watch._guards, Suspicious(told)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watch, "for_program", classmethod(watched))
        yield told


LOOK = (Rest(index=8, label="look", duration_s=4.0), sweep(9))


def cycling(**changes: object) -> Program:
    return program(driven(0, CURRENT_A, 30.0), driven(1, -CURRENT_A, 30.0), **changes)


async def ended(bench: Bench, run: ActiveRun, state: str = "finished") -> None:
    await bench.until(lambda: run.number in bench.ended)
    await bench.recorder.commit()
    stored = bench.store.reader.run(run.number)
    assert stored.state == state, stored.reason


def visits(bench: Bench) -> list[int]:
    return [step for step, *_ in bench.instrument.passed()]


def charges(bench: Bench) -> list[float]:
    """Return the charge of both steps of the test, their parts added up."""
    parts = bench.instrument.passed()
    return [sum(charge for step, _, _, charge in parts if step == index) for index in (0, 1)]


async def test_a_suspicion_is_looked_into_once_a_half_cycle_and_the_test_goes_on(
    bench: Bench, told: Told
) -> None:
    run = bench.submit(cycling(on_suspicion=LOOK))
    bench.keep()
    await ended(bench, run)
    assert visits(bench) == [0, 8, 9, 0, 1, 8, 9, 1]
    assert charges(bench) == pytest.approx([30.0 * CURRENT_A, -30.0 * CURRENT_A])
    assert len(bench.store.reader.spectra(run.number)) == 2
    assert [cycle.complete for cycle in bench.store.reader.half_cycles(run.number)] == [True, True]
    assert bench.states(run.number) == ["running", "finished"]
    assert run.verdict is None
    assert len(told.spectra) == 2
    # The first spectrum compares with nothing.
    assert told.looked == [("soft_short", True)]
    assert ["less sensitive" in str(look["how"]) for look in bench.data(run.number, "look")] == [True, True]


async def test_without_steps_and_spectra_a_suspicion_is_only_reported(bench: Bench) -> None:
    run = bench.submit(cycling())
    bench.keep()
    await ended(bench, run)
    assert bench.instrument.starts() == 1
    assert "verdict" in bench.kinds(run.number)


@pytest.mark.parametrize("look", [(), LOOK])
async def test_a_suspicion_may_pause_the_run(bench: Bench, look: tuple[Rest, ...]) -> None:
    run = bench.submit(cycling(on_suspicion=look, after_suspicion="pause"))
    bench.keep()
    await bench.until(lambda: run.info.state == "paused")
    assert SUSPECTED in run.info.reason
    assert run.open_confirmed
    assert visits(bench) == [0, *(step.index for step in look)]
    await bench.recorder.commit()
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.open_confirmed)
    assert run.info.state == "paused"
    bench.keeper.resume(run)
    # The second half-cycle is suspected as well.
    await bench.until(lambda: run.info.state == "paused" and run.progress.half_cycle == 1)
    bench.keeper.resume(run)
    await ended(bench, run)
    assert charges(bench) == pytest.approx([30.0 * CURRENT_A, -30.0 * CURRENT_A])


@pytest.mark.parametrize("moment", ["stopped", "looking", "looked"])
async def test_a_kill_while_it_is_looked_into(bench: Bench, moment: str) -> None:
    run = bench.submit(cycling(on_suspicion=LOOK))
    bench.keep()
    if moment == "stopped":
        bench.store.holds = lambda: "stop 0" in bench.journal
        await bench.until(lambda: "stop 0" in bench.journal)
    elif moment == "looking":
        await bench.until(lambda: run.progress.step == 8 and run.progress.time_in_step_s > 0.5)
        await bench.rest()
        await bench.recorder.commit()
    else:
        bench.store.holds = lambda: bench.journal.count("ticket intent") == 3
        await bench.until(lambda: bench.journal.count("ticket intent") == 3)
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await ended(bench, run)
    assert visits(bench) == [0, 8, 9, 0, 1, 8, 9, 1]
    assert charges(bench) == pytest.approx([30.0 * CURRENT_A, -30.0 * CURRENT_A])


async def test_a_pause_while_it_is_looked_into_keeps_the_place_of_the_test(bench: Bench) -> None:
    run = bench.submit(cycling(on_suspicion=LOOK))
    bench.keep()
    await bench.until(lambda: run.progress.step == 8 and run.progress.time_in_step_s > 0.5)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    bench.keeper.resume(run)
    await ended(bench, run)
    assert visits(bench) == [0, 8, 9, 0, 1, 8, 9, 1]
    assert charges(bench) == pytest.approx([30.0 * CURRENT_A, -30.0 * CURRENT_A])


async def test_a_verdict_that_stops_outranks_a_suspicion(bench: Bench) -> None:
    bench.instrument.voltage = runs_short(12.0)
    bench.instrument.tick_s = 100.0
    settings = GuardSettings(look=False)
    run = bench.submit(program(driven(0, CURRENT_A, 90.0), on_suspicion=LOOK, guards=settings))
    bench.keep()
    await ended(bench, run, "protected")
    assert visits(bench) == [0]


# Looks of the engine's own


UNDER, AT_REST = 13, 12
"""Numbers of the engine's own spectra behind a program of two steps without others: see below."""


def long(**changes: object) -> Program:
    """Return a program whose steps are long enough for a spectrum under current."""
    return program(driven(0, CURRENT_A, 100.0), driven(9, -CURRENT_A, 100.0), **changes)


def net_C(bench: Bench, sign: float) -> float:
    """Return all charge that has passed in one direction: the truth."""
    return sum(charge for *_, charge in bench.instrument.passed() if charge * sign > 0.0)


async def test_a_suspicion_is_looked_into_under_the_current_and_the_charge_counts(
    bench: Bench, told: Told
) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(long())
    bench.keep()
    await ended(bench, run)
    assert visits(bench) == [0, UNDER, 0, 9, UNDER, 9]
    assert net_C(bench, 1.0) == pytest.approx(100.0 * CURRENT_A, rel=1e-6)
    assert net_C(bench, -1.0) == pytest.approx(-100.0 * CURRENT_A, rel=1e-6)
    rows = bench.store.reader.half_cycles(run.number)
    assert [row.complete for row in rows] == [True, True]
    assert [row.charge_C for row in rows] == pytest.approx([0.1, -0.1], rel=0.02)
    assert [row.planned_charge_C for row in rows] == pytest.approx([0.1, 0.1])
    assert [summary.current_A for summary in told.spectra] == [CURRENT_A, -CURRENT_A]
    # The first spectrum under current compares with nothing.
    assert told.looked == [("soft_short", True)]
    assert bench.states(run.number) == ["running", "finished"]
    for look in bench.data(run.number, "look"):
        assert look["because"] == "soft_short" and "under the current" in str(look["how"])


async def test_where_no_spectrum_under_current_is_known_the_cell_is_looked_at_at_rest_too(
    bench: Bench, told: Told
) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(program(sweep(0), driven(1, CURRENT_A, 100.0), driven(2, -CURRENT_A, 100.0)))
    bench.keep()
    await ended(bench, run)
    under, rest, at_rest = 6, 3, 5
    assert visits(bench) == [0, 1, under, rest, at_rest, 1, 2, under, 2]
    assert told.looked == [("soft_short", True)] * 2
    assert net_C(bench, 1.0) == pytest.approx(100.0 * CURRENT_A, rel=1e-6)
    assert [row.complete for row in bench.store.reader.half_cycles(run.number)] == [True, True]


async def test_the_spectrum_under_current_is_small_and_short(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(long())
    bench.keep()
    await ended(bench, run)
    (spectrum,) = bench.instrument.past[1].program.steps
    assert isinstance(spectrum, Geis)
    assert spectrum.current_A == CURRENT_A
    assert spectrum.amplitude_A <= 0.1 * CURRENT_A
    assert (spectrum.frequency_start_Hz, spectrum.frequency_end_Hz) == (1e5, 0.5)
    assert spectrum.remaining_s < 60.0


@pytest.mark.parametrize(
    "first",
    [
        driven(0, CURRENT_A, 40.0),
        driven(0, CURRENT_A, 100.0).model_copy(update={"ends_by": "voltage", "until_voltage_V": 0.9}),
    ],
)
async def test_a_step_that_may_end_too_soon_is_looked_at_at_open_circuit(
    bench: Bench, first: ConstantCurrent
) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(program(first, Rest(index=9, label="rest", duration_s=3.0)))
    bench.keep()
    await ended(bench, run)
    assert visits(bench) == [0, 10, AT_REST, 0, 9]
    assert net_C(bench, 1.0) == pytest.approx(first.duration_s * CURRENT_A)
    (look,) = bench.data(run.number, "look")
    assert "less sensitive" in str(look["how"])


async def test_a_soft_short_that_the_spectrum_shows_is_final(bench: Bench, told: Told) -> None:
    told.verdict = Verdict(kind="soft_short", tier=1, time_s=40.0, event_s=10.0, message="soft")
    bench.instrument.can_measure_impedance()
    run = bench.submit(long())
    bench.keep()
    await ended(bench, run, "protected")
    assert visits(bench) == [0, UNDER]
    assert run.verdict is not None
    assert (run.verdict.kind, run.verdict.message) == (told.verdict.kind, told.verdict.message)
    assert told.looked == []


async def test_a_suspicion_pauses_after_a_look_of_the_engines_own(bench: Bench, told: Told) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(program(driven(0, CURRENT_A, 100.0), after_suspicion="pause"))
    bench.keep()
    await bench.until(lambda: run.info.state == "paused")
    assert SUSPECTED in run.info.reason
    bench.keeper.resume(run)
    await ended(bench, run)
    assert net_C(bench, 1.0) == pytest.approx(100.0 * CURRENT_A)


@pytest.mark.parametrize("moment", ["stopped", "looking", "looked"])
async def test_a_kill_in_a_look_of_the_engines_own(bench: Bench, moment: str) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(program(driven(0, CURRENT_A, 100.0)))
    bench.keep()
    if moment == "stopped":
        bench.store.holds = lambda: "stop 0" in bench.journal
        await bench.until(lambda: "stop 0" in bench.journal)
    elif moment == "looking":
        await bench.until(lambda: run.phase == "look" and bench.instrument.starts() == 2)
        await bench.rest()
        await bench.recorder.commit()
    else:
        bench.store.holds = lambda: bench.journal.count("ticket intent") == 3
        await bench.until(lambda: bench.journal.count("ticket intent") == 3)
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await ended(bench, run)
    assert visits(bench) == [0, 4, 0]
    assert net_C(bench, 1.0) == pytest.approx(100.0 * CURRENT_A)


@pytest.mark.parametrize("killed", [False, True])
async def test_a_pause_that_breaks_the_spectrum_off_passes_no_charge_twice(
    bench: Bench, killed: bool
) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(program(driven(0, CURRENT_A, 100.0)))
    bench.keep()
    await bench.until(lambda: run.phase == "look" and bench.instrument.starts() == 2)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    if killed:
        await bench.recorder.commit()
        await bench.killed()
        run = bench.recover(run.number)
        bench.keep()
        await bench.until(lambda: run.open_confirmed)
    bench.keeper.resume(run)
    await ended(bench, run)
    assert visits(bench)[-1] == 0
    assert net_C(bench, 1.0) == pytest.approx(100.0 * CURRENT_A)


async def test_a_limit_in_the_spectrum_under_current_ends_the_run(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(program(driven(0, CURRENT_A, 100.0)))
    bench.keep()
    await bench.until(lambda: run.phase == "look" and bench.instrument.starts() == 2)
    segment = bench.instrument.held[0]
    segment.end_s, segment.reason = bench.instrument.now_s - segment.begun_s + 1.0, "limit"
    await ended(bench, run, "protected")
    assert run.verdict is not None and run.verdict.kind == "limit"


async def test_a_trip_outranks_a_suspicion_and_looks_for_both(bench: Bench, told: Told) -> None:
    bench.instrument.can_measure_impedance()
    bench.instrument.voltage = runs_short(12.0)
    bench.instrument.z_scales = [0.02]
    bench.instrument.tick_s = 200.0
    run = bench.submit(program(driven(0, CURRENT_A, 90.0)))
    bench.keep()
    await ended(bench, run, "protected")
    assert visits(bench)[:3] == [0, 1, 3]
    assert run.verdict is not None and run.verdict.kind == "short_circuit"
