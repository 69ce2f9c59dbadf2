"""Text files of numbers: decoding them and finding the place of what is wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivers.recordings.rows import Floats, invalid

SEPARATORS = (";", "\t", ",")
"""In this order: where a semicolon or a tab separates, commas are decimal."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a text file, in cells."""

    number: int
    """1-based; of a record over several lines the last."""
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class TextTable:
    """The cells of a text file, still as text."""

    source: Path
    names: Sequence[str]
    cells: Sequence[Sequence[str]]
    """Row by row; every row has at least as many cells as there are names."""
    lines: Sequence[int]
    """1-based line in the file of each row."""

    def column(self, index: int) -> Floats:
        """Return one column; an empty cell is NaN, a decimal comma is understood.

        Raises InvalidFileError with the line of the first cell that is no number.
        """
        texts = [row[index].strip().replace(",", ".") or "nan" for row in self.cells]
        try:
            return np.array(texts, dtype=np.float64)
        except ValueError as error:
            row = next(k for k, text in enumerate(texts) if not is_number(text))
            raise invalid(
                self.source,
                f"column {self.names[index]!r}: {self.cells[row][index][:40]!r} is not a number",
                "the file may be damaged: export it again, with times in seconds and not as dates",
                self.lines[row],
            ) from error


def decoded(source: Path) -> str:
    """Return the text of a file in UTF-8 or in Windows' cp1252. Raises InvalidFileError for neither."""
    content = source.read_bytes()
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise invalid(source, "this is neither UTF-8 nor cp1252 text", "export it again as plain text")


def separated(source: Path) -> list[Line]:
    """Return the lines of a text file that hold anything, in cells.

    Semicolons, tabs or commas separate, else blanks: whichever comes first in this order in the first line
    that begins with a number, or else in the first line. Raises InvalidFileError for what is no text.
    """
    text = decoded(source)
    separator = _separator(text)
    if separator is None:
        split = [Line(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
        return [line for line in split if line.cells]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return [Line(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise invalid(source, f"not a csv file ({error})", "export it again", reader.line_num) from error


def _separator(text: str) -> str | None:
    lines = [line for line in text.splitlines() if line.strip()]
    typical = next((line for line in lines if line.lstrip()[:1].isdigit()), lines[0] if lines else "")
    return next((separator for separator in SEPARATORS if separator in typical), None)


def checked_table(
    source: Path, names: Sequence[str], cells: Sequence[Sequence[str]], lines: Sequence[int]
) -> TextTable:
    """Return the table if every row is whole. Raises InvalidFileError with the first line that isn't."""
    for row, line in zip(cells, lines, strict=True):
        if len(row) < len(names):
            raise invalid(
                source,
                f"the row has {len(row)} of {len(names)} columns: the file is cut off or damaged",
                "export the file again, or remove this line",
                line,
            )
    return TextTable(source, names, cells, lines)


def is_number(text: str) -> bool:
    """Whether a cell is a number, with a decimal point or comma."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
