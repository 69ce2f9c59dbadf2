"""The first level: one row per commit with the samples of all runs, until chunks cover them.

A row holds the samples sorted by run (dtype SAMPLE), and an index of (run, number of samples): raw in rows of
release 1; since then bytes of equal weight are laid together and packed by zlib. The crc is over both as they
are stored. A row that fails it is left out, logged, and named by :func:`torn_rows`.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, delete, func, insert, select
from sqlmodel import col

from protocols.measurements import SAMPLE, Block, empty_block
from storage import tables

logger = logging.getLogger(__name__)

INDEX = np.dtype([("run", "<i4"), ("n", "<i4")])
RAW, PACKED = 0, 1
"""Numbers of the codecs: that of release 1, and this one."""
LEVEL = 1
RUN_BYTES = SAMPLE["channel"].itemsize
"""A sample begins with its run's number, which the index holds already."""


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
class OfRun:
    """One run's samples in the journal, in order, each with the id of its row."""

    rows: NDArray[np.int64]
    samples: Block

    def after(self, row: int) -> OfRun:
        """Return those of later rows."""
        start = int(np.searchsorted(self.rows, row, side="right"))
        return OfRun(self.rows[start:], self.samples[start:])


def join(blocks: Sequence[Block]) -> Block:
    """Return blocks as one, in their order."""
    # np.concatenate compares the fields of structured types anew for each block: 12 µs each against 0.1.
    joined: Block = np.frombuffer(b"".join(block.tobytes() for block in blocks), dtype=SAMPLE)
    return joined


def group(blocks: Sequence[Block]) -> Grouped:
    """Join blocks, in which runs are mixed, and sort them by run."""
    joined = join(blocks)
    runs = joined["channel"]
    if np.any(runs[1:] < runs[:-1]):
        joined = joined[np.argsort(runs, kind="stable")]
    numbers, counts = np.unique(joined["channel"], return_counts=True)
    index = np.empty(len(numbers), dtype=INDEX)
    index["run"] = numbers
    index["n"] = counts
    return Grouped(index, joined)


def append(connection: Connection, grouped: Grouped) -> int:
    """Insert one journal row and return its id."""
    runs, samples = _pack_index(grouped.index), _pack(grouped.samples)
    row = {"n": len(grouped.samples), "crc": zlib.crc32(samples, zlib.crc32(runs)), "codec": PACKED}
    statement = insert(tables.Journal).returning(col(tables.Journal.id))
    return connection.execute(statement, {**row, "runs": runs, "samples": samples}).scalar_one()


def rows_after(
    connection: Connection, journal: int, newest_first: bool = False
) -> Iterator[tuple[int, Grouped]]:
    """Yield id and samples of the rows later than ``journal``. A torn row is logged and left out."""
    number = col(tables.Journal.id)
    query = select(tables.Journal).where(number > journal)
    for row in connection.execute(query.order_by(number.desc() if newest_first else number)):
        grouped = _read(row)
        if grouped is None:
            logger.warning("journal row %d is damaged and left out: %d samples are lost", row.id, row.n)
        else:
            yield row.id, grouped


def tails(connection: Connection) -> dict[int, OfRun]:
    """Return the whole journal by run. Torn rows are logged and left out."""
    found = list(rows_after(connection, 0))
    if not found:
        return {}
    samples = join([grouped.samples for _, grouped in found])
    rows = np.repeat([row for row, _ in found], [len(grouped.samples) for _, grouped in found])
    order = np.argsort(samples["channel"], kind="stable")
    samples, rows = samples[order], rows[order]
    runs, starts = np.unique(samples["channel"], return_index=True)
    stops = [*starts[1:].tolist(), len(samples)]
    return {
        run: OfRun(rows[start:stop], samples[start:stop])
        for run, start, stop in zip(runs.tolist(), starts.tolist(), stops, strict=True)
    }


def torn_rows(connection: Connection, run: int | None = None) -> list[tuple[int, int]]:
    """Return id and number of samples of the damaged rows, of those that may hold samples of ``run``."""
    rows = connection.execute(select(tables.Journal).order_by(col(tables.Journal.id)))
    return [(row.id, row.n) for row in rows if _read(row) is None and (run is None or _may_hold(row, run))]


def oldest(connection: Connection) -> int:
    """Return the id of the oldest row, 1 if there is none."""
    return connection.execute(select(func.min(col(tables.Journal.id)))).scalar() or 1


def discard(connection: Connection, first: int, stop: int, but: Collection[int]) -> None:
    """Delete the rows ``first`` … ``stop`` − 1, which chunks cover, but not those in ``but``."""
    number = col(tables.Journal.id)
    connection.execute(delete(tables.Journal).where(number >= first, number < stop, number.not_in(but)))


def _may_hold(row: Row[Any], run: int) -> bool:
    """Whether a damaged row may hold samples of a run, as far as its index can still be read."""
    try:
        return bool(np.any(_index(row)["run"] == run))
    except (zlib.error, ValueError):
        return True


def _read(row: Row[Any]) -> Grouped | None:
    """Return a row's samples, or None if it is damaged or packed by a newer version."""
    if zlib.crc32(row.samples, zlib.crc32(row.runs)) != row.crc or row.codec not in (RAW, PACKED):
        return None
    index = _index(row)
    if row.codec == RAW:
        return Grouped(index, np.frombuffer(row.samples, dtype=SAMPLE))
    samples = np.empty(row.n, dtype=SAMPLE)
    samples.view(np.uint8).reshape(row.n, -1)[:, RUN_BYTES:] = _planes(row.samples, row.n).T
    samples["channel"] = np.repeat(index["run"], index["n"])
    return Grouped(index, samples)


def _index(row: Row[Any]) -> NDArray[np.void]:
    if row.codec == RAW:
        return np.frombuffer(row.runs, dtype=INDEX)
    planes = zlib.decompress(row.runs)
    steps = np.frombuffer(planes, dtype=np.uint8).reshape(INDEX.itemsize, -1).T.tobytes()
    index = np.frombuffer(steps, dtype=INDEX).copy()
    index["run"] = np.cumsum(index["run"])
    return index


def _pack_index(index: NDArray[np.void]) -> bytes:
    steps = index.copy()
    steps["run"] = np.diff(index["run"], prepend=np.int32(0))
    return zlib.compress(steps.view(np.uint8).reshape(len(steps), -1).T.tobytes(), LEVEL)


def _pack(samples: Block) -> bytes:
    planes = samples.view(np.uint8).reshape(len(samples), -1)[:, RUN_BYTES:].T
    return zlib.compress(planes.tobytes(), LEVEL)


def _planes(packed: bytes, n: int) -> NDArray[np.uint8]:
    return np.frombuffer(zlib.decompress(packed), dtype=np.uint8).reshape(-1, n)
