"""Which instruments are simulated: the table ``[simulation]`` of a TOML file (or of service.toml)."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from drivers.simulation.presets import PRESETS, CellDescription, describe
from protocols.errors import InvalidFileError, Problem

CHANNELS_MAX = 16


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ChannelConfig(_Checked):
    """The cell on one channel: a preset and whatever differs from it."""

    preset: str = "generic_symmetric"
    cell: CellDescription

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "cell" in given:
            return given
        preset = given.get("preset", "generic_symmetric")
        if preset not in PRESETS:
            raise ValueError(f"there is no cell {preset!r}; choose one of {', '.join(PRESETS)}")
        overrides = {key: value for key, value in given.items() if key != "preset"}
        return {"preset": preset, "cell": describe(preset, overrides)}


def _check_address(address: str) -> str:
    ipaddress.IPv4Address(address)
    return address


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


class SimulationConfig(_Checked):
    """All simulated instruments, by name."""

    boxes: dict[str, BoxConfig]

    @model_validator(mode="after")
    def _addresses_differ(self) -> SimulationConfig:
        addresses = [box.address for box in self.boxes.values()]
        if len(set(addresses)) < len(addresses):
            raise ValueError("two instruments have the same address")
        return self

    @classmethod
    def from_table(cls, table: Mapping[str, Any], file: str) -> SimulationConfig:
        """Check the ``[simulation]`` table of ``file``. Raises InvalidFileError."""
        try:
            return cls.model_validate({"boxes": table})
        except ValidationError as error:
            raise InvalidFileError(
                [
                    Problem(file, 0, 0, f"[simulation] {'.'.join(map(str, one['loc'][1:]))}: {one['msg']}")
                    for one in error.errors()
                ]
            ) from error

    @classmethod
    def load(cls, file: Path) -> SimulationConfig:
        """Read a TOML file that holds a ``[simulation]`` table. Raises InvalidFileError."""
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidFileError([Problem(str(file), 0, 0, f"cannot be read as TOML: {error}")]) from error
        if not content.get("simulation"):
            hint = 'write for example: [simulation.box1] address = "192.168.0.10", channels = {1 = {}}'
            raise InvalidFileError([Problem(str(file), 0, 0, "holds no [simulation] table", hint)])
        return cls.from_table(content["simulation"], str(file))
