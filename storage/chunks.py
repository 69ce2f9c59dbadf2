"""The second level: a stretch of one run as one row, a packed blob per column (see :mod:`storage.codec`)."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, select
from sqlmodel import col

from protocols.measurements import COLUMNS, SAMPLE, Block
from storage import codec, parts, rollup, tables
from storage.columns import Columns, of_block

logger = logging.getLogger(__name__)

CHUNK_SAMPLES = 600
CHUNK_S = 600.0


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


def heads(connection: Connection, runs: Select[tuple[int]]) -> dict[int, Head]:
    """Return for each of many runs how far its chunks and sealed files reach."""
    found = {row.run: Head() for row in connection.execute(runs)}
    run, first = col(tables.Part.run), col(tables.Part.first)
    for row in connection.execute(
        select(run, first, col(tables.Part.n), col(tables.Part.journal)).where(run.in_(runs)).order_by(first)
    ):
        found[row.run] = Head(row.first + row.n, row.journal)
    run, first = col(tables.Chunk.run), col(tables.Chunk.seq0)
    newest = select(run, func.max(first).label("seq0")).where(run.in_(runs)).group_by(run).subquery()
    query = select(run, first, col(tables.Chunk.n), col(tables.Chunk.journal))
    for row in connection.execute(query.join(newest, (run == newest.c.run) & (first == newest.c.seq0))):
        found[row.run] = Head(row.seq0 + row.n, row.journal)
    return found


def ends(connection: Connection, runs: Select[tuple[int]]) -> dict[int, float]:
    """Return for each of many runs the run time up to which chunks or sealed files may hold samples."""
    found: dict[int, float] = {}
    for table in (tables.Part, tables.Chunk):
        run, t1_s = col(table.run), col(table.t1_s)
        query = select(run, func.max(t1_s)).where(run.in_(runs)).group_by(run)
        for number, until_s in connection.execute(query):
            found[number] = max(until_s, found.get(number, -math.inf))
    return found


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
    for part in np.array_split(samples, max(1, len(samples) // CHUNK_SAMPLES)):
        rows.append({"run": run, **row(Head(seq), journal, part)})
        seq += len(part)
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
    needed = codec.with_needed(columns)
    wanted = [col(getattr(tables.Chunk, name)) for name in needed]
    query = (
        select(col(tables.Chunk.seq0), col(tables.Chunk.n), col(tables.Chunk.codec), *wanted)
        .where(col(tables.Chunk.run) == run, *which)
        .order_by(col(tables.Chunk.seq0))
    )
    for seq0, n, number, *blobs in connection.execute(query):
        try:
            found = codec.unpack(number, dict(zip(needed, blobs, strict=True)), n)
        except codec.DamagedError as error:
            logger.warning("run %d: samples %d to %d are damaged: %s", run, seq0, seq0 + n - 1, error)
        else:
            yield {name: found[name] for name in columns}


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
        if _crc(blobs) != row.crc or not _unpacks(row):
            found.append(f"samples {row.seq0} to {row.seq0 + row.n - 1} fail their checksum")
        first = row.seq0 + row.n
    return found


def discard(connection: Connection, run: int, stop: int) -> None:
    """Delete a run's chunks that begin before sample ``stop``."""
    connection.execute(
        delete(tables.Chunk).where(col(tables.Chunk.run) == run, col(tables.Chunk.seq0) < stop)
    )


def _unpacks(row: Row[Any]) -> bool:
    """Whether a chunk's columns have as many samples as it says."""
    try:
        codec.unpack(row.codec, {name: getattr(row, name) for name in COLUMNS}, row.n)
    except codec.DamagedError:
        return False
    return True


def row(start: Head, journal: int, samples: Block) -> dict[str, object]:
    """Return a chunk of one run's samples, but for the run."""
    blobs = codec.pack(samples)
    t_s = samples["t_s"]
    return {
        "seq0": start.seq,
        "journal": journal,
        "codec": codec.NEWEST,
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
