"""A sheet of cells, one row a cell: the keys of a cell file as headers, with dots for nested ones.

A unit stands in the value (``0.785 cm²``) or in the header (``area / cm²``, ``area [cm²]``). Each row is read
as a cell file is, so that it is refused for the same reasons in the same words.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from protocols.cell import Cell
from protocols.cellfile import CellFile, cell_of
from protocols.errors import InvalidFileError, Problem, nearest
from protocols.spreadsheet import Sheet, SheetLine, read_sheet
from protocols.units import Amount
from protocols.validation import LANGUAGE
from protocols.yamlfile import Node, Place, Source

METADATA = "metadata"
ALWAYS = ("name", "geometry")
"""Keys that every cell needs."""

_HEADER = re.compile(r"(?P<key>[^/\[(]*?)\s*(?:/\s*(?P<a>.+)|\[(?P<b>[^\]]+)\]|\((?P<c>[^)]+)\))?")
_NUMBER = re.compile(r"[+\-−]?[\d.,]+(?:[eE][+-]?\d+)?")
_BARE = re.compile(r"[^\W\d_][\w µΩ²/·.%°-]*")
_WORDS_OF_YAML = {"yes", "no", "true", "false", "on", "off", "null", "y", "n"}


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One cell of a sheet."""

    file: str
    row: int
    """Number of the row as the spreadsheet shows it; the headers are row 1."""
    cell: Cell
    texts: dict[str, Any]
    """The cell file's keys and texts, nested."""
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    path: tuple[str, ...]
    unit: str


def read_cell_sheet(path: Path | str) -> list[SheetRow]:
    """Read a csv or xlsx file of cells.

    Raises InvalidFileError with one problem for each wrong value: ``line`` and ``column`` are the row and the
    column of the sheet, and the message names the column's header.
    """
    sheet = read_sheet(Path(path))
    if not sheet.lines or sheet.lines[0].row != 1:
        problem = Problem(sheet.file, 1, 1, "The first row has to hold the headers.", _example())
        raise InvalidFileError([problem])
    columns = _columns(sheet)
    rows, problems = [], [_named(problem, columns) for problem in sheet.problems]
    unreadable = {problem.line for problem in problems}
    for line in sheet.lines[1:]:
        if line.row in unreadable:
            continue
        try:
            rows.append(_row(line, columns, sheet.file))
        except InvalidFileError as error:
            problems += [_named(problem, columns) for problem in error.problems]
    problems += _twice(rows, columns)
    if not rows and not problems:
        problems = [Problem(sheet.file, 2, 1, "There is no cell below the headers.")]
    if problems:
        raise InvalidFileError(sorted(problems, key=lambda problem: (problem.line, problem.column)))
    return rows


def as_yaml(row: SheetRow) -> str:
    """Return the text of the cell file of one row; it reads as the same cell."""
    name = Path(row.file).name
    lines = [f"# From row {row.row} of {name if name.isprintable() else ascii(name)}."]
    lines += ["# What is changed here does not change the sheet, and the other way round."]
    return "\n".join([*lines, *_yaml_lines(row.texts, "")]) + "\n"


def _columns(sheet: Sheet) -> dict[int, _Column]:
    """Return what each column means. Raises InvalidFileError if any header is wrong."""
    fields = dict(_fields_of(CellFile, ()))
    columns: dict[int, _Column] = {}
    problems = [problem for problem in sheet.problems if problem.line == 1]
    for number, header in sheet.lines[0].texts.items():
        try:
            column = _column(header, fields)
            if column.path in [other.path for other in columns.values()]:
                raise _WrongHeaderError(f"The column '{'.'.join(column.path)}' stands there twice.")
        except _WrongHeaderError as error:
            problems.append(Problem(sheet.file, 1, number, str(error), error.hint))
        else:
            columns[number] = column
    paths = {column.path for column in columns.values()}
    for key in ALWAYS:
        if (key,) not in paths and not problems:
            problems.append(Problem(sheet.file, 1, 1, f"The sheet has no column '{key}'.", _example()))
    if problems:
        raise InvalidFileError(problems)
    return columns


class _WrongHeaderError(Exception):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def _column(header: str, fields: dict[tuple[str, ...], FieldInfo]) -> _Column:
    """Read one header."""
    if header.startswith(f"{METADATA}."):
        return _Column(header, (METADATA, header.removeprefix(f"{METADATA}.")), "")
    match = _HEADER.fullmatch(header)
    path = tuple((match["key"] if match else header).split("."))
    if match is None or path not in fields:
        known = [".".join(known) for known in fields] + [f"{METADATA}.…"]
        raise _WrongHeaderError(f"The column '{header}' is not known here.", nearest(".".join(path), known))
    unit = match["a"] or match["b"] or match["c"] or ""
    if unit:
        _check_unit(header, unit, fields[path])
    return _Column(header, path, unit)


