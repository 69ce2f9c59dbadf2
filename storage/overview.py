"""A run as a few points, from the coarsest roll-up that is fine enough: hours, minutes, or the samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from storage import chunks, journal, parquet, parts, rollup
from storage.columns import Columns, between, join, length, of_block
from storage.rollup import HOUR_S, MINUTE_S
from storage.rollup_files import minutes_of
from storage.tables import SealedFile

HOUR_POINTS, MINUTE_POINTS = 2, 4
"""Hours, or minutes, are used as soon as there is one for every so many of the points that are asked
for: finer ones are in more files, or are more samples, than can be read while somebody waits."""


def of_run(connection: Connection, folder: Path, run: int, points: int, t0: float, t1: float) -> Columns:
    """Return a run between two run times as at most so many points (see Reader.overview)."""
    stored = _Stored(connection, folder, run)
    begin_s, end_s = stored.times()
    begin_s, end_s = max(begin_s, t0), min(end_s, t1)
    span_s = end_s - begin_s
    if span_s >= points * HOUR_S / HOUR_POINTS:
        rows = _within(rollup.join(list(stored.hours(begin_s, end_s))), begin_s, end_s, HOUR_S)
        return _reduced(rows, HOUR_S, points)
    if span_s >= points * MINUTE_S / MINUTE_POINTS:
        rows = _within(rollup.join(list(stored.minutes(begin_s, end_s))), begin_s, end_s, MINUTE_S)
        return _reduced(rows, MINUTE_S, points)
    return of_samples(stored.samples(begin_s, end_s), points)


def of_samples(samples: Columns, points: int) -> Columns:
    """Return samples as points: themselves if they are few enough, else buckets of equal time."""
    if length(samples) <= points:
        return {**rollup.as_columns(rollup.each(samples), 1.0), "t_s": samples["t_s"]}
    begin_s = float(samples["t_s"].min())
    width_s = float(np.nextafter(samples["t_s"].max() - begin_s, math.inf)) / points
    rows = rollup.join([rollup.of_samples(samples, width_s, begin_s)])
    return rollup.as_columns(rows, width_s, begin_s)


def _within(rows: Columns, begin_s: float, end_s: float, width_s: float) -> Columns:
    """Return the buckets that overlap a stretch of time."""
    bucket = rows["bucket"]
    inside = (bucket >= begin_s // width_s) & (bucket <= end_s // width_s)
    return {name: values[inside] for name, values in rows.items()}


def _reduced(rows: Columns, width_s: float, points: int) -> Columns:
    """Return a roll-up as at most so many points."""
    if not length(rows):
        return rollup.as_columns(rows, width_s)
    first, last = float(rows["bucket"][0]), float(rows["bucket"][-1])
    times = math.ceil((last - first + 1.0) / points)
    rows = {**rows, "bucket": rows["bucket"] - first}
    return rollup.as_columns(rollup.coarser(rows, times), times * width_s, first * width_s)


class _Stored:
    """What is stored of a run, on all three levels."""

    def __init__(self, connection: Connection, folder: Path, run: int) -> None:
        self._connection = connection
        self._folder = folder
        self._run = run
        self._sealed = parts.of_run(connection, run)
        covered = chunks.head(connection, run).journal
        tail = [of_block(g.of(run), rollup.NEEDED) for _, g in journal.rows_after(connection, covered)]
        self._tail = join(tail, rollup.NEEDED)

    def times(self) -> tuple[float, float]:
        """Return between which run times there may be samples."""
        found = [(part.t0_s, part.t1_s) for part in self._sealed]
        in_chunks = chunks.times(self._connection, self._run)
        if in_chunks is not None:
            found.append(in_chunks)
        if length(self._tail):
            found.append((float(self._tail["t_s"].min()), float(self._tail["t_s"].max())))
        return min((begin for begin, _ in found), default=0.0), max((end for _, end in found), default=0.0)

    def hours(self, t0: float, t1: float) -> Iterator[Columns]:
        """Yield roll-ups over hours, one bucket maybe several times."""
        for part in self._parts(t0, t1):
            if part.hours:
                yield rollup.unpack(part.hours)
            else:
                yield from (_to_hours(minutes) for minutes in minutes_of(self._folder / part.file, t0, t1))
        for minutes in (
            *chunks.read_minutes(self._connection, self._run, t0, t1),
            rollup.of_samples(self._tail, MINUTE_S),
        ):
            yield _to_hours(minutes)

    def minutes(self, t0: float, t1: float) -> Iterator[Columns]:
        """Yield roll-ups over minutes, one bucket maybe several times."""
        for part in self._parts(t0, t1):
            yield from minutes_of(self._folder / part.file, t0, t1)
        yield from chunks.read_minutes(self._connection, self._run, t0, t1)
        yield rollup.of_samples(self._tail, MINUTE_S)

    def samples(self, t0: float, t1: float) -> Columns:
        """Return the samples themselves."""
        pieces: list[Columns] = []
        for part in self._parts(t0, t1):
            pieces += parquet.read(self._folder / part.file, rollup.NEEDED, t0, t1)
        pieces += chunks.read(self._connection, self._run, rollup.NEEDED, t0, t1)
        return between(join([*pieces, self._tail], rollup.NEEDED), t0, t1)

    def _parts(self, t0: float, t1: float) -> list[SealedFile]:
        return [part for part in self._sealed if part.t0_s <= t1 and part.t1_s >= t0]


def _to_hours(minutes: Columns) -> Columns:
    return rollup.coarser(minutes, HOUR_S / MINUTE_S)
