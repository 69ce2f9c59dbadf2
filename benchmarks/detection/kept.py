"""Scored runs in a file: an interruption costs none of them, and a larger share adds to a smaller one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.detection.score import Scored

_SOURCES = ("analysis", "benchmarks/detection", "guards", "protocols")
_ROOT = Path(__file__).resolve().parents[2]
_LINE = TypeAdapter(Scored)


class Kept:
    """The runs that these very guards have scored on this very corpus, one line of JSON each."""

    def __init__(self, folder: Path, what: str) -> None:
        """``folder`` gets a file for each version of the sources and ``what`` (seeds and lab's share)."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{what}-{_digest()}.jsonl"
        self._path.touch()
        whole = self._path.read_bytes()
        with self._path.open("r+b") as file:
            # The last line may have been cut short by an interruption.
            file.truncate(whole.rfind(b"\n") + 1)

    def read(self) -> Iterator[Scored]:
        """Return what was kept."""
        with self._path.open("rb") as lines:
            yield from map(_LINE.validate_json, lines)

    def add(self, scored: Scored) -> None:
        """Append a run."""
        with self._path.open("ab") as file:
            file.write(_LINE.dump_json(scored) + b"\n")


def _digest() -> str:
    found = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((_ROOT / folder).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]
