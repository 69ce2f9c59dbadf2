"""A plan in words, and a drawing of what a program would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.report import BLUE, GREEN, ORANGE, save_figure
from protocols.nodes import (
    ConstantCurrent,
    ConstantVoltage,
    Decision,
    Geis,
    Node,
    OnPasses,
    Peis,
    Repeat,
    Rest,
    Soak,
    Step,
    VoltageSweep,
    inner,
    set_current_A,
)
from protocols.plan import Plan, PlannedStep
from protocols.program import Program
from protocols.units import ZERO_CELSIUS_K, format_amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_STRETCHES = 4000
"""Steps that are drawn; a longer program is drawn up to there."""


def describe_plan(plan: Plan) -> str:
    """Say what a plan holds, for people."""
    at_most = "at most " if plan.duration_is != "exact" else ""
    charge = "" if plan.charge_is == "exact" else f" ({plan.charge_is})"
    lines = [
        f"{plan.protocol} for {plan.cell}: {at_most}{_duration(plan.duration_s)}, "
        f"{plan.charge_C / 3.6:.3g} mAh in all{charge}, |I| up to {plan.max_current_A * 1e3:.3g} mA",
        f"circuit opens below {plan.voltage_min_V:g} V and above {plan.voltage_max_V:g} V, "
        f"and above {plan.current_limit_A * 1e3:.3g} mA",
        *_about_spectra(plan),
        *([f"cycles that are counted: {plan.cycles}"] if plan.cycles else []),
        "",
        "steps:",
        *(f"  {_passes(step):>6} × {_describe_step(step)}" for step in plan.steps),
    ]
    for title, texts in (
        ("decisions", plan.decisions),
        ("held on board", plan.held_on_board),
        ("held by the host", plan.held_by_host),
        ("warnings", plan.warnings),
        ("notes", plan.notes),
    ):
        lines += ["", f"{title}:", *(f"  {text}" for text in texts)] if texts else []
    return "\n".join(lines)


def _about_spectra(plan: Plan) -> list[str]:
    if not plan.spectra:
        return []
    words = f"spectra: {plan.spectra}, at least {_duration(plan.spectra_s)} in all"
    passed = f", {plan.spectra_charge_C / 3.6:.3g} mAh pass under them" if plan.spectra_charge_C else ""
    return [words + passed]


def _passes(step: PlannedStep) -> str:
    """How often a step runs; at most, where a decision may leave it out."""
    return f"≤ {step.passes}" if step.conditional else str(step.passes)


def _describe_step(step: PlannedStep) -> str:
    parts = [f"{step.label}: {_time_of(step)}"]
    if step.current_A:
        density = format_amount(step.current_density_A_per_m2, "current_density")
        parts.append(f"{step.current_A * 1e3:.3g} mA ({density})")
    if step.voltage_V is not None and not (step.vs_open_circuit and step.voltage_V == 0):
        against = " vs open circuit" if step.vs_open_circuit else ""
        parts.append(f"{'to ' if step.kind == 'voltage_sweep' else ''}{step.voltage_V:g} V{against}")
    if step.temperature_K is not None:
        parts.append(format_amount(step.temperature_K, "temperature"))
    if step.kind not in ("geis", "peis"):
        parts.append(f"ends by {step.ends_by}")
    return ", ".join(parts)


def _time_of(step: PlannedStep) -> str:
    if step.kind in ("geis", "peis"):
        return f"at least {_duration(step.duration_s)}"
    return f"{'at most ' if step.ends_by != 'time' else ''}{_duration(step.duration_s)}"


def _duration(seconds: float) -> str:
    for limit, unit, text in ((120.0, 1.0, "s"), (7200.0, 60.0, "min")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {text}"
    return f"{seconds / 3600:.4g} h"


@dataclass(frozen=True, slots=True)
class _Stretch:
    """One visit of a step in a drawing."""

    t_h: float
    duration_h: float
    step: Step


Draw = Callable[["Axes", list[_Stretch]], None]


def plan_figure(program: Program, path: Path) -> Path:
    """Draw what a program would do: current, voltage and temperature where they are set, spectra as marks."""
    from matplotlib.figure import Figure

    stretches = list(islice(_stretches(program.steps), MAX_STRETCHES))
    tracks: list[tuple[Draw, str]] = [(_draw_current, "I / mA")]
    if any(isinstance(stretch.step, ConstantVoltage | VoltageSweep) for stretch in stretches):
        tracks.append((_draw_voltage, "E / V"))
    if any(_target(stretch.step) is not None for stretch in stretches):
        tracks.append((_draw_temperature, "T / °C"))
    figure = Figure(figsize=(9, 1.2 + 2.4 * len(tracks)), layout="constrained")
    axes = figure.subplots(len(tracks), sharex=True, squeeze=False)[:, 0]
    for (draw, label), track in zip(tracks, axes, strict=True):
        draw(track, stretches)
        track.set_ylabel(label)
    axes[-1].set_xlabel("t / h")
    axes[0].set_title(_title(program, stretches), fontsize=10)
    return save_figure(figure, path)


def _title(program: Program, stretches: list[_Stretch]) -> str:
    title = f"{program.protocol} for {program.cell.name} (where a step may end early: its longest time)"
    if len(stretches) < MAX_STRETCHES:
        return title
    return f"{title}: the first {stretches[-1].t_h:.4g} h of {program.duration_s() / 3600:.4g} h"


def _stretches(nodes: Sequence[Node]) -> Iterator[_Stretch]:
    t_h = 0.0
    for step in _in_order(nodes):
        yield _Stretch(t_h, step.remaining_s / 3600, step)
        t_h += step.remaining_s / 3600


def _in_order(nodes: Sequence[Node]) -> Iterator[Step]:
    """Yield each passage of each step; decisions are taken as if what they ask for never came."""
    for node in nodes:
        match node:
            case Repeat():
                for done in range(node.start, node.stop):
                    yield from _in_order(
                        [n for n in node.body if not isinstance(n, OnPasses) or n.runs_in(done)]
                    )
            case Decision():
                yield from _in_order(node.otherwise)
            case _ if isinstance(node, Step):
                yield node
            case _:
                yield from _in_order(inner(node))


def _draw_current(axes: Axes, stretches: list[_Stretch]) -> None:
    times, currents = [0.0], [0.0]
    for stretch in stretches:
        known = not isinstance(stretch.step, ConstantVoltage | VoltageSweep)
        current_mA = set_current_A(stretch.step) * 1e3 if known else float("nan")
        times += [stretch.t_h, stretch.t_h + stretch.duration_h]
        currents += [current_mA, current_mA]
    axes.plot(times, currents, color=BLUE, linewidth=0.8)
    spectra = [s for s in stretches if isinstance(s.step, Geis | Peis)]
    if spectra:
        levels = [set_current_A(s.step) * 1e3 for s in spectra]
        marks = [s.t_h + s.duration_h / 2 for s in spectra]
        axes.plot(marks, levels, "v", color=ORANGE, markersize=5, label=f"spectra ({len(spectra)})")
        axes.legend(fontsize=8, loc="best")


def _draw_voltage(axes: Axes, stretches: list[_Stretch]) -> None:
    driven = [(s, s.step.until_voltage_V) for s in stretches if isinstance(s.step, ConstantCurrent)]
    ends = [(s.t_h + s.duration_h, volts) for s, volts in driven if volts is not None]
    if ends:
        axes.plot(*zip(*ends, strict=True), "o", color=GREEN, markersize=3, label="a current ends at")
    labelled: set[bool] = set()
    for stretch in stretches:
        for t_h, volts, relative in _voltages(stretch):
            label = None if relative in labelled else ("vs open circuit" if relative else "E")
            labelled.add(relative)
            colour = ORANGE if relative else BLUE
            axes.plot(t_h, volts, color=colour, linewidth=1.0, label=label)
    axes.legend(fontsize=8, loc="best")


def _voltages(stretch: _Stretch) -> Iterator[tuple[list[float], list[float], bool]]:
    step, t_h = stretch.step, stretch.t_h
    if isinstance(step, ConstantVoltage):
        yield [t_h, t_h + stretch.duration_h], [step.voltage_V] * 2, step.relative
    if isinstance(step, VoltageSweep):
        times, volts = [t_h], [step.vertices[0].voltage_V]
        for vertex in step.vertices[1:]:
            times.append(times[-1] + abs(vertex.voltage_V - volts[-1]) / step.rate_V_per_s / 3600)
            volts.append(vertex.voltage_V)
        if step.vertices[0].relative and not step.vertices[-1].relative:
            # Where a sweep begins at open circuit is not known before.
            times, volts = [t_h + stretch.duration_h], volts[-1:]
        yield times, volts, step.vertices[-1].relative


def _target(step: Step) -> float | None:
    waits = step.waits if isinstance(step, Rest) else None
    return waits.target_K if isinstance(waits, Soak) else None


def _draw_temperature(axes: Axes, stretches: list[_Stretch]) -> None:
    times, targets = [], []
    target_K: float | None = None
    for stretch in stretches:
        target_K = _target(stretch.step) or target_K
        if target_K is not None:
            times += [stretch.t_h, stretch.t_h + stretch.duration_h]
            targets += [target_K - ZERO_CELSIUS_K] * 2
    axes.plot(times, targets, color=GREEN, linewidth=1.2)
