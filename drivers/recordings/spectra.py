"""Tables of spectra as other programs write them: columns that their headings name, or f, Z′, Z″ without any.

The line of headings is looked for: what stands before it (the settings of a measurement) is skipped. Units
may stand in a line below it. Without headings there have to be three columns. What had to be taken for
granted (no unit, no headings) is in the metadata as ``note``, for a person to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.recordings.headings import Heading, read_heading
from drivers.recordings.rows import Floats, Rows, invalid, rows_from
from drivers.recordings.text import Line, TextTable, checked_table, is_number

MOST_LINES_BEFORE = 500
"""No program writes more settings before its numbers."""
AGREEMENT = 0.02
"""|Z| and Z′, Z″ of one file may differ by this part: they are written with few digits now and then."""
PLAIN = "no headings: the columns are taken as f in Hz, Z′ and Z″ in Ω (capacitive: Z″ < 0)"
NO_UNITS = "no units in the headings: taken as Hz and Ω"

WAYS = ({"frequency", "real", "imaginary"}, {"frequency", "modulus", "phase"})
"""The quantities that make a spectrum."""

Complexes = NDArray[np.complex128]
Columns = Mapping[str, tuple[int, Heading]]
"""Quantity → index of its column, and its heading."""


def read_lines(source: Path, lines: Sequence[Line]) -> tuple[Rows, dict[str, str]] | None:
    """Return the rows of a table of spectra and what is to be said about it, None if it is no such table.

    Raises InvalidFileError if it is one, with mistakes.
    """
    for place, line in enumerate(lines[:MOST_LINES_BEFORE]):
        if all(is_number(cell) for cell in line.cells if cell.strip()):
            break
        columns = columns_of(line.cells, source, line.number)
        if columns is not None:
            return _under_headings(source, lines, place, columns)
    return _without_headings(source, lines)


def columns_of(
    names: Sequence[str], source: Path, line: int, units: Sequence[str] | None = None
) -> Columns | None:
    """Return the columns of a spectrum among headings, None if they don't make one.

    Raises InvalidFileError for a unit that is not understood, or a quantity that is there twice.
    """
    found: dict[str, tuple[int, Heading]] = {}
    twice = ""
    for index, name in enumerate(names):
        heading = read_heading(name, source, line, units[index] if units else None)
        if heading is None:
            continue
        if heading.quantity in found:
            twice = twice or f"{names[found[heading.quantity][0]].strip()!r} and {name.strip()!r}"
        found.setdefault(heading.quantity, (index, heading))
    if not any(needed <= found.keys() for needed in WAYS):
        return None
    if twice:
        raise invalid(
            source,
            f"two columns for one quantity: {twice}",
            "keep one of them; write several spectra below each other, not side by side",
            line,
        )
    return found


def rows_under(table: TextTable, columns: Columns) -> Rows:
    """Return the rows of a table of spectra. Raises InvalidFileError with the line that is wrong."""
    with np.errstate(over="ignore"):  # what overflows is refused with its line
        values = {
            quantity: table.column(index) * heading.factor for quantity, (index, heading) in columns.items()
        }
    for quantity, column in values.items():
        _require(table, columns[quantity][0], np.isfinite(column), "is not a usable number")
    _require(table, columns["frequency"][0], values["frequency"] > 0, "is no frequency: it has to be above 0")
    if "real" not in values or "imaginary" not in values:
        z = _by_modulus(table, values, columns)
        values["real"], values["imaginary"] = z.real, z.imag
    else:
        _require_agreement(table, values, columns)
    known = {
        "t_s": values.get("time", np.zeros(len(table.cells))),
        "frequency_Hz": values["frequency"],
        "z_real_ohm": values["real"],
        "z_imag_ohm": values["imaginary"],
    }
    if "index" in values and not counts_points(values["index"]):
        known["step"] = values["index"]
    return rows_from(known)


def counts_points(index: Floats) -> bool:
    """Whether an index is the number of the point, not of the spectrum: no two rows have the same."""
    return len(index) > 1 and bool(np.all(np.diff(index) != 0))


def _under_headings(
    source: Path, lines: Sequence[Line], place: int, columns: Columns
) -> tuple[Rows, dict[str, str]]:
    head, body = lines[place], list(lines[place + 1 :])
    if body and not any(is_number(cell) for cell in body[0].cells):
        units = [*body[0].cells, *[""] * len(head.cells)]
        columns = columns_of(head.cells, source, body[0].number, units) or columns
        body = body[1:]
    _require_no_more(source, body, len(head.cells))
    table = checked_table(source, head.cells, [row.cells for row in body], [row.number for row in body])
    units_missing = not all(columns[name][1].has_unit for name in columns if name not in ("time", "phase"))
    metadata = {"format": "table of spectra"} | ({"note": NO_UNITS} if units_missing else {})
    return rows_under(table, columns), metadata


def _without_headings(source: Path, lines: Sequence[Line]) -> tuple[Rows, dict[str, str]] | None:
    first = [cell for cell in lines[0].cells if cell.strip()]
    if not first or not all(is_number(cell) for cell in first):
        return None
    if len(first) != 3:
        raise invalid(
            source,
            f"{len(first)} columns of numbers, and no line that says what they are",
            "write a line of headings above them: freq/Hz, Re(Z)/Ohm, Im(Z)/Ohm",
            lines[0].number,
        )
    _require_no_more(source, lines, 3)
    names = ("frequency_hertz", "real_impedance_ohm", "imaginary_impedance_ohm")
    table = checked_table(source, names, [row.cells for row in lines], [row.number for row in lines])
    plain = {
        name: (place, Heading(name, 1.0, has_unit=False))
        for place, name in enumerate(("frequency", "real", "imaginary"))
    }
    return rows_under(table, plain), {"format": "table of spectra", "note": PLAIN}


def _require(table: TextTable, index: int, is_right: NDArray[np.bool_], what: str) -> None:
    wrong = np.flatnonzero(~is_right)
    if len(wrong):
        row = int(wrong[0])
        raise invalid(
            table.source,
            f"column {table.names[index].strip()!r}: {table.cells[row][index].strip()[:40]!r} {what}",
            "export the file again, or remove this line",
            table.lines[row],
        )


def _require_no_more(source: Path, lines: Sequence[Line], count: int) -> None:
    for line in lines:
        if any(cell.strip() for cell in line.cells[count:]):
            raise invalid(
                source,
                f"the row has {len(line.cells)} columns, the headings {count}",
                "decimal commas need another separator between columns: a semicolon or a tab",
                line.number,
            )


def _by_modulus(table: TextTable, values: Mapping[str, Floats], columns: Columns) -> Complexes:
    if not columns["phase"][1].has_unit:
        raise invalid(table.source, "the phase has no unit", "write its heading as Phase/deg or Phase/rad")
    z: Complexes = values["modulus"] * np.exp(1j * values["phase"])
    return z


def _require_agreement(table: TextTable, values: Mapping[str, Floats], columns: Columns) -> None:
    """Refuse a file whose |Z| or phase contradicts Z′ and Z″: a unit or a sign is wrong in one of them."""
    z = values["real"] + 1j * values["imaginary"]
    if "modulus" in values:
        with np.errstate(over="ignore"):
            ratios = np.abs(z) / np.maximum(np.abs(values["modulus"]), 1e-300)
        ratio = float(np.median(ratios)) if len(z) else 1.0
        if abs(ratio - 1) > AGREEMENT:
            raise invalid(
                table.source,
                f"√(Z′² + Z″²) is {ratio:.3g} times column {_name(table, columns, 'modulus')}",
                "the units of these columns can't all be right: correct them, or leave out |Z|",
                table.lines[0],
            )
    if "phase" in values and columns["phase"][1].has_unit:
        apart = np.abs(np.sin(values["phase"])) > 0.1
        opposed = np.sin(values["phase"][apart]) * z.imag[apart] < 0
        if len(opposed) and float(opposed.mean()) > 0.5:
            raise invalid(
                table.source,
                f"{_name(table, columns, 'imaginary')} and {_name(table, columns, 'phase')} differ in sign",
                "one of them is negated: write a minus before its heading (-Im(Z)), or leave out the phase",
                table.lines[0],
            )


def _name(table: TextTable, columns: Columns, quantity: str) -> str:
    return repr(table.names[columns[quantity][0]].strip())
