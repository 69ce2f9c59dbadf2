"""Figures and sentences about ended runs. The only user of matplotlib; never loaded by the daemon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from protocols.measurements import Verdict
from protocols.plan import Plan
from protocols.program import Node, Program, Repeat, Rest
from protocols.records import HalfCycle
from storage.reader import Reader

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_EVENTS = 100_000
MAX_POINTS = 4000
"""Points of a curve: pairs of the lowest and highest value of each stretch."""
ZOOM_BEFORE_S, ZOOM_AFTER_S = 120.0, 30.0
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"
"""Distinguishable by people who are colour-blind (Okabe and Ito)."""


def envelope(t: np.ndarray, y: np.ndarray, points: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return at most ``points`` points of a curve that keep every dip and peak, in order of time."""
    if len(t) <= points:
        return t, y
    bins = points // 2
    stretches = list(pairwise(np.linspace(0, len(t), bins + 1).astype(int)))
    extremes = [[a + int(pick(y[a:b])) for a, b in stretches] for pick in (np.argmin, np.argmax)]
    chosen = np.unique(np.array(extremes))
    return t[chosen], y[chosen]


def demo_figures(reader: Reader, numbers: list[int], folder: Path) -> list[Path]:
    """Draw a figure for each run, and one of the asymmetric cell beside its twin. Returns the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    made = [run_figure(reader, number, folder / f"run{number}.png") for number in numbers]
    made.append(twins_figure(reader, numbers[2], numbers[3], folder / "asymmetric_and_twin.png"))
    return made


def run_figure(reader: Reader, run: int, path: Path) -> Path:
    """Draw E(t) whole and zoomed on the event, the overpotential of each half-cycle, and the spectra."""
    from matplotlib.figure import Figure

    info = reader.run(run)
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    columns = reader.samples(run, columns=("t_s", "voltage_V"))
    _draw_voltage(axes[0, 0], columns["t_s"], columns["voltage_V"])
    _draw_event(axes[0, 1], reader, run, info.verdict)
    _draw_overpotential(axes[1, 0], reader.half_cycles(run))
    _draw_spectra(axes[1, 1], reader, run)
    ending = f"{info.state}: {info.verdict.kind}" if info.verdict else info.state
    figure.suptitle(f"{info.name} ({info.protocol}): {ending}" + (" [simulated]" if info.simulated else ""))
    return _save(figure, path)


def twins_figure(reader: Reader, asymmetric: int, symmetric: int, path: Path) -> Path:
    """Draw the asymmetric cell beside its symmetric twin, which loses as much lithium and hides it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for axes, run, colour in ((left, asymmetric, ORANGE), (right, symmetric, BLUE)):
        info = reader.run(run)
        columns = reader.samples(run, columns=("t_s", "voltage_V"))
        _draw_voltage(axes, columns["t_s"], columns["voltage_V"], colour)
        axes.set_title(f"{info.cell}: {info.verdict.kind if info.verdict else 'nothing to see'}")
    figure.suptitle("The same loss of lithium per cycle: 20 µm run out, 100 µm hide it [simulated]")
    return _save(figure, path)


def describe_run(reader: Reader, run: int, row: dict[str, Any]) -> str:
    """Say in a few lines what a lab asks of a run: how it ended, why, and how fast the circuit was open."""
    info = reader.run(run)
    results = ", ".join(f"{key} {_short(value)}" for key, value in row["results"].items())
    lines = [f"\nrun {run}  {info.name}: {info.state.upper()} after {info.t_s / 3600:.2f} h", f"  {results}"]
    if info.verdict is None:
        return "\n".join(lines)
    lines.append(f"  {info.verdict.kind} (tier {info.verdict.tier}): {info.verdict.message}")
    lines.append(f"  threshold: {_threshold(info.verdict)}")
    lines += [f"  {text}" for text in _openings(reader, run)]
    return "\n".join(lines)


def _threshold(verdict: Verdict) -> str:
    wanted = ("criterion", "threshold", "value", "baseline_ohm")
    return ", ".join(f"{key} {_short(verdict.evidence[key])}" for key in wanted if key in verdict.evidence)


def _openings(reader: Reader, run: int) -> list[str]:
    """Say how long it took from the event to the confirmed open circuit."""
    stored = reader.events(run, limit=MAX_EVENTS)
    opened = next((item.event.data for item in stored if item.event.kind == "open_circuit"), {})
    if "seconds_from_event" not in opened:
        return []
    seconds, voltage = float(str(opened["seconds_from_event"])), float(str(opened["voltage_V"]))
    return [f"circuit open, read back, {seconds:.1f} s after the event; E then {voltage * 1e3:.2f} mV"]


