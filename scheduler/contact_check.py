"""The check of cell and contacts before a test: its steps, and what follows from what they show.

It is a segment of its own, phase ``check``, before the program's first one: E at open circuit, then a small
spectrum, or a small pulse where the channel has none. No guard judges it and no half-cycle is made of it.
What it found is an event before the test starts, in the same transaction as the intention to start it or an
earlier one. A check that is refused pauses the run at a circuit that is confirmed open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from drivers.instrument import SegmentEnd
from guards.contact_check import judge
from protocols.capabilities import Capabilities
from protocols.check import CHECK_STEP, CheckFinding, CheckOutcome, CheckResult, SeenCell, outcome_of
from protocols.errors import NotAllowedError
from protocols.nodes import ConstantCurrent, Geis, Peis, Rest, Step
from protocols.program import Program
from protocols.tree import Nodes, walk
from scheduler.run import ActiveRun

REST_S = 10.0
SAMPLE_S = 0.5
"""Time between samples at most."""
LOWEST_HZ = 1.0
POINTS_PER_DECADE = 6
"""From 7 MHz down these are 42 points: half a minute on a real instrument."""
AMPLITUDE_V = 0.01
FRACTION = 0.1
"""Amplitude or pulse as a part of the test's first current."""
PULSE_S = 5.0
LEAST_CURRENT = 0.05
"""|I| below this part of what was set is no current."""


# Which steps


def steps_for(program: Program, able: Capabilities) -> Nodes:
    """Return the steps of a check, as far as a channel can do them."""
    rest = Rest(index=CHECK_STEP, label="check: open circuit", duration_s=REST_S)
    measured = _spectrum(program, able) or _pulse(program, able)
    return (rest,) if measured is None else (rest, measured)


def _spectrum(program: Program, able: Capabilities) -> Step | None:
    """Return a small spectrum; held at E where the channel can, since |Z| is not known yet."""
    lowest_Hz = max(LOWEST_HZ, able.frequency_min_Hz or 0.0)
    if able.frequency_max_Hz is None or able.frequency_max_Hz <= lowest_Hz:
        return None
    sweep = {
        "index": CHECK_STEP + 1,
        "label": "check: spectrum",
        "frequency_start_Hz": able.frequency_max_Hz,
        "frequency_end_Hz": lowest_Hz,
        "points_per_decade": POINTS_PER_DECADE,
    }
    if "peis" in able.step_kinds:
        return Peis.model_validate({**sweep, "amplitude_V": AMPLITUDE_V})
    amplitude_A = FRACTION * abs(_first_current_A(program))
    if "geis" not in able.step_kinds or not amplitude_A:
        return None
    return Geis.model_validate({**sweep, "amplitude_A": amplitude_A})


def _pulse(program: Program, able: Capabilities) -> Step | None:
    """Return a small pulse in the direction of the test's first current."""
    current_A = FRACTION * _first_current_A(program)
    if not current_A or "constant_current" not in able.step_kinds:
        return None
    return ConstantCurrent(
        index=CHECK_STEP + 2, label="check: pulse", duration_s=PULSE_S, current_A=current_A
    )


def _first_current_A(program: Program) -> float:
    currents = (step.current_A for step, _ in walk(program.steps) if isinstance(step, ConstantCurrent))
    return next(currents, 0.0)


def segment(run: ActiveRun) -> Program:
    """Return the segment of a check that begins now."""
    run.course.check = "due"
    run.progress.cell.begin_check()
    watch_s = min(run.program.watch_s, SAMPLE_S)
    return run.section("check").model_copy(update={"watch_s": watch_s})


# What comes first, and what follows


def before_test(run: ActiveRun) -> Nodes:
    """Return the steps of the check that comes before the run's first segment; none if it needs none."""
    if run.before_start is None or run.able is None or run.program.kind != "test":
        return ()
    if run.info.unchecked:
        if run.course.check != "skipped":
            run.course.check = "skipped"
            _tell(run, CheckOutcome(outcome="skipped", reason=run.info.unchecked))
        return ()
    run.course.checking = steps_for(run.program, run.able)
    run.progress.use(run.section("check"))
    return run.course.checking


