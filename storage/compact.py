"""Merging the parts of a run to fewer and larger files, which open faster.

Neighbours are merged as long as they fit into one file. To be run in another process than the daemon, which
must not load pyarrow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from protocols.errors import StorageError
from storage import parquet, rollup, rollup_files
from storage.columns import Columns, joined, length
from storage.describe import provenance
from storage.files import run_folder, sha256, whole_file
from storage.reader import Reader
from storage.rollup_files import minutes_of
from storage.run_files import describe_run
from storage.seal import ROW_GROUP, Checksum, compare
from storage.tables import SealedFile

MOST_ROWS = 1 << 22
"""Rows of a merged file: seven weeks at 1 Hz, some 50 MB. A larger one would take longer to open: its index
has an entry for each row group."""


def mergeable(parts: Sequence[SealedFile]) -> list[SealedFile]:
    """Return the first neighbours among a run's parts that fit into one file, empty if there are none."""
    group: list[SealedFile] = []
    for part in parts:
        if group and sum(p.rows for p in group) + part.rows > MOST_ROWS:
            if len(group) > 1:
                return group
            group = []
        group.append(part)
    return group if len(group) > 1 else []


def compact_run(folder: Path, run: int) -> SealedFile | None:
    """Write the first neighbours among a run's parts that can be merged as one file, and read it back.

    Returns None if there are none, or they have been archived. Changes nothing in the database, deletes
    nothing, and may be done again after it was killed at any point. Raises StorageError.
    """
    reader = Reader(folder)
    known = reader.parts(run)
    group = [] if reader.run(run).archived is not None else mergeable(known)
    if not group:
        return None
    _refuse_changed(folder, group)
    path = run_folder(folder, run, reader.run(run).name) / merged_name(group)
    about = provenance(reader, run, part=group[-1].part, first=group[0].first, samples=_samples(group))
    written = Checksum()
    with whole_file(path) as draft:
        columns = parquet.write(draft, written.of(_row_groups(folder, group)), about)
        compare(draft, written)
        checksum = sha256(draft)
    files = [folder / part.file for part in group]
    minutes = rollup.join([rows for file in files for rows in minutes_of(file, -math.inf, math.inf)])
    rollup_files.write(path, minutes, about)
    merged = SealedFile(
        run=run,
        part=group[-1].part,
        file=path.relative_to(folder).as_posix(),
        first=group[0].first,
        n=_samples(group),
        rows=written.n,
        t0_s=min(part.t0_s for part in group),
        t1_s=max(part.t1_s for part in group),
        sha256=checksum,
        last=group[-1].last,
        hours=rollup_files.hours(minutes),
    )
    describe_run(reader, run, with_merged(known, merged), columns)
    return merged


def merged_name(group: Sequence[SealedFile]) -> str:
    """Return how the file that these parts are merged to is called: by the first and the last of them."""
    number = re.match(r"samples-(\d+)", Path(group[0].file).name)
    first = number[1] if number else "000"
    return f"samples-{first}-to-{group[-1].part:03d}.bdf.parquet"


def with_merged(parts: Sequence[SealedFile], merged: SealedFile) -> list[SealedFile]:
    """Return a run's parts with a merged one in place of those that it was made from."""
    before = [part for part in parts if part.stop <= merged.first]
    return [*before, merged, *(part for part in parts if part.first >= merged.stop)]


def _samples(group: Sequence[SealedFile]) -> int:
    return sum(part.n for part in group)


def _row_groups(folder: Path, group: Sequence[SealedFile]) -> Iterator[Columns]:
    """Yield all columns of some parts, one after the other, as full row groups."""
    names = parquet.column_names(folder / group[0].file)
    waiting: list[Columns] = []
    for part in group:
        for piece in parquet.read_named(folder / part.file, names, -math.inf, math.inf):
            waiting.append(piece)
            if sum(map(length, waiting)) >= ROW_GROUP:
                yield joined(waiting)
                waiting = []
    if waiting:
        yield joined(waiting)


def _refuse_changed(folder: Path, group: Sequence[SealedFile]) -> None:
    """See that the parts are what was written: a new checksum must not cover a fault up."""
    for part in group:
        path = folder / part.file
        if not path.is_file() or sha256(path) != part.sha256:
            raise StorageError(
                f"{path} is missing or was changed. Restore it from a backup, then merge again."
            )