def plan_figure(program: Program, path: Path) -> Path:
    """Draw the current that a program would drive over time."""
    from matplotlib.figure import Figure

    times, currents = [0.0], [0.0]
    for duration_s, current_A in _timeline(program.steps):
        times += [times[-1], times[-1] + duration_s]
        currents += [current_A, current_A]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.array(times) / 3600, np.array(currents) * 1e3, color=BLUE, linewidth=0.8)
    axes.set_xlabel("t / h")
    axes.set_ylabel("I / mA")
    axes.set_title(f"{program.protocol} for {program.cell.name}")
    return _save(figure, path)


def _timeline(nodes: Sequence[Node]) -> Iterator[tuple[float, float]]:
    """Yield duration and DC current of each pass of each step, in order."""
    for node in nodes:
        if isinstance(node, Repeat):
            for _ in range(node.passes):
                yield from _timeline(node.body)
        else:
            yield node.remaining_s, 0.0 if isinstance(node, Rest) else node.current_A


def describe_plan(plan: Plan) -> str:
    """Say what a plan holds, for people."""
    lines = [
        f"{plan.protocol} for {plan.cell}: at most {plan.duration_s / 3600:.2f} h, "
        f"{plan.charge_C / 3.6:.3g} mAh in all, |I| up to {plan.max_current_A * 1e3:.3g} mA",
        f"circuit opens below {plan.voltage_min_V:g} V and above {plan.voltage_max_V:g} V",
        "",
        "steps:",
        *(f"  {step.passes:>4} × {step.label}" for step in plan.steps),
    ]
    for title, texts in (
        ("held on board", plan.held_on_board),
        ("held by the host", plan.held_by_host),
        ("warnings", plan.warnings),
        ("notes", plan.notes),
    ):
        lines += ["", f"{title}:", *(f"  {text}" for text in texts)] if texts else []
    return "\n".join(lines)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _draw_voltage(axes: Axes, t: np.ndarray, voltage: np.ndarray, colour: str = BLUE) -> None:
    x, y = envelope(t, voltage)
    axes.plot(x / 3600, y * 1e3, color=colour, linewidth=0.6)
    axes.set_xlabel("t / h")
    axes.set_ylabel("E / mV")
    if len(y):
        usual = 3 * float(np.quantile(np.abs(voltage), 0.98)) + 1e-4
        if float(np.abs(voltage).max()) > 3 * usual:
            axes.set_ylim(-usual * 1e3, usual * 1e3)
            axes.text(0.01, 0.02, "clipped; see the zoom", transform=axes.transAxes, fontsize=8, color=GREY)


def _draw_event(axes: Axes, reader: Reader, run: int, verdict: Verdict | None) -> None:
    if verdict is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no verdict: nothing happened", ha="center", va="center", color=GREY)
        return
    t0, t1 = verdict.event_s - ZOOM_BEFORE_S, verdict.time_s + ZOOM_AFTER_S
    columns = reader.samples(run, t0=t0, t1=t1, columns=("t_s", "voltage_V"))
    axes.plot(columns["t_s"] - verdict.event_s, columns["voltage_V"] * 1e3, ".-", color=BLUE, markersize=3)
    axes.axvline(0, color=GREY, linestyle=":", label="event")
    axes.axvline(verdict.time_s - verdict.event_s, color=ORANGE, label="verdict: circuit opened")
    axes.set_xlabel("t − t(event) / s")
    axes.set_ylabel("E / mV")
    axes.legend(fontsize=8)


def _draw_overpotential(axes: Axes, half_cycles: list[HalfCycle]) -> None:
    for sign, marker, label in ((1, "o", "I > 0 (strips working)"), (-1, "s", "I < 0 (plates working)")):
        chosen = [row for row in half_cycles if row.set_current_A * sign > 0]
        values = [row.overpotential_V * 1e3 for row in chosen]
        colour = BLUE if sign > 0 else ORANGE
        axes.plot([row.number for row in chosen], values, marker, color=colour, label=label, markersize=3)
    axes.set_xlabel("half-cycle")
    axes.set_ylabel("overpotential / mV")
    axes.legend(fontsize=8)


def _draw_spectra(axes: Axes, reader: Reader, run: int) -> None:
    spectra = reader.spectra(run)
    if not spectra:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no spectra in this protocol", ha="center", va="center", color=GREY)
        return
    last_s = max(summary.t_s for _, summary in spectra) or 1.0
    for spectrum, summary in spectra:
        shade = 0.2 + 0.75 * summary.t_s / last_s
        axes.plot(spectrum.z_real_ohm, -np.asarray(spectrum.z_imag_ohm), color=BLUE, alpha=shade, linewidth=1)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("Z′ / Ω")
    axes.set_ylabel("−Z″ / Ω")
    axes.set_title(f"{len(spectra)} spectra, pale to dark over {last_s / 3600:.0f} h", fontsize=9)


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=120)
    return path
