"""The second level: a stretch of one run as one row, a compressed blob per column.

A column is packed without loss: the bytes of equal weight are laid together (as byte-stream-split and
Blosc's shuffle do), so that the slow upper bytes of neighbours compress, then zlib level 1. Times are taken
as differences of their bit patterns first, which are nearly constant.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, delete, insert, select
from sqlmodel import col

from protocols.measurements import COLUMNS, SAMPLE, Block
from storage import parts, rollup, tables
from storage.columns import Columns, of_block

logger = logging.getLogger(__name__)

CHUNK_SAMPLES = 600
CHUNK_S = 600.0
LEVEL = 1
DIFFERENCED = frozenset({"t_s"})


@dataclass(frozen=True, slots=True)
class Head:
    """How far chunks and sealed files of a run reach."""

    seq: int = 0
    """Samples that they hold."""
    journal: int = 0
    """Newest journal row that they cover."""


@dataclass(frozen=True, slots=True)
class Span:
    """What one chunk covers."""

    seq0: int
    n: int
    t0_s: float
    t1_s: float
    journal: int

    @property
    def stop(self) -> int:
        """Number of the first sample after it."""
        return self.seq0 + self.n


def head(connection: Connection, run: int) -> Head:
    """Return how far chunks and sealed files of a run reach."""
    chunk = connection.execute(
        select(col(tables.Chunk.seq0), col(tables.Chunk.n), col(tables.Chunk.journal))
        .where(col(tables.Chunk.run) == run)
        .order_by(col(tables.Chunk.seq0).desc())
        .limit(1)
    ).one_or_none()
    if chunk is not None:
        return Head(chunk.seq0 + chunk.n, chunk.journal)
    return Head(*parts.head(connection, run))


def spans(connection: Connection, run: int) -> list[Span]:
    """Return what each chunk of a run covers, in order."""
    query = select(*(col(getattr(tables.Chunk, field.name)) for field in fields(Span)))
    rows = connection.execute(query.where(col(tables.Chunk.run) == run).order_by(col(tables.Chunk.seq0)))
    return [Span(*row) for row in rows]


def times(connection: Connection, run: int) -> tuple[float, float] | None:
    """Return the run times between which the chunks of a run lie, None without any."""
    query = select(col(tables.Chunk.t0_s), col(tables.Chunk.t1_s)).where(col(tables.Chunk.run) == run)
    number = col(tables.Chunk.seq0)
    first, last = (
        connection.execute(query.order_by(o).limit(1)).one_or_none() for o in (number, number.desc())
    )
    return None if first is None or last is None else (first.t0_s, last.t1_s)


def append(connection: Connection, run: int, start: Head, journal: int, samples: Block) -> Head:
    """Insert the chunks of a run's next samples, which reach up to journal row ``journal``."""
    rows = []
    seq = start.seq
    for piece in np.array_split(samples, max(1, len(samples) // CHUNK_SAMPLES)):
        rows.append({"run": run, "seq0": seq, "journal": journal, **_pack(piece)})
        seq += len(piece)
    connection.execute(insert(tables.Chunk), rows)
    return Head(seq, journal)


def read(connection: Connection, run: int, columns: Sequence[str], t0: float, t1: float) -> Iterator[Columns]:
    """Yield the wanted columns of each chunk that overlaps t0 … t1, in order.

    A damaged chunk is logged and left out; :func:`faults` names it.
    """
    overlap = (col(tables.Chunk.t1_s) >= t0, col(tables.Chunk.t0_s) <= t1)
    yield from _read(connection, run, columns, *overlap)


def read_numbered(
    connection: Connection, run: int, columns: Sequence[str], first: int, stop: int
) -> Iterator[Columns]:
    """Yield the wanted columns of each chunk that begins with one of the samples ``first`` … ``stop`` − 1."""
    number = col(tables.Chunk.seq0)
    yield from _read(connection, run, columns, number >= first, number < stop)


def _read(
    connection: Connection, run: int, columns: Sequence[str], *which: ColumnElement[bool]
) -> Iterator[Columns]:
    wanted = [col(getattr(tables.Chunk, name)) for name in columns]
    query = (
        select(col(tables.Chunk.seq0), col(tables.Chunk.n), *wanted)
        .where(col(tables.Chunk.run) == run, *which)
        .order_by(col(tables.Chunk.seq0))
    )
    for seq0, n, *blobs in connection.execute(query):
        try:
            yield {name: unpack(name, blob, n) for name, blob in zip(columns, blobs, strict=True)}
        except (zlib.error, ValueError) as error:
            logger.warning("run %d: samples %d to %d are damaged: %s", run, seq0, seq0 + n - 1, error)


def read_minutes(connection: Connection, run: int, t0: float, t1: float) -> Iterator[Columns]:
    """Yield the roll-up over minutes of each chunk that overlaps t0 … t1, in order."""
    wanted = (tables.Chunk.seq0, tables.Chunk.n, tables.Chunk.t0_s, tables.Chunk.t1_s, tables.Chunk.minutes)
    query = (
        select(*map(col, wanted))
        .where(col(tables.Chunk.run) == run, col(tables.Chunk.t1_s) >= t0, col(tables.Chunk.t0_s) <= t1)
        .order_by(col(tables.Chunk.seq0))
    )
    for row in connection.execute(query):
        try:
            if row.minutes is not None:
                yield rollup.unpack(row.minutes)
                continue
        except (zlib.error, ValueError) as error:
            logger.warning("run %d: the roll-up of sample %d on is damaged: %s", run, row.seq0, error)
        for samples in read_numbered(connection, run, rollup.NEEDED, row.seq0, row.seq0 + 1):
            yield rollup.of_samples(samples, rollup.MINUTE_S)


def newest(connection: Connection, run: int) -> np.void | None:
    """Return the newest sample that a readable chunk of the run holds."""
    query = select(tables.Chunk).where(col(tables.Chunk.run) == run).order_by(col(tables.Chunk.seq0).desc())
    for row in connection.execute(query):
        try:
            values = {name: unpack(name, getattr(row, name), row.n)[-1] for name in COLUMNS}
        except (zlib.error, ValueError) as error:
            logger.warning("run %d: its newest chunk is damaged: %s", run, error)
        else:
            sample: np.void = np.array([(run, *values.values())], dtype=SAMPLE)[0]
            return sample
    return None


def faults(connection: Connection, run: int, first: int) -> list[str]:
    """Return what is wrong with a run's chunks, which should begin with sample ``first`` and have no hole."""
    found = []
    query = select(tables.Chunk).where(col(tables.Chunk.run) == run).order_by(col(tables.Chunk.seq0))
    for row in connection.execute(query):
        if row.seq0 != first:
            found.append(f"samples {first} to {row.seq0 - 1} are missing")
        blobs = [getattr(row, name) for name in COLUMNS]
        if _crc(blobs) != row.crc:
            found.append(f"samples {row.seq0} to {row.seq0 + row.n - 1} fail their checksum")
        first = row.seq0 + row.n
    return found


def discard(connection: Connection, run: int, stop: int) -> None:
    """Delete a run's chunks that begin before sample ``stop``."""
    connection.execute(
        delete(tables.Chunk).where(col(tables.Chunk.run) == run, col(tables.Chunk.seq0) < stop)
    )


def pack(name: str, values: NDArray[Any]) -> bytes:
    """Return a column as a compressed blob."""
    values = np.ascontiguousarray(values)
    if name in DIFFERENCED:
        bits = values.view(np.int64)
        values = np.diff(bits, prepend=np.int64(0))
    shuffled = values.view(np.uint8).reshape(len(values), -1).T
    return zlib.compress(shuffled.tobytes(), LEVEL)


def unpack(name: str, blob: bytes, n: int) -> NDArray[Any]:
    """Return a column of ``n`` values, the inverse of :func:`pack`. Raises zlib.error, ValueError."""
    kind = SAMPLE[name]
    shuffled = np.frombuffer(zlib.decompress(blob), dtype=np.uint8).reshape(kind.itemsize, n)
    plain = np.ascontiguousarray(shuffled.T)
    if name in DIFFERENCED:
        return np.cumsum(plain.view(np.int64).ravel()).view(kind)
    return plain.view(kind).ravel()


def _pack(samples: Block) -> dict[str, object]:
    blobs = {name: pack(name, samples[name]) for name in COLUMNS}
    t_s = samples["t_s"]
    return {
        "n": len(samples),
        "t0_s": float(t_s.min()),
        "t1_s": float(t_s.max()),
        "crc": _crc(list(blobs.values())),
        **blobs,
        "minutes": rollup.pack(rollup.of_samples(of_block(samples, rollup.NEEDED), rollup.MINUTE_S)),
    }


def _crc(blobs: Sequence[bytes]) -> int:
    crc = 0
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
    return crc
