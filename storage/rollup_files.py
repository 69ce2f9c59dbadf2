"""Roll-ups as Parquet files beside the samples of a part: one row a minute, and one an hour."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from protocols.errors import StorageError
from storage import parquet, rollup
from storage.columns import Columns, length
from storage.files import whole_file
from storage.rollup import HOUR_S, MINUTE_S, WIDTHS_S

logger = logging.getLogger(__name__)

NAMES = {
    "t_s": "test_time_second",
    "n": "samples",
    "voltage_min_V": "voltage_min_volt",
    "voltage_mean_V": "voltage_mean_volt",
    "voltage_max_V": "voltage_max_volt",
    "current_min_A": "current_min_ampere",
    "current_mean_A": "current_mean_ampere",
    "current_max_A": "current_max_ampere",
    "charge_C": "visit_charge_coulomb",
}
"""Column of a roll-up → its name in the file."""
ROWS = 1 << 14
"""Rows of a row group: eleven days of minutes."""


def path_of(samples: Path, width_s: float) -> Path:
    """Return where the roll-up of a part is, from where its samples are."""
    part = samples.name.removeprefix("samples").removesuffix(".bdf.parquet")
    return samples.with_name(f"rollup-{width_s:.0f}s{part}.parquet")


def files_of(samples: Path) -> list[Path]:
    """Return all files of a part, from where its samples are."""
    return [samples, *(path_of(samples, width_s) for width_s in WIDTHS_S)]


def write(samples: Path, minutes: Columns, about: Mapping[str, object]) -> None:
    """Write the roll-ups of a part beside its samples."""
    for width_s in WIDTHS_S:
        rows = minutes if width_s == MINUTE_S else rollup.coarser(minutes, width_s / MINUTE_S)
        with whole_file(path_of(samples, width_s)) as draft:
            parquet.write(draft, _groups(rows, width_s), {**about, "bucket_s": width_s})


def read(samples: Path, t0: float, t1: float, width_s: float = MINUTE_S) -> Iterator[Columns]:
    """Yield the roll-up of a part, by row groups that overlap t0 … t1. Raises StorageError."""
    names = list(NAMES.values())
    for group in parquet.read_named(path_of(samples, width_s), names, t0 - width_s, t1 + width_s):
        yield rollup.of_columns({name: group[NAMES[name]] for name in NAMES}, width_s)


def minutes_of(samples: Path, t0: float, t1: float) -> Iterator[Columns]:
    """Yield the roll-up of a part over minutes; from its samples if it has none, or none that can be read."""
    if path_of(samples, MINUTE_S).exists():
        try:
            yield from list(read(samples, t0, t1))
        except StorageError as error:
            logger.warning("the samples are read instead: %s", error)
        else:
            return
    for piece in parquet.read(samples, rollup.NEEDED, t0, t1):
        yield rollup.of_samples(piece, MINUTE_S)


def hours(minutes: Columns) -> bytes:
    """Return the roll-up over hours for the database, from that over minutes."""
    return rollup.pack(rollup.coarser(minutes, HOUR_S / MINUTE_S))


class Builder:
    """Makes the roll-up over minutes of samples that pass."""

    def __init__(self) -> None:
        self._rollups: list[Columns] = []

    def of(self, pieces: Iterable[Columns]) -> Iterator[Columns]:
        """Pass pieces on, taking them into account."""
        for piece in pieces:
            self._rollups.append(rollup.of_samples(piece, MINUTE_S))
            yield piece

    def minutes(self) -> Columns:
        """Return the roll-up of all pieces so far."""
        return rollup.join(self._rollups)


def _groups(rows: Columns, width_s: float) -> Iterator[Columns]:
    columns = rollup.as_columns(rows, width_s)
    for first in range(0, max(1, length(columns)), ROWS):
        yield {NAMES[name]: columns[name][first : first + ROWS] for name in NAMES}