def _check_unit(header: str, unit: str, info: FieldInfo) -> None:
    if not _holds_amount(info.annotation):
        raise _WrongHeaderError(f"The column '{header}' takes no unit.", "Write the key alone.")
    written: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        TypeAdapter(written).validate_python(f"0.5 {unit}")
    except ValidationError as error:
        context = error.errors()[0].get("ctx", {})
        message, hint = context.get("message", "The unit is not known."), context.get("hint", "")
        raise _WrongHeaderError(f"The unit of the column '{header}' is wrong: {message}", hint) from error


def _fields_of(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield path and field of every key that holds a single value."""
    for name, info in model.model_fields.items():
        path = (*above, info.alias or name)
        below = _model_in(info.annotation)
        if below is not None:
            yield from _fields_of(below, path)
        elif path != (METADATA,):
            yield path, info


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *typing.get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _holds_amount(annotation: Any) -> bool:
    return annotation is Amount or any(_holds_amount(part) for part in typing.get_args(annotation))


def _row(line: SheetLine, columns: dict[int, _Column], file: str) -> SheetRow:
    """Read one row. Raises InvalidFileError whose places are the row and its columns."""
    source = _source(line, columns, file)
    cell, warnings = cell_of(source)
    return SheetRow(
        file, line.row, cell, source.root.plain(), tuple(_named(warning, columns) for warning in warnings)
    )


def _source(line: SheetLine, columns: dict[int, _Column], file: str) -> Source:
    """Return a row as the cell file that it stands for; places are the sheet's, column 0 the whole row."""
    stray = [number for number in line.texts if number not in columns]
    if stray:
        message = "A value stands here, but the column has no header."
        hint = "Write a header, or empty the column. In csv a value that holds a comma stands in quotes."
        raise InvalidFileError([Problem(file, line.row, stray[0], message, hint)])
    row = Place(line.row, 0)
    entries: dict[tuple[str, ...], Node] = {("sandtime",): Node(row, LANGUAGE)}
    for number, column in columns.items():
        text = line.texts.get(number, "")
        if text or column.path in [(key,) for key in ALWAYS]:
            bare = column.unit and _NUMBER.fullmatch(text)
            entries[column.path] = Node(Place(line.row, number), f"{text} {column.unit}" if bare else text)
    return Source(file, _nested(entries, row))


def _nested(entries: dict[tuple[str, ...], Node], place: Place) -> Node:
    """Return the mapping whose values stand at the paths of ``entries``."""
    value: dict[str, Node] = {}
    for key in dict.fromkeys(path[0] for path in entries):
        below = {path[1:]: node for path, node in entries.items() if path[0] == key}
        first = next(iter(below.values()))
        value[key] = first if () in below else _nested(below, first.place)
    return Node(place, value, {key: node.place for key, node in value.items()})


def _named(problem: Problem, columns: dict[int, _Column]) -> Problem:
    """Return the problem with the header of its column in front, unless it is about the whole row."""
    column = columns.get(problem.column)
    if column is None:
        return problem
    return replace(problem, message=f"column '{column.header}': {problem.message}")


def _twice(rows: list[SheetRow], columns: dict[int, _Column]) -> Iterator[Problem]:
    """Yield names and identities that two rows have."""
    numbers = {column.path[0]: number for number, column in columns.items() if len(column.path) == 1}
    for key in ("name", "identity"):
        first: dict[str, int] = {}
        number = numbers.get(key) or numbers.get("barcode") or 1
        for row in rows:
            value = str(getattr(row.cell, key))
            if value and value in first:
                message = f"'{value}' stands in row {first[value]} too."
                yield _named(Problem(row.file, row.row, number, message, "Each cell needs its own."), columns)
            first.setdefault(value, row.row)


def _yaml_lines(values: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{_scalar(key)}:"
            yield from _yaml_lines(value, indent + "  ")
        else:
            yield f"{indent}{_scalar(key)}: {_scalar(value)}"


def _scalar(text: str) -> str:
    """Return a text as it stands in YAML: bare where nothing can be misread, else in quotes."""
    plain = _BARE.fullmatch(text) or re.fullmatch(r"\d[\d.]*(?: [\w²µΩ°%/ ]+)?", text)
    return text if plain and text == text.strip() and text.lower() not in _WORDS_OF_YAML else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _example() -> str:
    return "Write for example: name, geometry, area / cm², working.lithium / µm, electrolyte.class."
