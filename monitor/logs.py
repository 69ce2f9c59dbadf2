"""What is written to stderr: text for people or one JSON object a line; no secret is readable in either."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

from scheduler.operation_config import LogConfig
from scheduler.secret import hide

VARIABLE = "SANDTIME_LOG"
"""Environment variable that goes before the level of service.toml."""
OURS = ("protocols", "drivers", "guards", "analysis", "storage", "scheduler", "monitor")
FIELDS = ("run", "station", "instrument", "chamber", "event")
"""Given to a logger as ``extra``, they become keys of their own."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class TextFormatter(logging.Formatter):
    """A line for people, with the offset from UTC: where clocks are put back, an hour comes twice."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return hide(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``logger``, ``message`` and what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        whole_s, part = divmod(round(record.created * 1000), 1000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole_s))
        line: dict[str, Any] = {
            "time": f"{stamp}.{part:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hide(record.getMessage()),
        }
        line |= {name: record.__dict__[name] for name in FIELDS if record.__dict__.get(name) is not None}
        if record.exc_info:
            line["exception"] = hide(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, allow_nan=False)


def start() -> None:
    """Write warnings of a command as text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter())
    logging.basicConfig(level=_wished("WARNING"), handlers=[handler])


def configure(config: LogConfig, *, quiet: bool = False) -> None:
    """Write as service.toml says; ``quiet``: only warnings, as the terminal belongs to somebody else.

    Others' libraries only tell warnings, unless all is asked for.
    """
    level = _wished("WARNING" if quiet else config.level.upper())
    formatter = JsonFormatter() if config.format == "json" else TextFormatter()
    root = logging.getLogger()
    for handler in root.handlers:
        handler.setFormatter(formatter)
    root.setLevel(
        "DEBUG" if level == "DEBUG" and VARIABLE in os.environ else max(LEVELS[2], level, key=LEVELS.index)
    )
    for name in OURS:
        logging.getLogger(name).setLevel(level)


def _wished(usual: str) -> str:
    """Return the level that the environment asks for, if it is one."""
    wished = os.environ.get(VARIABLE, "").upper()
    return wished if wished in LEVELS else usual
