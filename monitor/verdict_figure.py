"""The picture of a verdict: E and R around it, what it was compared with, and the seconds that decided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monitor.print_style import printed, save, scaled
from monitor.report import BLUE, GREEN, GREY, ORANGE, envelope
from monitor.verdict_words import Quantity, headline, levels
from scheduler.windows import Window, resistance_ohm
from storage.columns import Columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

CLOSE_S = 30.0
"""Seconds before the event and after the verdict that are drawn apart."""
USUAL = (0.01, 0.99)
"""Quantiles of a window that its axis shows at least, besides all that is close to the event."""


def draw_window(window: Window, path: Path) -> None:
    """Draw the data around a verdict into a file: png, svg or pdf. Raises SandtimeError."""
    with printed("double", 105.0) as figure:
        axes: Any = figure.subplots(2, 2, sharex="col", sharey="row", width_ratios=(2.2, 1))
        _draw_quantity(axes[0], window, "E")
        _draw_quantity(axes[1], window, "R")
        whole, close = axes[1]
        lasted_s = window.verdict.time_s - window.verdict.event_s
        whole.set_xlabel("t − t(event) / min")
        close.set_xlabel("t − t(event) / s")
        close.set_xlim(-CLOSE_S, lasted_s + CLOSE_S)
        axes[0, 0].set_title("the window", loc="left")
        axes[0, 1].set_title(f"{CLOSE_S:g} s before and after", loc="left")
        handles = dict(zip(*_both(axes[0, 0], axes[1, 0]), strict=True))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
        figure.suptitle(headline(window.info, window.verdict), fontsize=8)
        save(figure, path)


def _draw_quantity(row: Any, window: Window, quantity: Quantity) -> None:
    """Draw one quantity over the whole window in min, and close to the event in s."""
    now, before = _values(window.samples, quantity), _values(window.before, quantity)
    if quantity == "E":
        # Half-cycles of opposite directions compare by their size.
        now_sense = _sense(window.samples, window.verdict.event_s)
        before = before * now_sense * _sense(window.before, window.before_event_s)
    shown = _shown(window, now, quantity)
    factor, unit = scaled(shown, "V" if quantity == "E" else "Ω")
    for axes, per_s in zip(row, (1 / 60, 1.0), strict=True):
        _plot(axes, (window.before["t_s"] - window.before_event_s) * per_s, before * factor, GREY)
        _plot(axes, (window.samples["t_s"] - window.verdict.event_s) * per_s, now * factor, BLUE)
        axes.axvline(0.0, color=GREEN, linestyle=":", label="event begins")
        axes.axvline((window.verdict.time_s - window.verdict.event_s) * per_s, color=ORANGE, label="verdict")
        _draw_levels(axes, window, quantity, factor)
    row[0].set_ylabel(f"{'E' if quantity == 'E' else 'E/I'} / {unit}")
    low, high = float(shown.min()) * factor, float(shown.max()) * factor
    margin = 0.08 * (high - low) or 1.0
    row[0].set_ylim(low - margin, high + margin)


def _draw_levels(axes: Axes, window: Window, quantity: Quantity, factor: float) -> None:
    for level in levels(window.verdict):
        if level.quantity == quantity:
            style = "--" if level.label == "threshold" else "-."
            axes.axhline(
                level.value * factor, color="black", linewidth=0.7, linestyle=style, label=level.label
            )


def _plot(axes: Axes, t: Floats, y: Floats, colour: str) -> None:
    known = np.isfinite(y)
    label = "measured" if colour == BLUE else "the same phase of a half-cycle before"
    if known.any():
        x, y = envelope(t[known], y[known])
        axes.plot(x, y, ".-", color=colour, linewidth=0.7, markersize=1.5, label=label)


def _values(samples: Columns, quantity: Quantity) -> Floats:
    if quantity == "R":
        return resistance_ohm(samples)
    return np.asarray(samples["voltage_V"], dtype=np.float64)


def _sense(samples: Columns, t_s: float) -> float:
    """Return the direction of the last current before a time: 1 or −1."""
    flowing = samples["current_A"][(samples["t_s"] <= t_s) & np.isfinite(resistance_ohm(samples))]
    return -1.0 if len(flowing) and flowing[-1] < 0.0 else 1.0


def _shown(window: Window, values: Floats, quantity: Quantity) -> Floats:
    """Return values that an axis has to hold: all close to the event, nearly all others, levels, and 0."""
    verdict, t_s = window.verdict, window.samples["t_s"]
    close = values[(t_s >= verdict.event_s - CLOSE_S) & (t_s <= verdict.time_s) & np.isfinite(values)]
    known = values[np.isfinite(values)]
    usual = np.quantile(known, USUAL) if len(known) else np.empty(0)
    marked = [level.value for level in levels(verdict) if level.quantity == quantity]
    return np.concatenate([close, usual, marked, [0.0]])


def _both(first: Axes, second: Axes) -> tuple[list[str], list[Any]]:
    """Return labels and handles of two axes."""
    handles, labels = first.get_legend_handles_labels()
    more, others = second.get_legend_handles_labels()
    return [*labels, *others], [*handles, *more]
