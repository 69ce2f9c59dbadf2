"""Figures and sentences about ended runs. The only user of matplotlib; never loaded by the daemon."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.check_report import OUTCOMES, check_outcomes
from protocols.check import is_check
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.records import HalfCycle
from protocols.verdicts import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from storage.run_reader import RunReader

MAX_POINTS = 4000
"""Points of a curve: pairs of the lowest and highest value of each stretch."""
ZOOM_BEFORE_S, ZOOM_AFTER_S = 120.0, 30.0
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#777777"
"""Distinguishable by people who are colour-blind (Okabe and Ito)."""


Spectra = list[tuple[Spectrum, SpectrumSummary]]

RESULT_WORDS = {
    "ccd_mA_per_cm2": "highest current density passed (CCD): {:g} mA/cm²",
    "failed_at_mA_per_cm2": "failed at: {:g} mA/cm²",
    "ccd_end": "the ramp ended by: {}",
    "ccd_cumulative_capacity_mAh_per_cm2": "charge passed until then: {:.3g} mAh/cm²",
    "li_depletion_side": "lithium used up on the side: {}",
    "li_lost_mAh_per_cm2_per_cycle": "lithium lost: {:.3g} mAh/cm² per cycle",
    "half_cycles": "half-cycles: {}",
    "spectra": "spectra: {}",
}
"""Results in a lab's words; ``hours`` stands in the headline."""


