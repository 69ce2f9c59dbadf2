"""What is simulated: ``[simulation]`` (potentiostats) and ``[simulation_chambers]`` of a TOML file.

The file may be service.toml.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from drivers.simulation.description import CellDescription
from drivers.simulation.faults import BOX_KINDS, CHAMBER_KINDS, Fault, ScriptedFault, check
from drivers.simulation.meter import MeterErrors
from drivers.simulation.presets import PRESETS, describe
from protocols.errors import InvalidFileError, Problem

CHANNELS_MAX = 16


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MeterDescription(_Checked):
    """Errors of a channel's readings, see :class:`drivers.simulation.meter.MeterErrors`."""

    offset_mV: float = 0.0
    glitch_mV: float = Field(default=0.0, ge=0)
    glitch_every: int = Field(default=1000, ge=1)
    range_glitch_mV: float = 0.0

    def errors(self) -> MeterErrors:
        """Return the same in SI."""
        return MeterErrors(
            offset_V=self.offset_mV * 1e-3,
            glitch_V=self.glitch_mV * 1e-3,
            glitch_every=self.glitch_every,
            range_glitch_V=self.range_glitch_mV * 1e-3,
        )


class ChannelConfig(_Checked):
    """The cell on one channel: a preset and whatever differs from it."""

    preset: str = "generic_symmetric"
    cell: CellDescription
    chamber: str | None = None
    """Name of the simulated chamber that the cell sits in."""
    thermal_s: float = Field(default=600.0, gt=0)
    """Time constant with which the cell follows the air of its chamber."""
    meter: MeterDescription = MeterDescription()
    """What is wrong with the channel's readings."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "cell" in given:
            return given
        preset = given.get("preset", "generic_symmetric")
        if preset not in PRESETS:
            raise ValueError(f"there is no cell {preset!r}; choose one of {', '.join(PRESETS)}")
        own = {key: given[key] for key in ("chamber", "thermal_s", "meter") if key in given}
        overrides = {key: value for key, value in given.items() if key != "preset" and key not in own}
        return {"preset": preset, "cell": describe(preset, overrides), **own}


def _check_address(address: str) -> str:
    ipaddress.IPv4Address(address)
    return address


def _check_all(faults: Sequence[Fault], check_one: Callable[[Fault], None]) -> None:
    for number, fault in enumerate(faults):
        try:
            check_one(fault)
        except ValueError as error:
            raise ValueError(f"faults.{number}: {error}") from error


class BoxConfig(_Checked):
    """One simulated VSP-300."""

    address: Annotated[str, AfterValidator(_check_address)]
    """The dotted address by which the driver connects to it; nothing listens there."""
    channels: dict[Annotated[int, Field(ge=1, le=CHANNELS_MAX)], ChannelConfig] = Field(min_length=1)
    """Channel number as printed on the instrument, from 1."""
    memory_bytes: int = Field(default=4 << 20, gt=0)
    """Memory for records, per channel."""
    techniques_max: int = Field(default=255, gt=0)
    connections_max: int = Field(default=8, gt=0)
    faults: list[ScriptedFault] = []

    def check(self, fault: Fault) -> None:
        """Raise ValueError if this instrument cannot have a fault."""
        check(fault, BOX_KINDS, self.channels)

    @model_validator(mode="after")
    def _can_have_its_faults(self) -> BoxConfig:
        _check_all(self.faults, self.check)
        return self

    @property
    def chambers(self) -> set[str]:
        """Names of the chambers that its cells sit in."""
        return {channel.chamber for channel in self.channels.values() if channel.chamber is not None}


class ChamberConfig(_Checked):
    """One simulated temperature chamber. Its name is that of the chamber in ``[chambers]``."""

    start_celsius: float = Field(default=23.0, ge=-100, le=300)
    """Its temperature, and its set-point, when it was plugged in; also that of the room."""
    on: bool = False
    """Whether it was left switched on."""
    lowest_celsius: float = Field(default=-40.0, ge=-100, le=300)
    """It refuses lower set-points."""
    highest_celsius: float = Field(default=150.0, ge=-100, le=300)
    rate_K_per_min: float = Field(default=3.0, gt=0)
    """How fast it heats and cools at most."""
    settling_s: float = Field(default=60.0, gt=0)
    """Time constant with which it approaches a set-point that is near."""
    ripple_K: float = Field(default=0.1, ge=0)
    """Amplitude of its control, while it is switched on."""
    faults: list[ScriptedFault] = []

    def check(self, fault: Fault) -> None:
        """Raise ValueError if a chamber cannot have a fault."""
        check(fault, CHAMBER_KINDS)

    @model_validator(mode="after")
    def _can_have_its_faults(self) -> ChamberConfig:
        _check_all(self.faults, self.check)
        return self


class SimulationConfig(_Checked):
    """All simulated instruments, by name."""

    boxes: dict[str, BoxConfig]
    chambers: dict[str, ChamberConfig] = {}

    @model_validator(mode="after")
    def _addresses_differ(self) -> SimulationConfig:
        addresses = [box.address for box in self.boxes.values()]
        if len(set(addresses)) < len(addresses):
            raise ValueError("two instruments have the same address")
        return self

    @model_validator(mode="after")
    def _chambers_exist(self) -> SimulationConfig:
        holders: dict[str, str] = {}
        for name, box in self.boxes.items():
            for chamber in box.chambers:
                if chamber not in self.chambers:
                    raise ValueError(
                        f"a cell of {name} sits in chamber {chamber!r}: there is no such chamber"
                    )
                if holders.setdefault(chamber, name) != name:
                    raise ValueError(f"chamber {chamber!r} holds cells of {holders[chamber]} and of {name}")
        return self

    @classmethod
    def from_table(
        cls, boxes: Mapping[str, Any], file: str, chambers: Mapping[str, Any] | None = None
    ) -> SimulationConfig:
        """Check the tables ``[simulation]`` and ``[simulation_chambers]`` of ``file``; one of them is enough.

        Raises InvalidFileError, also if there is nothing to simulate.
        """
        if not boxes and not chambers:
            message = "holds no [simulation] table and no [simulation_chambers]: nothing to simulate"
            hint = "see [simulation.vsp] in the file that `sandtime init FOLDER` writes"
            raise InvalidFileError([Problem(file, 0, 0, message, hint)])
        try:
            return cls.model_validate({"boxes": boxes, "chambers": chambers or {}})
        except ValidationError as error:
            raise InvalidFileError(
                [_problem(file, one["loc"], one["msg"]) for one in error.errors()]
            ) from error

    @classmethod
    def load(cls, file: Path) -> SimulationConfig:
        """Read a TOML file that holds at least one of both tables. Raises InvalidFileError."""
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidFileError([Problem(str(file), 0, 0, f"cannot be read as TOML: {error}")]) from error
        chambers = content.get("simulation_chambers", {})
        return cls.from_table(content.get("simulation", {}), str(file), chambers)


def _problem(file: str, place: tuple[int | str, ...], message: str) -> Problem:
    table = "simulation_chambers" if place[:1] == ("chambers",) else "simulation"
    return Problem(file, 0, 0, f"[{table}] {'.'.join(map(str, place[1:]))}: {message}")
