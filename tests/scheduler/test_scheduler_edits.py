"""Edits of a run that goes on: each holds from where it was promised, nothing passes twice or is lost."""

from __future__ import annotations

import pytest
from scripted_instrument import CURRENT_A, Bench, driven, program

from protocols.check import is_check
from protocols.errors import BusyError, InvalidFileError, NotAllowedError, StorageError
from protocols.nodes import Repeat, Rest
from protocols.program import GuardSettings, Program
from protocols.records import RunInfo, RunState
from scheduler.audit import AuditLog
from scheduler.before_start import StartChecks
from scheduler.config import ServiceConfig
from scheduler.editor import Editor
from scheduler.requests import EditReply, EditRequest, EndRequest, SpectrumRequest, StorageInfo
from scheduler.run import ActiveRun
from storage.run_files import describe_again
from storage.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("quick")

HALF_S = 20.0
LOOP = "steps 1 › repeat"
UP, DOWN = f"{LOOP} › constant_current 1", f"{LOOP} › constant_current 2"


def cycling(times: int = 4, half_s: float = HALF_S, **changes: object) -> Program:
    """Plate and strip, and an end that tells whether the loop came to its end."""
    up = driven(0, CURRENT_A, half_s, UP)
    down = driven(1, -CURRENT_A, half_s, DOWN)
    loop = Repeat(total=times, stop=times, body=(up, down), counts=True)
    return program(loop, Rest(index=2, label="steps 2 › rest", duration_s=5.0), **changes)


class Desk:
    """Where people ask for edits."""

    def __init__(self, bench: Bench, *runs: ActiveRun) -> None:
        self._instrument = bench.instrument
        self._runs = {run.number: run for run in runs}
        clock = bench.host.clock()
        self.editor = Editor(self._alive, AuditLog(bench.store, clock), bench.recorder, clock)

    def _alive(self, number: int, states: set[RunState]) -> ActiveRun:
        run = self._runs[number]
        if run.info.state not in states:
            raise NotAllowedError(f"run {number} is {run.info.state}")
        return run

    async def ask(self, run: ActiveRun, **request: object) -> EditReply:
        """Ask for an edit, while the instrument's clock stands still."""
        tick_s, self._instrument.tick_s = self._instrument.tick_s, 0.0
        try:
            return await self.editor.edit(run.number, EditRequest.model_validate(request), "ada")
        finally:
            self._instrument.tick_s = tick_s


async def half_way(bench: Bench, run: ActiveRun, half_cycle: int = 0, time_s: float = 5.0) -> None:
    """Wait until a half-cycle has gone on for a while."""

    def reached() -> bool:
        progress = run.progress
        return (
            progress.half_cycle >= half_cycle and progress.time_in_step_s >= time_s and bool(progress.begun)
        )

    await bench.until(reached)


async def ended(bench: Bench, run: ActiveRun, state: str = "finished") -> None:
    await bench.until(lambda: run.number in bench.ended)
    await bench.recorder.commit()
    stored = bench.store.reader.run(run.number)
    assert stored.state == state, stored.reason


def half_cycles(bench: Bench, run: ActiveRun) -> list[float]:
    """Return the charge of each half-cycle in seconds of the test's current."""
    return [row.charge_C / CURRENT_A for row in bench.store.reader.half_cycles(run.number)]


def truth(bench: Bench) -> list[tuple[int, int, float]]:
    """Return what the instrument has really run: step, visit and seconds."""
    return [(step, visit, round(seconds, 6)) for step, visit, seconds, _ in bench.instrument.passed()]


WHOLE = [(step, visit, HALF_S) for visit in range(4) for step in (0, 1)]


async def test_more_cycles_hold_from_the_next_half_cycle(bench: Bench) -> None:
    run = bench.submit(cycling())
    bench.keep()
    await half_way(bench, run, 2)
    reply = await Desk(bench, run).ask(run, cycles=6)
    assert reply.changes == [f"{LOOP}: 6 passes, not 4"]
    assert reply.takes_effect == "from the next half-cycle on"
    assert reply.left_s - reply.left_before_s == pytest.approx(4 * HALF_S)
    assert [pending.who for pending in run.info.edits] == ["ada"]
    await bench.until(lambda: not run.info.edits)
    # The half-cycle in which it was asked for has come to its end as it was planned.
    assert truth(bench)[:3] == WHOLE[:3]
    await ended(bench, run)
    assert truth(bench) == [(s, v, HALF_S) for v in range(6) for s in (0, 1)] + [(2, 0, 5.0)]
    assert half_cycles(bench, run) == pytest.approx([HALF_S, -HALF_S] * 6)
    (edited,) = bench.data(run.number, "edited")
    assert edited["who"] == "ada"
    assert edited["changes"] == reply.changes
    assert (edited["from"], edited["to"]) == (reply.before, reply.program)


