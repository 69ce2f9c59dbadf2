"""What was found in spectra, as a JSON document and in words. Keys end with their unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.drt.distribution import Distribution
from analysis.drt.peaks import Peak
from analysis.resolve import Resolved
from monitor.print_style import quantity
from monitor.series_report import finite, of_succession, of_timeline, plain, told
from protocols.measurements import Spectrum, SpectrumSummary

if TYPE_CHECKING:
    from analysis.circuit.fitting import CircuitFit
    from analysis.succession import Succession
    from analysis.timeline import Timeline

WORDY = 4
"""With more spectra each has one row of a table instead of a block."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of one spectrum: found, or the reason why nothing was."""

    index: int
    spectrum: Spectrum
    resolved: Resolved | None
    error: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """What several spectra say together; None where there is one alone."""

    timeline: Timeline | None
    succession: Succession | None
    area_m2: float | None
    """For resistances per area."""


def document(outcomes: Sequence[Outcome], series: Series, note: str) -> dict[str, Any]:
    """Return everything for programs; infinite and undefined numbers are null."""
    found: dict[str, Any] = {"spectra": [_of_spectrum(outcome) for outcome in outcomes], "note": note}
    if series.timeline is not None:
        found["series"] = of_timeline(series.timeline, series.area_m2)
    if series.succession is not None:
        found |= of_succession(series.succession)
    return found


def words(outcomes: Sequence[Outcome], series: Series, note: str) -> str:
    """Return what a person wants to know first."""
    notes = [] if series.succession is None else told(series.succession)
    notes += [f"note: {note}"] if note else []
    if len(outcomes) <= WORDY:
        return "\n\n".join(
            ["\n".join(block) for block in map(_block, outcomes)] + ["\n".join(notes)] * bool(notes)
        )
    return "\n".join([*_table(outcomes, series.timeline), *notes])


def _of_spectrum(outcome: Outcome) -> dict[str, Any]:
    head = {
        "index": outcome.index,
        "t_s": outcome.spectrum.t_start_s,
        "current_A": outcome.spectrum.current_A,
        "points": len(outcome.spectrum.frequency_Hz),
    }
    resolved = outcome.resolved
    if resolved is None:
        nothing = dict.fromkeys(("kk", "summary", "drt", "circuit"))
        return head | nothing | {"warnings": [], "error": outcome.error}
    return head | {
        "kk": _of_test(resolved.summary),
        "summary": _of_summary(resolved.summary),
        "drt": _of_distribution(resolved.distribution, resolved.peaks),
        "circuit": None if resolved.fit is None else _of_fit(resolved.fit),
        "warnings": list(resolved.warnings),
        "error": None,
    }


def _of_test(summary: SpectrumSummary) -> dict[str, Any]:
    return {
        "passed": summary.kk_passed,
        "noise": summary.noise,
        "rms": summary.kk_rms,
        "lag1": summary.kk_lag1,
        "drift": summary.drift,
        "drift_std": summary.drift_std,
        "valid_from_Hz": summary.valid_from_Hz,
        "valid_to_Hz": summary.valid_to_Hz,
    }


def _of_summary(summary: SpectrumSummary) -> dict[str, Any]:
    kept = {"r_hf_ohm", "r_total_ohm", "r_int_ohm", "phase_low_rad", "z_imag_low_ohm", "f_low_Hz"}
    return summary.model_dump(mode="json", include=kept | {"conductance_low_S"})


def _of_distribution(found: Distribution, peaks: Sequence[Peak]) -> dict[str, Any]:
    return {
        "method": found.method,
        "tau_s": plain(found.tau_s),
        "gamma_ohm": plain(found.gamma_ohm),
        "lower_ohm": None if found.lower_ohm is None else plain(found.lower_ohm),
        "upper_ohm": None if found.upper_ohm is None else plain(found.upper_ohm),
        "window_s": list(found.window_s),
        "r_inf_ohm": found.r_inf_ohm,
        "inductance_H": found.inductance_H,
        "capacitance_F": finite(found.capacitance_F),
        "r_p_ohm": found.r_p_ohm,
        "noise": found.noise,
        "peaks": [
            {
                "name": peak.name,
                "tau_s": peak.tau_s,
                "resistance_ohm": peak.resistance_ohm,
                "std_ohm": finite(peak.std_ohm),
                "capacitance_F": finite(peak.capacitance_F),
                "inside_window": peak.inside,
            }
            for peak in peaks
        ],
    }


def _of_fit(fit: CircuitFit) -> dict[str, Any]:
    parameters = {
        parameter.name: {"value": value, "std": finite(std), "unit": parameter.unit}
        for parameter, value, std in zip(
            fit.circuit.parameters, plain(fit.values), plain(fit.std), strict=True
        )
    }
    return {
        "circuit": fit.circuit.text,
        "parameters": parameters,
        "rms": fit.rms,
        "aicc": finite(fit.aicc),
        "converged": fit.converged,
        "warnings": list(fit.warnings),
    }


