"""What a new daemon makes of the runs that an earlier one left: it looks before it touches anything.

A run's state follows from what is stored: the last snapshot of its guards, and the samples and spectra
after it, told to the guards again in order.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.instrument import SegmentEnd
from protocols.check import is_check
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.position import Position
from protocols.program import Program
from protocols.records import Event, RunInfo
from protocols.verdicts import Verdict
from scheduler.alarms import heed
from scheduler.clock import Clock, Stamp
from scheduler.clock_watch import STEP_S
from scheduler.course import Course, Phase, course_of
from scheduler.edits import follow
from scheduler.looking import LOOKING, first_index, first_inserted
from scheduler.recorder import Recorder
from scheduler.run import PAUSED, ActiveRun
from storage.reader import Reader
from storage.store import Store

log = logging.getLogger(__name__)

REPLAYED_COLUMNS = ("t_s", "voltage_V", "current_A", "step", "visit")


@dataclass(frozen=True, slots=True)
class _Temperature:
    """A temperature that the guards were told of; ``samples_at_t``: after so many samples of that time."""

    t_s: float
    temperature_K: float
    samples_at_t: int

    @classmethod
    def of(cls, event: Event) -> _Temperature:
        return cls(
            event.t_s or 0.0, float(str(event.data["temperature_K"])), int(str(event.data["samples_at_t"]))
        )


_Columns = dict[str, NDArray[Any]]
_Between = tuple[Spectrum, SpectrumSummary] | _Temperature | Program
"""What comes between samples; a program: that of the run from here on."""


def rebuild(info: RunInfo, store: Store, recorder: Recorder, clock: Clock, reader: Reader) -> ActiveRun:
    """Return a run as it was at its last commit, as ``reader`` has it. Commands nothing.

    A verdict that its stored samples already hold, but that the earlier daemon could not store, is found
    again here; the keeper then opens the circuit when it has taken the run over.
    """
    run = restore(info, store, recorder, clock, reader)
    run.catch_up()
    return run


def restore(info: RunInfo, store: Store, recorder: Recorder, clock: Clock, reader: Reader) -> ActiveRun:
    """Return a run as it was at the last snapshot of its guards; :meth:`ActiveRun.catch_up` does the rest.

    To tell the guards of a thousand runs what came since takes many seconds, in which every instrument can
    be looked at and every circuit be opened.
    """
    info = info.model_copy(update={"samples": reader.count(info.run)})
    run = ActiveRun(info, reader.program(info.run), store, recorder, clock)
    last = reader.last_ticket(info.run)
    if last is None:
        run.stop_wanted = _why_stop(run)
        return run
    run.resume_segment(last, _phase_of(run, last.program))
    saved = reader.guards(run.number)
    since = 0.0 if saved is None else _restore(run, reader, *saved)
    verdicts = reader.verdicts(info.run)
    run.verdict = next((verdict for verdict in verdicts if verdict.stops), None)
    if run.verdict is not None:
        run.course.trip = None
    _want_stop(run)
    missed = list(_since(run, reader, since))
    known = reader.last_half_cycle(info.run)
    run.behind = functools.partial(_catch_up, run, missed, verdicts, known)
    run.expect_gap("samples that were fetched but not yet stored when the daemon died")
    _tell_clock_step(run, saved, clock)
    return run


def _catch_up(
    run: ActiveRun, missed: Sequence[_Columns | _Between], verdicts: Sequence[Verdict], half_cycle: int
) -> None:
    """Tell the guards what came after their snapshot, and act on what they find.

    ``half_cycle``: number of the last one that is stored. What people have asked for meanwhile stands.
    """
    asked = run.stop_wanted, run.pausing
    if not run.wanted_by_person:
        run.stop_wanted, run.pausing = None, False
    verdict = _tell_again(run, missed)
    run.progress.closed = [cycle for cycle in run.progress.closed if cycle.number > half_cycle]
    _take_verdicts(run, verdicts, verdict)
    _want_stop(run)
    if run.stop_wanted is None:
        run.stop_wanted, run.pausing = asked


def _want_stop(run: ActiveRun) -> None:
    """Want the circuit open if that was wanted before, or if something was found."""
    came_to_its_end = run.end is not None and run.end.reason == "complete"
    if run.phase != "afterwards" and not came_to_its_end and not run.wanted_by_person:
        run.stop_wanted = _why_stop(run)
    if run.info.state in ("paused", "waiting") and run.end is not None:
        run.stop_wanted = PAUSED
    run.pausing = run.stop_wanted == PAUSED


def _tell_clock_step(run: ActiveRun, saved: tuple[float, dict[str, object]] | None, clock: Clock) -> None:
    """Note that UTC was set while no daemon watched it, as far as that can be told."""
    last = None if saved is None else Stamp.of(saved[1].get("saved"))
    step_s = None if last is None else last.step_s(clock.stamp())
    if step_s is not None and abs(step_s) >= STEP_S:
        run.tell("clock_step", {"step_s": step_s, "between_daemons": True})


def _phase_of(run: ActiveRun, segment: Program) -> Phase:
    """Return the phase whose steps a segment holds: each step has its own number."""
    step = next((step.index for step, _ in segment.walk()), None)
    if step is not None and is_check(step):
        return "check"
    if step is not None and step >= first_inserted(run.program, 0):
        return "inserted"
    if step is not None and step >= first_index(run.program):
        return "look"
    phases: tuple[Phase, ...] = ("suspicion", "afterwards")
    for phase in phases:
        if any(leaf.index == step for leaf, _ in run.section(phase).walk()):
            return phase
    return "test"


def _take_verdicts(run: ActiveRun, stored: Sequence[Verdict], replayed: Verdict | None) -> None:
    """The first stored verdict that stops decides, else the replayed one; only new ones are handed over."""
    known = {(verdict.kind, verdict.time_s) for verdict in stored}
    is_new = replayed is not None and (replayed.kind, replayed.time_s) not in known
    heed(run, replayed if is_new else None)
    run.reports = [found for found in run.reports if (found.kind, found.time_s) not in known]


def _why_stop(run: ActiveRun) -> str | None:
    because = run.verdict or (None if run.phase == "look" else run.course.trip)
    if because is not None:
        return because.message
    return run.info.reason if run.info.state == "stopping" and run.info.reason != LOOKING else None


def _tell_again(run: ActiveRun, missed: Sequence[_Columns | _Between]) -> Verdict | None:
    """Tell the guards what came after their last snapshot; return the verdict that stops, if any."""
    verdict: Verdict | None = None
    for item in missed:
        if isinstance(item, dict):
            found = run.progress.take(*(item[name].tolist() for name in REPLAYED_COLUMNS))[2]
        elif isinstance(item, Program):
            follow(run, item)
            continue
        elif isinstance(item, _Temperature):
            found = run.progress.temperature(item.t_s, item.temperature_K)
        else:
            found = run.progress.spectrum(*item)
        verdict = verdict or found
    return verdict


def _restore(run: ActiveRun, reader: Reader, t_s: float, state: dict[str, object]) -> float:
    """Take over a snapshot; return its run time, or 0 if another version wrote it: then all is replayed."""
    try:
        run.course = course_of(state["course"])
        run.follow_phase()
        run.progress.restore(state)
        run.end = _saved_end(state)
    except (KeyError, TypeError, ValueError):
        log.warning("run %d: its guards' saved state can't be read; its samples are replayed", run.number)
        _begin_anew(run, reader)
        return 0.0
    run.clock.ended = Stamp.of(state.get("end"))
    return t_s


def _begin_anew(run: ActiveRun, reader: Reader) -> None:
    """Forget what was saved of the guards: all that was measured is told again, beginning with the program
    that the run had at first."""
    segments = [(stored.program, _phase_of(run, stored.program)) for stored in reader.tickets(run.number)]
    own = [program for program, phase in segments if phase in ("check", "look", "inserted")]
    begun = {next(program.walk())[0].index for program, phase in segments if phase == "inserted"}
    run.course = Course(looking=run.course.looking, checking=run.course.checking, inserted=len(begun))
    run.program = reader.programs(run.number)[0][1]
    run.forget_progress()
    # Steps of the engine's own stand nowhere but in the segments that they were.
    for program in own:
        run.progress.use(program)
    run.follow_phase()


def _saved_end(state: dict[str, object]) -> SegmentEnd | None:
    """Return how the last segment ended, if it had ended and was drained when the state was saved."""
    end = state.get("end")
    if not isinstance(end, dict):
        return None
    return SegmentEnd(end["reason"], Position.model_validate(end["position"]), end["message"])


def _since(run: ActiveRun, reader: Reader, since: float) -> Iterator[_Columns | _Between]:
    """Yield what is stored after a snapshot, in the order in which it was measured and told."""
    columns = reader.samples(run.number, t0=since, columns=REPLAYED_COLUMNS)
    told = run.progress.samples_at_t
    for place, item in _between(run, reader, since, columns["t_s"]):
        if place > told:
            yield {name: values[told:place] for name, values in columns.items()}
            told = place
        yield item
    if len(columns["t_s"]) > told:
        yield {name: values[told:] for name, values in columns.items()}


def _between(
    run: ActiveRun, reader: Reader, since: float, t_s: NDArray[np.float64]
) -> Iterator[tuple[int, _Between]]:
    """Yield what came between samples, in order, each with the number of samples before it."""
    found: list[tuple[int, float, bool, _Between]] = []
    for spectrum, summary in reader.spectra_after(run.number, since):
        place = int(np.searchsorted(t_s, spectrum.t_start_s, side="right"))
        found.append((place, spectrum.t_end_s, False, (spectrum, summary)))
    for stored in reader.events_of(run.number, "temperature")[run.progress.temperatures :]:
        temperature = _Temperature.of(stored.event)
        place = int(np.searchsorted(t_s, temperature.t_s, side="left")) + temperature.samples_at_t
        found.append((place, temperature.t_s, True, temperature))
    for since_s, program in reader.programs(run.number)[1:]:
        if since_s > since:
            found.append((int(np.searchsorted(t_s, since_s, side="right")), since_s, False, program))
    # One that came in during a sweep was told before the spectrum, which came whole at its end.
    for place, _, _, item in sorted(found, key=lambda each: each[:3]):
        yield place, item