async def test_fewer_cycles_complete_what_has_begun(bench: Bench) -> None:
    run = bench.submit(cycling())
    bench.keep()
    await half_way(bench, run, 1)
    await Desk(bench, run).ask(run, cycles=1)
    await ended(bench, run)
    # It was asked for in the last half-cycle of the first cycle: the second had begun when it took effect.
    assert truth(bench) == [*WHOLE[:4], (2, 0, 5.0)]
    (edited,) = bench.data(run.number, "edited")
    assert edited["changes"] == [f"{LOOP}: 2 passes, not 4"]


async def test_another_end_counts_from_the_next_half_cycle(bench: Bench) -> None:
    run = bench.submit(cycling(2))
    bench.keep()
    await half_way(bench, run)
    charges = {DOWN: "10 mC", "0": "30 mC"}
    ends = [EndRequest(step=step, which="charge", value=value) for step, value in charges.items()]
    await Desk(bench, run).ask(run, ends=ends)
    await ended(bench, run)
    assert truth(bench) == [(0, 0, 20.0), (1, 0, 10.0), (0, 1, 30.0), (1, 1, 10.0), (2, 0, 5.0)]
    rows = bench.store.reader.half_cycles(run.number)
    assert [row.planned_charge_C for row in rows] == pytest.approx([0.02, 0.01, 0.03, 0.01])


async def test_a_limit_holds_from_the_next_half_cycle_on_board_and_for_the_guards(bench: Bench) -> None:
    bench.instrument.voltage = lambda step, t_s, current_A: 80.0 * abs(current_A) if step.index != 1 else -0.3
    run = bench.submit(cycling(guards=GuardSettings(enabled=("limits",))))
    bench.keep()
    await half_way(bench, run)
    await Desk(bench, run).ask(run, limits={"voltage_min": "-0.2 V"})
    await ended(bench, run, "protected")
    assert run.verdict is not None
    assert run.verdict.kind == "limit"
    assert truth(bench)[0] == (0, 0, HALF_S)
    assert {(step, visit) for step, visit, _ in truth(bench)} <= {(0, 0), (1, 0)}
    assert bench.instrument.held[0].program.limits.voltage_min_V == -0.2


async def test_what_was_promised_survives_a_kill_and_is_done_once(bench: Bench) -> None:
    run = bench.submit(cycling())
    bench.keep()
    await half_way(bench, run, 2)
    await Desk(bench, run).ask(run, cycles=6)
    await bench.killed()
    run = bench.recover(run.number)
    assert len(run.info.edits) == 1
    bench.keep()
    await ended(bench, run)
    assert truth(bench) == [(s, v, HALF_S) for v in range(6) for s in (0, 1)] + [(2, 0, 5.0)]
    assert len(bench.store.reader.events_of(run.number, "edited")) == 1


@pytest.mark.parametrize("moment", ["interrupting", "edited", "intent"])
async def test_a_kill_while_an_edit_takes_effect(bench: Bench, moment: str) -> None:
    run = bench.submit(cycling())
    bench.keep()
    await half_way(bench, run, 2)
    await Desk(bench, run).ask(run, cycles=6)

    def reached() -> bool:
        mark = {"interrupting": "stop 0", "edited": "event edited", "intent": "ticket intent"}[moment]
        return bench.journal.count(mark) == (2 if moment == "intent" else 1)

    bench.store.holds = reached
    await bench.until(reached)
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await ended(bench, run)
    assert truth(bench) == [(s, v, HALF_S) for v in range(6) for s in (0, 1)] + [(2, 0, 5.0)]
    assert len(bench.store.reader.events_of(run.number, "edited")) == 1
    assert half_cycles(bench, run) == pytest.approx([HALF_S, -HALF_S] * 6, abs=1.1)


async def test_a_paused_run_goes_on_with_what_was_edited(bench: Bench) -> None:
    run = bench.submit(cycling(1))
    bench.keep()
    await half_way(bench, run)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    reply = await Desk(bench, run).ask(run, ends=[EndRequest(step="0", which="charge", value="40 mC")])
    assert reply.takes_effect == "when the run goes on"
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.info.state == "paused" and run.open_confirmed)
    bench.keeper.resume(run)
    await ended(bench, run)
    assert truth(bench) == [(0, 0, 40.0), (1, 0, 20.0), (2, 0, 5.0)]


