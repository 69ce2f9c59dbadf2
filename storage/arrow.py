"""Runs as Arrow tables, which pandas, Polars and DuckDB take without a copy.

Samples have the columns of a sealed file, whether they are sealed or not. To be imported where it is used:
it loads pyarrow, which the daemon must not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import dataset, fs

from protocols.errors import StorageError
from protocols.measurements import SAMPLE
from storage.bdf import LOSSLESS
from storage.columns import Columns
from storage.flat import TABLES, FlatRow, Kind
from storage.numbering import Numbering

TYPES: dict[Kind, Any] = {
    "whole": pyarrow.int64(),
    "number": pyarrow.float64(),
    "yes_no": pyarrow.bool_(),
    "text": pyarrow.string(),
    "time": pyarrow.timestamp("us"),
    "numbers": pyarrow.list_(pyarrow.float64()),
}
NUMBERED = {
    "unix_time_second": pyarrow.float64(),
    "cycle_count": pyarrow.int32(),
    "step_count": pyarrow.int32(),
}
"""Columns of a sealed file that follow from the others."""
SAMPLES = pyarrow.schema(
    {
        **{name: pyarrow.from_numpy_dtype(SAMPLE[stored]) for stored, name in LOSSLESS.items()},
        **NUMBERED,
    }
)
"""Columns of a run's samples."""
SAMPLES_OF_RUNS = pyarrow.schema([pyarrow.field("run", pyarrow.int64()), *SAMPLES])


def flat_schema(table: str) -> Any:
    """Return the columns of one of :data:`storage.flat.TABLES`."""
    return pyarrow.schema({name: TYPES[kind] for name, kind in TABLES[table].columns.items()})


def flat_table(table: str, rows: Iterable[FlatRow]) -> Any:
    """Return rows of one of :data:`storage.flat.TABLES` as an Arrow table."""
    return pyarrow.Table.from_pylist(list(rows), schema=flat_schema(table))


def sealed(files: Iterable[tuple[int, Path]]) -> Any:
    """Return sealed files, each with the number of its run, as one dataset.

    A filter on ``run`` opens the files of that run only, one on a column its matching row groups only.
    """
    kind, system = dataset.ParquetFileFormat(), fs.LocalFileSystem()
    fragments = [
        kind.make_fragment(str(path), system, partition_expression=dataset.field("run") == run)
        for run, path in files
    ]
    return dataset.FileSystemDataset(fragments, SAMPLES_OF_RUNS, kind, system)


def samples(
    files: Sequence[tuple[int, Path]], live: Iterable[Any], columns: Sequence[str], t0: float, t1: float
) -> Any:
    """Return one run's samples with t0 ≤ t ≤ t1 as a table: those of its sealed files, then the live ones.

    Raises StorageError.
    """
    time = dataset.field(LOSSLESS["t_s"])
    inside = (time >= t0) & (time <= t1)
    try:
        stored = sealed(files).to_table(columns=list(columns), filter=inside)
    except (OSError, pyarrow.ArrowException) as error:
        raise StorageError(f"a sealed file cannot be read: {error}. `sandtime verify` names it.") from error
    fresh = pyarrow.Table.from_batches(live, SAMPLES).filter(inside).select(list(columns))
    return pyarrow.concat_tables([stored, fresh])


def batches(numbering: Numbering, pieces: Iterable[Columns]) -> Iterator[Any]:
    """Yield pieces of samples that follow one another as record batches (:data:`SAMPLES`)."""
    for piece in pieces:
        columns = numbering.complete(piece)
        arrays = [pyarrow.array(np.ascontiguousarray(columns[name])) for name in SAMPLES.names]
        yield pyarrow.record_batch(arrays, schema=SAMPLES)
