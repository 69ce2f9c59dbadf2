"""The memory of a channel: records wait here until a host fetches them, and are lost once it is full."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.biologic.structs import DATA_WORDS

WORD = 4


@dataclass(frozen=True, slots=True)
class Origin:
    """What the records of one block have in common."""

    technique_index: int
    technique_id: int
    process: int
    loop: int
    columns: int
    time_base_s: float
    start_s: float
    """Start of the technique, in s since the channel's start."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one record."""
        return self.columns * WORD

    @property
    def rows_max(self) -> int:
        """Records that one block holds at most."""
        return DATA_WORDS // self.columns


@dataclass(slots=True)
class _Chunk:
    origin: Origin
    records: bytes
    taken_s: NDArray[np.float64]
    """Instrument time of each record."""


@dataclass(frozen=True, slots=True)
class Block:
    """What one fetch gives."""

    origin: Origin
    records: bytes
    skipped: int
    """Records lost since the last fetch because the memory was full."""

    @property
    def rows(self) -> int:
        """Number of records."""
        return len(self.records) // self.origin.row_bytes


class Memory:
    """Records of one channel, first in, first out."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.filled_bytes = 0
        self.made: list[int] = []
        """Records that each technique of the list has made, points of spectra apart, kept or not."""
        self._chunks: deque[_Chunk] = deque()
        self._skipped = 0
        self._blocks = 0

    @property
    def oldest_s(self) -> float | None:
        """Instrument time of the oldest record that waits."""
        return float(self._chunks[0].taken_s[0]) if self._chunks else None

    def begin(self, techniques: int) -> None:
        """Forget everything, and count anew for a list of so many techniques."""
        self.clear()
        self.made = [0] * techniques

    def clear(self) -> None:
        """Forget everything."""
        self._chunks.clear()
        self.filled_bytes = self._skipped = 0

    def skip(self, count: int) -> None:
        """Count records as lost."""
        self._skipped += count

    def block(self, full: bool) -> None:
        """Count as full, whatever is in it, or no longer so."""
        self._blocks += 1 if full else -1

    def store(self, origin: Origin, records: bytes, taken_s: NDArray[np.float64]) -> None:
        """Keep records as far as there is room, and count the rest as skipped."""
        if not origin.process:
            self.made[origin.technique_index] += len(taken_s)
        room = 0 if self._blocks else (self.size_bytes - self.filled_bytes) // origin.row_bytes
        if len(taken_s) > room:
            self.skip(len(taken_s) - room)
            records, taken_s = records[: room * origin.row_bytes], taken_s[:room]
        if len(taken_s):
            self._chunks.append(_Chunk(origin, records, taken_s))
            self.filled_bytes += len(records)

    def take(self) -> Block | None:
        """Take out the oldest block: records of one origin, as many as a block holds. None if empty."""
        if not self._chunks:
            return None
        origin = self._chunks[0].origin
        parts: list[bytes] = []
        room = origin.rows_max
        while room and self._chunks and self._chunks[0].origin == origin:
            part = self._take_from_first(room)
            parts.append(part)
            room -= len(part) // origin.row_bytes
        records = b"".join(parts)
        self.filled_bytes -= len(records)
        skipped, self._skipped = self._skipped, 0
        return Block(origin, records, skipped)

    def _take_from_first(self, rows: int) -> bytes:
        chunk = self._chunks[0]
        cut = rows * chunk.origin.row_bytes
        part, chunk.records, chunk.taken_s = chunk.records[:cut], chunk.records[cut:], chunk.taken_s[rows:]
        if not chunk.records:
            self._chunks.popleft()
        return part
