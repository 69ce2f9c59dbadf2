"""Rows of results, and the tables that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.eis.scores import Score

HEADINGS = ("case", "rel. L2", "maxima", "exact", "R_p", "R_∞", "areas", "places", "band", "CPU")


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one case."""

    case: str
    method: str
    score: Score
    cpu_ms: float
    """Median CPU time of one spectrum."""

    def cells(self) -> tuple[str, ...]:
        """Return every measure."""
        s = self.score
        return (
            self.case,
            _number(s.rel_l2, "{:.3f}"),
            _number(s.maxima, "{:.1f}"),
            _number(100.0 * s.exact, "{:.0f} %"),
            _number(100.0 * s.r_p, "{:.2f} %"),
            _number(s.r_inf_ohm, "{:.2f} Ω"),
            _number(100.0 * s.area, "{:.1f} %"),
            _number(s.place, "{:.3f}"),
            _number(100.0 * s.coverage, "{:.0f} %"),
            _number(self.cpu_ms, "{:.3g} ms"),
        )

    def cell(self) -> str:
        """Return the measures that stand in the table of all methods."""
        s = self.score
        parts = (
            _number(s.rel_l2, "{:.3f}"),
            _number(s.maxima, "{:.1f}"),
            _number(100.0 * s.exact, "{:.0f}"),
            _number(100.0 * s.r_p, "{:.2f}"),
        )
        return " / ".join(parts)


@dataclass(frozen=True, slots=True)
class Measure:
    """A line under the table of all methods: the median over the cases of one more measure."""

    what: str
    of: Callable[[Row], float]
    form: str


MEASURES = (
    Measure("R_∞ off by, Ω", lambda row: row.score.r_inf_ohm, "{:.2f}"),
    Measure("areas of peaks off by, %", lambda row: 100.0 * row.score.area, "{:.1f}"),
    Measure("places of peaks off by, decades", lambda row: row.score.place, "{:.3f}"),
    Measure("95 % band holds the truth, %", lambda row: 100.0 * row.score.coverage, "{:.0f}"),
    Measure("CPU, ms a spectrum", lambda row: row.cpu_ms, "{:.3g}"),
)


def side_by_side(rows: Sequence[Row]) -> str:
    """Return the table of all methods: a line for each case, a column for each method."""
    methods = list(dict.fromkeys(row.method for row in rows))
    cases = list(dict.fromkeys(row.case for row in rows))
    found = {(row.case, row.method): row.cell() for row in rows}
    lines = [(case, *(found.get((case, method), "–") for method in methods)) for case in cases]
    lines += [(measure.what, *(_middle(rows, method, measure) for method in methods)) for measure in MEASURES]
    return table(("case", *methods), lines)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, which a terminal shows as well."""
    widths = [max(len(row[place]) for row in [headings, *rows]) for place in range(len(headings))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in [headings, *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _middle(rows: Sequence[Row], method: str, measure: Measure) -> str:
    values = np.array([measure.of(row) for row in rows if row.method == method])
    known = values[~np.isnan(values)]
    return _number(float(np.median(known)) if len(known) else float("nan"), measure.form)


def _number(value: float, form: str) -> str:
    return "–" if np.isnan(value) else form.format(value)
