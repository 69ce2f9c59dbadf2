"""When the runs of a queue will start and end: the queue is played through on a copy. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from scheduler.queue import Entry, LabQueue


@dataclass(frozen=True, slots=True)
class Expected:
    """Where and when a run is expected to start, and to end at most."""

    station: str
    start_unix_s: float
    end_unix_s: float | None
    """None: nobody knows, as of a run that is paused."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known besides the queue."""

    now_unix_s: float
    left_s: Mapping[int, float | None]
    """Run that has a station → time until its end, at most; None: nobody knows."""
    shut: Mapping[str, float | None]
    """Station on which nothing starts → when that is over; None: nobody knows."""
    away: Collection[str] = ()
    """Stations whose instrument does not answer."""
    pace: Mapping[str, float] = field(default_factory=dict)
    """Station → how much faster than ours its clock runs; 1 if it is not named."""

    def shut_at(self, unix_s: float) -> set[str]:
        """Return the stations on which nothing starts at a time."""
        return {name for name, until in self.shut.items() if until is None or unix_s < until}


def forecast(queue: LabQueue, outlook: Outlook) -> dict[int, Expected]:
    """Return what is expected of each run, if each takes its longest time and ends well.

    A run that is not named starts at no time that is known: a person has to do something before.
    """
    queue, now = queue.copy(), outlook.now_unix_s
    entries = dict(queue.waiting)
    found: dict[int, Expected] = {}
    ends: list[tuple[float, int]] = []
    for station, occupant in queue.occupants.items():
        left_s = None if occupant.held else outlook.left_s.get(occupant.run)
        if left_s is not None:
            heapq.heappush(ends, (now + left_s, occupant.run))
        if not occupant.held:
            found[occupant.run] = Expected(station, now, None if left_s is None else now + left_s)
    moment: float | None = now
    while moment is not None:
        now = moment
        while ends and ends[0][0] <= now:
            queue.leave(heapq.heappop(ends)[1], "finished")
        for run, station in queue.starts(now, outlook.shut_at(now), outlook.away):
            end = now + entries[run].duration_s / outlook.pace.get(station, 1.0)
            found[run] = Expected(station, now, end)
            heapq.heappush(ends, (end, run))
        moment = _next(now, ends, queue.waiting.values(), outlook)
    return found


def _next(
    now: float, ends: list[tuple[float, int]], waiting: Collection[Entry], outlook: Outlook
) -> float | None:
    """Return the next time at which something may start; None if there is none."""
    if not waiting:
        return None
    moments = [ends[0][0]] if ends else []
    moments += [entry.not_before_unix_s for entry in waiting]
    moments += [until for until in outlook.shut.values() if until is not None]
    # A run of no length ends at once: that is an event of its own.
    due = [moment for moment in moments if moment > now or (ends and moment == ends[0][0])]
    return min(due, default=None)
