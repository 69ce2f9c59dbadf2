"""One row of the table, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.eis.scores import Score

HEADINGS = ("case", "method", "rel. L2", "maxima", "exact", "R_p", "R_∞", "areas", "places", "band", "CPU")


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one case."""

    case: str
    method: str
    score: Score
    cpu_ms: float
    """Median CPU time of one spectrum."""

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        s = self.score
        return (
            self.case,
            self.method,
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


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, which a terminal shows as well."""
    widths = [max(len(row[place]) for row in [headings, *rows]) for place in range(len(headings))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in [headings, *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _number(value: float, form: str) -> str:
    return "–" if np.isnan(value) else form.format(value)
