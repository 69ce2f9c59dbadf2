"""How the samples of many runs are packed into one journal row, so that those of one run are read alone.

Runs that stand beside each other share a frame of about :data:`FRAME_SAMPLES` samples. In a frame, bytes of
equal weight are laid together and packed by zlib, whose checksum shows damage. Which run is in which frame
follows from the index of (run, number of samples).
"""

from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.measurements import SAMPLE, Block, empty_block

INDEX = np.dtype([("run", "<i4"), ("n", "<i4")])
FRAME_SAMPLES = 256
LEVEL = 1
RUN_BYTES = SAMPLE["channel"].itemsize
"""A sample begins with its run's number, which the index holds already."""
STEADY = ("t_s", "charge_C")
"""Columns that hardly differ from one sample of a run to the next: differences of their bits are kept."""
SIZE = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class Grouped:
    """Samples of many runs, sorted by run, each run's samples in the order they came."""

    index: NDArray[np.void]
    """Dtype :data:`INDEX`, one entry a run, ascending."""
    samples: Block

    def by_run(self) -> Iterator[tuple[int, Block]]:
        """Yield each run with its samples."""
        stop = 0
        for run, n in self.index.tolist():
            start, stop = stop, stop + n
            yield run, self.samples[start:stop]

    def of(self, run: int) -> Block:
        """Return the samples of one run, maybe none."""
        place = int(np.searchsorted(self.index["run"], run))
        if place == len(self.index) or self.index["run"][place] != run:
            return empty_block()
        start = int(self.index["n"][:place].sum())
        return self.samples[start : start + int(self.index["n"][place])]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the samples of each run are."""

    index: NDArray[np.void]
    runs: NDArray[np.int32]
    starts: NDArray[np.int64]
    """First sample of each run."""
    first_runs: NDArray[np.intp]
    """First entry of the index in each frame, and the number of all."""
    bounds: tuple[int, ...]
    """First sample of each frame, and the number of all."""

    def place(self, run: int) -> int | None:
        """Return the entry of a run in the index, None if it has none."""
        place = int(np.searchsorted(self.runs, run))
        return place if place < len(self.runs) and self.runs[place] == run else None


@functools.lru_cache(maxsize=64)
def layout_of(packed_index: bytes) -> Layout:
    """Return the layout that goes with an index. Rows often have the same. Raises zlib.error, ValueError."""
    planes = np.frombuffer(zlib.decompress(packed_index), dtype=np.uint8).reshape(INDEX.itemsize, -1)
    index = np.frombuffer(planes.T.tobytes(), dtype=INDEX).copy()
    index["run"] = np.cumsum(index["run"])
    return _layout(index)


def pack(grouped: Grouped) -> tuple[bytes, bytes]:
    """Return index and samples as bytes."""
    layout = _layout(grouped.index)
    frames = [_pack(grouped.samples[a:b]) for a, b in itertools.pairwise(layout.bounds)]
    steps = grouped.index.copy()
    steps["run"] = np.diff(grouped.index["run"], prepend=np.int32(0))
    sizes = np.array([len(frame) for frame in frames], dtype=SIZE)
    return zlib.compress(_planes(steps), LEVEL), b"".join([sizes.tobytes(), *frames])


def unpack_one(packed_index: bytes, packed: bytes, run: int) -> Block:
    """Return the samples of one run, maybe none. Raises zlib.error, ValueError."""
    layout = layout_of(packed_index)
    place = layout.place(run)
    if place is None:
        return empty_block()
    frame = int(np.searchsorted(layout.first_runs, place, side="right")) - 1
    start = int(layout.starts[place]) - layout.bounds[frame]
    samples = _unpack(layout, packed, frame)[start : start + int(layout.index["n"][place])]
    samples["channel"] = run
    return samples


def unpack(packed_index: bytes, packed: bytes) -> tuple[Grouped, bool]:
    """Return the samples of all runs, without those of damaged frames, and whether there are such.

    Raises zlib.error or ValueError if the index is damaged.
    """
    layout = layout_of(packed_index)
    indexes, blocks = [], []
    for frame, (first, last) in enumerate(itertools.pairwise(layout.first_runs.tolist())):
        try:
            blocks.append(_unpack(layout, packed, frame))
        except (zlib.error, ValueError):
            continue
        indexes.append(layout.index[first:last])
        blocks[-1]["channel"] = np.repeat(indexes[-1]["run"], indexes[-1]["n"])
    index = np.concatenate([np.empty(0, INDEX), *indexes])
    return Grouped(index, join(blocks)), len(blocks) + 1 < len(layout.bounds)


def join(blocks: Sequence[Block]) -> Block:
    """Return blocks as one, in their order."""
    # np.concatenate compares the fields of structured types anew for each block: 12 µs each against 0.1.
    joined: Block = np.frombuffer(b"".join(block.tobytes() for block in blocks), dtype=SAMPLE)
    return joined


def _layout(index: NDArray[np.void]) -> Layout:
    stops = np.cumsum(index["n"], dtype=np.int64)
    starts = stops - index["n"]
    frame = starts // FRAME_SAMPLES
    first_runs = np.flatnonzero(np.diff(frame, prepend=-1, append=-1))
    bounds = (*starts[first_runs[:-1]].tolist(), int(stops[-1]))
    return Layout(index, np.ascontiguousarray(index["run"]), starts, first_runs, bounds)


def _unpack(layout: Layout, packed: bytes, frame: int) -> Block:
    frames = len(layout.bounds) - 1
    sizes = np.frombuffer(packed, dtype=SIZE, count=frames)
    start = SIZE.itemsize * frames + int(sizes[:frame].sum())
    planes = zlib.decompress(packed[start : start + int(sizes[frame])])
    n = layout.bounds[frame + 1] - layout.bounds[frame]
    samples = np.empty(n, dtype=SAMPLE)
    bare = np.frombuffer(planes, dtype=np.uint8).reshape(SAMPLE.itemsize - RUN_BYTES, n)
    samples.view(np.uint8).reshape(n, -1)[:, RUN_BYTES:] = bare.T
    for name in STEADY:
        samples[name] = np.cumsum(samples[name].view(np.int64)).view(np.float64)
    return samples


def _pack(samples: Block) -> bytes:
    samples = samples.copy()
    for name in STEADY:
        bits = samples[name].view(np.int64)
        samples[name] = np.diff(bits, prepend=np.int64(0)).view(np.float64)
    bare = samples.view(np.uint8).reshape(len(samples), -1)[:, RUN_BYTES:]
    return zlib.compress(bare.T.tobytes(), LEVEL)


def _planes(rows: NDArray[np.void]) -> bytes:
    return rows.view(np.uint8).reshape(len(rows), -1).T.tobytes()
