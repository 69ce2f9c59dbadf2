"""Whether SQLite's write-ahead log is damaged before its end (format: sqlite.org/fileformat2.html#walformat).

SQLite reads the log up to the first frame whose checksum is wrong, and takes the rest for the torn end of a
transaction that was under way. That is right after a crash: every transaction was synced before the next
began, so at most the last one is torn. Whole transactions after such a frame were committed, and would be
lost.
"""

from __future__ import annotations

import functools
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct(">8I")
FRAME = struct.Struct(">6I")
MAGIC = 0x377F0682
"""Its lowest bit says that checksums are made of big-endian words."""
MASK = 0xFFFFFFFF

_Sum = tuple[int, int]


def loses_commits(log: Path) -> bool:
    """Whether committed transactions stand behind a damaged place of the log."""
    raw = log.read_bytes()
    if len(raw) < HEADER.size:
        return False
    magic, _, page, _, *salts, sum_0, sum_1 = HEADER.unpack_from(raw)
    order = ">u4" if magic & 1 else "<u4"
    # The header is smaller than a sector, so it is never torn.
    if magic & ~1 != MAGIC or _add((0, 0), _weigh(raw[:24], 24, order)[0], 24) != (sum_0, sum_1):
        return True
    size = FRAME.size + page
    frames = [FRAME.unpack_from(raw, at) for at in range(HEADER.size, len(raw) - size + 1, size)]
    good = _good(raw, frames, page, order, (sum_0, sum_1), salts)
    rest = [frame for frame in frames[good:] if list(frame[2:4]) == salts]
    commits = [place for place, frame in enumerate(rest) if frame[1]]
    return bool(commits) and commits[0] < len(rest) - 1


def _good(
    raw: bytes,
    frames: list[tuple[int, ...]],
    page: int,
    order: str,
    total: _Sum,
    salts: list[int],
) -> int:
    """Return how many frames from the start on are whole."""
    size = FRAME.size + page
    # A frame's sum is over the first 8 bytes of its head, and its page.
    body = np.frombuffer(raw, np.uint8, len(frames) * size, HEADER.size).reshape(len(frames), size)
    summed = np.concatenate((body[:, :8], body[:, FRAME.size :]), axis=1).tobytes()
    for place, weighed in enumerate(_weigh(summed, page + 8, order)):
        total = _add(total, weighed, page + 8)
        if list(frames[place][2:4]) != salts or frames[place][4:6] != total:
            return place
    return len(frames)


def _weigh(data: bytes, size: int, order: str) -> list[_Sum]:
    """Return what each piece of ``size`` bytes adds to the checksum of what was before it.

    The checksum's step for a pair of words a, b is s0 += a + s1, s1 += b + s0: linear, modulo 2³². So a piece
    adds the sum of its pairs, each multiplied with a power of the step's matrix.
    """
    words = np.frombuffer(data, order).reshape(-1, size // 8, 2).astype(np.uint64)
    powers = _powers(size // 8)[-2::-1]
    first, both = words[:, :, 0], words.sum(axis=2, dtype=np.uint64)
    s0, s1 = (first @ powers[:, row, 0] + both @ powers[:, row, 1] for row in (0, 1))
    return [(int(a) & MASK, int(b) & MASK) for a, b in zip(s0, s1, strict=True)]


def _add(total: _Sum, weighed: _Sum, size: int) -> _Sum:
    """Return the checksum after a further piece of ``size`` bytes."""
    (a, b), (c, d) = _powers(size // 8)[-1].tolist()
    return (
        (a * total[0] + b * total[1] + weighed[0]) & MASK,
        (c * total[0] + d * total[1] + weighed[1]) & MASK,
    )


@functools.cache
def _powers(number: int) -> NDArray[np.uint64]:
    """Return the powers 0 … ``number`` of the matrix of a step, modulo 2³²."""
    powers = [((1, 0), (0, 1))]
    for _ in range(number):
        (a, b), (c, d) = powers[-1]
        powers.append((((a + b) & MASK, (a + 2 * b) & MASK), ((c + d) & MASK, (c + 2 * d) & MASK)))
    return np.array(powers, np.uint64)
