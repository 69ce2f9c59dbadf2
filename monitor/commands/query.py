"""``query``: SQL over everything that is stored."""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.output import ConfigOption, JsonOption, configuration, emit, say
from protocols.errors import UsageError

if TYPE_CHECKING:
    from storage.query import Answer

SHOWN = 50
"""Rows that a person is shown."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(query)


def query(
    sql: Annotated[str, typer.Argument(help='One SELECT, e.g. "SELECT run, cell, verdict FROM runs".')],
    json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the whole answer as CSV.")] = False,
    config: ConfigOption = None,
) -> None:
    """Ask in SQL about runs, half_cycles, spectra, verdicts, gaps, events and samples (needs DuckDB).

    Nothing is ever written, and no other file can be read. `DESCRIBE samples` names the columns of a table.
    """
    if json and as_csv:
        raise UsageError("give --json or --csv, not both")
    from storage.query import Query

    with Query(configuration(config).data) as database:
        answer = database.ask(sql)
        if json:
            emit({"columns": answer.columns, "rows": [list(row) for row in answer.rows]}, "", as_json=True)
        elif as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(answer.columns)
            writer.writerows(answer.rows)
        else:
            _show(answer)


def _show(answer: Answer) -> None:
    """Print the first rows as a table for people, and say if there are more."""
    rows = [[_text(value) for value in row] for row in itertools.islice(answer.rows, SHOWN)]
    emit(None, "\n".join(_lines(answer.columns, rows)), as_json=False)
    if next(answer.rows, None) is not None:
        say(f"… only the first {SHOWN} rows are shown; --csv prints all")


def _lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    table = [columns, ["─" * width for width in widths], *rows]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and len(value) > 3:
        return f"[{_text(value[0])}, … {len(value)} values]"
    return "" if value is None else str(value).replace("\n", " ")
