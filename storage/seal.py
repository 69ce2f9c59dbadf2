"""The third level: one Parquet file per run, which any tool for the Battery Data Format opens.

To be run in another process than the daemon, which must not load pyarrow.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from protocols.errors import StorageError
from protocols.measurements import COLUMNS
from storage import parquet
from storage.bdf import LOSSLESS, CycleCounter, StepCounter
from storage.columns import Columns, regroup
from storage.files import make_folder, run_folder, sha256, whole_file
from storage.reader import Reader
from storage.run_files import describe_run
from storage.tables import SealedFile

SEALED = "samples.bdf.parquet"
ROW_GROUP = 1 << 17


def seal_run(folder: Path, run: int) -> SealedFile:
    """Write a run's samples to its Parquet file, with what describes it beside it, and read them
    back.

    Changes nothing in the database, and may be done again after it was killed at any point. Raises
    StorageError if samples are damaged, or if the run is sealed already and has got more since.
    """
    reader = Reader(folder)
    done = reader.sealed(run)
    if done is None:
        _refuse_damaged(reader, run)
        return _write(folder, reader, run)
    if reader.count(run) != done.n:
        raise StorageError(f"run {run} is sealed and got more samples since: they stay in the database")
    return done


def _refuse_damaged(reader: Reader, run: int) -> None:
    faults = reader.faults(run)
    if faults:
        raise StorageError(
            f"run {run} is not sealed, because stored samples are damaged ({'; '.join(faults)}). The others "
            "stay readable where they are; a backup of the data folder may hold the damaged ones."
        )


def _write(folder: Path, reader: Reader, run: int) -> SealedFile:
    path = run_folder(folder, run, reader.run(run).name) / SEALED
    make_folder(path.parent, folder)
    written = Checksum()
    with whole_file(path) as draft:
        columns = parquet.write(draft, _row_groups(written.of(reader.pieces(run)), reader, run))
        _compare(draft, written)
        checksum = sha256(draft)
    last = reader.last_sample(run)
    name = path.relative_to(folder).as_posix()
    sealed = SealedFile(run, name, written.n, checksum, b"" if last is None else last.tobytes())
    describe_run(reader, run, [sealed], columns)
    return sealed


def _row_groups(pieces: Iterable[Columns], reader: Reader, run: int) -> Iterator[Columns]:
    """Yield row groups of a run's file: the stored columns, and BDF's that follow from them."""
    steps, cycles = StepCounter(), CycleCounter(reader.program(run))
    to_unix = reader.clock(run)
    for group in regroup(pieces, COLUMNS, ROW_GROUP):
        yield {
            **{LOSSLESS[name]: values for name, values in group.items()},
            "unix_time_second": to_unix(group["t_s"]),
            "cycle_count": cycles.count(group),
            "step_count": steps.count(group),
        }


def _compare(path: Path, written: Checksum) -> None:
    found = Checksum()
    for _ in found.of(parquet.read(path, COLUMNS, -math.inf, math.inf)):
        pass
    if (found.n, found.crcs) != (written.n, written.crcs):
        raise StorageError(f"{path} does not read back as it was written. Check the disk, then seal again.")


class Checksum:
    """A running checksum of columns, however they are cut into pieces."""

    def __init__(self) -> None:
        self.n = 0
        self.crcs = dict.fromkeys(COLUMNS, 0)

    def of(self, pieces: Iterable[Columns]) -> Iterator[Columns]:
        """Pass pieces on, taking them into account."""
        for piece in pieces:
            self.n += len(piece["t_s"])
            for name in COLUMNS:
                self.crcs[name] = zlib.crc32(piece[name].tobytes(), self.crcs[name])
            yield piece