async def test_a_rest_takes_a_new_end_at_once(bench: Bench) -> None:
    run = bench.submit(program(Rest(index=0, label="wait", duration_s=1e4), driven(1, CURRENT_A, 5.0)))
    bench.keep()
    await half_way(bench, run)
    await Desk(bench, run).ask(run, ends=[EndRequest(step="wait", which="time", value="30 s")])
    await ended(bench, run)
    assert truth(bench) == [(0, 0, 30.0), (1, 0, 5.0)]


async def test_a_step_is_skipped_at_once_and_its_half_cycle_is_not_whole(bench: Bench) -> None:
    run = bench.submit(cycling(2))
    bench.keep()
    await half_way(bench, run)
    await Desk(bench, run).ask(run, skip=True)
    await ended(bench, run)
    passed = truth(bench)
    assert passed[0][2] < HALF_S
    assert passed[1:] == [(1, 0, 20.0), (0, 1, 20.0), (1, 1, 20.0), (2, 0, 5.0)]
    assert [row.complete for row in bench.store.reader.half_cycles(run.number)] == [False, True, True, True]
    assert bench.data(run.number, "step_ended") == [{"label": UP, "why": "skipped by ada"}]


@pytest.mark.parametrize("when", ["asked for", "ended"])
async def test_a_skip_survives_a_kill_and_skips_one_step(bench: Bench, when: str) -> None:
    run = bench.submit(cycling(2))
    bench.keep()
    await half_way(bench, run)
    if when == "asked for":
        await bench.rest()
    await Desk(bench, run).ask(run, skip=True)
    if when == "ended":
        bench.store.holds = lambda: "stop 0" in bench.journal
        await bench.until(lambda: "stop 0" in bench.journal)
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await ended(bench, run)
    passed = truth(bench)
    assert passed[0][2] < HALF_S
    assert passed[1:] == [(1, 0, 20.0), (0, 1, 20.0), (1, 1, 20.0), (2, 0, 5.0)]


async def test_a_skip_in_a_pause_leaves_out_the_rest_of_the_step(bench: Bench) -> None:
    run = bench.submit(cycling(1))
    bench.keep()
    await half_way(bench, run)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    await Desk(bench, run).ask(run, skip=True)
    bench.keeper.resume(run)
    await ended(bench, run)
    assert [(step, visit) for step, visit, _ in truth(bench)] == [(0, 0), (1, 0), (2, 0)]
    assert truth(bench)[0][2] < HALF_S


