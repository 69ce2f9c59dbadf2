"""Which run starts next on which station: one queue for the whole lab. Pure: it knows no clock and no disk.

Runs are looked at in one order: higher priority first, then the one that was submitted first. Each takes a
station that is free and that it may have; one that can't have any leaves the free ones to those behind it. A
run that waits gains a level of priority each day, so nobody is passed over for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from copy import copy
from dataclasses import dataclass, replace
from typing import Literal

from protocols.records import RunState

AGEING_S = 86_400.0
"""Waiting so long counts as much as one level of priority."""

ObstacleKind = Literal[
    "start_time",
    "series",
    "series_held",
    "cell",
    "held",
    "busy",
    "kept",
    "maintenance",
    "contact",
    "turn",
    "look",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """A run that waits."""

    run: int
    cell: str
    """Which cell it is for: a cell is never on two stations at once."""
    stations: frozenset[str]
    """Any of these will do."""
    priority: int = 0
    submitted_unix_s: float = 0.0
    not_before_unix_s: float = 0.0
    after: int | None = None
    """The run of the same series that has to finish before. The station is kept for the cell meanwhile."""
    duration_s: float = 0.0
    """Longest time that it takes."""

    def gained(self, now_unix_s: float) -> int:
        """Return how many levels of priority it has gained by waiting."""
        waited_s = now_unix_s - max(self.submitted_unix_s, self.not_before_unix_s)
        return max(0, int(waited_s // AGEING_S))

    def rank(self, now_unix_s: float) -> tuple[int, int]:
        """Return its place in the order: the lowest is looked at first."""
        return -(self.priority + self.gained(now_unix_s)), self.run


@dataclass(frozen=True, slots=True)
class Occupant:
    """A run that has a station."""

    run: int
    cell: str
    held: bool = False
    """It has ended, and the station waits until a person acknowledges it."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a run from starting, at all or on one station."""

    kind: ObstacleKind
    station: str = ""
    run: int = 0
    """The run in the way, if one is."""


