"""Roll-ups for plots: smallest, mean and largest voltage and current of every minute, or hour, of run time.

A roll-up is columns (:data:`NAMES`), a row for each bucket of run time, from ``bucket`` · width to
(``bucket`` + 1) · width. Rows of one bucket that come from two chunks or two files are merged where they are
read.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from storage.columns import Columns

MINUTE_S = 60.0
HOUR_S = 3600.0
WIDTHS_S = (MINUTE_S, HOUR_S)

NEEDED = ("t_s", "voltage_V", "current_A", "charge_C")
"""The columns of samples that a roll-up is made from."""

VOLTAGES = ("voltage_min_V", "voltage_mean_V", "voltage_max_V")
CURRENTS = ("current_min_A", "current_mean_A", "current_max_A")
VALUES = (*VOLTAGES, *CURRENTS, "charge_C")
SOURCES = {
    **dict.fromkeys(VOLTAGES, "voltage_V"),
    **dict.fromkeys(CURRENTS, "current_A"),
    "charge_C": "charge_C",
}
NAMES = ("bucket", "n", *VALUES)
"""``n`` samples are in a bucket, ``charge_C`` is that of the last. A bucket's number is a whole float, for
which no time is too large."""

PACKED = np.dtype([("bucket", "<f8"), ("n", "<i4"), *((name, "<f4") for name in VALUES)])
"""A row as kept in the database, exact enough for a plot."""


def of_samples(samples: Columns, width_s: float, start_s: float = 0.0) -> Columns:
    """Return the roll-up of samples in order of time; buckets are counted from ``start_s``."""
    return _merged({**each(samples), "bucket": np.floor((samples["t_s"] - start_s) / width_s)})


def each(samples: Columns) -> Columns:
    """Return samples as buckets of their own, numbered from 0."""
    rows = len(samples["t_s"])
    values = {name: samples[SOURCES[name]] for name in VALUES}
    return {"bucket": np.arange(rows, dtype=np.float64), "n": np.ones(rows, dtype=np.int64), **values}


def join(rollups: Sequence[Columns]) -> Columns:
    """Return roll-ups of one width as one, a row for each bucket, in order."""
    empty = {name: np.empty(0, np.int64 if name == "n" else np.float64) for name in NAMES}
    rows = {name: np.concatenate([empty[name], *(r[name] for r in rollups)]) for name in NAMES}
    if np.any(rows["bucket"][1:] < rows["bucket"][:-1]):
        order = np.argsort(rows["bucket"], kind="stable")
        rows = {name: values[order] for name, values in rows.items()}
    return _merged(rows)


def coarser(rollup: Columns, times: float) -> Columns:
    """Return a roll-up whose buckets are so many times as wide."""
    return _merged({**rollup, "bucket": np.floor(rollup["bucket"] / times)})


def pack(rollup: Columns) -> bytes:
    """Return a roll-up as bytes for the database."""
    rows = np.empty(len(rollup["bucket"]), dtype=PACKED)
    with np.errstate(over="ignore", invalid="ignore"):
        for name in NAMES:
            rows[name] = rollup[name]
    return zlib.compress(rows.tobytes(), 1)


def unpack(packed: bytes) -> Columns:
    """Return what :func:`pack` has packed, with four-byte precision. Raises zlib.error, ValueError."""
    rows = np.frombuffer(zlib.decompress(packed), dtype=PACKED)
    return {name: rows[name].astype(np.int64 if name == "n" else np.float64) for name in NAMES}


def as_columns(rollup: Columns, width_s: float, start_s: float = 0.0) -> Columns:
    """Return a roll-up with ``t_s``, the middle of each bucket, in place of its number."""
    t_s = start_s + (rollup["bucket"] + 0.5) * width_s
    return {"t_s": t_s, **{name: rollup[name] for name in NAMES[1:]}}


def of_columns(columns: Columns, width_s: float) -> Columns:
    """Return the inverse of :func:`as_columns`."""
    return {"bucket": np.floor(columns["t_s"] / width_s), **{name: columns[name] for name in NAMES[1:]}}


def _merged(rows: Columns) -> Columns:
    """Return rows with those of one bucket that follow one another as one."""
    bucket = rows["bucket"]
    starts = np.flatnonzero(np.concatenate(([True], bucket[1:] != bucket[:-1]))[: len(bucket)])
    if len(starts) == len(bucket):
        return rows
    n = np.add.reduceat(rows["n"], starts)
    ends = np.append(starts[1:], len(bucket)) - 1
    merged = {"bucket": bucket[starts], "n": n, "charge_C": rows["charge_C"][ends]}
    with np.errstate(over="ignore", invalid="ignore"):
        for smallest, mean, largest in (VOLTAGES, CURRENTS):
            merged[smallest] = np.fmin.reduceat(rows[smallest], starts)
            merged[mean] = np.add.reduceat(rows[mean] * rows["n"], starts) / n
            merged[largest] = np.fmax.reduceat(rows[largest], starts)
    return {name: merged[name] for name in NAMES}
