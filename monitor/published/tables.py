"""The comparison as tables, for the terminal and for the page in the docs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from monitor.published.comparison import ABOUT, AIM, Row

if TYPE_CHECKING:
    from rich.table import Table

DIGITS = 4

MEANING = (
    "The parameters of the simulated cells were fitted to these papers, so agreement shows that the system "
    "measures what the cell does; it is no proof that the model is right."
)


def summary(rows: Sequence[Row]) -> str:
    """Return in one sentence how well everything came out."""
    exact = [row for row in rows if row.list == "exact"]
    close = sum(row.met for row in exact)
    others = [row for row in rows if row.list == "inequality"]
    return (
        f"{len(exact)} exact figures, {close} of them within {AIM:.0%}; "
        f"{len(others)} values with ~, >, ≥ or in words, {sum(row.met for row in others)} of them met; "
        f"{sum(row.list == 'clash' for row in rows)} that contradict others, listed and not fitted."
    )


def terminal_tables(rows: Sequence[Row]) -> list[Table]:
    """Return one table for each study."""
    from rich.table import Table

    tables = []
    for study in sorted({row.study for row in rows}):
        table = Table(title=f"Study {study}", title_justify="left")
        for column in ("cell", "quantity", "published", "obtained", "deviation"):
            table.add_column(column, overflow="fold")
        for row in rows:
            if row.study == study:
                style = "dim" if row.list == "clash" else None if row.met else "bold red"
                table.add_row(*_cells(row)[1:], style=style)
        tables.append(table)
    return tables


def page(rows: Sequence[Row], sources: dict[str, str], machine: str, took: str, figure: str) -> str:
    """Return docs/published.md."""
    lines = ["# Published cells, measured again", ""]
    lines += [
        "The cells of five published studies as simulated cells, tested with the protocols of their papers",
        "through the whole system: protocol, driver, wire, guards, store, analysis. This page is written by",
        "`sandtime published --write docs/published.md`; no number in it is typed by hand.",
        "",
        f"**{MEANING}**",
        "",
        f"{summary(rows)} {took} on {machine}.",
        "",
        f"![Published against obtained, and what the voltages look like]({figure})",
        "",
    ]
    lines += [f"- {letter}: {source}" for letter, source in sorted(sources.items())]
    exact, inequality, clash = (
        [row for row in rows if row.list == name] for name in ("exact", "inequality", "clash")
    )
    lines += ["", "## Exact figures", "", *_markdown(exact, "deviation")]
    lines += [
        "",
        "## About, more than, and in words",
        "",
        f"What a paper prints with ~ is met within {ABOUT:.0%}.",
        "",
        *_markdown(inequality, "met"),
    ]
    lines += [
        "",
        "## Values that contradict each other",
        "",
        "No one cell can give both of such a pair. They are not fitted away: what comes is shown as it is.",
        "",
        *_clash_table(clash),
    ]
    problems = [
        f"- {row.study} {row.cell}, {row.quantity.name}: {row.problem}" for row in rows if row.problem
    ]
    if problems:
        lines += ["", "## Not obtained", "", *problems]
    return "\n".join([*lines, ""])


def _markdown(rows: Sequence[Row], last: str) -> list[str]:
    head = ["study", "cell", "quantity", "published", "obtained", last]
    lines = [_line(head), _line(["---"] * len(head))]
    return lines + [_line(_cells(row)) for row in rows]


def _clash_table(rows: Sequence[Row]) -> list[str]:
    head = ["study", "cell", "quantity", "published", "obtained", "contradicts"]
    lines = [_line(head), _line(["---"] * len(head))]
    return lines + [_line([*_cells(row)[:5], row.quantity.clashes]) for row in rows]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cells(row: Row) -> list[str]:
    quantity = row.quantity
    sign = "" if quantity.relation in ("=", "words") else f"{quantity.relation} "
    met = "met" if row.met else "NOT MET"
    verdict = met if row.deviation is None else f"{row.deviation:+.1%}"
    published = f"{sign}{_value(quantity.published, quantity.unit)}"
    return [row.study, row.cell, quantity.name, published, _value(row.obtained, quantity.unit), verdict]


def _value(value: float | str | None, unit: str) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.{DIGITS}g} {unit}".strip()