def _block(outcome: Outcome) -> list[str]:
    spectrum, resolved = outcome.spectrum, outcome.resolved
    f = spectrum.frequency_Hz
    head = f"spectrum {outcome.index}: {len(f)} points, {quantity(max(f), 'Hz')} to {quantity(min(f), 'Hz')}"
    head += f", at {_duration(spectrum.t_start_s)}" if spectrum.t_start_s else ""
    head += f", {quantity(spectrum.current_A, 'A')} direct current" if spectrum.current_A else ""
    if resolved is None:
        return [head, f"  not resolved: {outcome.error}"]
    lines = [head, f"  Kramers–Kronig: {_verdict(resolved.summary)}", f"  {_resistances(resolved)}"]
    lines += [f"  {line}" for line in _arcs(resolved)]
    lines += [f"  {line}" for line in ([] if resolved.fit is None else _circuit(resolved.fit))]
    return [*lines, *(f"  ! {warning}" for warning in resolved.warnings)]


def _verdict(summary: SpectrumSummary) -> str:
    if summary.kk_passed:
        return f"passed, noise {100 * summary.noise:.2g} % of |Z|"
    if summary.valid_from_Hz is None or summary.valid_to_Hz is None:
        return "FAILED, at all frequencies"
    ends = f"{quantity(summary.valid_to_Hz, 'Hz')} to {quantity(summary.valid_from_Hz, 'Hz')}"
    return f"FAILED, valid from {ends}"


def _resistances(resolved: Resolved) -> str:
    summary, found = resolved.summary, resolved.distribution
    parts = [
        f"R_hf {quantity(summary.r_hf_ohm, 'Ω')}",
        f"Z′ at the lowest f {quantity(summary.r_total_ohm, 'Ω')}",
        f"R∞ {quantity(found.r_inf_ohm, 'Ω')}",
        f"R_p {quantity(found.r_p_ohm, 'Ω')}",
    ]
    if found.inductance_H:
        parts.append(f"L {quantity(found.inductance_H, 'H')}")
    if found.capacitance_F is not None:
        parts.append(f"C in series {quantity(found.capacitance_F, 'F')}")
    return ", ".join(parts)


def _arcs(resolved: Resolved) -> list[str]:
    if not resolved.peaks:
        return ["no arcs"]
    rows = [("τ", "f", "R", "±", "C", "process")]
    rows += [
        (
            quantity(peak.tau_s, "s"),
            quantity(1 / (2 * np.pi * peak.tau_s), "Hz"),
            quantity(peak.resistance_ohm, "Ω"),
            "" if peak.std_ohm is None else quantity(peak.std_ohm, "Ω", 2),
            quantity(peak.capacitance_F, "F"),
            f"{peak.name}{'' if peak.inside else ' (outside the window)'}".strip(),
        )
        for peak in resolved.peaks
    ]
    return _aligned(rows)


def _circuit(fit: CircuitFit) -> list[str]:
    state = "" if fit.converged else ", NOT CONVERGED"
    rows = [
        (parameter.name, f"{value:.4g}", f"± {std:.2g}" if math.isfinite(std) else "± ?", parameter.unit)
        for parameter, value, std in zip(fit.circuit.parameters, fit.values, fit.std, strict=True)
    ]
    return [f"circuit {fit.circuit.text}: {100 * fit.rms:.2g} % of |Z| left{state}", *_aligned(rows, "  ")]


def _table(outcomes: Sequence[Outcome], timeline: Timeline | None) -> list[str]:
    """Return a row a spectrum: verdict, resistances, and R of each process where they were followed."""
    tracks = () if timeline is None else timeline.tracks
    taus = [quantity(float(np.median(tracked.tau_s)), "s") for tracked in tracks]
    rows = [("no.", "t", "Kramers–Kronig", "R_hf", "R_p", *(tracked.name for tracked in tracks))]
    rows += [("", "", "", "", "τ:", *taus)] if tracks else []
    place = 0
    for outcome in outcomes:
        resolved = outcome.resolved
        head = str(outcome.index), _duration(outcome.spectrum.t_start_s)
        if resolved is None:
            rows.append((*head, f"not resolved: {outcome.error}", "", "", *[""] * len(tracks)))
            continue
        verdict = "passed" if resolved.summary.kk_passed else "FAILED"
        plain = quantity(resolved.summary.r_hf_ohm, "Ω"), quantity(resolved.distribution.r_p_ohm, "Ω")
        of_processes = [] if timeline is None else _processes_at(timeline, place)
        rows.append((*head, verdict, *plain, *of_processes))
        place += 1
    warned = [f"{o.index}: {text}" for o in outcomes if o.resolved for text in o.resolved.warnings]
    return [*_aligned(rows), *(f"! {text}" for text in warned)]


def _processes_at(timeline: Timeline, place: int) -> list[str]:
    cells = []
    for alone, together in zip(
        timeline.table.resistance_ohm[place], timeline.table.sum_ohm[place], strict=True
    ):
        value = together if math.isnan(alone) else alone
        shared = " (sum)" if math.isnan(alone) and not math.isnan(together) else ""
        cells.append("" if math.isnan(value) else quantity(value, "Ω") + shared)
    return cells


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds:.0f} s"


def _aligned(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [f"{indent}{line}".rstrip() for line in lines]
