"""Text files of ZPlot and ZView (.z): a header, a line of names, ``End Comments``, then the points.

The columns are Freq(Hz), Ampl, Bias, Time(Sec), Z'(a), Z''(b) and more, separated by tabs or commas. Z'' is
Z″ (capacitive < 0).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from drivers.recordings.rows import Rows, invalid
from drivers.recordings.spectra import Columns, columns_of, rows_under
from drivers.recordings.text import checked_table, decoded

MAGIC = (b"ZPLOT2 ASCII", b'"ZPLOT', b"ZPLOT")
"""In capital letters, as all of a first line is compared."""

_ANNOUNCED = re.compile(r'^[\s"]*Data Points:\s*(\d{1,7})')
_KEPT = {"Date": "date", "Time": "time", "Experiment Type": "technique"}
_FEWER = "the file announces {} points and holds {}: the sweep was aborted, or the file is cut off"


def read_z(source: Path) -> tuple[Rows, dict[str, str]]:
    """Return the rows of a file and what it says about itself. Raises InvalidFileError."""
    lines = decoded(source).splitlines()
    stop = next((k for k, line in enumerate(lines) if line.strip(' "').startswith("End Comments")), None)
    if stop is None:
        raise invalid(
            source, "the header has no end: no line 'End Comments'", "the file is cut off: export it again"
        )
    names, columns = _columns(lines[:stop], source)
    body = [(k, _cells(line)) for k, line in enumerate(lines[stop + 1 :], stop + 2) if line.strip()]
    if not body:
        raise invalid(source, "the file holds no points", "the file is cut off: export it again", stop + 1)
    table = checked_table(source, names, [cells for _, cells in body], [number for number, _ in body])
    announced = next((int(match[1]) for line in lines[:stop] if (match := _ANNOUNCED.match(line))), 0)
    note = {"note": _FEWER.format(announced, len(body))} if len(body) < announced else {}
    return rows_under(table, columns), {"format": "ZPlot", **_metadata(lines[:stop]), **note}


def _columns(header: Sequence[str], source: Path) -> tuple[Sequence[str], Columns]:
    for number, line in enumerate(header, 1):
        if "freq(" in line.lower():
            names = _cells(line)
            columns = columns_of(names, source, number)
            if columns is not None:
                return names, columns
    raise invalid(
        source,
        "no line that names the columns Freq(Hz), Z'(a) and Z''(b) before 'End Comments'",
        "export the file again, with Z′ and Z″",
        len(header),
    )


def _cells(line: str) -> list[str]:
    return [cell.strip(' "') for cell in line.split("\t" if "\t" in line else ",")]


def _metadata(header: Sequence[str]) -> dict[str, str]:
    pairs = [line.strip().partition(":") for line in header]
    known = {_KEPT[key]: value.strip() for key, _, value in reversed(pairs) if key in _KEPT}
    started = " ".join(known.pop(part, "") for part in ("date", "time")).strip()
    return known | ({"started": started} if started else {})
