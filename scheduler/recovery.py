"""What a new daemon makes of the runs that an earlier one left: it looks before it touches anything.

A run's state follows from what is stored: the last snapshot of its guards, and the samples and spectra
after it, told to the guards again in order.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np

from drivers.instrument import SegmentEnd
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.position import Position
from protocols.program import Program
from protocols.records import RunInfo
from protocols.verdicts import Verdict
from scheduler.clock import Clock
from scheduler.course import course_of
from scheduler.recorder import Recorder
from scheduler.run import PAUSED, ActiveRun, Phase
from storage.reader import Reader
from storage.store import Store

log = logging.getLogger(__name__)

REPLAYED_COLUMNS = ("t_s", "voltage_V", "current_A", "step", "visit")


def rebuild(info: RunInfo, store: Store, recorder: Recorder, clock: Clock) -> ActiveRun:
    """Return a run as it was at its last commit. Commands nothing.

    A verdict that its stored samples already hold, but that the earlier daemon could not store, is found
    again here; the keeper then opens the circuit when it has taken the run over.
    """
    reader = store.reader
    info = info.model_copy(update={"samples": reader.count(info.run)})
    run = ActiveRun(info, reader.program(info.run), store, recorder, clock)
    tickets = reader.tickets(info.run)
    if not tickets:
        run.stop_wanted = _why_stop(info, None)
        return run
    last = tickets[-1]
    run.resume_segment(last, _phase_of(run, last.program))
    known = {half_cycle.number for half_cycle in reader.half_cycles(info.run)}
    verdict = _replay(run, reader)
    run.progress.closed = [cycle for cycle in run.progress.closed if cycle.number not in known]
    _take_verdicts(run, reader.verdicts(info.run), verdict)
    came_to_its_end = run.end is not None and run.end.reason == "complete"
    if run.phase != "afterwards" and not came_to_its_end:
        run.stop_wanted = _why_stop(info, run.verdict)
    if info.state in ("paused", "waiting") and run.end is not None:
        run.stop_wanted = PAUSED
    run.pausing = run.stop_wanted == PAUSED
    run.expect_gap("samples that were fetched but not yet stored when the daemon died")
    return run


def _phase_of(run: ActiveRun, segment: Program) -> Phase:
    """Return the phase whose steps a segment holds: each step has its own number."""
    step = next((step.index for step, _ in segment.walk()), None)
    phases: tuple[Phase, ...] = ("suspicion", "afterwards")
    for phase in phases:
        if any(leaf.index == step for leaf, _ in run.section(phase).walk()):
            return phase
    return "test"


def _take_verdicts(run: ActiveRun, stored: list[Verdict], replayed: Verdict | None) -> None:
    """The first stored verdict that stops decides, else the replayed one; only new ones are handed over."""
    found = [*([replayed] if replayed else []), *run.progress.take_reports()]
    known = {(verdict.kind, verdict.time_s) for verdict in stored}
    run.reports = [verdict for verdict in found if (verdict.kind, verdict.time_s) not in known]
    run.verdict = next((verdict for verdict in stored if verdict.stops), replayed)
    for verdict in run.reports:
        run.suspect(verdict)
    if run.progress.step_ended:
        run.end_step(run.progress.step_ended)


def _why_stop(info: RunInfo, verdict: Verdict | None) -> str | None:
    if verdict is not None:
        return verdict.message
    return info.reason if info.state == "stopping" else None


def _replay(run: ActiveRun, reader: Reader) -> Verdict | None:
    """Tell the guards again what came after their last snapshot; return the verdict that stops, if any."""
    saved = reader.guards(run.number)
    since = 0.0
    if saved is not None:
        since = _restore(run, *saved)
    verdict: Verdict | None = None
    for item in _since(run, reader, since):
        if isinstance(item, dict):
            found = run.progress.take(*(item[name].tolist() for name in REPLAYED_COLUMNS))[2]
        else:
            found = run.progress.spectrum(*item)
        verdict = verdict or found
    return verdict


def _restore(run: ActiveRun, t_s: float, state: dict[str, object]) -> float:
    """Take over a snapshot; return its run time, or 0 if another version wrote it: then all is replayed."""
    try:
        run.progress.restore(state)
        run.course = course_of(state["course"])
        run.end = _saved_end(state)
    except (KeyError, TypeError, ValueError):
        log.warning("run %d: its guards' saved state can't be read; its samples are replayed", run.number)
        run.forget_progress()
        run.progress.section = run.section(run.phase)
        return 0.0
    end = state.get("end")
    run.ended_unix_s = float(end["unix_s"]) if isinstance(end, dict) and end.get("unix_s") else None
    return t_s


def _saved_end(state: dict[str, object]) -> SegmentEnd | None:
    """Return how the last segment ended, if it had ended and was drained when the state was saved."""
    end = state.get("end")
    if not isinstance(end, dict):
        return None
    return SegmentEnd(end["reason"], Position.model_validate(end["position"]), end["message"])


def _since(
    run: ActiveRun, reader: Reader, since: float
) -> Iterator[dict[str, np.ndarray] | tuple[Spectrum, SpectrumSummary]]:
    """Yield stored samples and spectra after a snapshot, in the order in which they were measured."""
    columns = reader.samples(run.number, t0=since, columns=REPLAYED_COLUMNS)
    seen = run.progress.samples_at_t
    rest = {name: values[seen:] for name, values in columns.items()}
    for spectrum, summary in reader.spectra(run.number):
        if spectrum.t_end_s <= since:
            continue
        split = int(np.searchsorted(rest["t_s"], spectrum.t_start_s, side="right"))
        if split:
            yield {name: values[:split] for name, values in rest.items()}
        yield spectrum, summary
        rest = {name: values[split:] for name, values in rest.items()}
    if len(rest["t_s"]):
        yield rest
