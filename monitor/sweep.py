"""One threshold over a range of values on recorded data: how late a short is found, against false alarms."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from analysis.kramers_kronig import summarize
from drivers.recordings import PlaybackInstrument, Recording
from guards.watch import Watch
from protocols.errors import SpectrumError, UsageError, nearest
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.protocol import threshold_kind
from protocols.records import Ticket
from protocols.units import parse_amount
from protocols.verdicts import Verdict
from scheduler.columns import Columns
from scheduler.judging import stream
from scheduler.progress import Progress
from scheduler.windows import is_kept

USUAL_VALUES = 10
MOST_VALUES = 1000
HEALTHY = "none"
_SWEEP = re.compile(
    r"(?P<guard>\w+)\.(?P<threshold>\w+)=(?P<first>[^:]+):(?P<last>[^:]+)(?::(?P<count>\d+))?"
)


@dataclass(frozen=True, slots=True)
class Samples:
    """DC samples as the engine follows them."""

    t_s: list[float]
    voltage_V: list[float]
    current_A: list[float]
    step: list[int]
    visit: list[int]


Item = Samples | tuple[Spectrum, SpectrumSummary]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which threshold takes which values."""

    guard: str
    threshold: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """A recording, and what is known of its cell."""

    path: Path
    events_s: tuple[float, ...] | None
    """When the cell shorted, from the recording's start; empty: never; None: unknown."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A recording, ready to be judged many times."""

    tried: Tried
    program: Program
    items: Sequence[Item]
    hours: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a guard found in one recording with one value."""

    first_s: float | None
    """Of the events that were found; where the events are unknown, of all verdicts."""
    delays_s: tuple[float, ...]
    """From each event that was found to its verdict; negative is possible against the present setting."""
    missed: int
    verdicts: int
    false_alarms: int
    healthy_hours: float


def parse_sweep(text: str) -> Asked:
    """Read ``GUARD.THRESHOLD=FROM:TO[:N]``, such as ``short_circuit.confirm_s=2 s:10 s:9``.

    Raises UsageError, QuantityError.
    """
    match = _SWEEP.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"'{text}' is no sweep. Write GUARD.THRESHOLD=FROM:TO or GUARD.THRESHOLD=FROM:TO:N, "
            "for example short_circuit.confirm_s=2s:10s:9"
        )
    count = int(match["count"] or USUAL_VALUES)
    if not 2 <= count <= MOST_VALUES:
        raise UsageError(f"a sweep has 2 to {MOST_VALUES} values, not {count}")
    kind = threshold_kind(match["threshold"])
    first, last = (parse_amount(match[end], kind).value for end in ("first", "last"))
    if first == last:
        raise UsageError(f"'{text}' begins and ends at the same value: a sweep needs two")
    return Asked(match["guard"], match["threshold"], tuple(np.linspace(first, last, count).tolist()))


def parse_data(text: str, events: Sequence[str]) -> Tried:
    """Read ``FILE`` or ``FILE@TIME``, where TIME may be ``none``; ``events`` hold for a file without one.

    Raises QuantityError.
    """
    name, at, time = text.rpartition("@")
    if not at or Path(text).exists():
        return Tried(Path(text), parse_events(events))
    return Tried(Path(name), parse_events(time.split(",")))


def parse_events(events: Sequence[str]) -> tuple[float, ...] | None:
    """Read when a cell shorted; ``none``: never; nothing at all: unknown. Raises QuantityError."""
    if not events:
        return None
    if any(event.strip() == HEALTHY for event in events):
        if len(events) > 1:
            raise UsageError(f"a cell that shorted is not healthy: leave out '{HEALTHY}' or the times")
        return ()
    return tuple(sorted(parse_amount(event, "time").value for event in events))


def prepare(tried: Tried, recording: Recording, program: Program) -> Prepared:
    """Read a recording out once, in the order of the engine."""
    items = asyncio.run(_items(recording, program))
    ends_s = [item.t_s[-1] if isinstance(item, Samples) else item[0].t_end_s for item in items]
    return Prepared(tried, program, items, max(ends_s, default=0.0) / 3600)


async def _items(recording: Recording, program: Program) -> list[Item]:
    instrument = PlaybackInstrument(recording)
    await instrument.start(0, program, Ticket(run=0, segment=0, program=program.digest()))
    found: list[Item] = []
    while True:
        poll = await instrument.poll()
        columns = Columns.of(poll.samples)
        for _, parts in stream(columns, poll.spectra):
            found += [item for part in parts if (item := _item(columns, part)) is not None]
        if poll.ended:
            return found


def _item(columns: Columns, part: slice | Spectrum) -> Item | None:
    if isinstance(part, Spectrum):
        try:
            return part, summarize(part)
        except SpectrumError:
            return None
    return Samples(
        columns.t_s[part],
        columns.voltage_V[part],
        columns.current_A[part],
        columns.step[part],
        columns.visit[part],
    )


def verdicts_in(prepared: Prepared, program: Program) -> list[Verdict]:
    """Return all verdicts of a program's guards on a recording, none of which opens a circuit.

    A verdict on a cell that is known to be healthy then is taken for a false alarm that a look cleared.
    """
    progress = Progress(program)
    progress.watch.stops = False
    found: list[Verdict] = []
    for item in prepared.items:
        if isinstance(item, Samples):
            progress.take(item.t_s, item.voltage_V, item.current_A, item.step, item.visit)
        else:
            progress.spectrum(*item)
        new = progress.take_reports()
        for verdict in new:
            if is_kept(verdict) and _is_early(verdict, prepared.tried.events_s):
                progress.watch.looked(verdict, healthy=True)
        found += new
    return found


def _is_early(verdict: Verdict, events_s: tuple[float, ...] | None) -> bool:
    """Whether the cell is known to be healthy at a verdict."""
    return events_s is not None and (not events_s or verdict.time_s < events_s[0])


def check(asked: Asked, program: Program) -> float:
    """Return the present value of the threshold that is asked for. Raises UsageError if there is none."""
    thresholds = Watch.for_program(program).thresholds
    if asked.guard not in thresholds:
        raise UsageError(
            f"no guard of this cell is called '{asked.guard}'. {nearest(asked.guard, thresholds)}"
        )
    known = thresholds[asked.guard]
    if asked.threshold not in known:
        raise UsageError(
            f"the guard {asked.guard} has no threshold '{asked.threshold}'. {nearest(asked.threshold, known)}"
        )
    return known[asked.threshold]


def outcomes(asked: Asked, prepared: Prepared) -> list[Outcome]:
    """Return what the guard finds in a recording with each of the values."""
    present_s = [
        verdict.time_s for verdict in _of_guard(asked.guard, verdicts_in(prepared, prepared.program))
    ]
    return [
        _outcome(
            prepared,
            _of_guard(asked.guard, verdicts_in(prepared, _with(asked, value, prepared.program))),
            present_s,
        )
        for value in asked.values
    ]


def _of_guard(guard: str, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return what a guard has found that stops a test or has the cell looked at."""
    return [v for v in verdicts if is_kept(v) and v.evidence.get("guard") == guard]


