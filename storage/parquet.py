"""Writing and reading Parquet. pyarrow is imported where it is used: the daemon must not load it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from protocols.errors import StorageError
from protocols.measurements import SAMPLE
from storage.bdf import DESCRIPTIONS, LOSSLESS
from storage.columns import Columns, length
from storage.files import to_json

COMPRESSION_LEVEL = 6
TIME = LOSSLESS["t_s"]
"""The column whose limits say which row groups are to be read."""
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
    with _opened(path) as file:
        place = file.schema_arrow.get_field_index(TIME)
        for number in range(file.num_row_groups):
            if _overlaps(file.metadata.row_group(number).column(place).statistics, t0, t1):
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


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (OSError, ArrowException) as error:
        raise StorageError(f"{path} cannot be read: {error}. Restore it from a backup.") from error


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


def _overlaps(limits: Any, t0: float, t1: float) -> bool:
    return limits is None or not limits.has_min_max or (limits.max >= t0 and limits.min <= t1)
