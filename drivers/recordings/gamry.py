"""Gamry's text files (.DTA): their tables of impedance.

Lines of a tag, a kind, a value and a label; among them tables: a line ``ZCURVE, TABLE``, one of names, one of
units, and rows that begin with a tab. A file may hold several. Numbers carry a decimal point or comma, as
Windows was set. Zimag is Z″ (capacitive < 0). Where the measurement was corrected for drift, the corrected
columns stand beside the measured ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from drivers.recordings.rows import Rows, invalid
from drivers.recordings.spectra import columns_of, rows_under
from drivers.recordings.text import checked_table, decoded, is_number

MAGIC = b"EXPLAIN"

_TABLE = re.compile(r"ZCURVE\d*\s*$")
_CORRECTED = {"zrealdrcor": "Zreal", "zimagdrcor": "Zimag", "zmoddrcor": "Zmod", "zphzdrcor": "Zphz"}
_KEPT = {"TAG": "technique", "PSTAT": "device", "AREA": "area"}
_DRIFT = "corrected for drift by the instrument: the corrected columns (ZrealDrCor, ZimagDrCor) are used"
_ANEW = "each table of the file counts its time anew: they are put one after the other"
_ABORTED = "the measurement was aborted"
_FEWER = "the table at line {} announces {} points and holds {}: it was aborted, or the file is cut off"


@dataclass(frozen=True, slots=True)
class _Table:
    line: int
    """1-based line of its names."""
    announced: int
    """How many points its first line announces; 0 where it says nothing."""
    names: Sequence[str]
    units: Sequence[str]
    lines: Sequence[int]
    cells: Sequence[Sequence[str]]


def read_dta(source: Path) -> tuple[Rows, dict[str, str]]:
    """Return the rows of all impedance tables and what the file says of itself. Raises InvalidFileError."""
    lines = [_cells(line) for line in decoded(source).splitlines()]
    tables = [_table(source, lines, k) for k, cells in enumerate(lines) if _TABLE.match(cells[0].upper())]
    if not tables:
        raise invalid(
            source,
            "this file of Gamry's holds no impedance: it has no table ZCURVE",
            "give the file of an impedance measurement",
        )
    notes = [
        _FEWER.format(table.line, table.announced, len(table.cells))
        for table in tables
        if len(table.cells) < table.announced
    ]
    parts = [_rows(source, table, number) for number, table in enumerate(tables)]
    notes += [_DRIFT] if any("zrealdrcor" in _lower(table.names) for table in tables) else []
    notes += [_ANEW] if _put_in_order(parts) else []
    if any(cells[0].upper() == "EXPERIMENTABORTED" and "T" in cells[1:3] for cells in lines):
        notes.append(_ABORTED)
    metadata = {"format": "Gamry DTA", **_metadata(lines)}
    return np.concatenate(parts), metadata | ({"note": "; ".join(notes)} if notes else {})


def _cells(line: str) -> list[str]:
    """Return a line's cells; the tab before a table's row is no cell of its own."""
    return line.removeprefix("\t").split("\t")


def _lower(names: Sequence[str]) -> list[str]:
    return [name.strip().lower() for name in names]


def _table(source: Path, lines: Sequence[Sequence[str]], place: int) -> _Table:
    if place + 2 >= len(lines):
        raise invalid(
            source, "the table ZCURVE has no rows: the file is cut off", "export it again", place + 1
        )
    count = lines[place][2].strip() if len(lines[place]) > 2 else ""
    stop = place + 3
    while stop < len(lines) and is_number(lines[stop][0]):
        stop += 1
    return _Table(
        line=place + 2,
        announced=int(count) if count.isascii() and count.isdigit() else 0,
        names=[name for name in lines[place + 1] if name.strip()],
        units=lines[place + 2],
        lines=range(place + 4, stop + 1),
        cells=lines[place + 3 : stop],
    )


def _rows(source: Path, table: _Table, number: int) -> Rows:
    """Return the rows of one table; the vendor's step number tells the tables apart."""
    names = _preferred(table.names)
    units = [*table.units, *[""] * len(names)]
    columns = columns_of(names, source, table.line, units)
    if columns is None:
        raise invalid(
            source,
            f"no columns Freq, Zreal and Zimag among: {', '.join(table.names)[:300]}",
            "export the file again: its table of impedance is damaged",
            table.line,
        )
    whole = checked_table(source, table.names, table.cells, table.lines)
    if not table.cells:
        raise invalid(source, "the table ZCURVE has no rows", "export the file again", table.line)
    rows = rows_under(whole, columns)
    rows["step"] = number
    for name, row_name in (("vdc", "voltage_V"), ("idc", "current_A")):
        if name in _lower(table.names):
            rows[row_name] = whole.column(_lower(table.names).index(name))
    return rows


def _preferred(names: Sequence[str]) -> list[str]:
    """Return the names so that columns corrected for drift stand for the measured ones."""
    lower = _lower(names)
    if "zrealdrcor" not in lower or "zimagdrcor" not in lower:
        return list(names)
    replaced = {measured.lower() for measured in _CORRECTED.values()}
    return [
        _CORRECTED.get(name, "measured" if name in replaced else text)
        for name, text in zip(lower, names, strict=True)
    ]


def _put_in_order(parts: Sequence[Rows]) -> bool:
    """Shift tables whose time begins anew behind the one before; return whether any did."""
    shifted = False
    for before, rows in pairwise(parts):
        if rows["t_s"][0] < before["t_s"][-1]:
            rows["t_s"] += before["t_s"][-1]
            shifted = True
    return shifted


def _metadata(lines: Sequence[Sequence[str]]) -> dict[str, str]:
    values = {cells[0].upper(): cells[2].strip() for cells in reversed(lines) if len(cells) > 2}
    known = {name: values[tag] for tag, name in _KEPT.items() if tag in values}
    tag = next((cells[1].strip() for cells in lines if cells[0].upper() == "TAG" and len(cells) > 1), "")
    started = " ".join(values[part] for part in ("DATE", "TIME") if part in values)
    return known | ({"technique": tag} if tag else {}) | ({"started": started} if started else {})
