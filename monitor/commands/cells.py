"""The command ``cells``: from a sheet of cells to cell files."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.output import JsonOption, emit
from protocols.errors import InvalidFileError, Problem

if TYPE_CHECKING:
    from protocols.cellsheet import SheetRow

LONGEST = 50
"""Characters of a name that become part of a file name, which some systems limit to 255 bytes."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.I)
"""Names that Windows keeps for devices, whatever comes after the dot."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(cells)


def cells(
    sheet: Annotated[Path, typer.Argument(help="A csv or xlsx file, one row a cell.")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder for the cell files.")],
    json: JsonOption = False,
) -> None:
    """Write one cell file for each row of a sheet; nothing is written if any row is wrong."""
    from protocols.cellsheet import read_cell_sheet

    try:
        rows = read_cell_sheet(sheet)
        files = _files(rows, folder)
    except InvalidFileError as error:
        _tell([], list(error.problems), [], json)
        raise typer.Exit(error.exit_code) from error
    _write(rows, files)
    _tell(
        [_as_dict(row, file) for row, file in zip(rows, files, strict=True)],
        [],
        [warning for row in rows for warning in row.warnings],
        json,
    )


def file_name(name: str) -> str:
    """Return the file name of a cell: its name, with what file systems can't take replaced by ``_``."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._-")[:LONGEST] or "cell"
    return f"{'cell_' if RESERVED.fullmatch(plain.partition('.')[0]) else ''}{plain}.yaml"


def _files(rows: list[SheetRow], folder: Path) -> list[Path]:
    """Return the file of each row. Raises InvalidFileError if one exists or two are the same."""
    problems = []
    first: dict[str, int] = {}
    for row in rows:
        name = file_name(row.cell.name)
        # Windows and macOS make no difference between A and a.
        other = first.setdefault(name.casefold(), row.row)
        if other != row.row:
            message = f"'{row.cell.name}' gives the same file name as row {other}: {name}."
            problems.append(Problem(row.file, row.row, 0, message, "Give it another name."))
        elif (folder / name).exists():
            hint = "Nothing is overwritten: choose another folder, or move this file away."
            problems.append(Problem(str(folder / name), 0, 0, "exists already.", hint))
    if problems:
        raise InvalidFileError(problems)
    return [folder / file_name(row.cell.name) for row in rows]


def _write(rows: list[SheetRow], files: list[Path]) -> None:
    from protocols.cellsheet import as_yaml

    for row, file in zip(rows, files, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(as_yaml(row))


def _as_dict(row: SheetRow, file: Path) -> dict[str, Any]:
    return {"file": str(file), "row": row.row, "name": row.cell.name, "identity": row.cell.identity}


def _tell(
    written: list[dict[str, Any]], errors: list[Problem], warnings: list[Problem], as_json: bool
) -> None:
    document = {
        "cells": written,
        "errors": [asdict(problem) for problem in errors],
        "warnings": [asdict(problem) for problem in warnings],
    }
    lines = [f"error: {problem}" for problem in errors] + [f"warning: {problem}" for problem in warnings]
    lines += [f"wrote {cell['file']}" for cell in written]
    emit(document, "\n".join(lines), as_json)
