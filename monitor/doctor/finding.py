"""What checks look at, and what they find."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from protocols.errors import InvalidFileError, Problem, SandtimeError
from scheduler.config import ServiceConfig, load_config
from scheduler.requests import StatusReply

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: str
    """What was looked at, in one or two words."""
    level: Level
    """``warning``: it works, but not for long or not well; ``problem``: something does not work."""
    message: str
    mend: str = ""
    """What to do about it."""


def ok(about: str, message: str) -> Finding:
    """Return that all is well."""
    return Finding(about, "ok", message)


def warning(about: str, message: str, mend: str) -> Finding:
    """Return that something is not as it should be."""
    return Finding(about, "warning", message, mend)


def problem(about: str, message: str, mend: str) -> Finding:
    """Return that something does not work."""
    return Finding(about, "problem", message, mend)


@dataclass(frozen=True, slots=True)
class Setup:
    """A laboratory as checks see it."""

    file: Path
    """service.toml."""
    config: ServiceConfig | None
    """None if it can't be read."""
    mistakes: tuple[Problem, ...] = ()
    """Why it can't."""
    status: StatusReply | None = None
    """What its daemon says; None if none answers."""
    now_unix_s: float = field(default_factory=time.time)

    @classmethod
    def of(cls, file: Path) -> Setup:
        """Read service.toml, and ask its daemon if one answers."""
        try:
            config = load_config(file)
        except InvalidFileError as error:
            return cls(file, None, error.problems)
        return cls(file, config, (), _status(config))


Check = Callable[[Setup], Iterable[Finding]]


def _status(config: ServiceConfig) -> StatusReply | None:
    from monitor.client import Client

    try:
        with Client.of_folder(config.data) as client:
            return client.status()
    except (SandtimeError, OSError):
        return None
