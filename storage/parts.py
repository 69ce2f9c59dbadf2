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


def journal_of(connection: Connection, run: int) -> int:
    """Return the newest journal row that the parts of a run cover, 0 without any."""
    query = select(col(tables.Part.journal)).where(col(tables.Part.run) == run)
    return connection.execute(query.order_by(col(tables.Part.first).desc()).limit(1)).scalar() or 0


def add(connection: Connection, part: SealedFile, journal: int, unix_s: float) -> None:
    """Insert a part that covers the journal up to row ``journal``."""
    row = {
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
        "closes": False,
        "sealed_unix_s": unix_s,
    }
    connection.execute(insert(tables.Part), row)


def close(connection: Connection, part: SealedFile) -> None:
    """Remember that with this part the whole of an ended run is in files."""
    is_it = (col(tables.Part.run) == part.run, col(tables.Part.part) == part.part)
    connection.execute(update(tables.Part).where(*is_it).values(closes=True))


def remove(connection: Connection, run: int) -> None:
    """Delete the rows of a run's parts."""
    connection.execute(delete(tables.Part).where(col(tables.Part.run) == run))


def _end_s(t1_s: float, last: bytes) -> float:
    """Return the end of a part; files of schema 1 tell it by their newest sample only."""
    if math.isfinite(t1_s):
        return t1_s
    return float(np.frombuffer(last, dtype=SAMPLE)["t_s"][0]) if last else 0.0
