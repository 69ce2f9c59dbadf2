"""Where the command line's words go: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from scheduler.config import ServiceConfig, load_config

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="service.toml; default: $SANDTIME_CONFIG, else ./service.toml."),
]


def config_path(path: Path | None) -> Path:
    """Return where the user, the environment or the working folder says that service.toml is."""
    return path or Path(os.environ.get("SANDTIME_CONFIG", "service.toml"))


def configuration(path: Path | None) -> ServiceConfig:
    """Read service.toml. Raises InvalidFileError."""
    return load_config(config_path(path))


def local_time(unix_s: float) -> str:
    """Return a moment for people: with the offset from UTC, which changes twice a year."""
    return datetime.fromtimestamp(unix_s).astimezone().isoformat(" ", "seconds")


def say(text: str = "") -> None:
    """Tell a person something that is not data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def emit(document: Any, text: str, as_json: bool) -> None:
    """Print the result: as JSON for programs, as text for people."""
    sys.stdout.write((json.dumps(document, indent=2, allow_nan=False) if as_json else text) + "\n")
    sys.stdout.flush()
