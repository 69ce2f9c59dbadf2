"""One measured figure, and the table of all of them."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HEADINGS = ("what", "figure", "reach", "", "peer")

NOTE = """\
`make bench` prints this table; `python -m benchmarks --write docs/benchmarks.md` writes this page. The
figures hold for the machine named here, which other programs may have shared: CPU times are those of the
process alone, waiting times are not. Figures in brackets were measured elsewhere, on such a machine
(2 cores), of other programs that do a similar job.
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, and what is to be reached (design.md, *Numbers to reach*)."""

    what: str
    value: float
    unit: str
    reach: float | None = None
    """Largest value that is good enough, or the smallest with ``at_least``; None: for information."""
    peer: str = ""
    """The same of other programs, measured elsewhere."""
    at_least: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether it is good enough; None if nothing is asked of it."""
        if self.reach is None:
            return None
        return self.value >= self.reach if self.at_least else self.value <= self.reach

    def cells(self) -> tuple[str, ...]:
        """Return the figure as a row of the table."""
        sign = "≥" if self.at_least else "≤"
        reach = "" if self.reach is None else f"{sign} {number(self.reach)} {self.unit}"
        mark = {True: "reached", False: "MISSED", None: ""}[self.reached]
        peer = f"({self.peer})" if self.peer else ""
        return self.what, f"{number(self.value)} {self.unit}", reach, mark, peer


def number(value: float) -> str:
    """Return a number with three figures, without an exponent where people would not write one."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return float(np.percentile(values, 99))


def table(figures: Sequence[Figure]) -> str:
    """Return the table in Markdown, which a terminal shows as well."""
    rows = [HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine() -> str:
    """Return in words what the figures were measured on."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{_processor()}, {os.cpu_count()} cores, load average at the start {load}; "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}."
    )


def page(groups: Sequence[tuple[str, Sequence[Figure]]], machine_facts: str) -> str:
    """Return the page for the documentation: a table for each group."""
    parts = [f"## {title}\n\n{table(figures)}\n" for title, figures in groups]
    return "\n".join(["# Benchmarks\n", NOTE, f"Machine: {machine_facts}\n", *parts])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
