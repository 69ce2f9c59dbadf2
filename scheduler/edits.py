"""Edits of a run while it goes on: when each takes effect, and what the run does then.

What a person asked for stands in the run's ``info``, durable before anything is done about it. An edit of the
program takes effect at the next half-cycle: the segment that runs is interrupted there, and the remainder of
the new program is the next one. Nothing here waits or commands.
"""

from __future__ import annotations

from guards.watch import Watch
from protocols import tree
from protocols.capabilities import Capabilities
from protocols.editing import changes, edited_late
from protocols.edits import PendingEdit, ProgramEdit, Skip, SpectrumNow
from protocols.nodes import ConstantCurrent, ConstantVoltage, Rest, Step, set_current_A
from protocols.program import Program
from protocols.tree import Nodes
from scheduler.looking import first_inserted, inserted_steps
from scheduler.progress import Progress
from scheduler.run import ActiveRun


def running_step(run: ActiveRun) -> tuple[Step, int] | None:
    """Return the step that runs or comes next and its visit; None where the host decides first."""
    head, left = tree.head(run.program.remainder(run.test_place()).steps)
    if not isinstance(head, Step):
        return None
    return head, run.program.visit(tree.first_position(tree.leading(left)))


# While a segment runs


def is_due(run: ActiveRun) -> bool:
    """Whether the segment that runs is to be interrupted, because an edit takes effect now."""
    if run.phase != "test" or run.end is not None or not run.info.edits:
        return False
    found = running_step(run)
    # Not in the middle of a spectrum or a sweep, and no wait begins anew.
    bears_it = found is not None and _bears_interruption(found[0]) and found[0].index == run.progress.step
    return bears_it and any(_is_due(run.progress, pending) for pending in run.info.edits)


def _bears_interruption(step: Step) -> bool:
    if isinstance(step, Rest):
        return not step.host_ends
    return isinstance(step, ConstantCurrent | ConstantVoltage)


def _is_due(progress: Progress, pending: PendingEdit) -> bool:
    match pending.edit:
        case Skip():
            # The host ends that step: see heed.
            return False
        case SpectrumNow():
            return True
        case _:
            return isinstance(progress.current_step, Rest) or _is_behind(progress, pending)


def _is_behind(progress: Progress, pending: PendingEdit) -> bool:
    """Whether the half-cycle in which an edit was asked for is over; without half-cycles, the step."""
    if progress.meter.began_s is None:
        return (progress.step, progress.visit) != (pending.step, pending.visit)
    return progress.meter.number > pending.half_cycle


def heed(run: ActiveRun) -> None:
    """Let the host end the step that is to be skipped, while it runs."""
    if run.phase != "test" or run.end is not None or run.course.step_ended:
        return
    for pending in run.info.edits:
        if isinstance(pending.edit, Skip):
            found = running_step(run)
            if found is not None and (found[0].index, found[1]) == (pending.edit.step, pending.edit.visit):
                run.end_step(f"skipped by {pending.who}")


# Between two segments


def take_effect(run: ActiveRun) -> None:
    """Let the edits hold that were asked for, now that the run is between two segments of its test."""
    over = run.verdict is not None or run.phase == "afterwards" or run.course.trip is not None
    stays = run.stop_wanted is not None or (run.end is not None and run.end.reason != "complete")
    waiting = tuple(pending for pending in run.info.edits if not isinstance(pending.edit, SpectrumNow))
    if over or stays or not waiting or run.able is None:
        return
    skips = [pending for pending in waiting if isinstance(pending.edit, Skip)]
    for pending in skips:
        _skip(run, pending)
    _change_program(run, tuple(pending for pending in waiting if pending not in skips), run.able)
    run.amend(tuple(pending for pending in run.info.edits if pending not in waiting))


def _change_program(run: ActiveRun, waiting: tuple[PendingEdit, ...], able: Capabilities) -> None:
    edits = [pending.edit for pending in waiting if isinstance(pending.edit, ProgramEdit)]
    if not edits:
        return
    before = run.program
    after = edited_late(before, run.test_place(), edits, able)
    follow(run, after)
    run.amend(run.info.edits, after)
    told: dict[str, object] = {
        "who": ", ".join(dict.fromkeys(pending.who for pending in waiting)),
        "edits": [edit.model_dump(mode="json") for edit in edits],
        "changes": changes(before, after),
        "from": before.digest(),
        "to": after.digest(),
    }
    run.tell("edited", told)


def follow(run: ActiveRun, program: Program) -> None:
    """Go on with another version of the program: guards, half-cycle and counters go on as they are."""
    progress = run.progress
    run.reports += progress.take_reports()
    watch = Watch.for_program(program)
    watch.restore(progress.watch.state())
    watch.stops = progress.watch.stops
    run.program = progress.program = program
    progress.watch = watch
    progress.found.follow(program)
    progress.use(program)
    run.follow_phase()


def _skip(run: ActiveRun, pending: PendingEdit) -> None:
    """Put the place behind a step, if the run is still in it. What passed in it is no whole half-cycle."""
    edit, place = pending.edit, run.test_place()
    if not isinstance(edit, Skip):
        return
    if (place.step, run.program.visit(place)) != (edit.step, edit.visit) or place.finished:
        run.tell("note", {"message": "the step that was to be skipped was over before"})
        return
    step, behind = run.program.step(place.step), place.model_copy(update={"over": True})
    following = tree.head(run.program.remainder(behind).steps)[0]
    same_way = isinstance(following, Step) and set_current_A(following) * set_current_A(step) > 0
    if run.course.place is not None:
        run.course.place = behind
    else:
        run.progress.step_is_over()
    if set_current_A(step) and not same_way:
        run.close_half_cycle(complete=False)
    run.tell("edited", {"who": pending.who, "changes": [f"{step.label}: what was left of it is skipped"]})


# A spectrum that a person asked for


def wanted_spectrum(run: ActiveRun) -> Nodes:
    """Return the steps of the spectrum that comes next before the test goes on; none if there is none."""
    pending = _next_spectrum(run)
    if pending is None or not isinstance(pending.edit, SpectrumNow):
        return ()
    place = run.test_place()
    head = tree.head(run.program.remainder(place).steps)[0]
    in_step = head if isinstance(head, Step) and head.index == place.step else None
    return inserted_steps(run.program, pending.edit, in_step, run.course.inserted)


def spectrum_begins(run: ActiveRun, steps: Nodes) -> None:
    """The steps come next: they stand in the run's course from here on, and are no longer pending."""
    pending = _next_spectrum(run)
    first = next(step.index for step, _ in tree.walk(steps))
    if pending is None or first != first_inserted(run.program, run.course.inserted):
        return
    run.course.looking, run.course.inserted = steps, run.course.inserted + 1
    run.progress.use(run.section("inserted"))
    run.amend(tuple(other for other in run.info.edits if other is not pending))
    spectra = [step for step, _ in tree.walk(steps) if not isinstance(step, Rest)]
    under = any(set_current_A(step) for step in spectra)
    how = "under the current that runs" if under else "at open circuit"
    run.tell("inserted", {"who": pending.who, "how": how, "edit": pending.edit.model_dump(mode="json")})


def _next_spectrum(run: ActiveRun) -> PendingEdit | None:
    return next((pending for pending in run.info.edits if isinstance(pending.edit, SpectrumNow)), None)
