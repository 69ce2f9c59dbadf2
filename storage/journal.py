"""The first level: one row per commit with the samples of all runs, until chunks cover them.

A row holds the samples sorted by run, and an index of (run, number of samples): packed in frames (see
:mod:`storage.frames`), raw in rows of release 1. So that one run's samples are soon found, neighbouring rows
are merged after a while (:func:`merge`). The crc is over both as they are stored. What is damaged is left out
and logged; :func:`torn_rows` names the rows.
"""

from __future__ import annotations

import itertools
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
from storage import frames, tables
from storage.frames import INDEX, Grouped

logger = logging.getLogger(__name__)

RAW, FRAMES = 0, 1
"""Numbers of the codecs: that of release 1, and this one."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A row as it is stored; what is asked for is unpacked then."""

    row: Row[Any]

    def of(self, run: int) -> Block:
        """Return the samples of one run, maybe none. Damage is logged and left out."""
        try:
            if self.row.codec == FRAMES:
                return frames.unpack_one(self.row.runs, self.row.samples, run)
            return self._raw().of(run)
        except (zlib.error, ValueError):
            self._warn()
            return empty_block()

    def whole(self) -> tuple[Grouped, bool]:
        """Return the samples of all runs, as far as they can be read, and whether any cannot."""
        grouped, torn = Grouped(np.empty(0, INDEX), empty_block()), True
        try:
            if self.row.codec == FRAMES:
                grouped, torn = frames.unpack(self.row.runs, self.row.samples)
            else:
                grouped, torn = self._raw(), False
        except (zlib.error, ValueError):
            pass
        if torn:
            self._warn()
        return grouped, torn

    @property
    def torn(self) -> bool:
        """Whether the row is not as it was written."""
        return zlib.crc32(self.row.samples, zlib.crc32(self.row.runs)) != int(self.row.crc)

    def runs(self) -> list[int]:
        """Return the runs that it holds samples of, as far as its index can be read."""
        try:
            if self.row.codec == FRAMES:
                return [int(run) for run in frames.layout_of(self.row.runs).runs]
            return [int(run) for run in np.frombuffer(self.row.runs, dtype=INDEX)["run"]]
        except (zlib.error, ValueError):
            return []

    def may_hold(self, run: int) -> bool:
        """Whether samples of a run may be in it, as far as its index can still be read."""
        try:
            if self.row.codec == FRAMES:
                return frames.layout_of(self.row.runs).place(run) is not None
            return bool(np.any(np.frombuffer(self.row.runs, dtype=INDEX)["run"] == run))
        except (zlib.error, ValueError):
            return True

    def _raw(self) -> Grouped:
        if self.torn or self.row.codec != RAW:
            raise ValueError(f"journal row {self.row.id}")
        return Grouped(
            np.frombuffer(self.row.runs, dtype=INDEX), np.frombuffer(self.row.samples, dtype=SAMPLE)
        )

    def _warn(self) -> None:
        row = self.row
        logger.warning("journal row %d is damaged: up to %d samples are lost", row.id, row.n)


@dataclass(frozen=True, slots=True)
class OfRun:
    """One run's samples in the journal, in order, each with the id of its row."""

    rows: NDArray[np.int64]
    samples: Block

    def after(self, row: int) -> OfRun:
        """Return those of later rows."""
        start = int(np.searchsorted(self.rows, row, side="right"))
        return OfRun(self.rows[start:], self.samples[start:])


def group(blocks: Sequence[Block]) -> Grouped:
    """Join blocks, in which runs are mixed, and sort them by run."""
    joined = frames.join(blocks)
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
    statement = insert(tables.Journal).returning(col(tables.Journal.id))
    return connection.execute(statement, _values(grouped)).scalar_one()


def merge(connection: Connection, rows: Sequence[int], grouped: Grouped) -> None:
    """Put one row with the id of the last in the place of rows that follow each other."""
    replaced = rows if len(grouped.samples) else rows[:-1]
    connection.execute(delete(tables.Journal).where(col(tables.Journal.id).in_(replaced)))
    if len(grouped.samples):
        connection.execute(insert(tables.Journal), {"id": rows[-1], **_values(grouped)})


def rows_after(
    connection: Connection, journal: int, newest_first: bool = False
) -> Iterator[tuple[int, JournalRow]]:
    """Yield id and content of the rows later than ``journal``."""
    number = col(tables.Journal.id)
    query = select(tables.Journal).where(number > journal)
    for row in connection.execute(query.order_by(number.desc() if newest_first else number)):
        yield row.id, JournalRow(row)


def tails(connection: Connection) -> tuple[dict[int, OfRun], set[int]]:
    """Return the whole journal by run, and which rows are damaged: what can't be read is left out."""
    found, damaged = [], set()
    for number, stored in rows_after(connection, 0):
        grouped, torn = stored.whole()
        found.append((number, grouped.samples))
        damaged |= {number} if torn else set()
    samples = frames.join([block for _, block in found])
    rows = np.repeat(
        np.array([number for number, _ in found], dtype=np.int64), [len(block) for _, block in found]
    )
    order = np.argsort(samples["channel"], kind="stable")
    samples, rows = samples[order], rows[order]
    runs, starts = np.unique(samples["channel"], return_index=True)
    bounds = itertools.pairwise([*starts.tolist(), len(samples)])
    by_run = {
        run: OfRun(rows[start:stop], samples[start:stop])
        for run, (start, stop) in zip(runs.tolist(), bounds, strict=True)
    }
    return by_run, damaged


def torn_rows(connection: Connection, run: int) -> list[tuple[int, int]]:
    """Return id and number of samples of the damaged rows that may hold samples of ``run``."""
    rows = (
        JournalRow(row) for row in connection.execute(select(tables.Journal).order_by(col(tables.Journal.id)))
    )
    return [(journal.row.id, journal.row.n) for journal in rows if journal.torn and journal.may_hold(run)]


def oldest(connection: Connection) -> int:
    """Return the id of the oldest row, 1 if there is none."""
    return connection.execute(select(func.min(col(tables.Journal.id)))).scalar() or 1


def discard(connection: Connection, first: int, stop: int, but: Collection[int]) -> None:
    """Delete the rows ``first`` … ``stop`` − 1, which chunks cover, but not those in ``but``."""
    number = col(tables.Journal.id)
    connection.execute(delete(tables.Journal).where(number >= first, number < stop, number.not_in(but)))


def _values(grouped: Grouped) -> dict[str, object]:
    runs, samples = frames.pack(grouped)
    crc = zlib.crc32(samples, zlib.crc32(runs))
    return {"n": len(grouped.samples), "crc": crc, "runs": runs, "samples": samples, "codec": FRAMES}
