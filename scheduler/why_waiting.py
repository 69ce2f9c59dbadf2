"""Why a run waits, in words: what it is that it waits for, and until when, as far as anybody knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from protocols.queueing import Maintenance
from scheduler.queue import Entry, LabQueue, Obstacle

SHOWN = 4
"""So many names are shown; of more, only how many there are."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known besides the queue."""

    now_unix_s: float
    shut: Mapping[str, Maintenance]
    away: Collection[str]
    end_of: Callable[[int], float | None]
    """When a run that has a station ends, at most; None: nobody knows."""
    no_start: str = ""
    """Why no run may start at all at present."""


def why_waiting(queue: LabQueue, entry: Entry, wants: str, known: Circumstances) -> str:
    """Say what a waiting run waits for; ``wants`` is what it asks of its station, in words."""
    found = queue.obstacles(entry, known.now_unix_s, known.shut, known.away)
    if not found:
        return "a station that can do it: service.toml no longer has one; cancel it and submit it again"
    first = found[0]
    match first.kind:
        case "start_time":
            return f"its start time, {moment(entry.not_before_unix_s, known.now_unix_s)}"
        case "series":
            return f"run {first.run} of its series to finish"
        case "series_held":
            return (
                f"a person: run {first.run} of its series did not finish; "
                f"to go on: sandtime ack {first.run}; to give up: sandtime queue cancel {entry.run}"
            )
        case "cell":
            return (
                f"its cell '{entry.cell}', which run {first.run} has on {first.station} "
                "(another cell needs a name or an identity of its own)"
            )
    if known.no_start and any(obstacle.kind == "look" for obstacle in found):
        return known.no_start
    if len(found) == 1:
        return _at_one(queue, entry, first, known)
    return f"{_which(queue, found, wants)}: {'; '.join(_at_many(found, known))}"


def moment(unix_s: float, now_unix_s: float) -> str:
    """Return a local time for people; the day is named if it is not today."""
    then, now = (datetime.fromtimestamp(value).astimezone() for value in (unix_s, now_unix_s))
    return then.strftime("%H:%M" if then.date() == now.date() else "%Y-%m-%d %H:%M")


def listed(names: list[str]) -> str:
    """Return names in one line."""
    if len(names) <= SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[: SHOWN - 1])} and {len(names) - SHOWN + 1} more"


def _at_one(queue: LabQueue, entry: Entry, found: Obstacle, known: Circumstances) -> str:
    """Say what keeps a run that may have one station only."""
    name = found.station
    match found.kind:
        case "held":
            return (
                f"a person: run {found.run} on {name} was protected, stopped or failed; "
                f"to acknowledge it: sandtime ack {found.run}"
            )
        case "busy" | "turn":
            ahead = queue.ahead(entry, name, known.now_unix_s)
            until = _until(known.end_of(found.run), known) if found.kind == "busy" else ""
            return f"run{'s' if len(ahead) > 1 else ''} {', '.join(map(str, ahead))} on {name}{until}"
        case "kept":
            return f"run {found.run} on {name}: the station is kept for the series of its cell"
        case "maintenance":
            entry_of = known.shut[name]
            until = (
                ""
                if entry_of.until_unix_s is None
                else f", until {moment(entry_of.until_unix_s, known.now_unix_s)}"
            )
            return (
                f"the end of the maintenance of {entry_of.name} ({entry_of.reason}{until}); "
                f"to end it: sandtime maintenance off {entry_of.name}"
            )
        case "contact":
            return f"contact with the instrument of {name}"
        case _:
            return f"the first look at the instrument of {name}"


def _which(queue: LabQueue, found: list[Obstacle], wants: str) -> str:
    names = listed([obstacle.station for obstacle in found])
    if wants:
        return f"{wants}, only {names}"
    return "a free station" if len(found) == len(queue.stations) else f"one of {names}"


def _at_many(found: list[Obstacle], known: Circumstances) -> list[str]:
    """Say what keeps each of several stations, the same together."""
    names: dict[str, list[str]] = {}
    for obstacle in found:
        names.setdefault(obstacle.kind, []).append(obstacle.station)
    parts = []
    busy = [obstacle for obstacle in found if obstacle.kind == "busy"]
    if busy:
        ends = [end for obstacle in busy if (end := known.end_of(obstacle.run)) is not None]
        whose = "" if len(busy) == len(found) else f"{listed(names['busy'])} "
        parts.append(f"{whose}busy{_until(min(ends, default=None), known, comma='')}")
    parts += [
        f"{obstacle.station} waits for a person (sandtime ack {obstacle.run})"
        for obstacle in found
        if obstacle.kind == "held"
    ]
    words = {
        "kept": "kept for a series",
        "maintenance": "in maintenance",
        "contact": "not in contact",
        "turn": "for runs before it",
        "look": "not looked at yet",
    }
    return parts + [f"{listed(names[kind])} {text}" for kind, text in words.items() if kind in names]


def _until(end_unix_s: float | None, known: Circumstances, comma: str = ",") -> str:
    return "" if end_unix_s is None else f"{comma} until about {moment(end_unix_s, known.now_unix_s)} at most"