def _with(asked: Asked, value: float, program: Program) -> Program:
    overrides = dict(program.guards.overrides)
    overrides[asked.guard] = {**overrides.get(asked.guard, {}), asked.threshold: value}
    return program.model_copy(update={"guards": program.guards.model_copy(update={"overrides": overrides})})


def _outcome(prepared: Prepared, verdicts: Sequence[Verdict], present_s: Sequence[float]) -> Outcome:
    """Count a guard's verdicts; the times of those of the present setting stand in for unknown events."""
    times_s, events_s = [verdict.time_s for verdict in verdicts], prepared.tried.events_s
    if events_s is None:
        delays = (times_s[0] - present_s[0],) if times_s and present_s else ()
        first_s = times_s[0] if times_s else None
        return Outcome(first_s, delays, 0, len(times_s), len(times_s), prepared.hours)
    bounds = [*events_s, math.inf]
    answers = [
        next((t_s for t_s in times_s if begin_s <= t_s < end_s), None) for begin_s, end_s in pairwise(bounds)
    ]
    healthy_s = min(bounds[0], prepared.hours * 3600)
    found = [t_s for t_s in answers if t_s is not None]
    return Outcome(
        first_s=found[0] if found else None,
        delays_s=tuple(t - event for t, event in zip(answers, events_s, strict=True) if t is not None),
        missed=len(answers) - len(found),
        verdicts=len(times_s),
        false_alarms=sum(t_s < healthy_s or not events_s for t_s in times_s),
        healthy_hours=healthy_s / 3600,
    )


def rows(asked: Asked, found: Sequence[Sequence[Outcome]]) -> list[dict[str, Any]]:
    """Return a row for each value, over all recordings: ``found`` has one list of outcomes for each."""
    return [
        _row(value, list(each)) for value, each in zip(asked.values, zip(*found, strict=True), strict=True)
    ]


def _row(value: float, each: Sequence[Outcome]) -> dict[str, Any]:
    delays = [delay_s for outcome in each for delay_s in outcome.delays_s]
    alarms, hours = sum(o.false_alarms for o in each), sum(o.healthy_hours for o in each)
    return {
        "value": value,
        "first_s": next((o.first_s for o in each if o.first_s is not None), None),
        "delay_s": median(delays) if delays else None,
        "delay_max_s": max(delays, default=None),
        "missed": sum(o.missed for o in each),
        "verdicts": sum(o.verdicts for o in each),
        "false_alarms": alarms,
        "per_1000_h": 1000 * alarms / hours if hours else None,
    }
