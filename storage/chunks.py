"""The second level: a stretch of one run as one row, a packed blob per column (see :mod:`storage.codec`)."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, delete, insert, select
from sqlmodel import col

from protocols.measurements import COLUMNS, SAMPLE, Block
from storage import codec, tables
from storage.columns import Columns

logger = logging.getLogger(__name__)

CHUNK_SAMPLES = 600
CHUNK_S = 600.0


@dataclass(frozen=True, slots=True)
class Head:
    """How far chunks and sealed file of a run reach."""

    seq: int = 0
    """Samples that they hold."""
    journal: int = 0
    """Newest journal row that they cover."""


def head(connection: Connection, run: int) -> Head:
    """Return how far chunks and sealed file of a run reach."""
    chunk = connection.execute(
        select(col(tables.Chunk.seq0), col(tables.Chunk.n), col(tables.Chunk.journal))
        .where(col(tables.Chunk.run) == run)
        .order_by(col(tables.Chunk.seq0).desc())
        .limit(1)
    ).one_or_none()
    if chunk is not None:
        return Head(chunk.seq0 + chunk.n, chunk.journal)
    sealed = connection.execute(
        select(col(tables.Sealed.n), col(tables.Sealed.journal)).where(col(tables.Sealed.run) == run)
    ).one_or_none()
    return Head() if sealed is None else Head(sealed.n, sealed.journal)


def append(connection: Connection, run: int, start: Head, journal: int, samples: Block) -> Head:
    """Insert the chunks of a run's next samples, which reach up to journal row ``journal``."""
    rows = []
    seq = start.seq
    for part in np.array_split(samples, max(1, len(samples) // CHUNK_SAMPLES)):
        rows.append({"run": run, "seq0": seq, "journal": journal, **_pack(part)})
        seq += len(part)
    connection.execute(insert(tables.Chunk), rows)
    return Head(seq, journal)


def read(connection: Connection, run: int, columns: Sequence[str], t0: float, t1: float) -> Iterator[Columns]:
    """Yield the wanted columns of each chunk that overlaps t0 … t1, in order.

    A damaged chunk is logged and left out; :func:`faults` names it.
    """
    needed = codec.with_needed(columns)
    wanted = [col(getattr(tables.Chunk, name)) for name in needed]
    query = (
        select(col(tables.Chunk.seq0), col(tables.Chunk.n), col(tables.Chunk.codec), *wanted)
        .where(col(tables.Chunk.run) == run, col(tables.Chunk.t1_s) >= t0, col(tables.Chunk.t0_s) <= t1)
        .order_by(col(tables.Chunk.seq0))
    )
    for seq0, n, number, *blobs in connection.execute(query):
        try:
            found = codec.unpack(number, dict(zip(needed, blobs, strict=True)), n)
        except codec.DamagedError as error:
            logger.warning("run %d: samples %d to %d are damaged: %s", run, seq0, seq0 + n - 1, error)
        else:
            yield {name: found[name] for name in columns}


def newest(connection: Connection, run: int) -> np.void | None:
    """Return the newest sample that a readable chunk of the run holds."""
    query = select(tables.Chunk).where(col(tables.Chunk.run) == run).order_by(col(tables.Chunk.seq0).desc())
    for row in connection.execute(query):
        try:
            found = codec.unpack(row.codec, {name: getattr(row, name) for name in COLUMNS}, row.n)
        except codec.DamagedError as error:
            logger.warning("run %d: its newest chunk is damaged: %s", run, error)
        else:
            values = (found[name][-1] for name in COLUMNS)
            sample: np.void = np.array([(run, *values)], dtype=SAMPLE)[0]
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


def discard(connection: Connection, run: int) -> None:
    """Delete a run's chunks."""
    connection.execute(delete(tables.Chunk).where(col(tables.Chunk.run) == run))


def _pack(samples: Block) -> dict[str, object]:
    blobs = codec.pack(samples)
    t_s = samples["t_s"]
    return {
        "codec": codec.NEWEST,
        "n": len(samples),
        "t0_s": float(t_s.min()),
        "t1_s": float(t_s.max()),
        "crc": _crc(list(blobs.values())),
        **blobs,
    }


def _crc(blobs: Sequence[bytes]) -> int:
    crc = 0
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
    return crc
