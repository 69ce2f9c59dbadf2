"""Parameter sets of the cells of published studies: ``published/study_*.toml``, a table for each cell.

A table holds keys of :class:`drivers.simulation.description.CellDescription`. Besides, ``about`` says what
the cell is and where its numbers come from, and ``like`` names another table of the file, from which this one
takes what it does not hold itself. A table's name, after the study's letter, is that of a preset:
``[llzto_pma]`` in ``study_b.toml`` is ``b_llzto_pma``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from protocols.errors import InvalidFileError, Problem

FOLDER = Path(__file__).with_name("published")


def published_cells(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Return preset → what differs from a cell's defaults, words left out. Raises InvalidFileError."""
    return {
        preset: {key: value for key, value in table.items() if key not in ("about", "like")}
        for preset, table in _tables(folder).items()
    }


def about_cells(folder: Path = FOLDER) -> dict[str, str]:
    """Return preset → what the cell is, in words. Raises InvalidFileError."""
    return {preset: str(table.get("about", "")) for preset, table in _tables(folder).items()}


def _tables(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("study_*.toml")):
        tables = _read(file)
        letter = file.stem.removeprefix("study_")
        found |= {f"{letter}_{name}": _whole(file, tables, name) for name in tables}
    return found


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidFileError([Problem(str(file), 0, 0, f"cannot be read as TOML: {error}")]) from error
    stray = [key for key, value in content.items() if not isinstance(value, dict)]
    if stray:
        hint = "a cell begins with its name in brackets, such as [llzto_pma]"
        raise InvalidFileError([Problem(str(file), 0, 0, f"{stray[0]} stands outside of any cell", hint)])
    return content


def _whole(
    file: Path, tables: dict[str, dict[str, Any]], name: str, above: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a table with what it takes from the one that it is like."""
    if name not in tables or name in above:
        what = "is like itself" if name in above else "does not exist"
        raise InvalidFileError([Problem(str(file), 0, 0, f"{' like '.join([*above, name])} {what}")])
    table = tables[name]
    like = table.get("like")
    return table if like is None else {**_whole(file, tables, like, (*above, name)), **table}
