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
from pyarrow import dataset, fs, parquet

from protocols.errors import StorageError
from protocols.measurements import SAMPLE
from protocols.program import Program
from storage.bdf import LOSSLESS, Clock, CycleCounter, StepCounter
from storage.columns import Columns
from storage.flat import TABLES, FlatRow, Kind

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


class Numbering:
    """Gives samples that follow one another the columns of a sealed file."""

    def __init__(self, program: Program, clock: Clock, before: Path | None = None) -> None:
        """``before``: the sealed file whose samples come before them, if there is one."""
        self._clock = clock
        last = _last_row(before) if before is not None else None
        if last is None:
            self._steps, self._cycles = StepCounter(), CycleCounter(program)
        else:
            self._steps = StepCounter(last["step_count"], (last["step_id"], last["visit"]))
            self._cycles = CycleCounter(program, last["cycle_count"])

    def batches(self, pieces: Iterable[Columns]) -> Iterator[Any]:
        """Yield record batches (:data:`SAMPLES`)."""
        for piece in pieces:
            columns = {
                **{LOSSLESS[name]: values for name, values in piece.items()},
                "unix_time_second": self._clock(piece["t_s"]),
                "cycle_count": self._cycles.count(piece),
                "step_count": self._steps.count(piece),
            }
            arrays = [pyarrow.array(np.ascontiguousarray(columns[name])) for name in SAMPLES.names]
            yield pyarrow.record_batch(arrays, schema=SAMPLES)


def _last_row(path: Path) -> dict[str, int] | None:
    names = ["step_count", "cycle_count", "step_id", "visit"]
    try:
        with parquet.ParquetFile(path) as file:
            for group in reversed(range(file.num_row_groups)):
                table = file.read_row_group(group, columns=names)
                if table.num_rows:
                    return {name: table[name][-1].as_py() for name in names}
    except (OSError, pyarrow.ArrowException) as error:
        raise StorageError(f"{path} cannot be read: {error}. Restore it from a backup.") from error
    return None
