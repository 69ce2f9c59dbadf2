"""The figure of many resolved spectra: Nyquist over time, a map of γ(τ, t), R of each process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.resolve import Resolved
from analysis.timeline import Timeline
from monitor.impedance_figure import draw_distribution, fill_box
from monitor.print_style import Width, printed, save, scaled
from monitor.report import BLUE, GREEN, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9", GREY)
"""As many processes are drawn at most, the largest ones."""
MARKERS = "os^Dv<>"
SHADES = "viridis"
BRIGHTEST = 99.5
"""The colours of the map end at this percentile: one short-circuited spectrum must not darken all others."""
TIME_UNITS = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
"""From which length of a series on, seconds in the unit, its name."""


def draw_series(
    series: Sequence[Resolved], timeline: Timeline, path: Path, title: str = "", width: Width = "double"
) -> None:
    """Draw spectra in order of time into a file: png, svg or pdf. Raises SandtimeError for another ending."""
    with printed(width, 135.0 if width == "double" else 230.0) as figure:
        shape = (2, 2) if width == "double" else (4, 1)
        nyquist, last, over_time, processes = figure.subplots(*shape).flat
        times, label = _axis(timeline)
        _draw_spectra(figure, nyquist, series, times, label)
        draw_distribution(last, series[-1])
        last.set_title("the last spectrum")
        _draw_map(figure, over_time, timeline, times, label)
        _draw_processes(processes, timeline, times, label)
        if title:
            figure.suptitle(title, fontsize=9)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        fill_box(nyquist)
        save(figure, path)


def _axis(timeline: Timeline) -> tuple[np.ndarray, str]:
    """Return the times in the unit that reads best, and the words beside the axis."""
    if not timeline.is_time:
        return timeline.t_s, "number of the spectrum"
    length_s = float(np.ptp(timeline.t_s))
    _, unit_s, name = next(entry for entry in TIME_UNITS if length_s >= entry[0])
    return timeline.t_s / unit_s, f"t / {name}"


def _draw_spectra(
    figure: Figure, axes: Axes, series: Sequence[Resolved], times: np.ndarray, label: str
) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    factor, unit = scaled(np.concatenate([np.abs(resolved.impedance_ohm) for resolved in series]), "Ω")
    norm = Normalize(times[0], times[-1])
    for resolved, time in zip(series, times, strict=True):
        z = resolved.impedance_ohm * factor
        axes.plot(z.real, -z.imag, ".-", color=colormaps[SHADES](norm(time)), linewidth=0.5, markersize=2)
    axes.margins(0.1)
    axes.axhline(0, color=GREY, linewidth=0.4, zorder=0)
    axes.set_xlabel(f"Z′ / {unit}")
    axes.set_ylabel(f"−Z″ / {unit}")
    figure.colorbar(ScalarMappable(norm, SHADES), ax=axes, label=label, pad=0.02)


def _draw_map(figure: Figure, axes: Axes, timeline: Timeline, times: np.ndarray, label: str) -> None:
    """Draw γ over τ and time; each spectrum reaches half-way to its neighbours.

    The colours follow √γ: beside a large arc, small ones would be as dark as nothing.
    """
    from matplotlib.colors import PowerNorm

    found = timeline.map
    top = float(np.nanpercentile(found.gamma_ohm, BRIGHTEST))
    factor, unit = scaled(top, "Ω")
    gamma = np.ma.masked_invalid(found.gamma_ohm * factor)
    edges_tau = np.exp(_edges(np.log(found.tau_s)))
    drawn = axes.pcolormesh(
        edges_tau,
        _edges(times),
        gamma,
        cmap="magma",
        norm=PowerNorm(0.5, 0.0, top * factor or 1.0),
        rasterized=True,
    )
    axes.set_facecolor("#dddddd")
    axes.set_xscale("log")
    axes.set_xlabel("τ / s")
    axes.set_ylabel(label)
    figure.colorbar(drawn, ax=axes, label=f"γ / {unit}", pad=0.02, extend="max")


def _edges(centres: np.ndarray) -> np.ndarray:
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])


def _draw_processes(axes: Axes, timeline: Timeline, times: np.ndarray, label: str) -> None:
    """Draw the resistance of each process with its standard deviation; open where only a sum is known."""
    table = timeline.table
    factor, unit = scaled(np.concatenate([table.resistance_ohm, table.sum_ohm]), "Ω")
    size = np.nan_to_num(table.resistance_ohm).sum(axis=0) + np.nan_to_num(table.sum_ohm).sum(axis=0)
    largest = sorted(np.argsort(-size)[: len(COLOURS)].tolist())
    for place, column in enumerate(largest):
        colour, marker = COLOURS[place], MARKERS[place]
        values, std = table.resistance_ohm[:, column] * factor, table.std_ohm[:, column] * factor
        axes.errorbar(
            times,
            values,
            yerr=np.nan_to_num(std),
            fmt=f"{marker}-",
            color=colour,
            markersize=3,
            linewidth=0.7,
            elinewidth=0.6,
            label=table.names[column],
        )
        axes.plot(times, table.sum_ohm[:, column] * factor, marker, color=colour, markerfacecolor="none")
    axes.set_xlabel(label)
    axes.set_ylabel(f"R / {unit}")
    axes.set_ylim(bottom=0)
    axes.margins(y=0.3)
    if largest:
        axes.legend(loc="best", ncols=2)
