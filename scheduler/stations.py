"""The stations of service.toml: what each is wired to, and what it can do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from protocols.capabilities import Capabilities
from protocols.errors import InvalidFileError, Problem, nearest
from scheduler.climate import Climate
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.keeper import Keeper


@dataclass(frozen=True, slots=True)
class Place:
    """The channel of a station."""

    keeper: Keeper
    channel: int


class Stations:
    """Answers questions about stations by name. Raises InvalidFileError for one that does not exist."""

    def __init__(self, config: ServiceConfig, engine: Engine) -> None:
        self.config = config
        self._engine = engine

    def place(self, station: str) -> Place:
        """Return a station's channel."""
        wired = self.config.station(station)
        return Place(self._engine.keepers[wired.instrument], wired.channel - 1)

    def climate(self, station: str) -> Climate | None:
        """Return the climate of the chamber that a station's cell is in, if there is one."""
        wired = self.config.stations.get(station)
        return None if wired is None or wired.chamber is None else self._engine.climates[wired.chamber]

    def able(self, station: str) -> Capabilities:
        """Return what a station can do: its channel, and its chamber if it has one."""
        place, climate = self.place(station), self.climate(station)
        able = place.keeper.instrument.capabilities(place.channel)
        if climate is None:
            return able
        return able.with_chamber(climate.chamber.temperature_min_K, climate.chamber.temperature_max_K)

    def simulated(self, station: str) -> bool:
        """Whether a station's instrument is simulated."""
        return self.place(station).keeper.instrument.simulated

    def away(self) -> set[str]:
        """Return the stations whose instrument does not answer."""
        lost = {name for name, keeper in self._engine.keepers.items() if not keeper.reachable}
        return {name for name, wired in self.config.stations.items() if wired.instrument in lost}

    def of(self, name: str) -> list[str]:
        """Return a station, or the stations of an instrument."""
        wired = self.config.stations
        found = [station for station in wired if name in (station, wired[station].instrument)]
        if not found and name not in self.config.instruments:
            known = nearest(name, [*wired, *self.config.instruments])
            message = f"there is no station and no instrument {name!r}"
            raise InvalidFileError([Problem("service.toml", 0, 0, message, known)])
        return found

    def require_chamber(self, name: str) -> None:
        """Raise InvalidFileError, naming those that exist, if there is no such chamber."""
        if name not in self.config.chambers:
            known = f"chambers here: {', '.join(sorted(self.config.chambers)) or 'none'}"
            raise InvalidFileError([Problem("service.toml", 0, 0, f"there is no chamber {name!r}", known)])


def kind_of(able: Capabilities) -> str:
    """Return a digest of what a station can do: stations of one kind run the same program."""
    text = able.model_dump_json(exclude={"notes"})
    return hashlib.sha256(text.encode()).hexdigest()
