"""Results of sweeps: peaks of cyclic voltammetry, window of stability, exchange current."""

from __future__ import annotations

from typing import Any

from analysis.kinetics import allen_hickling
from analysis.sweeps import (
    WINDOW_THRESHOLD_A_PER_M2,
    Peak,
    cycle_peaks,
    onset_by_tangent,
    onset_by_threshold,
    peak_slope,
)
from protocols.nodes import VoltageSweep
from scheduler.recorded import RecordedRun
from scheduler.results_transport import Found
from scheduler.rounding import MA_PER_CM2, MILLI, OHM_CM2, rounded


def sweep_results(run: RecordedRun) -> Found:
    """Return what the sweeps of a program say. Raises ValueError.

    A sweep that comes back to where it began is a cycle. Without cycles, a sweep to one side is one of the
    window of stability, unless both electrodes are lithium; one over both sides of a symmetric cell is a
    Tafel sweep.
    """
    sweeps = [step for step in run.steps if isinstance(step, VoltageSweep)]
    cycles = [
        sweep for sweep in sweeps if len(sweep.vertices) > 2 and sweep.vertices[0] == sweep.vertices[-1]
    ]
    if cycles:
        return _voltammetry(run, cycles)
    if run.program.cell.geometry == "symmetric":
        wide = [sweep for sweep in sweeps if len(sweep.vertices) > 2]
        return _tafel(run, wide[0]) if wide else ({}, [])
    one_way = [sweep for sweep in sweeps if len(sweep.vertices) == 2]
    lithium = run.program.cell.working.inventory_C_per_m2
    return _window(run, one_way[0]) if one_way and not lithium else ({}, [])


def _voltammetry(run: RecordedRun, cycles: list[VoltageSweep]) -> Found:
    samples = run.samples([cycle.index for cycle in cycles])
    rows: list[dict[str, Any]] = []
    for sweep in cycles:
        here = samples.of(sweep.index)
        for number, visit in enumerate(here.visits(), start=1):
            one = here.of(sweep.index, visit)
            peaks = cycle_peaks(one.voltage_V, one.current_A)
            separation_V = peaks.separation_V
            rows.append(
                {
                    "rate_mV_per_s": rounded(sweep.rate_V_per_s * MILLI),
                    "cycle": number,
                    **_peak("anodic", peaks.anodic),
                    **_peak("cathodic", peaks.cathodic),
                    "separation_mV": None if separation_V is None else rounded(separation_V * MILLI),
                }
            )
    if not rows:
        return {}, []
    missing = sum(row["separation_mV"] is None for row in rows)
    warning = f"{missing} of {len(rows)} cycles have no peak inside the range of E" if missing else ""
    return {"voltammetry": rows, **_slopes(rows)}, [warning]


def _peak(name: str, peak: Peak | None) -> dict[str, float | None]:
    return {
        f"{name}_peak_V": None if peak is None else rounded(peak.voltage_V),
        f"{name}_peak_mA": None if peak is None else rounded(peak.current_A * MILLI),
    }


def _slopes(rows: list[dict[str, Any]]) -> dict[str, object]:
    """Return the slopes of I_p against √v, of the last cycle at each rate that has the peak."""
    found: dict[str, object] = {}
    for name in ("anodic", "cathodic"):
        key = f"{name}_peak_mA"
        last = {row["rate_mV_per_s"]: row[key] for row in rows if row[key] is not None}
        if len(last) > 1:
            line = peak_slope([rate / MILLI for rate in last], [peak / MILLI for peak in last.values()])
            # A/(V/s)^½ → mA/(mV/s)^½
            found[f"{name}_slope_mA_per_sqrt_mV_per_s"] = rounded(line.slope * MILLI / MILLI**0.5)
            found[f"{name}_intercept_mA"] = rounded(line.intercept * MILLI)
    return found


def _window(run: RecordedRun, sweep: VoltageSweep) -> Found:
    samples = run.samples([sweep.index])
    if len(samples.t_s) < 2:
        return {}, []
    density = samples.current_A / run.program.cell.area_m2
    edges = onset_by_threshold(samples.voltage_V, density), onset_by_tangent(samples.voltage_V, density)
    threshold, tangent = (None if edge is None else rounded(edge) for edge in edges)
    reached = f"E went to {samples.voltage_V[-1]:.3g} V"
    warning = (
        f"the current did not stay above the threshold: no limit found; {reached}"
        if threshold is None
        else ""
    )
    return {
        "stability_limit_V": threshold,
        "stability_limit_at_mA_per_cm2": rounded(WINDOW_THRESHOLD_A_PER_M2 * MA_PER_CM2),
        "stability_limit_by_tangent_V": tangent,
    }, [warning]


def _tafel(run: RecordedRun, sweep: VoltageSweep) -> Found:
    samples = run.samples([sweep.index])
    before = run.spectrum_before(sweep.index)
    if not len(samples.t_s):
        return {}, []
    if before is None:
        return {}, ["no exchange current: it needs a spectrum before the sweep, for R_hf"]
    spectrum, summary = before
    area_m2 = run.program.cell.area_m2
    found = allen_hickling(
        samples.voltage_V,
        samples.current_A,
        r_hf_ohm=summary.r_hf_ohm,
        temperature_K=run.soaks()[sweep.index][1],
        open_V=spectrum.voltage_V,
    )
    if found.exchange_A is None or found.r_ct_ohm is None:
        return {"exchange_current_mA": None}, [found.why_not]
    return {
        "exchange_current_mA": rounded(found.exchange_A * MILLI),
        "exchange_current_mA_per_cm2": rounded(found.exchange_A / area_m2 * MA_PER_CM2),
        "charge_transfer_ohm": rounded(found.r_ct_ohm),
        "charge_transfer_ohm_cm2": rounded(found.r_ct_ohm * area_m2 * OHM_CM2),
        "transfer_coefficient": None if found.alpha is None else rounded(found.alpha),
    }, []
