"""A changed service.toml while cells run: what may change, what may not, and how it is done.

All of it or nothing. What drives or holds a cell is not touched: a station in use, its instrument and its
chamber stay as they are, and a file that would change them is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

from drivers.chamber import Chamber
from drivers.instrument import Instrument
from protocols.errors import BusyError
from protocols.records import ENDED, RunInfo
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.recorder import Recorder
from scheduler.service import Service

FREE = ("mqtt", "log", "metrics", "storage", "checks", "simulation", "simulation_chambers")
"""Sections that may change whatever runs; the last two only concern ``sandtime simulate``."""
FIXED = ("data", "http", "simulation_state")
"""What a daemon keeps for its life."""
SHOWN = ("added", "removed", "changed")

BuildInstruments = Callable[[ServiceConfig], dict[str, Instrument]]
BuildChambers = Callable[[ServiceConfig], dict[str, Chamber]]


@dataclass(frozen=True, slots=True)
class Difference:
    """Names that one mapping has, or has not, or has otherwise, than another."""

    added: frozenset[str]
    removed: frozenset[str]
    changed: frozenset[str]

    @classmethod
    def between(cls, old: Mapping[str, object], new: Mapping[str, object]) -> Difference:
        """Compare two mappings."""
        both = old.keys() & new.keys()
        changed = frozenset(name for name in both if old[name] != new[name])
        return cls(frozenset(new.keys() - old.keys()), frozenset(old.keys() - new.keys()), changed)

    @property
    def gone(self) -> frozenset[str]:
        """Names whose old meaning is over."""
        return self.removed | self.changed

    @property
    def new(self) -> frozenset[str]:
        """Names that have a new meaning."""
        return self.added | self.changed


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different in a new service.toml."""

    instruments: Difference
    chambers: Difference
    stations: Difference
    sections: tuple[str, ...]

    @classmethod
    def between(cls, old: ServiceConfig, new: ServiceConfig) -> Changes:
        """Compare two files."""
        return cls(
            Difference.between(old.instruments, new.instruments),
            Difference.between(old.chambers, new.chambers),
            Difference.between(old.stations, new.stations),
            tuple(name for name in FREE + FIXED if getattr(old, name) != getattr(new, name)),
        )

    def lines(self) -> list[str]:
        """Say what is different, a line each; empty if nothing is."""
        found = [f"[{name}] changed" for name in self.sections]
        for field in fields(self)[:3]:
            difference = getattr(self, field.name)
            for how in SHOWN:
                names = sorted(getattr(difference, how))
                found += [f"{field.name.removesuffix('s')} {name} {how}" for name in names]
        return found


def stations_in_use(infos: Iterable[RunInfo]) -> dict[str, str]:
    """Return the stations that may not change, and why: a run is alive there, waits, or wants a person."""
    found: dict[str, str] = {}
    for info in infos:
        if info.state not in ENDED:
            what = f"run {info.run} is {info.state} on" if info.station else f"run {info.run} may go to"
            found |= {
                name: f"{what} {name}" for name in (info.station and (info.station,)) or info.candidates
            }
        elif info.state == "protected" and not info.acknowledged:
            why = f"run {info.run} was protected on {info.station}; sandtime ack {info.run} frees it"
            found.setdefault(info.station, why)
    return found


def refusals(changes: Changes, old: ServiceConfig, in_use: Mapping[str, str]) -> Iterator[str]:
    """Yield why a new file can't be taken now, a sentence each."""
    for name in changes.sections:
        if name in FIXED:
            yield f"{name} can't change while the daemon runs: start it anew for that"
    for name, why in sorted(in_use.items()):
        station = old.stations.get(name)
        if station is None:
            continue
        for what, which, difference in (
            ("station", name, changes.stations),
            ("instrument", station.instrument, changes.instruments),
            ("chamber", station.chamber or "", changes.chambers),
        ):
            if which in difference.gone:
                how = "removed" if which in difference.removed else "changed"
                yield f"{what} {which} can't be {how}: {why}"


class Reloading:
    """Brings a running service to a new service.toml."""

    def __init__(
        self,
        service: Service,
        engine: Engine,
        recorder: Recorder,
        build_instruments: BuildInstruments,
        build_chambers: BuildChambers,
    ) -> None:
        self._service = service
        self._engine = engine
        self._recorder = recorder
        self._build_instruments = build_instruments
        self._build_chambers = build_chambers
        self._one_at_a_time = asyncio.Lock()

    async def use(self, new: ServiceConfig, who: str) -> Changes:
        """Change what is different; what runs is not touched. Returns what has changed.

        Raises InvalidFileError for what a driver can't use, BusyError for what a run keeps from changing,
        StorageError while nothing can be stored: nothing has changed then.
        """
        async with self._one_at_a_time:
            with self._service.audit.asked(who, "reload"):
                return await self._use(new)

    async def _use(self, new: ServiceConfig) -> Changes:
        changes = self._check(new)
        if not changes.lines():
            return changes
        instruments = self._build_instruments(_with_only("instruments", changes.instruments.new, new))
        chambers = self._build_chambers(_with_only("chambers", changes.chambers.new, new))
        self._recorder.event(None, "reload", None, {"changes": changes.lines()})
        await self._recorder.commit()
        try:
            # A run may have come while that was stored.
            self._check(new)
        except BusyError as error:
            self._recorder.event(None, "reload", None, {"changes": [], "refused": str(error)})
            raise
        self._engine.exchange_chambers(changes.chambers.gone, chambers)
        self._engine.exchange_instruments(changes.instruments.gone, instruments)
        self._service.use(new)
        return changes

    def _check(self, new: ServiceConfig) -> Changes:
        old = self._service.config
        changes = Changes.between(old, new)
        reasons = list(refusals(changes, old, stations_in_use(self._service.infos())))
        if reasons:
            raise BusyError("service.toml is not taken, and nothing has changed:\n  " + "\n  ".join(reasons))
        return changes


def _with_only(section: str, names: frozenset[str], config: ServiceConfig) -> ServiceConfig:
    """Return a configuration with some of the tables of a section."""
    tables = getattr(config, section)
    return config.model_copy(update={section: {name: tables[name] for name in names}})