def goes_on(run: ActiveRun) -> bool:
    """Whether the test may start after the check; if not, the check comes again."""
    return run.course.check in ("passed", "overridden")


def ended(run: ActiveRun) -> None:
    """The segment of a check is over and drained: judge it, unless it was broken off."""
    end = run.end
    if end is None or run.stop_wanted is not None or _is_lost(run, end):
        return
    if end.reason not in ("complete", "limit"):
        return
    findings = tuple(_findings(run, end.message if end.reason == "limit" else ""))
    outcome = outcome_of(findings)
    bad = [each.text for each in findings if each.result == outcome]
    run.course.check = outcome
    _tell(
        run,
        CheckOutcome(
            outcome=outcome,
            findings=findings,
            reason="; ".join(bad),
            seconds=run.progress.t_s - run.offset_s,
            charge_C=run.progress.position().charge_C,
        ),
    )
    if run.course.is_held_back:
        run.course.check_reason = _reason(run.number, outcome, bad)
        run.tell("alarm", {"message": run.course.check_reason})


def _is_lost(run: ActiveRun, end: SegmentEnd) -> bool:
    """Whether a part of a check is lost with an earlier daemon: then the check comes again."""
    cell = run.progress.cell
    lost = cell.taken_over and (end.reason == "fault" or cell.lacks(_wanted(run)))
    if lost:
        run.end = replace(end, reason="complete")
        run.tell("note", {"message": "the check is made again: a part of it was lost with the daemon"})
    return lost


def _reason(number: int, outcome: CheckResult, bad: list[str]) -> str:
    says = "asks a person" if outcome == "asks" else "refuses"
    more = f" (and {len(bad) - 1} more: sandtime why {number})" if bad[1:] else ""
    return f"the check before the start {says}: {bad[0]}{more}"


def _findings(run: ActiveRun, ended_by_limit: str) -> Iterator[CheckFinding]:
    before, cell = run.before_start, run.program.cell
    temperature_K = None if run.climate is None else run.climate.temperature_K
    if before is not None:
        yield from before.judge_station(cell, temperature_K, run.climate is not None)
    shown = run.progress.cell.shown(_wanted(run), _least_A(run), ended_by_limit)
    yield from judge(shown, cell)
    if before is not None:
        r_hf_ohm = None if shown.summary is None else shown.summary.r_hf_ohm
        from_Hz = None if shown.spectrum is None else max(shown.spectrum.frequency_Hz)
        now = SeenCell(
            unix_s=before.checks.clock.unix(),
            open_V=shown.voltage_V,
            r_hf_ohm=r_hf_ohm,
            from_Hz=from_Hz,
            temperature_K=temperature_K,
        )
        yield before.recognise(now, cell)


def _wanted(run: ActiveRun) -> str:
    """Say what was to be measured besides E."""
    steps = [step for step, _ in walk(run.course.checking)]
    if any(isinstance(step, Geis | Peis) for step in steps):
        return "spectrum"
    return "pulse" if any(isinstance(step, ConstantCurrent) for step in steps) else ""


def _least_A(run: ActiveRun) -> float:
    return LEAST_CURRENT * FRACTION * abs(_first_current_A(run.program))


def pause_if_refused(run: ActiveRun) -> None:
    """A check did not pass: the run is to pause, once its circuit is confirmed open."""
    stands = run.phase == "check" and run.end is not None and run.stop_wanted is None
    if stands and run.course.is_held_back:
        run.pause(run.course.check_reason)


# What a person says to it


def require_held_back(run: ActiveRun, anyway: str) -> None:
    """Raise NotAllowedError if a person overrides a check that was not refused."""
    if anyway and not run.course.is_held_back:
        raise NotAllowedError(
            f"run {run.number} was not held back by its check before the start: resume it without --anyway"
        )


def override(run: ActiveRun, anyway: str, who: str) -> None:
    """A person says that the test is to start all the same, and why; nothing if ``anyway`` is empty."""
    if anyway:
        run.course.check = "overridden"
        _tell(run, CheckOutcome(outcome="overridden", reason=anyway, who=who))
        run.save_progress()


def _tell(run: ActiveRun, outcome: CheckOutcome) -> None:
    run.tell("check", outcome.model_dump(mode="json", exclude_defaults=True))
