"""The sections ``[log]`` and ``[metrics]`` of service.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from protocols.frozen import Frozen
from scheduler.secret import Secret

Level = Literal["debug", "info", "warning", "error"]


class LogConfig(Frozen):
    """What the daemon writes to stderr."""

    format: Literal["text", "json"] = "text"
    """``text`` for people; ``json``: one object a line, with ``run``, ``station`` and ``instrument``."""
    level: Level = "info"
    """The least grave that is written. The environment variable SANDTIME_LOG goes before it."""


class MetricsConfig(Frozen):
    """Figures for Prometheus, at ``/metrics`` of the HTTP API."""

    enabled: bool = True
    """Whether there are any."""
    token: Secret | None = None
    """Lets a scraper in that has nothing else to ask; the token of ``daemon.json`` lets it in too."""
    without_token: bool = False
    """Every program of this computer may read the figures."""

    @model_validator(mode="after")
    def _one_of_both(self) -> MetricsConfig:
        if self.token is not None and self.without_token:
            raise ValueError("a token makes no sense where none is asked for: leave out one of the two")
        return self
