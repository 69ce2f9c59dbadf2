"""A guard that suspects something: the test is interrupted, the cell looked at, and the test goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted_instrument import CURRENT_A, Bench, driven, program, runs_short, sweep

from guards.guard import Guard, State, StepFacts
from guards.watch import Watch
from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.nodes import Rest
from protocols.program import Program
from protocols.verdicts import Verdict
from scheduler.run import ActiveRun

pytestmark = pytest.mark.usefixtures("quick")


SUSPECTED = "it looks like a soft short"


class Suspicious(Guard):
    """Suspects a soft short whenever a driven step has gone on for so long, at each sample again."""

    name = "suspicious"
    after_s = 10.0

    def __init__(self) -> None:
        super().__init__()
        self._since_s: float | None = None

    def enter(self, step: StepFacts) -> None:
        self._since_s = step.t_s if step.set_current_A else None

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        if self._since_s is None or abs(charge_C) < self.after_s * CURRENT_A:
            return None
        return Verdict(kind="soft_short", tier=2, time_s=t_s, event_s=t_s, message=SUSPECTED)

    def spectrum(self, summary: SpectrumSummary, change: SpectrumChange | None) -> Verdict | None:
        raise AssertionError("a spectrum of a suspicion is not for the guards")

    def state(self) -> State:
        return {"since_s": self._since_s}

    def restore(self, state: State) -> None:
        self._since_s = float(str(state["since_s"])) if state["since_s"] is not None else None


@pytest.fixture(autouse=True)
def a_guard_that_suspects() -> Iterator[None]:
    """Let every run be watched by the suspicious guard besides."""
    usual = Watch.for_program.__func__  # type: ignore[attr-defined]  # a classmethod

    def watched(cls: type[Watch], of: Program) -> Watch:
        watch: Watch = usual(cls, of)
        return Watch([*watch._guards, Suspicious()])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watch, "for_program", classmethod(watched))
        yield


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


async def test_a_suspicion_is_looked_into_once_a_half_cycle_and_the_test_goes_on(bench: Bench) -> None:
    run = bench.submit(cycling(on_suspicion=LOOK))
    bench.keep()
    await ended(bench, run)
    assert visits(bench) == [0, 8, 9, 0, 1, 8, 9, 1]
    assert charges(bench) == pytest.approx([30.0 * CURRENT_A, -30.0 * CURRENT_A])
    assert len(bench.store.reader.spectra(run.number)) == 2
    assert [cycle.complete for cycle in bench.store.reader.half_cycles(run.number)] == [True, True]
    assert bench.states(run.number) == ["running", "finished"]
    assert run.verdict is None


async def test_without_steps_for_it_a_suspicion_is_only_reported(bench: Bench) -> None:
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
    run = bench.submit(program(driven(0, CURRENT_A, 90.0), on_suspicion=LOOK))
    bench.keep()
    await ended(bench, run, "protected")
    assert visits(bench) == [0]
