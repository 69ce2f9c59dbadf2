"""A sweep as a table and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monitor.print_style import printed, save
from monitor.report import BLUE, GREY, ORANGE
from monitor.sweep import Asked, Prepared
from monitor.verdict_report import written
from protocols.protocol import threshold_kind
from protocols.units import KINDS

Rows = Sequence[dict[str, Any]]


def document(asked: Asked, present: float, prepared: Sequence[Prepared], table: Rows) -> dict[str, Any]:
    """Return a sweep for programs."""
    files = [
        {
            "file": str(each.tried.path),
            "hours": each.hours,
            "events_s": None if each.tried.events_s is None else list(each.tried.events_s),
        }
        for each in prepared
    ]
    return {
        "guard": asked.guard,
        "threshold": asked.threshold,
        "present": present,
        "files": files,
        "sweep": list(table),
    }


def text(asked: Asked, present: float, prepared: Sequence[Prepared], table: Rows) -> str:
    """Return a sweep for people."""
    events = [each.tried.events_s for each in prepared]
    known = sum(len(each) for each in events if each is not None)
    hours = sum(each.hours for each in prepared)
    head = f"{asked.guard}.{asked.threshold}, now {written(asked.threshold, present)}: "
    head += f"{len(prepared)} {'recording' if len(prepared) == 1 else 'recordings'}, {hours:.2f} h, "
    head += f"{known} known {'event' if known == 1 else 'events'}"
    lines = [head]
    if None in events:
        lines.append(
            "When a cell shorted was not said (--event): every verdict counts as a false alarm, and delays "
            "are against the first verdict of the present setting."
        )
    names = ("value", "first at", "delay", "longest", "missed", "verdicts", "false alarms", "per 1000 h")
    cells = [names, *(_cells(asked.threshold, row) for row in table)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines += ["  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(lines)


def _cells(threshold: str, row: dict[str, Any]) -> tuple[str, ...]:
    first = "-" if row["first_s"] is None else f"{row['first_s'] / 3600:.3f} h"
    return (
        written(threshold, row["value"]),
        first,
        _seconds(row["delay_s"]),
        _seconds(row["delay_max_s"]),
        str(row["missed"]),
        str(row["verdicts"]),
        str(row["false_alarms"]),
        "-" if row["per_1000_h"] is None else f"{row['per_1000_h']:.3g}",
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def draw(asked: Asked, present: float, table: Rows, path: Path) -> None:
    """Draw delay and false alarms over the value into a file. Raises SandtimeError for another ending."""
    values = np.array([row["value"] for row in table])
    unit = KINDS[threshold_kind(asked.threshold)].si
    with printed("single", 80.0) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        for key, marker, label in (("delay_s", "o-", "median"), ("delay_max_s", "s:", "longest")):
            above.plot(values, _numbers(table, key), marker, color=BLUE, label=label)
        missed = np.array([row["missed"] > 0 for row in table])
        if missed.any():
            above.plot(values[missed], np.zeros(missed.sum()), "x", color=ORANGE, label="an event was missed")
        above.set_ylabel("delay / s")
        above.legend(loc="best")
        below.plot(values, _numbers(table, "per_1000_h"), "o-", color=ORANGE)
        below.set_ylabel("false alarms in 1000 h")
        below.set_ylim(bottom=0.0)
        for axes in (above, below):
            axes.axvline(present, color=GREY, linestyle="--", linewidth=0.7)
        name = f"{asked.guard}: {asked.threshold}"
        below.set_xlabel(f"{name} / {unit}" if unit else name)
        save(figure, path)


def _numbers(table: Rows, key: str) -> list[float]:
    return [np.nan if row[key] is None else float(row[key]) for row in table]
