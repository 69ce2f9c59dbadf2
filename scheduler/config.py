"""``service.toml``: which instruments there are, which cell position is wired to what, where data go.

The table of an instrument or a chamber is free apart from ``driver``: the driver checks the rest.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from protocols.errors import InvalidFileError, Problem
from protocols.frozen import Frozen
from protocols.laboratory import KnownStation
from scheduler.check_config import ChecksConfig

NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""Names of instruments and stations: they become parts of MQTT topics and file names."""


class StationConfig(Frozen):
    """What one cell is wired to."""

    instrument: str
    channel: int = Field(ge=1)
    """Channel as it is printed on the instrument, from 1."""
    chamber: str | None = None
    """The temperature chamber that the cell is in; several stations may share one."""


class MqttConfig(Frozen):
    """Where live values are published."""

    enabled: bool = True
    broker: str = "embedded"
    """``embedded``, or ``host:port`` of a broker of the lab."""
    site: str = Field(default="lab", pattern=r"^[a-z0-9_-]+$")

    @field_validator("broker")
    @classmethod
    def _embedded_or_host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value != "embedded" and not (host and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError('write "embedded", or host:port such as "lab-server:1883"')
        return value

    def address(self) -> tuple[str, int]:
        """Return host and port of the lab's broker; an empty host if it is the embedded one."""
        host, _, port = self.broker.rpartition(":")
        return (host, int(port)) if host else ("", 0)


class HttpConfig(Frozen):
    """The HTTP API, on this computer only."""

    port: int = Field(default=0, ge=0, le=65535)
    """0: any free port; it is written to ``daemon.json`` in the data folder."""


class StorageConfig(Frozen):
    """What happens when the disk fills up, or is gone (see :mod:`scheduler.storage_watch`)."""

    hold_minutes: float = Field(default=10.0, gt=0.0, le=1440.0)
    """So long measuring goes on from memory while nothing can be stored; the runs end a tenth earlier."""
    hold_megabytes: float = Field(default=400.0, gt=0.0)
    """So much memory samples may take meanwhile: 10 min of 1000 channels at 10 samples a second take 312."""
    warn_gigabytes: float = Field(default=5.0, ge=0.0)
    """With less free space there is a warning."""
    warn_hours: float = Field(default=24.0, ge=0.0)
    """So there is if the disk is full earlier, at the rate of the last hour."""
    least_gigabytes: float = Field(default=1.0, ge=0.0)
    """With less free space no run starts."""


class ServiceConfig(Frozen):
    """The whole file."""

    data: Path
    instruments: dict[str, dict[str, Any]]
    chambers: dict[str, dict[str, Any]] = {}
    stations: dict[str, StationConfig]
    mqtt: MqttConfig = MqttConfig()
    http: HttpConfig = HttpConfig()
    storage: StorageConfig = StorageConfig()
    checks: ChecksConfig = ChecksConfig()
    simulation: dict[str, Any] = {}
    """Boxes that ``sandtime simulate`` serves; see drivers/simulation."""
    simulation_chambers: dict[str, Any] = {}
    """Chambers that it serves; a chamber whose address is ``simulation`` is the one of its own name."""
    simulation_state: Path = Path("simulation.json")
    """Where the simulated instruments write their addresses; relative to ``data``."""

    @field_validator("instruments", "chambers", "stations")
    @classmethod
    def _names_fit_into_topics(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r}: use letters, digits, '-', '_' and '.' only")
        return value

    @field_validator("instruments", "chambers")
    @classmethod
    def _each_names_its_driver(
        cls, value: dict[str, dict[str, Any]], info: ValidationInfo
    ) -> dict[str, dict[str, Any]]:
        example = "espec" if info.field_name == "chambers" else "biologic"
        for name, table in value.items():
            if not isinstance(table.get("driver"), str):
                raise ValueError(f'{name} needs a line such as driver = "{example}"')
        return value

    def require_instrument(self, name: str) -> None:
        """Raise InvalidFileError, naming those that exist, if there is no such instrument."""
        if name not in self.instruments:
            hint = f"instruments here: {', '.join(sorted(self.instruments)) or 'none'}"
            raise InvalidFileError([Problem("service.toml", 0, 0, f"there is no instrument {name!r}", hint)])

    def known_stations(self, now_unix_s: float) -> list[KnownStation]:
        """Return how the stations are wired now."""
        return [
            KnownStation(
                name=name,
                instrument=wired.instrument,
                channel=wired.channel,
                chamber=wired.chamber or "",
                first_unix_s=now_unix_s,
                last_unix_s=now_unix_s,
            )
            for name, wired in self.stations.items()
        ]

    def station(self, name: str) -> StationConfig:
        """Return a station, or raise InvalidFileError naming those that exist."""
        try:
            return self.stations[name]
        except KeyError:
            known = ", ".join(sorted(self.stations)) or "none"
            problem = Problem(
                "service.toml", 0, 0, f"there is no station {name!r}", f"stations here: {known}"
            )
            raise InvalidFileError([problem]) from None


def load_config(path: Path) -> ServiceConfig:
    """Read and check ``service.toml``. Relative folders are taken from the file's own folder.

    Raises InvalidFileError that names every mistake.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "make one with: sandtime init FOLDER"
        raise InvalidFileError([Problem(str(path), 0, 0, "there is no such file", hint)]) from None
    except OSError as error:
        raise InvalidFileError([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidFileError([Problem(str(path), 0, 0, f"not valid TOML: {error}")]) from error
    try:
        config = ServiceConfig.model_validate(table)
    except ValidationError as error:
        raise InvalidFileError([_problem(path, detail) for detail in error.errors()]) from None
    _check_stations(path, config)
    data = (path.parent / config.data.expanduser()).resolve()
    return config.model_copy(update={"data": data, "simulation_state": data / config.simulation_state})


def _problem(path: Path, detail: Any) -> Problem:
    place = ".".join(str(part) for part in detail["loc"])
    return Problem(str(path), 0, 0, f"{place}: {detail['msg']}")


def _check_stations(path: Path, config: ServiceConfig) -> None:
    problems = [
        Problem(
            str(path), 0, 0, f"station {name} names instrument {station.instrument!r}, which is not declared"
        )
        for name, station in config.stations.items()
        if station.instrument not in config.instruments
    ]
    problems += [
        Problem(str(path), 0, 0, f"station {name} names chamber {station.chamber!r}, which is not declared")
        for name, station in config.stations.items()
        if station.chamber is not None and station.chamber not in config.chambers
    ]
    wires = [(station.instrument, station.channel) for station in config.stations.values()]
    problems += [
        Problem(str(path), 0, 0, f"channel {channel} of {instrument} is given to more than one station")
        for instrument, channel in sorted({wire for wire in wires if wires.count(wire) > 1})
    ]
    if problems:
        raise InvalidFileError(problems)
