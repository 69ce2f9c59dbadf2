"""What the load's boxes and the bench say to each other: a line of JSON each way."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

END = b"\n"
TIMEOUT_S = 30.0
SECTION = "books"
"""Of a box process's state file: where it answers these questions."""


@dataclass(slots=True)
class Segment:
    """What a box knows of one list that it ran. Times are of the computer's monotonic clock, in s."""

    marker: str
    box: str
    channel: int
    started_s: float
    rows: int = 0
    """Records that were given to the host."""
    stopped_s: float | None = None
    """When the host asked for the open circuit first."""
    high_s: float | None = None
    """Time of the first sample beyond the limit, if it was made to have any."""

    @property
    def run(self) -> int:
        """Number of the run, which stands in the marker."""
        return int(self.marker.split("/")[2])


@dataclass(slots=True)
class Books:
    """What the boxes of one process have seen."""

    segments: list[Segment] = field(default_factory=list)
    polled_s: dict[str, list[float]] = field(default_factory=dict)
    """Box → when its first channel was asked for data."""
    answers: int = 0
    cpu_s: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Books:
        """Return what :meth:`document` gave."""
        segments = [Segment(**one) for one in document["segments"]]
        return cls(segments, document["polled_s"], document["answers"], document["cpu_s"])


def books(state_file: Path) -> Books:
    """Ask the boxes of one process for their books."""
    return Books.of(_ask(state_file, {"ask": "books"}))


def forget(state_file: Path) -> None:
    """Let the boxes of one process count their polls anew."""
    _ask(state_file, {"ask": "forget"})


def make_high(state_file: Path, box: str, channel: int) -> None:
    """Let a channel's cell go beyond its limit from now on; ``channel`` from 0."""
    _ask(state_file, {"ask": "high", "box": box, "channel": channel})


def _ask(state_file: Path, question: dict[str, Any]) -> dict[str, Any]:
    place = json.loads(state_file.read_text(encoding="utf-8"))[SECTION]
    with socket.create_connection((place["host"], place["port"]), TIMEOUT_S) as link:
        link.sendall(json.dumps(question).encode() + END)
        answer: dict[str, Any] = json.loads(link.makefile("rb").readline())
    return answer
