"""The figure beside the tables: how near everything came, and what papers show, as it came out here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monitor.published.comparison import AIM, Row
from monitor.published.extractions import Record
from monitor.published.units import UNITS
from monitor.report import BLUE, GREEN, GREY, ORANGE, envelope, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PURPLE = "#cc79a7"
SHOWN = 0.15
"""Deviations beyond this are drawn at the edge."""
KINDS = {
    "voltage": "overpotential,\npeaks, windows",
    "time": "life",
    "current": "currents",
    "current_density": "CCD",
    "resistance": "resistance",
    "areal_resistance": "areal\nresistance",
    "conductivity": "conductivity",
    "energy": "E_a",
    "specific_capacity": "capacity",
    "ratio": "t₊, retention,\nefficiency",
    "slope": "I_p over √v",
}
Tests = Mapping[str, Record]
Curves = Sequence[tuple[str, str, str]]
"""Label, colour and test of each curve of a panel."""


def draw(rows: Sequence[Row], tests: Tests, path: Path) -> None:
    """Draw all panels into a file. ``tests``: records by station, such as ``D-mii2_symmetric``."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.use("Agg")
    figure = Figure(figsize=(13, 12), layout="constrained")
    grid = figure.add_gridspec(3, 3, height_ratios=(1.1, 1, 1))
    _draw_parity(figure.add_subplot(grid[0, :]), rows)
    panels: list[Callable[[Axes], None]] = [
        lambda axes: _draw_symmetric(axes, tests),
        lambda axes: _draw_asymmetric(axes, tests),
        lambda axes: _draw_ramps(axes, tests),
        lambda axes: _draw_interfaces(axes, rows),
        lambda axes: _draw_rates(axes, rows),
        lambda axes: _draw_activation(axes, tests),
    ]
    for place, panel in enumerate(panels):
        panel(figure.add_subplot(grid[1 + place // 3, place % 3]))
    figure.suptitle("Published cells, measured again in the simulated lab")
    save_figure(figure, path)


def _draw_parity(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the deviation of every exact figure, by the kind of quantity."""
    exact = [row for row in rows if row.list == "exact" and row.deviation is not None]
    kinds = [kind for kind in KINDS if any(UNITS[row.quantity.unit][0] == kind for row in exact)]
    colours = dict(zip("ABCDE", (BLUE, ORANGE, GREEN, PURPLE, GREY), strict=True))
    for place, kind in enumerate(kinds):
        of_kind = [row for row in exact if UNITS[row.quantity.unit][0] == kind]
        offsets = np.linspace(-0.35, 0.35, len(of_kind)) if len(of_kind) > 1 else [0.0]
        for offset, row in zip(offsets, of_kind, strict=True):
            deviation = float(np.clip(row.deviation or 0.0, -SHOWN, SHOWN)) * 100
            inside = abs(row.deviation or 0.0) <= SHOWN
            marker = "o" if inside else "^" if deviation > 0 else "v"
            axes.plot(place + offset, deviation, marker, color=colours[row.study], markersize=5)
    axes.axhspan(-AIM * 100, AIM * 100, color=GREEN, alpha=0.12, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xticks(range(len(kinds)), [KINDS[kind] for kind in kinds])
    axes.set_ylim(-SHOWN * 105, SHOWN * 105)
    axes.set_ylabel("obtained / published − 1, %")
    for study in sorted({row.study for row in exact}):
        axes.plot([], [], "o", color=colours[study], label=f"study {study}")
    axes.legend(fontsize=8, ncols=5, loc="upper center")
    axes.set_title(f"{len(exact)} exact figures (band: ±{AIM:.0%}; triangles: further off)", fontsize=10)


def _draw_symmetric(axes: Axes, tests: Tests) -> None:
    _draw_overpotentials(
        axes,
        tests,
        [
            ("MII-1", ORANGE, "D-mii1_symmetric"),
            ("MII-2", BLUE, "D-mii2_symmetric"),
            ("MII-3", GREEN, "D-mii3_symmetric"),
            ("metal-free SEI", GREY, "D-sei_symmetric"),
        ],
    )
    axes.set_title("D: 100|100 µm: MII-2 outlives the metal-free SEI", fontsize=9)


def _draw_asymmetric(axes: Axes, tests: Tests) -> None:
    _draw_overpotentials(
        axes,
        tests,
        [
            ("MII-1", ORANGE, "D-mii1_asymmetric_20"),
            ("MII-2", BLUE, "D-mii2_asymmetric_20"),
            ("MII-3", GREEN, "D-mii3_asymmetric_20"),
            ("metal-free SEI", GREY, "D-sei_asymmetric_20"),
        ],
    )
    axes.set_title("D: 20|100 µm: where lithium runs out, or a short ends it (×)", fontsize=9)


def _draw_overpotentials(axes: Axes, tests: Tests, curves: Curves) -> None:
    """Draw the overpotential of each half-cycle over time; a cross where a guard ended the test."""
    for label, colour, name in curves:
        if name not in tests:
            continue
        record = tests[name]
        hours = [row.t_end_s / 3600 for row in record.counted]
        values = [row.overpotential_V * 1e3 for row in record.counted]
        axes.plot(hours, values, ".-", color=colour, label=label, markersize=3, linewidth=0.8)
        if record.info.verdict is not None and hours:
            axes.plot(hours[-1], values[-1], "x", color=colour, markersize=9, markeredgewidth=2)
    _finish(axes, "t / h", "overpotential / mV")
    axes.set_ylim(bottom=0)


def _draw_ramps(axes: Axes, tests: Tests) -> None:
    for label, colour, name in (("TfOH-LLZTO", BLUE, "C-ccd_tfoh"), ("air-LLZTO", ORANGE, "C-ccd_air")):
        if name in tests:
            columns = tests[name].samples(columns=("t_s", "voltage_V"))
            t, volts = envelope(columns["t_s"], columns["voltage_V"])
            axes.plot(t / 3600, volts * 1e3, color=colour, label=label, linewidth=0.7)
    _finish(axes, "t / h", "E / mV")
    axes.set_title("C: ramps of j to the short circuit", fontsize=9)


def _draw_interfaces(axes: Axes, rows: Sequence[Row]) -> None:
    curves = (
        ("LLZTO-PMA", BLUE, "life_llzto_pma"),
        ("LLZTO", ORANGE, "life_llzto"),
        ("PMA", GREEN, "life_pma"),
    )
    for label, colour, test in curves:
        chosen = [row for row in rows if row.study == "B" and row.test == test]
        _draw_pairs(axes, chosen, "after_cycle", label, colour)
    axes.set_xscale("log")
    _finish(axes, "cycle", "interfacial resistance / Ω")
    axes.set_title("B: spectra after chosen cycles (open: published)", fontsize=9)


def _draw_rates(axes: Axes, rows: Sequence[Row]) -> None:
    for study, test, colour in (("A", "rate_pt", BLUE), ("B", "rate_lfp", ORANGE), ("C", "rate_lfp", GREEN)):
        chosen = [row for row in rows if row.study == study and row.test == test]
        _draw_pairs(axes, chosen, "cycle", f"study {study}", colour)
    _finish(axes, "step of the rate test", "capacity / mAh/g")
    axes.set_title("A, B, C: rate capability of Li|LFP (open: published)", fontsize=9)


def _draw_pairs(axes: Axes, rows: Sequence[Row], argument: str, label: str, colour: str) -> None:
    """Draw obtained values, joined, over an argument of their extraction; published ones as open circles."""
    pairs = [
        (float(row.quantity.arguments[argument]), float(row.obtained), float(row.quantity.published))
        for row in rows
        if argument in row.quantity.arguments and isinstance(row.obtained, float)
    ]
    if not pairs:
        return
    x, obtained, published = zip(*pairs, strict=True)
    axes.plot(x, obtained, ".-", color=colour, label=label, linewidth=0.8)
    axes.plot(x, published, "o", color=colour, markerfacecolor="none", markersize=8)


def _draw_activation(axes: Axes, tests: Tests) -> None:
    curves = (
        ("0.5 % CNT", GREY, "E-activation_cnt05"),
        ("5 % CNT", BLUE, "E-activation_cnt5"),
        ("50 % CNT", ORANGE, "E-activation_cnt50"),
    )
    for label, colour, name in curves:
        if name in tests:
            values = [row.overpotential_V for row in tests[name].counted]
            axes.plot(np.arange(len(values)) / 2 + 1, values, ".-", color=colour, label=label, linewidth=0.8)
    _finish(axes, "activation cycle", "overpotential / V")
    axes.set_title("E: activation at 0.1 mA/cm²", fontsize=9)


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    else:
        axes.text(0.5, 0.5, "not run", ha="center", va="center", transform=axes.transAxes, color=GREY)
