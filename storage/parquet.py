"""Writing and reading Parquet. pyarrow is imported where it is used: the daemon must not load it."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import StorageError
from protocols.measurements import SAMPLE
from storage.bdf import DESCRIPTIONS, LOSSLESS
from storage.columns import Columns, length
from storage.files import to_json

COMPRESSION_LEVEL = 6
TIME = LOSSLESS["t_s"]
"""The column whose limits say which row groups are to be read."""
FOOTERS = 64
"""So many files' footers stay in memory: 0.3 MB each for a year at 1 Hz."""
ABOUT = b"sandtime"
"""Key of what a file says about itself, as JSON; each column says its unit and its description besides."""


def write(path: Path, groups: Iterable[Columns], about: Mapping[str, object] | None = None) -> list[str]:
    """Write columns under the names they have, each group as one row group. Returns the names.

    ``about`` goes into the file's metadata, units and descriptions into those of its columns.
    """
    import pyarrow
    from pyarrow import parquet

    writer: Any = None
    names: list[str] = []
    try:
        for group in groups:
            if writer is not None and not length(group):
                continue
            table = pyarrow.table(group)
            if writer is None:
                schema = _described(table.schema, about)
                writer = parquet.ParquetWriter(path, schema, **_options(group))
            writer.write_table(table.cast(schema), row_group_size=max(1, table.num_rows))
            names = list(group)
    finally:
        if writer is not None:
            writer.close()
    return names


def read(path: Path, columns: Sequence[str], t0: float, t1: float) -> Iterator[Columns]:
    """Yield the wanted columns, named as in the store, of each row group that overlaps t0 … t1.

    Raises StorageError.
    """
    for group in read_named(path, [LOSSLESS[name] for name in columns], t0, t1):
        yield {name: group[LOSSLESS[name]].astype(SAMPLE[name], copy=False) for name in columns}


def read_named(path: Path, names: Sequence[str], t0: float, t1: float) -> Iterator[Columns]:
    """Yield the wanted columns, named as in the file, of each row group that overlaps t0 … t1.

    Raises StorageError.
    """
    footer = _footer(path)
    with _opened(path, footer.metadata) as file:
        for number in np.flatnonzero((footer.t1_s >= t0) & (footer.t0_s <= t1)).tolist():
            # A few columns of one row group: handing them to threads costs more than it saves.
            table = file.read_row_group(number, columns=list(names), use_threads=False)
            yield {name: table[name].to_numpy() for name in names}


def last_row(path: Path, columns: Sequence[str]) -> tuple[int, ...] | None:
    """Return whole numbers, named as in the file, of its last row; None: no rows. Raises StorageError."""
    with _opened(path) as file:
        for number in reversed(range(file.num_row_groups)):
            table = file.read_row_group(number, columns=list(columns))
            if table.num_rows:
                return tuple(int(table[name][-1].as_py()) for name in columns)
    return None


def column_names(path: Path) -> list[str]:
    """Return the columns of a file. Raises StorageError."""
    with _opened(path) as file:
        return list(file.schema_arrow.names)


@dataclass(frozen=True, slots=True)
class _Footer:
    """What stands at the end of a file, and between which run times each row group lies, if that is known."""

    metadata: Any
    t0_s: NDArray[np.float64]
    t1_s: NDArray[np.float64]


def _footer(path: Path) -> _Footer:
    """Return the footer of a file, from memory if it was read not long ago. Raises StorageError."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _read_footer(path, found.st_mtime_ns, found.st_size, found.st_ino)


@functools.lru_cache(maxsize=FOOTERS)
def _read_footer(path: Path, *version: int) -> _Footer:
    """Read the footer of a file as it is now: that of a year at 1 Hz has hundreds of row groups."""
    with _opened(path) as file:
        place = file.schema_arrow.get_field_index(TIME)
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        limits = [_limits(group.column(place).statistics) for group in groups]
        t0_s, t1_s = np.array(limits, dtype=np.float64).reshape(-1, 2).T
        return _Footer(file.metadata, t0_s, t1_s)


@contextmanager
def _opened(path: Path, metadata: Any = None) -> Iterator[Any]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path, metadata=metadata) as file:
            yield file
    except (OSError, ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> StorageError:
    return StorageError(f"{path} cannot be read: {error}. Restore it from a backup.")


def _described(schema: Any, about: Mapping[str, object] | None) -> Any:
    """Return a schema with the unit of each column that has one, and what the file is about."""
    for place, field in enumerate(schema):
        unit, _, description = DESCRIPTIONS.get(field.name, "").partition("; ")
        told = {"unit": unit, "description": description or unit}
        schema = schema.set(place, field.with_metadata(told)) if unit else schema
    return schema if about is None else schema.with_metadata({ABOUT: to_json(about)})


def _options(group: Columns) -> dict[str, Any]:
    floats = [name for name, values in group.items() if values.dtype.kind == "f"]
    return {
        "compression": "zstd",
        "compression_level": COMPRESSION_LEVEL,
        "use_byte_stream_split": floats,
        "use_dictionary": [name for name in group if name not in floats],
    }


def _limits(statistics: Any) -> tuple[float, float]:
    known = statistics is not None and statistics.has_min_max
    return (statistics.min, statistics.max) if known else (-math.inf, math.inf)
