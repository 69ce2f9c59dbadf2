"""EC-Lab's text files (.mpt).

The second line says how many lines the header has, the last of which names the columns, separated by tabs.
Numbers carry a decimal point or comma, as Windows was set where they were exported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from drivers.recordings import eclab
from drivers.recordings.rows import Rows, invalid
from drivers.recordings.text import TextTable, checked_table, decoded

MAGIC = (b"EC-Lab ASCII FILE", b"BT-Lab ASCII FILE")

_HEADER_COUNT = re.compile(r"Nb header lines\s*:\s*(\d{1,6})\s*$")
_TECHNIQUE_LINE = 3
_KEPT = {"Device": "device", "Acquisition started on": "started", "Electrode connection": "connection"}


def read_mpt(source: Path) -> tuple[Rows, dict[str, str]]:
    """Return the rows of a file and what it says about itself. Raises InvalidFileError."""
    lines = [line.rstrip("\r") for line in decoded(source).split("\n")]
    count = _header_count(lines, source)
    names = [name for name in lines[count - 1].split("\t") if name.strip()]
    body = [
        (number, line.split("\t")) for number, line in enumerate(lines, 1) if number > count and line.strip()
    ]
    table = checked_table(source, names, [cells for _, cells in body], [number for number, _ in body])
    _require_whole_end(table)
    found = eclab.meanings(names, source)
    columns = {meaning: (table.column(index), factor) for meaning, (index, factor) in found.items()}
    return eclab.rows_of(columns), _metadata(lines[:count])


def _header_count(lines: Sequence[str], source: Path) -> int:
    match = _HEADER_COUNT.match(lines[1]) if len(lines) > 1 else None
    count = int(match.group(1)) if match else 0
    if not 0 < count <= len(lines):
        raise invalid(
            source,
            "the header is not whole: no 'Nb header lines' that fits the file",
            "export the file again, with its header",
            2,
        )
    return count


def _require_whole_end(table: TextTable) -> None:
    """Refuse a last number that lacks digits: EC-Lab writes a column's numbers in one length."""
    if len(table.cells) < 2:
        return
    above, last = (row[len(table.names) - 1].strip().lstrip("-") for row in table.cells[-2:])
    if "E" in above and ("," in last or "." in last) and len(last) < len(above):
        raise invalid(
            table.source,
            f"the last number, {last!r}, is not whole: the file is cut off",
            "export the file again, or remove this line",
            table.lines[-1],
        )


def _metadata(header: Sequence[str]) -> dict[str, str]:
    known = {"format": "EC-Lab mpt"}
    if len(header) > _TECHNIQUE_LINE:
        known["technique"] = header[_TECHNIQUE_LINE].strip()
    for line in header:
        key, _, value = line.partition(" : ")
        if key in _KEPT:
            known[_KEPT[key]] = value.strip()
    return known
