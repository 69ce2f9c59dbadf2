"""What follows when guards find something: open first, then look, then end the test or go on with it.

A verdict that stops and may be a false alarm is a *trip*: it opens the circuit as any other does, and is
final only when the cell was looked at and found as bad. A *suspicion* interrupts the test for a look. Both
stand in the run's course, saved before they are acted on; nothing here waits or commands.
"""

from __future__ import annotations

from drivers.instrument import SegmentEnd
from guards.look import Seen
from protocols import tree
from protocols.nodes import ConstantCurrent, Geis, Step, set_current_A
from protocols.verdicts import Verdict
from scheduler import edits, looking
from scheduler.run import ActiveRun

SUSPECT_TIER = 2
"""Tier of a verdict that asks for a closer look."""


def heed(run: ActiveRun, verdict: Verdict | None) -> None:
    """Note what the guards found; the first verdict that stops decides. Note what the host ends."""
    reports = run.progress.take_reports()
    if verdict is not None and verdict.kind == "short_circuit":
        # What stops is no mere suspicion any more.
        reports = [report for report in reports if report.kind != "soft_short"]
    run.reports += reports
    if verdict is not None:
        _heed_stop(run, verdict)
    for report in reports:
        suspect(run, report)
    if run.progress.step_ended:
        run.end_step(run.progress.step_ended)


def _heed_stop(run: ActiveRun, verdict: Verdict) -> None:
    if run.course.trip is not None:
        # More trouble before the circuit was open: that is no false alarm.
        run.reports.append(verdict)
        run.confirm(run.course.trip)
    elif run.verdict is None and not trips(run, verdict):
        run.confirm(verdict)


def trips(run: ActiveRun, verdict: Verdict) -> bool:
    """Let a verdict open the circuit and be looked at before it is final; return False if it is final."""
    # Whoever else wants the circuit open gets it, and nothing goes on by itself.
    if run.phase != "test" or run.stop_wanted is not None or not looking.is_trip(run.program, verdict):
        return False
    if not run.course.trips(verdict, run.progress.half_cycle_at(verdict.time_s)):
        return False
    run.stop_wanted = verdict.message
    run.tell("trip", verdict.model_dump(mode="json"))
    return True


def suspect(run: ActiveRun, verdict: Verdict) -> None:
    """Look closer, once for a kind of verdict and half-cycle."""
    if verdict.tier == SUSPECT_TIER and run.phase == "test" and run.end is None:
        run.course.suspect(verdict, run.progress.half_cycle_at(verdict.time_s))


def is_interrupted(run: ActiveRun) -> bool:
    """Whether the segment that runs is to be stopped, to go on from there."""
    suspects = run.phase == "test" and run.course.suspicion is not None and _looks_closer(run)
    return suspects or bool(run.course.step_ended) or edits.is_due(run)


def _looks_closer(run: ActiveRun) -> bool:
    """Whether a suspicion interrupts the test: by the program's wish, or for a look of the engine's own."""
    program = run.program
    wanted = bool(program.on_suspicion) or program.after_suspicion == "pause"
    return wanted or (program.kind == "test" and run.able is not None and looking.has_impedance(run.able))


# Before a look


def is_due(run: ActiveRun) -> bool:
    """Whether the cell is to be looked at as soon as the circuit is confirmed open."""
    return run.course.trip is not None and run.phase == "test" and run.end is not None


def begin(run: ActiveRun) -> None:
    """The circuit is open: prepare the look that a trip needs, or let it be final if nothing can look."""
    trip = run.course.trip
    if trip is None or run.able is None:
        return
    steps = looking.after_trip(run.program, trip, run.able)
    if not steps:
        _not_looked(run, trip, "nothing of this channel can look at the cell")
        return
    if trip.kind != "short_circuit":
        # It ends here, whatever the look says: a reverse pulse is no part of it.
        run.close_half_cycle(complete=False)
    _will_look(run, trip, steps, looking.how(steps))
    run.change("stopping", looking.LOOKING)
    run.stop_wanted = None


def look_closer(run: ActiveRun) -> None:
    """The test was interrupted: prepare the engine's own look, where the program has no steps for it."""
    suspicion, able = run.course.suspicion, run.able
    interrupted = run.phase == "test" and run.end is not None and run.end.reason == "complete"
    if suspicion is None or run.verdict is not None or not interrupted or run.course.looking:
        return
    step = _step_left(run)
    if step is None or able is None or run.program.on_suspicion or run.program.kind != "test":
        return
    steps = looking.on_suspicion(run.program, suspicion, step, able)
    under = looking.is_under_current(steps)
    if steps:
        _will_look(run, suspicion, steps, looking.how(steps) if under else looking.LESS_SENSITIVE)


