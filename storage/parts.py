"""What the database says about the Parquet files of a run: its parts, in order, and files to be deleted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, delete, insert, select, update
from sqlmodel import col

from protocols.measurements import SAMPLE
from storage import tables
from storage.tables import SealedFile


def of_run(connection: Connection, run: int) -> list[SealedFile]:
    """Return the parts of a run in order."""
    query = select(tables.Part).where(col(tables.Part.run) == run).order_by(col(tables.Part.first))
    return [
        SealedFile(
            run=run,
            part=row.part,
            file=row.file,
            first=row.first,
            n=row.n,
            rows=row.rows,
            t0_s=row.t0_s,
            t1_s=_end_s(row.t1_s, row.last),
            sha256=row.sha256,
            last=row.last,
            hours=row.hours or b"",
        )
        for row in connection.execute(query)
    ]


def stop_of(parts: Sequence[SealedFile]) -> int:
    """Return the number of the first sample after these parts."""
    return parts[-1].stop if parts else 0


def head(connection: Connection, run: int) -> tuple[int, int]:
    """Return the first sample after the parts of a run and the newest journal row that they cover."""
    wanted = (col(tables.Part.first), col(tables.Part.n), col(tables.Part.journal))
    query = select(*wanted).where(col(tables.Part.run) == run).order_by(col(tables.Part.first).desc())
    row = connection.execute(query.limit(1)).one_or_none()
    return (0, 0) if row is None else (row.first + row.n, row.journal)


def row_of(part: SealedFile, journal: int, unix_s: float, *, closes: bool) -> dict[str, object]:
    """Return the row of a part that covers the journal up to row ``journal``."""
    return {
        "run": part.run,
        "part": part.part,
        "file": part.file,
        "first": part.first,
        "n": part.n,
        "rows": part.rows,
        "t0_s": part.t0_s,
        "t1_s": part.t1_s,
        "sha256": part.sha256,
        "journal": journal,
        "last": part.last,
        "hours": part.hours or None,
        "closes": closes,
        "sealed_unix_s": unix_s,
    }


def add(connection: Connection, part: SealedFile, journal: int, unix_s: float, closes: bool = False) -> None:
    """Insert a part that covers the journal up to row ``journal``."""
    connection.execute(insert(tables.Part), row_of(part, journal, unix_s, closes=closes))


def close(connection: Connection, part: SealedFile) -> None:
    """Remember that with this part the whole of an ended run is in files."""
    is_it = (col(tables.Part.run) == part.run, col(tables.Part.part) == part.part)
    connection.execute(update(tables.Part).where(*is_it).values(closes=True))


def replace(connection: Connection, group: Sequence[SealedFile], merged: SealedFile, unix_s: float) -> None:
    """Put a merged file in the place of the parts it was made from, which are to be deleted."""
    of_group = (col(tables.Part.run) == merged.run, col(tables.Part.part).in_([part.part for part in group]))
    newest = select(col(tables.Part.journal), col(tables.Part.closes)).where(*of_group)
    row = connection.execute(newest.order_by(col(tables.Part.first).desc()).limit(1)).one()
    connection.execute(delete(tables.Part).where(*of_group))
    add(connection, merged, row.journal, unix_s, row.closes)
    files = [{"file": part.file, "unix_s": unix_s} for part in group]
    connection.execute(insert(tables.Superseded), files)


def superseded(connection: Connection, before_unix_s: float) -> list[str]:
    """Return the files of samples that others have taken the place of before a time."""
    old = col(tables.Superseded.unix_s) <= before_unix_s
    # Numbers of parts never come twice, so none is in use; but deleting is final.
    in_use = col(tables.Superseded.file).in_(select(col(tables.Part.file)))
    query = select(col(tables.Superseded.file)).where(old, ~in_use)
    return [row.file for row in connection.execute(query)]


def forget(connection: Connection, files: Sequence[str]) -> None:
    """Forget superseded files that are deleted."""
    connection.execute(delete(tables.Superseded).where(col(tables.Superseded.file).in_(files)))


def _end_s(t1_s: float, last: bytes) -> float:
    """Return the end of a part; files of schema 1 tell it by their newest sample only."""
    if math.isfinite(t1_s):
        return t1_s
    return float(np.frombuffer(last, dtype=SAMPLE)["t_s"][0]) if last else 0.0
