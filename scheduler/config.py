"""``service.toml``: which instruments there are, which cell position is wired to what, where data go.

The table of an instrument or a chamber is free apart from ``driver``: the driver checks the rest.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from protocols.errors import InvalidFileError, Problem
from protocols.frozen import Frozen
from protocols.laboratory import KnownStation
from scheduler.check_config import ChecksConfig
from scheduler.operation_config import LogConfig, MetricsConfig
from scheduler.secret import Secret, secrets_in
from scheduler.toml_places import place_in_message, place_of

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
    """Whether anything is published."""
    broker: str = "embedded"
    """``embedded``, or ``host:port`` of a broker of the lab."""
    site: str = Field(default="lab", pattern=r"^[a-z0-9_-]+$")
    """Name of this lab in all topics."""
    user: str = ""
    """By which the lab's broker knows the daemon."""
    password: Secret | None = None
    """The user's password."""
    tls: bool = False
    """Talk to the lab's broker under TLS, and look at its certificate."""
    ca_file: Path | None = None
    """Certificates that are trusted (PEM) in place of the computer's own."""

    @field_validator("broker")
    @classmethod
    def _embedded_or_host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        is_place = host and "@" not in host and port.isdecimal() and 0 < int(port) < 65536
        if value != "embedded" and not is_place:
            raise ValueError('write "embedded", or host:port such as "lab-server:1883"')
        return value

    @field_validator("ca_file")
    @classmethod
    def _from_the_folder_of_the_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        return value if value is None or folder is None else folder / value.expanduser()

    @model_validator(mode="after")
    def _fits_together(self) -> MqttConfig:
        if self.broker == "embedded" and (self.user or self.password is not None or self.tls):
            raise ValueError("the embedded broker has no users and no TLS: it listens on this computer only")
        if self.password is not None and not self.user:
            raise ValueError("a password needs a user")
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file needs tls = true")
        return self

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
    log: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()
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

    def secrets(self) -> dict[str, Secret]:
        """Return every secret by its keys, as ``mqtt.password``."""
        return dict(secrets_in(self))

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
    text = _read(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line, column = place_in_message(str(error))
        raise InvalidFileError([Problem(str(path), line, column, f"not valid TOML: {message}")]) from error
    try:
        config = ServiceConfig.model_validate(table, context={"folder": path.parent.absolute()})
    except ValidationError as error:
        raise InvalidFileError([_problem(path, text, detail) for detail in error.errors()]) from None
    _check_stations(path, text, config)
    data = (path.parent / config.data.expanduser()).resolve()
    return config.model_copy(update={"data": data, "simulation_state": data / config.simulation_state})


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = "make one with: sandtime init FOLDER"
        raise InvalidFileError([Problem(str(path), 0, 0, "there is no such file", hint)]) from None
    except OSError as error:
        raise InvalidFileError([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise InvalidFileError([Problem(str(path), 0, 0, f"not valid TOML: {error}")]) from error


def _problem(path: Path, text: str, detail: Any) -> Problem:
    place = ".".join(str(part) for part in detail["loc"])
    return Problem(str(path), *place_of(text, detail["loc"]), f"{place}: {detail['msg']}")


def _check_stations(path: Path, text: str, config: ServiceConfig) -> None:
    problems: list[Problem] = []

    def note(station: str, message: str) -> None:
        problems.append(Problem(str(path), *place_of(text, ("stations", station)), message))

    wires = [(station.instrument, station.channel) for station in config.stations.values()]
    for name, station in config.stations.items():
        if station.instrument not in config.instruments:
            note(name, f"station {name} names instrument {station.instrument!r}, which is not declared")
        if station.chamber is not None and station.chamber not in config.chambers:
            note(name, f"station {name} names chamber {station.chamber!r}, which is not declared")
        if wires.count((station.instrument, station.channel)) > 1:
            note(name, f"channel {station.channel} of {station.instrument} is given to more than one station")
    if problems:
        raise InvalidFileError(problems)
