"""The figure of one resolved spectrum: Nyquist, Bode, and the distribution of relaxation times."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from analysis.resolve import Resolved
from monitor.print_style import Width, printed, quantity, save, scaled
from monitor.report import BLUE, GREEN, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FINE = 400
"""Points of a drawn circuit."""
HEADROOM = 1.7
"""Of the axis of γ, for the names of the peaks and the legend."""
CROWDED = 0.1
"""Peaks nearer than this part of the axis have their names at different heights."""
NAMED = 0.02
"""A smaller part of the whole resistance is not written beside its peak."""


def draw_spectrum(resolved: Resolved, path: Path, title: str = "", width: Width = "double") -> None:
    """Draw one spectrum into a file: png, svg or pdf. Raises SandtimeError for another ending."""
    with printed(width, 125.0 if width == "double" else 210.0) as figure:
        if width == "double":
            grid = figure.add_gridspec(3, 2, height_ratios=(1, 1, 1.7), width_ratios=(1.15, 1))
            places = (grid[0:2, 0], grid[0, 1], grid[1, 1], grid[2, :])
        else:
            grid = figure.add_gridspec(4, 1, height_ratios=(2.6, 1, 1, 2.0))
            places = (grid[0], grid[1], grid[2], grid[3])
        nyquist, modulus, phase, distribution = (figure.add_subplot(place) for place in places)
        draw_nyquist(nyquist, resolved)
        _draw_bode(modulus, phase, resolved)
        draw_distribution(distribution, resolved)
        if title:
            figure.suptitle(title, fontsize=9)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        fill_box(nyquist)
        save(figure, path)


def draw_nyquist(axes: Axes, resolved: Resolved) -> None:
    """Draw −Z″ over Z′ in one scale, with the fits, and the points nearest to each decade filled."""
    f, z = resolved.frequency_Hz, resolved.impedance_ohm
    factor, unit = scaled(np.abs(z), "Ω")
    axes.plot(z.real * factor, -z.imag * factor, "o", color=BLUE, markerfacecolor="none", label="measured")
    for label, colour, line, _, model in _models(resolved):
        axes.plot(model.real * factor, -model.imag * factor, line, color=colour, label=label)
    _mark_decades(axes, f, z * factor)
    axes.margins(0.12)
    axes.axhline(0, color=GREY, linewidth=0.4, zorder=0)
    axes.set_xlabel(f"Z′ / {unit}")
    axes.set_ylabel(f"−Z″ / {unit}")
    axes.legend(loc="upper left")


def fill_box(axes: Axes) -> None:
    """Give both axes one scale, with the room above what is drawn; the figure's layout has to be done."""
    box = axes.get_window_extent()
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    scale = max((right - left) / box.width, (top - bottom) / box.height)
    left -= 0.25 * (scale * box.width - (right - left))
    axes.set_xlim(left, left + scale * box.width)
    axes.set_ylim(bottom, bottom + scale * box.height)
    axes.set_aspect("equal", adjustable="box", anchor="SW")


def draw_distribution(axes: Axes, resolved: Resolved) -> None:
    """Draw γ over τ with its band, its peaks and their names, and shade what was not measured."""
    found = resolved.distribution
    fast, slow = found.window_s
    is_inside = (found.tau_s >= fast) & (found.tau_s <= slow)
    factor, unit = scaled(found.gamma_ohm[is_inside], "Ω")
    if found.lower_ohm is not None and found.upper_ohm is not None:
        low, high = found.lower_ohm * factor, found.upper_ohm * factor
        axes.fill_between(found.tau_s, low, high, color=BLUE, alpha=0.2, linewidth=0, label="95 % band")
    axes.plot(found.tau_s, found.gamma_ohm * factor, color=BLUE, label="γ")
    axes.set_xscale("log")
    axes.set_xlim(fast / 10, slow * 10)
    top = HEADROOM * factor * float(np.max(found.gamma_ohm[is_inside], initial=0.0))
    axes.set_ylim(0, top or 1.0)
    for begin, end, label in ((fast / 10, fast, "not measured"), (slow, slow * 10, None)):
        axes.axvspan(begin, end, color=GREY, alpha=0.15, linewidth=0, label=label)
    _mark_peaks(axes, resolved, factor)
    axes.set_xlabel("τ / s")
    axes.set_ylabel(f"γ / {unit}")
    above = axes.secondary_xaxis("top", functions=(_turned, _turned))
    above.set_xlabel("f = 1/(2πτ) / Hz")
    axes.legend(loc="upper center", ncols=3, columnspacing=1.0, handlelength=1.3)


def _turned(values: ArrayLike) -> np.ndarray:
    """Return frequencies of times, and times of frequencies."""
    return np.asarray(1.0 / (2 * np.pi * np.maximum(np.asarray(values, dtype=np.float64), 1e-30)))


