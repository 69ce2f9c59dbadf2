"""What follows a segment: the host's part of a program, which is done between two segments.

A segment ends and its place is kept (:func:`ended`); what follows is found (:func:`following`), the host does
its part (:func:`prepare`), and the next segment starts. Nothing here waits: the keeper's one task calls it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from drivers.instrument import SegmentEnd
from protocols import tree
from protocols.decisions import asked_for, holds
from protocols.nodes import Decision, Geis, Message, Person, Repeat, Rest, Soak, Step
from protocols.position import Position
from protocols.program import Program
from protocols.records import RunState
from protocols.tree import Nodes
from protocols.verdicts import Verdict
from scheduler import alarms, contact_check, edits
from scheduler.course import Phase
from scheduler.run import ActiveRun
from scheduler.waiting import in_vain, wait_of

RESPONSE_HIGH, RESPONSE_LOW = 2.0, 0.2
"""A spectrum whose response was more than this times what was wanted, or less, is measured again."""
MAX_RETRIES = 2
LEAST_CHANGE = 0.01
"""An amplitude that would change by less than this part is not tried again."""


@dataclass(frozen=True, slots=True)
class Following:
    """What goes on by itself: what is left of a phase."""

    phase: Phase
    left: Nodes

    @property
    def wants_host(self) -> bool:
        """Whether the host is asked before the next step."""
        return not isinstance(tree.head(self.left)[0], Step)


def begin(run: ActiveRun) -> Following:
    """Return what a run starts with, or goes on with after a pause."""
    if run.ticket is None or run.end is None:
        edits.take_effect(run)
        steps = contact_check.before_test(run)
        return Following("check", steps) if steps else Following("test", run.program.steps)
    run.end = replace(run.end, reason="complete")
    edits.take_effect(run)
    return following(run) or Following("test", ())


def following(run: ActiveRun) -> Following | None:
    """Return what follows the segment that has ended, if the run goes on by itself."""
    if run.end is None or run.stop_wanted is not None:
        return None
    if run.course.trip is not None:
        return Following("look", _left(run) if run.phase == "look" else run.course.looking)
    if run.end.reason != "complete":
        return None
    if run.phase == "check":
        return _after_check(run)
    if run.phase == "afterwards" or run.verdict is not None:
        left = _left(run) if run.phase == "afterwards" else ()
        return Following("afterwards", left) if left else None
    if run.course.looks_again:
        return Following("look", run.course.looking)
    if run.phase in ("suspicion", "inserted") and (left := _left(run)):
        return Following(run.phase, left)
    if run.phase == "test" and run.course.suspicion is not None:
        if run.program.on_suspicion:
            return Following("suspicion", run.program.on_suspicion)
        if run.course.looking:
            return Following("look", run.course.looking)
    if inserted := edits.wanted_spectrum(run):
        return Following("inserted", inserted)
    left = _test_left(run)
    return Following("test", left) if tree.head(left)[0] is not None else None


def _after_check(run: ActiveRun) -> Following:
    if contact_check.goes_on(run):
        return Following("test", run.program.steps)
    return Following("check", run.course.checking)


def pause_on_suspicion(run: ActiveRun) -> None:
    """Let the run pause once its suspicion was looked into, if the program wants that."""
    suspicion, wanted = run.course.suspicion, run.program.after_suspicion == "pause"
    if suspicion is None or not wanted or run.end is None or run.end.reason != "complete":
        return
    looked = _is_looked_into(run)
    if looked and run.stop_wanted is None and run.verdict is None:
        run.course.suspicion = None
        run.pause(suspicion.message)


def _is_looked_into(run: ActiveRun) -> bool:
    if run.phase == "suspicion":
        return not _left(run)
    own = bool(run.program.on_suspicion or run.course.looking)
    return (run.phase == "look" and not run.course.looks_again) or (run.phase == "test" and not own)


def _left(run: ActiveRun) -> Nodes:
    """Return what is left of the phase."""
    return run.section(run.phase).remainder(run.progress.position()).steps


def _test_left(run: ActiveRun) -> Nodes:
    if run.phase == "check":
        return run.program.steps
    return run.program.remainder(run.test_place()).steps


# Before a segment


def prepare(run: ActiveRun, wanted: Following) -> Program | None:
    """Do the host's part and return the next segment; None if nothing is left of the phase.

    Raises NotAllowedError and BusyError if the chamber can't be had.
    """
    if wanted.phase == "suspicion":
        alarms.own_steps_begin(run)
    elif wanted.phase == "inserted":
        edits.spectrum_begins(run, wanted.left)
    elif wanted.phase == "check":
        return contact_check.segment(run)
    left = _pass_host_nodes(run, wanted.left)
    nodes = tree.leading(left)
    if not nodes:
        return None
    first = next(tree.walk(nodes))[0]
    if isinstance(first, Geis) and first.response_V is not None:
        nodes = _with_step(nodes, _with_amplitude(run, first))
    match wait_of(first):
        case Soak(target_K=target_K):
            run.demand(target_K)
        case Person(message=text) if not first.done_s:
            run.tell("message", {"text": text, "label": first.label})
    return run.section(wanted.phase).with_steps(nodes)


def _pass_host_nodes(run: ActiveRun, left: Nodes) -> Nodes:
    """Take the decisions and give the messages that come before the next step; return what is left then."""
    while True:
        # A loop that begins with a step is left whole.
        first, opened = tree.head(left)
        match first:
            case Message():
                run.tell("message", {"text": first.text, "label": first.label})
                left = tree.without_head(opened)
            case Decision():
                left = tree.decide(opened, _answer(run, first))
            case _:
                return left


def _answer(run: ActiveRun, decision: Decision) -> bool:
    findings = run.progress.findings(run.test_place())
    answer = holds(decision.criteria, findings)
    values = asked_for(decision.criteria, findings)
    run.tell("decision", {"label": decision.label, "answer": answer, "values": values})
    return answer


def _with_amplitude(run: ActiveRun, step: Geis) -> Geis:
    """Return a spectrum with the amplitude that its wanted response needs, by the last |Z|."""
    if step.response_V is None:
        return step
    wanted_A = step.response_V / run.progress.found.impedance_ohm
    return step.model_copy(update={"amplitude_A": min(wanted_A, step.amplitude_A)})


def _with_step(nodes: Nodes, step: Step) -> Nodes:
    """Return a segment of one step with another one in its place."""
    (node,) = nodes
    if isinstance(node, Repeat):
        return (node.model_copy(update={"body": _with_step(node.body, step)}),)
    return (step,)


# After a segment


def ended(run: ActiveRun, end: SegmentEnd) -> None:
    """The segment is over and drained: judge why, and keep the place."""
    misses_tail = _misses_tail(run, end)
    run.note_end(end)
    heeds = run.phase not in ("check", "afterwards") and not run.looks_after_trip
    if heeds and run.verdict is None and _hit_a_limit(run, end):
        alarms.heed(run, run.progress.tripped(end.message))
    alarms.segment_ended(run, end)
    run.end = _kept_place(run, end)
    if run.phase in ("suspicion", "look") and run.end.reason == "complete" and _is_looked_into(run):
        alarms.look_again(run)
        if _is_looked_into(run):
            alarms.looked_closer(run)
    if run.phase == "check":
        contact_check.ended(run)
    if misses_tail:
        run.gap("the segment ended while nobody watched: its last samples may be missing")
    run.save_ticket("ended")
    run.record()
    run.save_progress()


def finish(run: ActiveRun, phase: Phase) -> None:
    """Nothing of a phase is left, though no segment has just ended there."""
    run.course.place = run.test_place() if phase in ("suspicion", "inserted") else None
    if phase == "test":
        run.course.forget_interruption()
    run.phase, run.progress.section = phase, run.section(phase)
    run.progress.is_finished()
    run.note_end(SegmentEnd("complete", run.progress.position()))
    run.save_progress()


def _misses_tail(run: ActiveRun, end: SegmentEnd) -> bool:
    """Whether the segment may have had samples that an earlier daemon fetched, and nothing came after them.

    By the instrument's word on how far it was: a segment that came to its end has a sample there.
    """
    if not run.gap_possible or end.reason == "fault":
        return run.gap_possible
    left_s = [
        run.progress.section.remainder(position).duration_s()
        for position in (run.progress.position(), _place_of(run, end.position))
    ]
    unseen_s = left_s[0] - left_s[1]
    return unseen_s > (0.05 if end.reason == "complete" else 0.99) * run.program.watch_s


def _hit_a_limit(run: ActiveRun, end: SegmentEnd) -> bool:
    """Whether a limit on board ended the segment, by its word or by samples an earlier daemon fetched."""
    unseen = end.reason == "fault" and run.gap_possible
    return end.reason == "limit" or (unseen and run.progress.at_voltage_limit())


def _kept_place(run: ActiveRun, end: SegmentEnd) -> SegmentEnd:
    """Note where the run is now; return the end as it is judged: one of our own making is as good as any."""
    course, progress = run.course, run.progress
    if end.reason == "complete":
        _end_by_itself(run, end.position)
    else:
        visit = (progress.step, progress.visit)
        progress.arrive(end.position)
        if course.step_ended and (progress.step, progress.visit) == visit:
            progress.step_is_over()
    if course.step_ended:
        run.tell("step_ended", {"label": progress.label(), "why": course.step_ended})
    ours = course.interrupting and end.reason in ("stopped", "fault")
    course.step_ended = ""
    return replace(end, reason="complete" if ours else end.reason, position=progress.position())


def _end_by_itself(run: ActiveRun, position: Position) -> None:
    """Keep the place behind a segment that came to its end."""
    step = next(tree.walk(run.segment.steps))[0]
    if isinstance(step, Rest) and step.waits is not None and not run.course.step_ended:
        run.give_up(in_vain(step))
    again = _again(run, step)
    run.progress.be_at(_place_of(run, position) if again is None else again)


def _place_of(run: ActiveRun, position: Position) -> Position:
    """Return a place in the section: a segment may be finished where the section is not."""
    return tree.last_position(run.segment.steps) if position.finished else position


def _again(run: ActiveRun, step: Step) -> Position | None:
    """Return the place of a spectrum whose amplitude was wrong by much, if another one may be better."""
    if not isinstance(step, Geis) or step.response_V is None:
        return None
    response_V = step.amplitude_A * run.progress.found.impedance_ohm
    share = response_V / step.response_V
    better_A = _with_amplitude(run, _as_written(run, step)).amplitude_A
    same = abs(better_A - step.amplitude_A) < LEAST_CHANGE * step.amplitude_A
    if RESPONSE_LOW <= share <= RESPONSE_HIGH or same or run.course.retries >= MAX_RETRIES:
        run.course.retries = 0
        return None
    run.course.retries += 1
    message = (
        f"the response was {response_V * 1e3:.3g} mV where {step.response_V * 1e3:.3g} mV were wanted: the "
        f"spectrum is measured again with {better_A * 1e3:.3g} mA, not {step.amplitude_A * 1e3:.3g} mA"
    )
    run.tell("note", {"message": message})
    return tree.first_position(run.segment.steps)


def _as_written(run: ActiveRun, step: Geis) -> Geis:
    """Return a spectrum as the program has it, with the largest amplitude that may be used."""
    written = run.section(run.phase).step(step.index)
    return written if isinstance(written, Geis) else step


# How a run stands that does not go on by itself


def keeps_its_place(run: ActiveRun) -> bool:
    """Whether the run is to be paused now that its segment has ended, and not to be ended."""
    if run.end is None or not run.pausing or run.verdict is not None:
        return False
    return bool(_test_left(run)) or run.end.reason != "complete"


def judge_end(run: ActiveRun) -> tuple[RunState, str]:
    """Return the state that ends the run, and why."""
    verdict: Verdict | None = run.verdict
    if verdict is not None:
        planned = verdict.kind in run.program.ends_on
        state: RunState = "finished" if planned else "protected"
        return run.info.outcome or state, verdict.message
    if run.info.outcome is not None:
        return run.info.outcome, run.stop_wanted or run.info.reason
    if run.stop_wanted is not None and not run.pausing:
        return "stopped", run.stop_wanted
    if run.end is None or run.end.reason == "complete":
        return "finished", "all steps done"
    return "failed", run.end.message or "the segment ended before its end for an unknown reason"
