"""Writing and reading Parquet. pyarrow is imported where it is used: the daemon must not load it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from protocols.errors import StorageError
from protocols.measurements import SAMPLE
from storage.bdf import LOSSLESS
from storage.columns import Columns

COMPRESSION_LEVEL = 6


def write(path: Path, groups: Iterable[Columns]) -> list[str]:
    """Write columns under the names they have, each group as one row group. Returns the names."""
    import pyarrow
    from pyarrow import parquet

    writer: Any = None
    names: list[str] = []
    try:
        for group in groups:
            table = pyarrow.table(group)
            writer = writer or parquet.ParquetWriter(path, table.schema, **_options(group))
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            names = list(group)
    finally:
        if writer is not None:
            writer.close()
    return names


def read(path: Path, columns: Sequence[str], t0: float, t1: float) -> Iterator[Columns]:
    """Yield the wanted columns, named as in the store, of each row group that overlaps t0 … t1.

    Raises StorageError.
    """
    from pyarrow import ArrowException, parquet

    names = [LOSSLESS[name] for name in columns]
    try:
        with parquet.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                if _overlaps(file.metadata.row_group(number), t0, t1):
                    table = file.read_row_group(number, columns=names)
                    yield {c: table[LOSSLESS[c]].to_numpy().astype(SAMPLE[c], copy=False) for c in columns}
    except (OSError, ArrowException) as error:
        raise StorageError(f"{path} cannot be read: {error}. Restore it from a backup.") from error


def names(path: Path) -> list[str]:
    """Return the names of a file's columns. Raises StorageError."""
    from pyarrow import ArrowException, parquet

    try:
        return list(parquet.read_schema(path).names)
    except (OSError, ArrowException) as error:
        raise StorageError(f"{path} cannot be read: {error}. Restore it from a backup.") from error


def _options(group: Columns) -> dict[str, Any]:
    floats = [name for name, values in group.items() if values.dtype.kind == "f"]
    return {
        "compression": "zstd",
        "compression_level": COMPRESSION_LEVEL,
        "use_byte_stream_split": floats,
        "use_dictionary": [name for name in group if name not in floats],
    }


def _overlaps(row_group: Any, t0: float, t1: float) -> bool:
    columns = (row_group.column(place) for place in range(row_group.num_columns))
    limits = next(c.statistics for c in columns if c.path_in_schema == LOSSLESS["t_s"])
    return limits is None or not limits.has_min_max or (limits.max >= t0 and limits.min <= t1)
