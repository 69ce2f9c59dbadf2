"""What service.toml says of one chamber."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import Field, ValidationError, field_validator, model_validator

from protocols.errors import InvalidFileError, Problem
from protocols.frozen import Frozen

PORT = 10001
"""Of the usual serial-to-TCP adapters."""
_ADDRESS = re.compile(r"([^\s:]+)(?::([0-9]{1,5}))?")


class Settings(Frozen):
    """One chamber's section of service.toml."""

    address: str
    """Host name or IP address, and a port if it is not :data:`PORT`."""
    lowest_celsius: float = Field(ge=-100, le=300, allow_inf_nan=False)
    """No lower set-point is ever sent."""
    highest_celsius: float = Field(ge=-100, le=300, allow_inf_nan=False)
    safe_celsius: float | None = Field(default=None, allow_inf_nan=False)
    """Where `stop --all --chambers-off` brings it; None: it is switched off, and drifts to the room's."""
    connect_timeout_s: float = Field(default=5.0, gt=0, le=60)
    reply_timeout_s: float = Field(default=3.0, gt=0, le=60)
    """For one command."""

    @field_validator("address")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        found = _ADDRESS.fullmatch(value)
        if found is None or not 0 < int(found[2] or PORT) < 65536:
            raise ValueError(f'{value!r}: write host or host:port such as "192.168.0.20:{PORT}"')
        return value

    @model_validator(mode="after")
    def _lowest_is_below_highest(self) -> Settings:
        if self.lowest_celsius >= self.highest_celsius:
            raise ValueError("lowest_celsius has to be below highest_celsius")
        if (
            self.safe_celsius is not None
            and not self.lowest_celsius <= self.safe_celsius <= self.highest_celsius
        ):
            raise ValueError("safe_celsius has to lie between lowest_celsius and highest_celsius")
        return self

    def place(self) -> tuple[str, int]:
        """Return host and port."""
        host, _, port = self.address.partition(":")
        return host, int(port or PORT)


def read_settings(name: str, section: Mapping[str, object]) -> Settings:
    """Check a chamber's section. Raises InvalidFileError with every mistake."""
    try:
        return Settings.model_validate(dict(section))
    except ValidationError as error:
        problems = []
        for item in error.errors():
            place = " ".join([f"[chambers.{name}]", *(str(part) for part in item["loc"])])
            problems.append(Problem("service.toml", 0, 0, f"{place}: {item['msg']}"))
        raise InvalidFileError(problems) from error
