"""The figure beside the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from monitor.published.comparison import Row
from monitor.published.extractions import Record


def draw(rows: Sequence[Row], tests: Mapping[str, Record], path: Path) -> None:
    """Draw it. ``tests``: records by station, such as ``D-mii2_symmetric``."""