async def test_a_spectrum_now_at_open_circuit_and_the_step_goes_on(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(cycling(1))
    bench.keep()
    await half_way(bench, run)
    reply = await Desk(bench, run).ask(run, spectrum=SpectrumRequest(end="1 Hz"))
    assert reply.takes_effect == "now"
    await ended(bench, run)
    spectra = bench.store.reader.spectra(run.number)
    assert len(spectra) == 1
    seconds = {step: sum(s for k, _, s in truth(bench) if k == step) for step in (0, 1, 2)}
    assert seconds == {0: 20.0, 1: 20.0, 2: 5.0}
    assert half_cycles(bench, run) == pytest.approx([HALF_S, -HALF_S])
    assert [row.complete for row in bench.store.reader.half_cycles(run.number)] == [True, True]
    (inserted,) = bench.data(run.number, "inserted")
    assert (inserted["who"], inserted["how"]) == ("ada", "at open circuit")
    assert "spectrum" in bench.kinds(run.number)


async def test_the_charge_of_a_spectrum_under_current_counts(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(cycling(1, half_s=400.0))
    bench.keep()
    await half_way(bench, run)
    await Desk(bench, run).ask(run, spectrum=SpectrumRequest(end="1 Hz", under_current=True))
    await ended(bench, run)
    (spectrum, _), *others = bench.store.reader.spectra(run.number)
    assert not others
    assert spectrum.current_A == CURRENT_A
    passed = bench.instrument.passed()
    under_s = sum(seconds for step, _, seconds, charge in passed if step > 2 and charge)
    assert under_s > 1.0
    assert sum(charge for *_, charge in passed if charge > 0) == pytest.approx(400.0 * CURRENT_A)
    assert half_cycles(bench, run) == pytest.approx([400.0, -400.0], rel=1e-3)


async def test_a_spectrum_under_current_in_a_short_step_is_measured_at_open_circuit(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(cycling(1))
    bench.keep()
    await half_way(bench, run)
    await Desk(bench, run).ask(run, spectrum=SpectrumRequest(end="1 Hz", under_current=True))
    await ended(bench, run)
    (inserted,) = bench.data(run.number, "inserted")
    assert inserted["how"] == "at open circuit"
    assert half_cycles(bench, run) == pytest.approx([HALF_S, -HALF_S])


@pytest.mark.parametrize("moment", ["asked for", "stopped", "measuring", "measured"])
async def test_a_kill_around_a_spectrum_measures_it_once(bench: Bench, moment: str) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(cycling(1))
    bench.keep()
    await half_way(bench, run)
    if moment == "asked for":
        await bench.rest()
    await Desk(bench, run).ask(run, spectrum=SpectrumRequest(end="1 Hz"))
    if moment == "stopped":
        bench.store.holds = lambda: "stop 0" in bench.journal
        await bench.until(lambda: "stop 0" in bench.journal)
    elif moment == "measuring":
        await bench.until(lambda: run.phase == "inserted" and run.progress.time_in_step_s > 1.5)
        await bench.rest()
        await bench.recorder.commit()
    elif moment == "measured":
        bench.store.holds = lambda: bench.journal.count("ticket intent") == 3
        await bench.until(lambda: bench.journal.count("ticket intent") == 3)
    await bench.killed()
    run = bench.recover(run.number)
    bench.keep()
    await ended(bench, run)
    assert len(bench.store.reader.spectra(run.number)) == 1
    seconds = {step: sum(s for k, _, s in truth(bench) if k == step) for step in (0, 1, 2)}
    assert seconds == pytest.approx({0: 20.0, 1: 20.0, 2: 5.0})


async def test_a_pause_during_a_spectrum_measures_it_again(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(cycling(1))
    bench.keep()
    await half_way(bench, run)
    await Desk(bench, run).ask(run, spectrum=SpectrumRequest(end="1 Hz"))
    await bench.until(lambda: run.phase == "inserted" and run.progress.step > 2)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    bench.keeper.resume(run)
    await ended(bench, run)
    assert len(bench.store.reader.spectra(run.number)) == 1
    seconds = {step: sum(s for k, _, s in truth(bench) if k == step) for step in (0, 1, 2)}
    assert seconds == pytest.approx({0: 20.0, 1: 20.0, 2: 5.0})


async def test_spectra_have_numbers_of_their_own(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    run = bench.submit(cycling(2))
    bench.keep()
    desk = Desk(bench, run)
    for half_cycle in (0, 1):
        await half_way(bench, run, half_cycle)
        await desk.ask(run, spectrum=SpectrumRequest(end="1 Hz"))
        await bench.until(lambda count=half_cycle: run.course.inserted == count + 1 and run.phase == "test")  # type: ignore[misc]  # mypy does not see the default
    await ended(bench, run)
    steps = [spectrum.step for spectrum, _ in bench.store.reader.spectra(run.number)]
    assert len(set(steps)) == 2


# Who may ask, and what is refused


async def test_two_people_do_not_overwrite_each_other(bench: Bench) -> None:
    run = bench.submit(cycling())
    bench.keep()
    await half_way(bench, run)
    desk = Desk(bench, run)
    known = await desk.ask(run, cycles=6, dry_run=True)
    assert not run.info.edits
    await desk.ask(run, cycles=8)
    with pytest.raises(BusyError, match="was edited meanwhile"):
        await desk.ask(run, cycles=6, expects=known.before)
    again = await desk.ask(run, cycles=6, expects=(await desk.editor.editable(run.number)).program[:12])
    assert again.changes == [f"{LOOP}: 6 passes, not 8"]
    await ended(bench, run)
    assert len(half_cycles(bench, run)) == 12


async def test_what_does_not_fit_changes_nothing_and_is_noted(bench: Bench) -> None:
    run = bench.submit(cycling())
    bench.keep()
    await half_way(bench, run)
    desk = Desk(bench, run)
    with pytest.raises(InvalidFileError, match="There is no loop 'x'"):
        await desk.ask(run, cycles=6, loop="x")
    with pytest.raises(InvalidFileError, match="one thing at a time"):
        await desk.ask(run, cycles=6, skip=True)
    with pytest.raises(InvalidFileError, match="like that already"):
        await desk.ask(run, cycles=4)
    with pytest.raises(InvalidFileError, match="would open the circuit at once"):
        await desk.ask(run, limits={"voltage_max": "1 mV"})
    with pytest.raises(InvalidFileError, match="can't measure impedance"):
        await desk.ask(run, spectrum=SpectrumRequest())
    assert not run.info.edits
    await bench.recorder.commit()
    entries = bench.store.reader.catalogue.audit(run.number)
    assert [entry.what for entry in entries] == ["edit"] * 10
    assert sum("error" in entry.details for entry in entries) == 5


async def test_a_run_that_has_ended_is_not_edited(bench: Bench) -> None:
    run = bench.submit(cycling(1))
    bench.keep()
    await ended(bench, run)
    with pytest.raises(NotAllowedError, match="finished"):
        await Desk(bench, run).ask(run, cycles=6)


async def test_what_can_not_be_stored_is_not_promised(bench: Bench) -> None:
    run = bench.submit(cycling())
    bench.keep()
    await half_way(bench, run)
    await bench.rest()
    bench.store.full = True
    with pytest.raises(StorageError):
        await Desk(bench, run).ask(run, cycles=6)
    assert run.info.edits == ()
    bench.store.full = False


# What is stored


async def test_a_run_has_its_programs_in_the_order_of_time_wherever_it_is_read(bench: Bench) -> None:
    run = bench.submit(cycling())
    first = run.program
    bench.keep()
    await half_way(bench, run, 2)
    await Desk(bench, run).ask(run, cycles=6)
    await ended(bench, run)
    reader = bench.store.reader
    (_, before), (since_s, after) = reader.programs(run.number)
    assert before == first
    assert after == reader.program(run.number)
    assert reader.program_at(run.number, since_s - 1.0) == before
    assert reader.program_at(run.number, since_s) == after
    assert [cycle.number for cycle in reader.cycles(run.number)] == [1, 2, 3, 4, 5, 6]
    reader.folder_of(run.number).mkdir(parents=True)
    folder = RunFolder(describe_again(reader, run.number))
    assert folder.programs(run.number) == reader.programs(run.number)


async def test_all_is_replayed_with_the_program_of_its_time(bench: Bench) -> None:
    """A tightened limit says nothing of samples that were measured before it held."""
    bench.instrument.voltage = lambda step, t_s, current_A: 0.5 if t_s < 25.0 and step.index == 0 else 0.05
    run = bench.submit(cycling(guards=GuardSettings(enabled=("limits",))))
    bench.keep()
    await half_way(bench, run, 1, 3.0)
    bench.instrument.voltage = lambda step, t_s, current_A: 0.05
    await Desk(bench, run).ask(run, limits={"voltage_max": "0.2 V"})
    await bench.until(lambda: not run.info.edits)
    await bench.until(lambda: run.end is None and run.progress.t_s > run.offset_s + 2.0)
    await bench.rest()
    bench.store.save_guards(run.number, run.progress.t_s, {"of": "another version"})
    await bench.recorder.commit()
    await bench.killed()
    run = bench.recover(run.number)
    assert run.program.limits.voltage_max_V == 0.2
    assert run.verdict is None
    assert run.stop_wanted is None
    bench.keep()
    await ended(bench, run)


# While the check before the start runs


CHECKED = ServiceConfig.model_validate(
    {
        "data": ".",
        "instruments": {"box": {"driver": "scripted"}},
        "stations": {"S0": {"instrument": "box", "channel": 1}},
    }
)


async def in_check(bench: Bench) -> ActiveRun:
    """Return a run whose cell is being looked at before its start."""
    bench.instrument.can_measure_impedance()
    run = bench.submit(cycling())
    infos: list[RunInfo] = []
    run.before_start = StartChecks(CHECKED, bench.host.clock(), lambda: infos, StorageInfo).of_run(run.info)
    bench.keep()
    await bench.until(lambda: run.phase == "check" and bool(run.progress.begun))
    return run


async def test_an_edit_during_the_check_holds_from_the_test_on(bench: Bench) -> None:
    run = await in_check(bench)
    await Desk(bench, run).ask(run, cycles=2)
    await ended(bench, run)
    assert [each for each in truth(bench) if not is_check(each[0])] == [
        *((s, v, HALF_S) for v in range(2) for s in (0, 1)),
        (2, 0, 5.0),
    ]
    assert half_cycles(bench, run) == pytest.approx([HALF_S, -HALF_S] * 2)
    assert len(bench.data(run.number, "check")) == 1


async def test_a_spectrum_wanted_during_the_check_comes_in_the_test(bench: Bench) -> None:
    run = await in_check(bench)
    await Desk(bench, run).ask(run, spectrum={})
    await ended(bench, run)
    assert half_cycles(bench, run) == pytest.approx([HALF_S, -HALF_S] * 4)
    assert len(bench.data(run.number, "inserted")) == 1
    assert len(bench.data(run.number, "check")) == 1
