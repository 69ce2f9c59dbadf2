"""The check before a start: nothing is driven before it has passed, whoever dies in the middle of it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from scripted_instrument import CURRENT_A, OHM, Bench, driven, ohmic, program

from drivers.instrument import SegmentEnd
from protocols.check import CHECK_STEP, is_check
from protocols.errors import NotAllowedError
from protocols.nodes import ConstantCurrent, Criterion, Decision, Geis, Message, Peis, Rest, Step
from protocols.program import Program
from protocols.records import RunInfo
from protocols.tree import walk
from scheduler import contact_check
from scheduler.before_start import StartChecks
from scheduler.config import ServiceConfig
from scheduler.requests import StorageInfo
from scheduler.run import ActiveRun

pytestmark = pytest.mark.usefixtures("quick")

CONFIG = ServiceConfig.model_validate(
    {
        "data": ".",
        "instruments": {"box": {"driver": "scripted"}},
        "stations": {"S0": {"instrument": "box", "channel": 1}},
    }
)


def checked(bench: Bench, run: ActiveRun, infos: Iterable[RunInfo] = ()) -> ActiveRun:
    """Let a run be checked before it starts."""
    checks = StartChecks(CONFIG, bench.host.clock(), lambda: infos, StorageInfo)
    run.before_start = checks.of_run(run.info)
    return run


def submitted(bench: Bench, whole: Program | None = None) -> ActiveRun:
    return checked(bench, bench.submit(whole or program(driven(0, CURRENT_A, 30.0))))


def unclipped(step: Step, t_s: float, current_A: float) -> float:
    """Return E of a channel whose clip is off: it goes to its compliance."""
    return 5.0 if current_A else 0.0


def outcomes(bench: Bench, run: ActiveRun) -> list[object]:
    return [data["outcome"] for data in bench.data(run.number, "check")]


def steps(bench: Bench) -> list[int]:
    return [step for step, *_ in bench.instrument.passed()]


def of_test(bench: Bench) -> list[int]:
    return [step for step in steps(bench) if not is_check(step)]


def passed_C(bench: Bench) -> float:
    """Return the charge that the test has passed: the truth."""
    return sum(charge for step, _, _, charge in bench.instrument.passed() if not is_check(step))


async def until_paused(bench: Bench, run: ActiveRun) -> None:
    await bench.until(lambda: run.info.state == "paused" and run.open_confirmed)
    await bench.recorder.commit()


async def until_ended(bench: Bench, run: ActiveRun, state: str = "finished") -> None:
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == state, run.info.reason


# A sound cell


@pytest.mark.parametrize(
    ("kinds", "measured"),
    [
        (("rest", "constant_current"), ConstantCurrent),
        (("rest", "constant_current", "geis"), Geis),
        (("rest", "constant_current", "geis", "peis"), Peis),
        (("rest",), None),
    ],
)
async def test_a_sound_cell_is_looked_at_and_then_tested_in_full(
    bench: Bench, kinds: tuple[str, ...], measured: type[Step] | None
) -> None:
    if "geis" in kinds:
        bench.instrument.can_measure_impedance()
    bench.instrument.able = bench.instrument.able.model_copy(update={"step_kinds": kinds})
    run = submitted(bench)
    bench.keep()
    await until_ended(bench, run)
    rest, *others = (step for step, _ in walk(bench.instrument.past[0].program.steps))
    assert isinstance(rest, Rest)
    assert [type(step) for step in others] == ([] if measured is None else [measured])
    assert outcomes(bench, run) == ["passed"]
    assert bench.states(run.number) == ["running", "finished"]
    assert of_test(bench) == [0]
    assert passed_C(bench) == pytest.approx(30.0 * CURRENT_A)
    (half_cycle,) = bench.store.reader.half_cycles(run.number)
    assert half_cycle.charge_C == pytest.approx(30.0 * CURRENT_A, rel=0.02)
    assert half_cycle.step == 0


async def test_what_looks_is_small_and_takes_less_than_two_minutes(bench: Bench) -> None:
    for kinds in (("constant_current",), ("geis",), ("geis", "peis")):
        bench.instrument.can_measure_impedance()
        able = bench.instrument.able.model_copy(
            update={"step_kinds": ("rest", *kinds), "frequency_max_Hz": 7e6}
        )
        found = contact_check.steps_for(program(driven(0, -CURRENT_A, 30.0)), able)
        assert sum(step.remaining_s for step, _ in walk(found)) < 60.0
        for step, _ in walk(found):
            match step:
                case Peis():
                    assert step.amplitude_V <= 0.01 and step.relative and not step.voltage_V
                case Geis():
                    assert step.amplitude_A <= 0.1 * CURRENT_A and not step.current_A
                case ConstantCurrent():
                    assert step.current_A == pytest.approx(-0.1 * CURRENT_A)
                    assert step.duration_s <= 5.0


async def test_a_channel_without_spectra_and_a_test_without_a_current_leave_voltage_alone(
    bench: Bench,
) -> None:
    run = submitted(bench, program(Rest(index=0, label="rest", duration_s=5.0)))
    bench.keep()
    await until_ended(bench, run)
    (outcome,) = bench.data(run.number, "check")
    assert "could not be checked" in str(outcome["findings"])


async def test_its_samples_are_kept_and_its_outcome_is_stored_before_the_test_is_commanded(
    bench: Bench,
) -> None:
    run = submitted(bench)
    bench.keep()
    await until_ended(bench, run)
    stored = bench.store.reader.samples(run.number)
    assert {int(step) for step in set(stored["step"])} == {CHECK_STEP, CHECK_STEP + 2, 0}
    assert (stored["t_s"][1:] >= stored["t_s"][:-1]).all()
    journal = bench.journal
    first, second = (place for place, call in enumerate(journal) if call == "start 0")
    told = journal.index("event check")
    assert first < told < second
    assert "committed" in journal[told:second]


async def test_decisions_and_messages_of_the_test_come_after_it(bench: Bench) -> None:
    ask = Decision(
        index=1,
        label="decide",
        criteria=(Criterion(quantity="resistance_hf", comparison="above", value=0.0),),
        then=(driven(2, CURRENT_A, 5.0),),
        otherwise=(driven(3, -CURRENT_A, 5.0),),
    )
    bench.instrument.can_measure_impedance()
    run = submitted(bench, program(Message(index=0, label="say", text="now"), ask))
    bench.keep()
    await until_ended(bench, run)
    # The spectrum of the check is none of the test's findings.
    assert of_test(bench) == [3]
    kinds = bench.kinds(run.number)
    assert kinds.index("check") < kinds.index("message") < kinds.index("decision")


async def test_who_says_no_check_gets_none_and_it_is_on_record(bench: Bench) -> None:
    run = submitted(bench)
    run.info = run.info.model_copy(update={"unchecked": "a dummy cell"})
    bench.keep()
    await until_ended(bench, run)
    assert steps(bench) == [0]
    assert bench.data(run.number, "check") == [{"outcome": "skipped", "reason": "a dummy cell"}]


async def test_a_recording_that_plays_is_not_checked(bench: Bench) -> None:
    run = submitted(bench, program(driven(0, CURRENT_A, 5.0), kind="playback"))
    bench.keep()
    await until_ended(bench, run)
    assert steps(bench) == [0]


# A cell that is not as it should be


async def test_a_clip_that_is_off_pauses_the_run_at_open_circuit_and_says_why(bench: Bench) -> None:
    bench.instrument.voltage = unclipped
    run = submitted(bench)
    bench.keep()
    await until_paused(bench, run)
    assert bench.instrument.starts() == 1
    assert of_test(bench) == []
    assert outcomes(bench, run) == ["refused"]
    (alarm,) = bench.data(run.number, "alarm")
    assert str(alarm["message"]) in run.info.reason
    assert f"sandtime resume {run.number} --anyway" in run.snapshot().waits_for
    assert not run.waits_for_person()
    assert run.verdict is None


async def test_once_it_is_mended_the_check_comes_again_and_the_test_starts(bench: Bench) -> None:
    bench.instrument.voltage = unclipped
    run = submitted(bench)
    bench.keep()
    await until_paused(bench, run)
    bench.keeper.resume(run)
    await bench.until(lambda: bench.instrument.starts() == 2)
    await until_paused(bench, run)
    assert outcomes(bench, run) == ["refused", "refused"]
    bench.instrument.voltage = ohmic
    bench.keeper.resume(run)
    await until_ended(bench, run)
    assert outcomes(bench, run) == ["refused", "refused", "passed"]
    assert passed_C(bench) == pytest.approx(30.0 * CURRENT_A)


async def test_a_person_may_start_it_all_the_same_on_record(bench: Bench) -> None:
    shorted = 1e-4
    bench.instrument.voltage = lambda step, t_s, current_A: shorted * current_A
    run = submitted(bench)
    bench.keep()
    await until_paused(bench, run)
    contact_check.require_held_back(run, "a wire on purpose")
    bench.keeper.resume(run)
    contact_check.override(run, "a wire on purpose", "ann")
    await bench.until(lambda: of_test(bench) == [0])
    await bench.recorder.commit()
    assert bench.data(run.number, "check")[1] == {
        "outcome": "overridden",
        "reason": "a wire on purpose",
        "who": "ann",
    }
    kinds = [stored.event.kind for stored in bench.store.reader.events(run.number)]
    assert kinds.count("check") == 2


async def test_what_was_not_held_back_cannot_be_overridden(bench: Bench) -> None:
    run = submitted(bench)
    with pytest.raises(NotAllowedError, match="not held back"):
        contact_check.require_held_back(run, "because")
    contact_check.require_held_back(run, "")


async def test_stop_ends_it(bench: Bench) -> None:
    bench.instrument.voltage = unclipped
    run = submitted(bench)
    bench.keep()
    await until_paused(bench, run)
    bench.keeper.release(run, "enough")
    assert run.info.state == "stopped"
    assert of_test(bench) == []


async def test_a_stop_in_the_middle_ends_the_run_at_open_circuit(bench: Bench) -> None:
    run = submitted(bench)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    bench.keeper.stop(run, "enough")
    await until_ended(bench, run, "stopped")
    assert run.open_confirmed
    assert outcomes(bench, run) == []
    assert of_test(bench) == []


async def test_a_pause_in_the_middle_leaves_the_check_to_be_made(bench: Bench) -> None:
    run = submitted(bench)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 2.0)
    bench.keeper.pause(run)
    await until_paused(bench, run)
    assert outcomes(bench, run) == []
    assert not run.course.is_held_back
    bench.keeper.resume(run)
    await until_ended(bench, run)
    assert outcomes(bench, run) == ["passed"]
    assert bench.instrument.starts() == 3


# The daemon dies


async def killed_at(bench: Bench, run: ActiveRun, t_s: float) -> ActiveRun:
    """Kill the daemon when so much is stored, let the instrument go on, and recover the run."""
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= t_s)
    await bench.rest()
    await bench.recorder.commit()
    await bench.killed()
    recovered = checked(bench, bench.recover(run.number))
    assert recovered.phase == "check"
    bench.keep()
    return recovered


@pytest.mark.parametrize("impedance", [False, True])
@pytest.mark.parametrize("t_s", [1.0, 6.0, 9.0, 11.0, 13.0])
async def test_a_check_that_the_daemon_dies_in_is_adopted_and_never_skipped(
    bench: Bench, impedance: bool, t_s: float
) -> None:
    if impedance:
        bench.instrument.can_measure_impedance()
    run = await killed_at(bench, submitted(bench), t_s)
    await until_ended(bench, run)
    assert outcomes(bench, run) == ["passed"]
    assert bench.instrument.starts() == 2
    assert passed_C(bench) == pytest.approx(30.0 * CURRENT_A)


async def test_a_bad_cell_is_held_back_by_the_next_daemon_too(bench: Bench) -> None:
    bench.instrument.voltage = unclipped
    run = await killed_at(bench, submitted(bench), 6.0)
    await until_paused(bench, run)
    assert outcomes(bench, run) == ["refused"]
    assert of_test(bench) == []


@pytest.mark.parametrize("impedance", [False, True])
async def test_what_was_fetched_and_not_stored_is_measured_again(bench: Bench, impedance: bool) -> None:
    if impedance:
        bench.instrument.can_measure_impedance()
    run = submitted(bench)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    await bench.rest()
    await bench.recorder.commit()
    segment = bench.instrument.held[0]
    bench.instrument.now_s = segment.begun_s + segment.end_s
    await bench.instrument.poll()
    await bench.killed()
    run = checked(bench, bench.recover(run.number))
    bench.keep()
    await until_ended(bench, run)
    assert outcomes(bench, run) == ["passed"]
    assert bench.instrument.starts() == 3
    assert passed_C(bench) == pytest.approx(30.0 * CURRENT_A)


async def test_a_check_that_the_channel_no_longer_holds_fails_as_any_segment(bench: Bench) -> None:
    run = submitted(bench)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    await bench.rest()
    await bench.recorder.commit()
    bench.instrument.held.clear()
    await bench.killed()
    run = checked(bench, bench.recover(run.number))
    bench.keep()
    await until_ended(bench, run, "failed")
    assert of_test(bench) == []


async def test_a_refusal_outlives_the_daemon(bench: Bench) -> None:
    bench.instrument.voltage = unclipped
    run = submitted(bench)
    bench.keep()
    await until_paused(bench, run)
    await bench.rest()
    await bench.killed()
    run = checked(bench, bench.recover(run.number))
    bench.keep()
    await until_paused(bench, run)
    assert run.course.is_held_back
    assert "--anyway" in run.snapshot().waits_for
    assert bench.instrument.starts() == 1
    bench.instrument.voltage = ohmic
    bench.keeper.resume(run)
    await until_ended(bench, run)
    assert outcomes(bench, run) == ["refused", "passed"]


async def test_a_daemon_that_dies_before_it_could_pause_a_refused_run_leaves_it_held_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.instrument.voltage = unclipped
    run = submitted(bench)
    with monkeypatch.context() as patch:
        patch.setattr(contact_check, "pause_if_refused", lambda run: bench.keeper.pause)
        patch.setattr("scheduler.keeper.segments.following", lambda run: None)
        patch.setattr(type(bench.keeper), "_conclude", _never)
        bench.keep()
        await bench.until(lambda: run.course.is_held_back)
        await bench.rest()
        await bench.recorder.commit()
    await bench.killed()
    run = checked(bench, bench.recover(run.number))
    assert run.course.is_held_back
    bench.keep()
    await until_paused(bench, run)
    assert bench.instrument.starts() == 1


async def _never(keeper: object, channel: int, run: ActiveRun) -> None:
    """Do nothing."""


async def test_a_snapshot_that_cannot_be_read_is_replayed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = submitted(bench)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 12.0)
    await bench.rest()
    bench.store.save_guards(run.number, run.progress.t_s, {"of": "another version"})
    await bench.recorder.commit()
    await bench.killed()
    run = checked(bench, bench.recover(run.number))
    assert run.phase == "check"
    bench.keep()
    await until_ended(bench, run)
    assert outcomes(bench, run) == ["passed"]


async def test_nothing_is_driven_while_the_outcome_cannot_be_stored(bench: Bench) -> None:
    run = submitted(bench)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 5.0)
    bench.store.full = True
    await bench.until(lambda: run.held)
    assert bench.instrument.starts() == 1
    assert run.open_confirmed
    bench.store.full = False
    await bench.recorder.commit()
    await until_ended(bench, run)
    assert outcomes(bench, run) == ["passed"]


async def test_a_segment_that_somebody_else_stops_is_no_pass(bench: Bench) -> None:
    run = submitted(bench)
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 3.0)
    segment = bench.instrument.held[0]
    segment.stop(bench.instrument.now_s - segment.begun_s)
    await until_ended(bench, run, "failed")
    assert outcomes(bench, run) == []
    assert of_test(bench) == []


def test_an_end_is_judged_once(bench: Bench) -> None:
    """A run without a segment has nothing to judge."""
    run = submitted(bench)
    contact_check.ended(run)
    run.end = SegmentEnd("stopped", run.progress.position())
    contact_check.ended(run)
    assert run.course.check == ""


# A cell that comes back


async def test_a_cell_is_recognised_by_what_its_last_run_has_seen(bench: Bench) -> None:
    bench.instrument.can_measure_impedance()
    first = submitted(bench)
    first.info = first.info.model_copy(update={"cell_digest": "abc"})
    bench.keep()
    await until_ended(bench, first)
    left = first.info
    assert left.seen is not None and left.seen.r_hf_ohm == pytest.approx(OHM / 10.0, rel=0.01)
    second = bench.submit(first.program)
    second.info = second.info.model_copy(update={"cell_digest": "abc"})
    checked(bench, second, [left])
    await until_ended(bench, second)
    assert f"run {first.number} left it" in str(bench.data(second.number, "check")[0])
    bench.instrument.z_scales = [5.0]
    third = bench.submit(first.program)
    third.info = third.info.model_copy(update={"cell_digest": "abc"})
    checked(bench, third, [left, second.info])
    await until_paused(bench, third)
    assert outcomes(bench, third) == ["asks"]
    assert "is this the cell" in third.info.reason