def own_steps_begin(run: ActiveRun) -> None:
    """The steps that the program itself has for a suspicion come next: say what they are worth."""
    if run.phase == "test" and run.course.suspicion is not None:
        _tell_look(run, run.course.suspicion, looking.LESS_SENSITIVE)


def _step_left(run: ActiveRun) -> Step | None:
    """Return what is left of the step that was interrupted; None if it was over."""
    place = run.test_place()
    head = tree.head(run.program.remainder(place).steps)[0]
    return head if isinstance(head, Step) and head.index == place.step else None


def _will_look(run: ActiveRun, verdict: Verdict, steps: tree.Nodes, how: str) -> None:
    run.course.looking = steps
    run.progress.use(run.section("look"))
    _tell_look(run, verdict, how)


def _tell_look(run: ActiveRun, verdict: Verdict, how: str) -> None:
    run.tell("look", {"because": verdict.kind, "tier": verdict.tier, "how": how})


# After a segment


def segment_ended(run: ActiveRun, end: SegmentEnd) -> None:
    """The segment is over and drained: judge what a look has shown."""
    trip = run.course.trip
    if trip is not None:
        _judge_trip(run, trip, end)
    elif run.phase in ("look", "inserted"):
        _count_charge(run, broken=end.reason != "complete")


def look_again(run: ActiveRun) -> None:
    """A look under current could compare its spectrum with nothing: look at open circuit, if that can."""
    course, suspicion, able = run.course, run.course.suspicion, run.able
    wanted = run.phase == "look" and run.verdict is None and looking.is_under_current(course.looking)
    if not wanted or suspicion is None or able is None or _is_decided(run):
        return
    step = _step_left(run)
    if step is not None and run.progress.references.known(driven=False):
        _will_look(run, suspicion, looking.at_rest(run.program, step, able), looking.LESS_SENSITIVE)
        course.looks_again = True


def looked_closer(run: ActiveRun) -> None:
    """A suspicion was looked into: if there was something to compare with, the cell was found healthy."""
    if run.course.suspicion is not None and run.verdict is None and _is_decided(run):
        run.progress.watch.looked(run.course.suspicion, True)


def _is_decided(run: ActiveRun) -> bool:
    suspicion = run.course.suspicion
    return suspicion is not None and run.progress.compared_s >= suspicion.time_s


def _judge_trip(run: ActiveRun, trip: Verdict, end: SegmentEnd) -> None:
    if run.phase != "look":
        if end.reason == "fault":
            _not_looked(run, trip, end.message or "nobody knows what became of the cell")
        elif end.reason == "limit" and trip.kind == "short_circuit":
            _not_looked(run, trip, "a limit on board fired before the circuit was open")
        return
    if run.pausing and end.reason in ("stopped", "fault"):
        # It is looked at when the run goes on.
        return
    if end.reason not in ("complete", "limit"):
        _not_looked(run, trip, f"the look was cut short: {end.message or end.reason}")
        return
    verdict = looking.judged(run.program, trip, _seen(run))
    if verdict.false_alarm:
        _count_charge(run, broken=False)
        _clear(run, trip, verdict)
    else:
        run.progress.watch.looked(trip, False)
        run.confirm(verdict)


def _seen(run: ActiveRun) -> Seen:
    """Return what the look has shown that ran last."""
    progress, step = run.progress, run.progress.current_step
    open_V = progress.position().reference_V or 0.0
    if isinstance(step, ConstantCurrent):
        r_ohm = looking.pulse_ohm(step, progress.voltage_V, open_V, progress.current_A)
        return Seen(progress.t_s, open_V, None, r_ohm, progress.current_A)
    r_hf_ohm, r_ohm = progress.found.resistances_since(run.offset_s)
    amplitude_A = step.amplitude_A if isinstance(step, Geis) else 0.0
    return Seen(progress.t_s, open_V, r_hf_ohm, r_ohm, amplitude_A)


def _not_looked(run: ActiveRun, trip: Verdict, why: str) -> None:
    run.confirm(trip.model_copy(update={"look": {"found": f"not looked at: {why}"}}))


def _clear(run: ActiveRun, trip: Verdict, verdict: Verdict) -> None:
    """A trip was a false alarm: the test goes on."""
    looked_at = (trip, run.course.suspicion)
    run.course.trip, run.course.suspicion = None, None
    for because in looked_at:
        if because is not None:
            run.progress.watch.looked(because, True)
    run.reports.append(verdict)


def _count_charge(run: ActiveRun, broken: bool) -> None:
    """What a look has passed of its step's charge is never passed again."""
    place, step = run.course.place, run.progress.current_step
    if place is None or step is None:
        return
    passed_C = run.progress.position().charge_C
    if broken and run.opened_s is not None:
        # A sweep that was broken off leaves no spectrum to tell.
        passed_C = passed_C or set_current_A(step) * (run.opened_s - run.offset_s)
    run.course.passed(passed_C, set_current_A(run.program.step(place.step)))