class LabQueue:
    """The runs that wait, and those that have a station: at most one each."""

    def __init__(self, stations: Iterable[str]) -> None:
        self.use(stations)
        self.waiting: dict[int, Entry] = {}
        self.occupants: dict[str, Occupant] = {}
        self._last_cell: dict[str, str] = {}
        self._begun: set[int] = set()
        """Runs that have had a station, and that a waiting one comes after."""
        self._ended: dict[int, bool] = {}
        """Runs that have ended and that a waiting one comes after → whether it may go on."""

    def use(self, stations: Iterable[str]) -> None:
        """Take the stations of a service.toml; none that is gone may be in use."""
        self.stations = {name: place for place, name in enumerate(stations)}
        """Name → its place in service.toml."""

    def copy(self) -> LabQueue:
        """Return a queue to try things on."""
        other = LabQueue(self.stations)
        vars(other).update({name: copy(value) for name, value in vars(self).items()})
        return other

    def add(self, entry: Entry) -> None:
        """Let a run wait, or wait for something else than before."""
        self.waiting[entry.run] = entry

    def remove(self, run: int) -> bool:
        """A waiting run waits no more, and what comes after it waits for a person.

        Returns whether it waited.
        """
        entry = self.waiting.pop(run, None)
        if entry is None:
            return False
        self._forget(entry.after)
        self.note_end(run, well=False)
        return True

    def followers(self, run: int) -> list[Entry]:
        """Return the waiting runs of a series that come after a run, in their order."""
        found: list[Entry] = []
        while (entry := next((e for e in self.waiting.values() if e.after == run), None)) is not None:
            found.append(entry)
            run = entry.run
        return found

    # Stations

    def occupy(self, station: str, run: int, cell: str, *, held: bool = False) -> None:
        """A run has a station already: an earlier daemon gave it that."""
        self._place(station, run, cell)
        self.occupants[station] = Occupant(run, cell, held)

    def _place(self, station: str, run: int, cell: str) -> None:
        self.occupants[station] = Occupant(run, cell)
        self._last_cell[station] = cell
        self._begun.add(run)

    def note_cell(self, station: str, cell: str) -> None:
        """Remember which cell was on a station last."""
        self._last_cell[station] = cell

    def vacate(self, station: str) -> None:
        """The occupant has not begun there, and is to wait again."""
        self._begun.discard(self.occupants.pop(station).run)

    def station_of(self, run: int) -> str:
        """Return the station that a run has; empty if it has none."""
        return next((name for name, occupant in self.occupants.items() if occupant.run == run), "")

    def leave(self, run: int, state: RunState, *, acknowledged: bool = False, begun: bool = True) -> None:
        """A run has ended. A protected one keeps its station until a person acknowledges it.

        So does one that a person stopped, or that failed, where others wait: whoever opens a circuit does not
        expect the next run to close it at once.
        """
        self.note_end(run, well=state == "finished" or acknowledged)
        station = self.station_of(run)
        if not station:
            return
        wanted = any(station in entry.stations for entry in self.waiting.values())
        held = state == "protected" or (state in ("stopped", "failed") and wanted and begun)
        if held and not acknowledged:
            self.occupants[station] = replace(self.occupants[station], held=True)
        else:
            del self.occupants[station]

    def note_end(self, run: int, *, well: bool, begun: bool = False) -> None:
        """Remember how a run has ended, if one of its series comes after it."""
        if any(entry.after == run for entry in self.waiting.values()):
            self._ended[run] = well
            if begun:
                self._begun.add(run)
        else:
            self._begun.discard(run)

    def needs_acknowledgement(self, run: int) -> bool:
        """Whether a station, or the rest of a series, waits for a person because of a run."""
        return any(o.run == run and o.held for o in self.occupants.values()) or self._ended.get(run) is False

    def acknowledge(self, run: int) -> None:
        """A person has seen how a run has ended: its station is free, and its series goes on."""
        station = self.station_of(run)
        if station and self.occupants[station].held:
            del self.occupants[station]
        if run in self._ended:
            self._ended[run] = True

    # Who is next

    def order(self, now_unix_s: float) -> list[Entry]:
        """Return the waiting runs in the order in which they are looked at."""
        return sorted(self.waiting.values(), key=lambda entry: entry.rank(now_unix_s))

    def starts(
        self, now_unix_s: float, shut: Collection[str] = (), away: Collection[str] = ()
    ) -> list[tuple[int, str]]:
        """Return the runs that may start now, each with its station, which it occupies from now on.

        ``shut``: stations on which nothing starts. ``away``: those whose instrument does not answer; a run
        takes one of them only if it may have no other.
        """
        free = {name for name in self.stations if name not in self.occupants and name not in shut}
        found: list[tuple[int, str]] = []
        if not free or not self.waiting:
            return found
        demand, kept, cells = self._demand(), self._kept(), self._cells()
        for entry in self.order(now_unix_s):
            able = self._able(entry, free, kept, cells, away) if self._may(entry, now_unix_s) else []
            if not able:
                continue
            station = min(able, key=lambda name: self._preference(name, entry, demand))
            del self.waiting[entry.run]
            self._forget(entry.after)
            self._place(station, entry.run, entry.cell)
            for follower in self.followers(entry.run):
                self.add(replace(follower, stations=frozenset({station})))
            cells[entry.cell] = station, entry.run
            free.discard(station)
            found.append((entry.run, station))
        return found

    def _able(
        self,
        entry: Entry,
        free: set[str],
        kept: dict[str, int],
        cells: dict[str, tuple[str, int]],
        away: Collection[str],
    ) -> list[str]:
        """Return the free stations that a run may have."""
        where = cells.get(entry.cell)
        choosy = len(entry.stations) > 1
        return [
            name
            for name in free & entry.stations
            if kept.get(name, entry.run) == entry.run
            and (where is None or where[0] == name)
            and not (choosy and name in away)
        ]

    def _preference(self, station: str, entry: Entry, demand: dict[str, float]) -> tuple[bool, float, int]:
        """Where the cell was last comes first, then what others want least."""
        return self._last_cell.get(station) != entry.cell, demand[station], self.stations[station]

    def _may(self, entry: Entry, now_unix_s: float) -> bool:
        in_time = entry.not_before_unix_s <= now_unix_s
        return in_time and (entry.after is None or self._ended.get(entry.after, False))

    def _demand(self) -> dict[str, float]:
        """Return how much each station is wanted: a run that may have several wants each a little."""
        demand = dict.fromkeys(self.stations, 0.0)
        for stations, runs in Counter(entry.stations for entry in self.waiting.values()).items():
            for name in stations & demand.keys():
                demand[name] += runs / len(stations)
        return demand

    def _kept(self) -> dict[str, int]:
        """Return the stations that are kept for the next run of a series: its cell is there."""
        return {
            name: entry.run
            for entry in self.waiting.values()
            if entry.after in self._begun and len(entry.stations) == 1
            for name in entry.stations
        }

    def _cells(self) -> dict[str, tuple[str, int]]:
        """Return where each cell is: its station, and the run that has it or for which it is kept."""
        kept = {self.waiting[run].cell: (name, run) for name, run in self._kept().items()}
        return kept | {o.cell: (name, o.run) for name, o in self.occupants.items()}

    def _forget(self, run: int | None) -> None:
        """Nothing comes after a run any more."""
        if run is not None:
            self._ended.pop(run, None)
            self._begun.discard(run)

    # Why it waits

    def obstacles(
        self, entry: Entry, now_unix_s: float, shut: Collection[str] = (), away: Collection[str] = ()
    ) -> list[Obstacle]:
        """Return what keeps a waiting run: one thing that does so everywhere, or one for each station."""
        if entry.not_before_unix_s > now_unix_s:
            return [Obstacle("start_time")]
        if entry.after is not None and not self._ended.get(entry.after, False):
            held = entry.after in self._ended
            return [Obstacle("series_held" if held else "series", run=entry.after)]
        where = self._cells().get(entry.cell)
        if where is not None and where[1] != entry.run and where[0] not in entry.stations:
            return [Obstacle("cell", *where)]
        names = entry.stations if where is None else entry.stations & {where[0]}
        kept = self._kept()
        return [
            self._obstacle(name, entry, now_unix_s, kept, shut, away)
            for name in sorted(names, key=lambda name: self.stations.get(name, -1))
        ]

    def ahead(self, entry: Entry, station: str, now_unix_s: float) -> list[int]:
        """Return the runs that come before another one at a station, in their order."""
        rank = entry.rank(now_unix_s)
        wanting = [e for e in self.order(now_unix_s) if station in e.stations and self._may(e, now_unix_s)]
        waiting = [e.run for e in wanting if e.rank(now_unix_s) < rank]
        occupant = self.occupants.get(station)
        return waiting if occupant is None else [occupant.run, *waiting]

    def _obstacle(
        self,
        name: str,
        entry: Entry,
        now_unix_s: float,
        kept: dict[str, int],
        shut: Collection[str],
        away: Collection[str],
    ) -> Obstacle:
        occupant = self.occupants.get(name)
        if occupant is not None:
            return Obstacle("held" if occupant.held else "busy", name, occupant.run)
        if kept.get(name, entry.run) != entry.run:
            return Obstacle("kept", name, kept[name])
        if name in shut:
            return Obstacle("maintenance", name)
        if name in away and len(entry.stations) > 1:
            return Obstacle("contact", name)
        ahead = self.ahead(entry, name, now_unix_s)
        return Obstacle("turn", name, ahead[0]) if ahead else Obstacle("look", name)