def _models(resolved: Resolved) -> list[tuple[str, str, str, np.ndarray, np.ndarray]]:
    """Return name, colour, line, f in Hz and Z in Ω of what was fitted, over the measured range."""
    models = [("DRT", ORANGE, "-", resolved.frequency_Hz, resolved.described_ohm)]
    if resolved.fit is not None:
        fine = np.geomspace(resolved.frequency_Hz[0], resolved.frequency_Hz[-1], FINE)
        models.append((resolved.fit.circuit.text, GREEN, "--", fine, resolved.fit.impedance(fine)))
    return models


def _draw_bode(modulus: Axes, phase: Axes, resolved: Resolved) -> None:
    f, z = resolved.frequency_Hz, resolved.impedance_ohm
    factor, unit = scaled(np.abs(z), "Ω")
    modulus.plot(f, np.abs(z) * factor, "o", color=BLUE, markerfacecolor="none")
    phase.plot(f, np.degrees(np.angle(z)), "o", color=BLUE, markerfacecolor="none")
    for _, colour, line, at_Hz, model in _models(resolved):
        modulus.plot(at_Hz, np.abs(model) * factor, line, color=colour)
        phase.plot(at_Hz, np.degrees(np.angle(model)), line, color=colour)
    modulus.set_xscale("log")
    modulus.set_yscale("log")
    modulus.set_ylabel(f"|Z| / {unit}")
    modulus.tick_params(labelbottom=False)
    _plain_decades(modulus, np.abs(z) * factor)
    phase.set_xscale("log")
    phase.sharex(modulus)
    phase.set_xlabel("f / Hz")
    phase.set_ylabel("phase / °")


def _plain_decades(axes: Axes, values: np.ndarray) -> None:
    """Write a logarithmic axis of little more than a decade in plain numbers, few of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if np.max(values) / np.min(values) > 30:
        return
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _mark_decades(axes: Axes, f: np.ndarray, z: np.ndarray) -> None:
    """Fill the point nearest to each decade of f, and write the decade where there is room."""
    size = max(float(np.ptp(z.real)), float(np.ptp(z.imag)), 1e-30)
    written: list[complex] = []
    for decade in range(int(np.ceil(np.log10(f[0]) - 0.05)), int(np.floor(np.log10(f[-1]) + 0.05)) + 1):
        place = int(np.argmin(np.abs(np.log10(f) - decade)))
        if abs(np.log10(f[place]) - decade) > 0.1:
            continue
        axes.plot(z.real[place], -z.imag[place], "o", color=BLUE)
        outwards = _outwards(z, place)
        label = complex(z[place]).conjugate() + 0.08 * size * outwards
        if all(abs(label - other) > 0.13 * size for other in written):
            written.append(label)
            axes.annotate(
                quantity(10.0**decade, "Hz"),
                (z.real[place], -z.imag[place]),
                xytext=(6 * outwards.real, 6 * outwards.imag),
                textcoords="offset points",
                ha="center" if abs(outwards.real) < 0.5 else "right" if outwards.real < 0 else "left",
                va="center" if abs(outwards.imag) < 0.5 else "bottom" if outwards.imag > 0 else "top",
                fontsize=6.5,
            )


def _outwards(z: np.ndarray, place: int) -> complex:
    """Return the direction, of length 1, in which an arc leaves room: to the left on the way to low f."""
    way = complex(z[max(place - 1, 0)] - z[min(place + 1, len(z) - 1)]).conjugate()
    return 1j * way / abs(way) if way else 1j


def _mark_peaks(axes: Axes, resolved: Resolved, factor: float) -> None:
    """Write name and resistance above each peak of weight; those far outside the window are not drawn."""
    left, right = axes.get_xlim()
    shown = [peak for peak in resolved.peaks if left < peak.tau_s < right]
    whole = sum(peak.resistance_ohm for peak in shown)
    top = axes.get_ylim()[1]
    left_x, left_y, raised = 0.0, 0.0, False
    for peak in shown:
        height = min(peak.height_ohm * factor, top / HEADROOM)
        axes.plot([peak.tau_s] * 2, [0, height], color=GREY, linewidth=0.6, linestyle=":")
        if peak.resistance_ohm < NAMED * whole:
            continue
        is_near = left_x > 0 and np.log(peak.tau_s / left_x) < CROWDED * np.log(right / left)
        raised = is_near and abs(height - left_y) < 1.5 * CROWDED * top and not raised
        left_x, left_y = peak.tau_s, height
        lines = [line for line in (peak.name, quantity(peak.resistance_ohm, "Ω")) if line]
        axes.annotate(
            "\n".join(lines),
            (peak.tau_s, height),
            xytext=(0, 21 if raised else 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=6.5,
            color="black" if peak.inside else GREY,
        )