def envelope(t: np.ndarray, y: np.ndarray, points: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return at most ``points`` points of a curve that keep every dip and peak, in order of time."""
    if len(t) <= points:
        return t, y
    bins = points // 2
    stretches = list(pairwise(np.linspace(0, len(t), bins + 1).astype(int)))
    extremes = [[a + int(pick(y[a:b])) for a, b in stretches] for pick in (np.argmin, np.argmax)]
    chosen = np.unique(np.array(extremes))
    return t[chosen], y[chosen]


def demo_figures(reader: RunReader, numbers: list[int], folder: Path) -> list[Path]:
    """Draw a figure for each run, and one of the asymmetric cell beside its twin. Returns the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    made = [run_figure(reader, number, folder / f"run{number}.png") for number in numbers]
    made.append(twins_figure(reader, numbers[2], numbers[3], folder / "asymmetric_and_twin.png"))
    return made


def run_figure(reader: RunReader, run: int, path: Path) -> Path:
    """Draw E(t) whole and zoomed on the event, the overpotential of each half-cycle, and the spectra."""
    from matplotlib.figure import Figure

    info = reader.run(run)
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    _draw_voltage(axes[0, 0], *_whole_run(reader, run))
    spectra = [found for found in reader.spectra(run) if not is_check(found[0].step)]
    _draw_event(axes[0, 1], reader, run, info.verdict)
    half_cycles = reader.half_cycles(run)
    if len(half_cycles) > 1 or not spectra:
        _draw_overpotential(axes[1, 0], half_cycles)
    else:
        _draw_resistance(axes[1, 0], spectra)
    _draw_spectra(axes[1, 1], spectra)
    ending = f"{info.state}, {_kind(info.verdict)}" if info.verdict else info.state
    figure.suptitle(f"{info.name} ({info.protocol}): {ending}" + (" [simulated]" if info.simulated else ""))
    return save_figure(figure, path)


def twins_figure(reader: RunReader, asymmetric: int, symmetric: int, path: Path) -> Path:
    """Draw the asymmetric cell beside its symmetric twin, which loses as much lithium and hides it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    axes_of_both = figure.subplots(1, 2, sharex=True, sharey=True)
    runs = ((symmetric, BLUE), (asymmetric, ORANGE))
    for axes, (run, colour) in zip(axes_of_both[::-1], runs, strict=True):
        info = reader.run(run)
        _draw_voltage(axes, *_whole_run(reader, run), colour)
        axes.set_title(
            f"{info.cell}: {_kind(info.verdict) if info.verdict else 'no verdict, no sign of the loss'}"
        )
    figure.suptitle("The same loss of lithium per cycle: 20 µm run out, 100 µm hide it [simulated]")
    return save_figure(figure, path)


def describe_run(reader: RunReader, run: int, row: dict[str, Any]) -> str:
    """Say in a few lines what a lab asks of a run: how it ended, why, and how fast the circuit was open."""
    info = reader.run(run)
    lines = [f"\nrun {run}  {info.name}: {info.state.upper()} after {info.t_s / 3600:.2f} h"]
    checks = [OUTCOMES[outcome.outcome] for _, outcome in check_outcomes(reader, run)]
    lines += [f"  check before the start: {', '.join(checks)}"] if checks else []
    results = row["results"]
    lines += [f"  {words.format(results[key])}" for key, words in RESULT_WORDS.items() if key in results]
    if info.verdict is None:
        return "\n".join(lines)
    lines.append(f"  {info.verdict.kind} (tier {info.verdict.tier}): {info.verdict.message}")
    lines.append(f"  threshold: {_threshold(info.verdict)}")
    lines += [f"  {text}" for text in _openings(reader, run)]
    return "\n".join(lines)


def _threshold(verdict: Verdict) -> str:
    evidence = verdict.evidence
    criterion = str(evidence.get("criterion", "none"))
    if "threshold" not in evidence or "value" not in evidence:
        return criterion
    unit = " Ω" if criterion.startswith("R ") else " V" if "of E" in criterion else ""
    value, threshold = (_short(evidence[key]) for key in ("value", "threshold"))
    return f"{criterion}; it was {value}{unit}, the threshold {threshold}{unit}"


def _openings(reader: RunReader, run: int) -> list[str]:
    """Say how long it took from the event to the confirmed open circuit."""
    opened = _first_opening(reader, run)
    if "seconds_from_event" not in opened:
        return []
    seconds, voltage = float(str(opened["seconds_from_event"])), float(str(opened["voltage_V"]))
    clock = " by the simulated instrument's clock" if reader.run(run).simulated else ""
    return [f"circuit open, read back, {seconds:.1f} s after the event{clock}; E then {voltage * 1e3:.2f} mV"]


def _first_opening(reader: RunReader, run: int) -> dict[str, object]:
    return next((item.event.data for item in reader.events_of(run, "open_circuit")), {})


def _kind(verdict: Verdict) -> str:
    return verdict.kind.replace("_", " ")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _whole_run(reader: RunReader, run: int) -> tuple[np.ndarray, np.ndarray]:
    """Return E(t) of a whole run for a plot: the smallest and the largest E of each of some points."""
    points = reader.overview(run, MAX_POINTS // 2)
    extremes = np.column_stack((points["voltage_min_V"], points["voltage_max_V"]))
    return np.repeat(points["t_s"], 2), extremes.ravel()


def _draw_voltage(axes: Axes, t: np.ndarray, voltage: np.ndarray, colour: str = BLUE) -> None:
    axes.plot(t / 3600, voltage * 1e3, color=colour, linewidth=0.6)
    axes.set_xlabel("t / h")
    axes.set_ylabel("E / mV")
    if len(voltage):
        usual = 3 * float(np.quantile(np.abs(voltage), 0.98)) + 1e-4
        highest = float(voltage[np.abs(voltage).argmax()])
        if abs(highest) > 3 * usual:
            axes.set_ylim(-usual * 1e3, usual * 1e3)
            text = f"cut off: E reaches {highest:.2f} V at {t[np.abs(voltage).argmax()] / 3600:.2f} h"
            axes.text(0.01, 0.02, text, transform=axes.transAxes, fontsize=8, color=GREY)


def _draw_event(axes: Axes, reader: RunReader, run: int, verdict: Verdict | None) -> None:
    if verdict is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no verdict: nothing happened", ha="center", va="center", color=GREY)
        return
    t0, t1 = verdict.event_s - ZOOM_BEFORE_S, verdict.time_s + ZOOM_AFTER_S
    columns = reader.samples(run, t0=t0, t1=t1, columns=("t_s", "voltage_V"))
    axes.plot(columns["t_s"] - verdict.event_s, columns["voltage_V"] * 1e3, ".-", color=BLUE, markersize=3)
    axes.axvline(0, color=GREY, linestyle=":", label="event begins")
    axes.axvline(verdict.time_s - verdict.event_s, color=ORANGE, label="verdict")
    opened = _first_opening(reader, run)
    if "seconds_from_event" in opened:
        seconds = float(str(opened["seconds_from_event"]))
        axes.axvline(seconds, color=GREEN, linestyle="--", label="circuit open, read back")
    axes.set_xlabel("t − t(event) / s")
    axes.set_ylabel("E / mV")
    axes.legend(fontsize=8, loc="center left")


def _draw_overpotential(axes: Axes, half_cycles: list[HalfCycle]) -> None:
    from matplotlib.ticker import MaxNLocator

    for sign, marker, label in ((1, "o", "I > 0 (strips working)"), (-1, "s", "I < 0 (plates working)")):
        chosen = [row for row in half_cycles if row.set_current_A * sign > 0]
        colour = BLUE if sign > 0 else ORANGE
        for rows, face in (
            ([row for row in chosen if row.complete], colour),
            ([row for row in chosen if not row.complete], "none"),
        ):
            x, y = [row.number + 1 for row in rows], [row.overpotential_V * 1e3 for row in rows]
            text = label if face != "none" else f"{label}, cut short"
            if rows:
                axes.plot(x, y, marker, color=colour, markerfacecolor=face, label=text, markersize=4)
    axes.set_xlabel("half-cycle")
    axes.set_ylabel("overpotential / mV")
    axes.set_ylim(0, 1.15e3 * max((row.overpotential_V for row in half_cycles), default=1e-3))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if half_cycles:
        axes.legend(fontsize=8, loc="best")


def _draw_resistance(axes: Axes, spectra: Spectra) -> None:
    """Where a run is one long half-cycle, the resistances of its spectra tell more than one overpotential."""
    hours = [summary.t_s / 3600 for _, summary in spectra]
    for marker, colour, label, values in (
        ("o", BLUE, "R at the lowest f", [summary.r_total_ohm for _, summary in spectra]),
        ("s", ORANGE, "R at high f", [summary.r_hf_ohm for _, summary in spectra]),
    ):
        axes.plot(hours, values, marker + "-", color=colour, label=label, markersize=4, linewidth=0.8)
    axes.set_xlabel("t / h")
    axes.set_ylabel("R / Ω")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="best")


def _draw_spectra(axes: Axes, spectra: Spectra) -> None:
    if not spectra:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no spectra in this protocol", ha="center", va="center", color=GREY)
        return
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0.0, 0.85, len(spectra)))
    for number, ((spectrum, summary), shade) in enumerate(zip(spectra, shades, strict=True)):
        label = f"{summary.t_s / 3600:.2f} h" if number in (0, len(spectra) - 1) else None
        z_imag = -np.asarray(spectrum.z_imag_ohm)
        axes.plot(spectrum.z_real_ohm, z_imag, ".-", color=shade, linewidth=0.8, markersize=3, label=label)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("Z′ / Ω")
    axes.set_ylabel("−Z″ / Ω")
    axes.set_title(f"{len(spectra)} spectra, the first and the last in the legend", fontsize=9)
    axes.legend(fontsize=8, loc="upper left")


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure in the format that the path's ending names; return the path."""
    figure.savefig(path, dpi=120)
    return path
