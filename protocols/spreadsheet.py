"""Tables that people keep in a spreadsheet: csv and xlsx, read as text with rows and columns.

A stranger's file can do no more than be wrong: bytes, rows, columns and what a zip holds unpacked are
bounded, XML is read by defusedxml, and formulas are refused rather than trusted. Of a workbook the first
sheet is read.
"""

from __future__ import annotations

import csv
import io
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

from protocols.errors import InvalidFileError, Problem

MAX_BYTES = 4_000_000
MAX_UNPACKED = 40_000_000
MAX_ROWS = 2000
MAX_COLUMNS = 200
MAX_TEXT = 4000
MAX_PADDING = 1_048_576
"""Rows of a worksheet: so many empty ones may stand below the table."""

_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What openpyxl lets out on workbooks that no program has written."""


@dataclass(slots=True)
class SheetLine:
    """One row of a sheet: its number, from 1, and the text of each column, from 1, that is not empty."""

    row: int
    texts: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Sheet:
    """The rows that are not empty, and what could not be read."""

    file: str
    lines: list[SheetLine] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, row: int, column: int, message: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(self.file, row, column, message, hint))


def read_sheet(path: Path) -> Sheet:
    """Read a csv or xlsx file. Raises InvalidFileError if there is no table in it.

    Single values that can't be used are among the sheet's problems.
    """
    file = str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refusal(file, f"can't be read: {error.strerror}.") from error
    if len(content) > MAX_BYTES:
        raise _refusal(file, f"The file is larger than {MAX_BYTES // 1_000_000} MB.")
    if content.startswith(_OLD_EXCEL):
        raise _refusal(
            file, "This is an old or encrypted Excel file.", "Save it as .xlsx without a password."
        )
    rows = _workbook_rows(content, file) if content.startswith(_ZIP) else _csv_rows(content, file)
    return _collect(rows, file)


def _refusal(file: str, message: str, hint: str = "", row: int = 0) -> InvalidFileError:
    return InvalidFileError([Problem(file, row, 1 if row else 0, message, hint)])


Cells = list[tuple[str, str]]
"""Of each column of a row: its text, and why it can't be used, if it can't."""


def _collect(rows: Iterator[Cells], file: str) -> Sheet:
    sheet = Sheet(file)
    for row, cells in enumerate(rows, start=1):
        line = SheetLine(row)
        for column, (text, why_not) in enumerate(cells, start=1):
            plain = " ".join(text.split())
            if why_not or len(plain) > MAX_TEXT:
                sheet.refuse(row, column, why_not or f"The text is longer than {MAX_TEXT} characters.")
            if plain:
                line.texts[column] = plain
        if line.texts:
            sheet.lines.append(line)
        if line.texts and row > MAX_ROWS:
            raise _refusal(file, f"There are more than {MAX_ROWS} rows.", "", row)
    return sheet


def _csv_rows(content: bytes, file: str) -> Iterator[Cells]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        hint = "Save it as 'CSV UTF-8', or as .xlsx."
        raise _refusal(file, "This is neither UTF-8 text nor .xlsx.", hint, row) from error
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row, cells in enumerate(reader, start=1):
            if any(cells[MAX_COLUMNS:]):
                raise _refusal(file, f"There are more than {MAX_COLUMNS} columns.", "", row)
            yield [(text, "") for text in cells[:MAX_COLUMNS]]
    except csv.Error as error:
        raise _refusal(file, f"This can't be read as csv: {error}.", "", reader.line_num) from error


def _workbook_rows(content: bytes, file: str) -> Iterator[Cells]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            # What is read of a part never exceeds the size that the zip states: zipfile stops there.
            unpacked = sum(part.file_size for part in packed.infolist())
        if unpacked > MAX_UNPACKED:
            raise _refusal(file, f"Unpacked, the file is larger than {MAX_UNPACKED // 1_000_000} MB.")
        yield from _first_sheet(content, file)
    except _BROKEN as error:
        raise _refusal(file, "This can't be read as .xlsx.", "Save it again, or save it as csv.") from error


def _first_sheet(content: bytes, file: str) -> list[Cells]:
    import openpyxl

    if not openpyxl.DEFUSEDXML or openpyxl.LXML:
        hint = "Unset OPENPYXL_DEFUSEDXML and set OPENPYXL_LXML=False, or save the sheet as csv."
        raise _refusal(file, "openpyxl is set up to read XML without defusedxml.", hint)
    with warnings.catch_warnings():
        # It warns of styles and extensions that it does not know; only values matter here.
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        try:
            return _rows_of(book.worksheets[0], file)
        finally:
            book.close()


def _rows_of(sheet: Any, file: str) -> list[Cells]:
    # The size that a sheet states of itself may be wrong; without it every row is read.
    sheet.reset_dimensions()
    rows: list[Cells] = []
    for row, cells in enumerate(sheet.iter_rows(max_col=MAX_COLUMNS + 1), start=1):
        filled = [column for column, cell in enumerate(cells) if cell.value is not None]
        if row > MAX_PADDING or (filled and (row > MAX_ROWS or filled[-1] >= MAX_COLUMNS)):
            message = f"There are more than {MAX_ROWS} rows or {MAX_COLUMNS} columns."
            raise _refusal(file, message, "", row)
        if row <= MAX_ROWS:
            rows.append([_text_of(cell) for cell in cells])
    return rows


def _text_of(cell: Any) -> tuple[str, str]:
    """Return the text of a cell of a workbook, or why it has none."""
    value = cell.value
    if value is None:
        return "", ""
    if cell.data_type == "f":
        return str(value), "A formula stands here; values are wanted. Paste the column as values."
    if cell.data_type == "e":
        return str(value), f"An error of the spreadsheet stands here: {value}."
    if isinstance(value, bool):
        return ("yes" if value else "no"), ""
    if isinstance(value, (date, time, timedelta)):
        return str(value), "The spreadsheet has made a date of this. Format the column as text."
    if isinstance(value, (int, float)):
        return _number(value, cell.number_format), ""
    return str(value), ""


def _number(value: float, number_format: str) -> str:
    """Return a number as it was typed; one that is shown as a percentage keeps its sign."""
    if "%" in re.sub(r'"[^"]*"', "", number_format or ""):
        return f"{value * 100:.12g} %"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)
