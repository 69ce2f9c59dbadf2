"""Results of plating: overpotentials, the spike at its start, and the resistance before and after."""

from __future__ import annotations

from analysis.overpotential import mean_overpotential, nucleation
from analysis.spectra import resistance_before_tail
from protocols.nodes import ConstantCurrent
from protocols.records import HalfCycle
from scheduler.recorded import Measured, RecordedRun, spectrum_arrays
from scheduler.results_transport import Found
from scheduler.rounding import MA_PER_CM2, MILLI, OHM_CM2, rounded


def overpotential_results(run: RecordedRun) -> Found:
    """Return the mean overpotential of the first, the last and all complete half-cycles of the counted
    cycles."""
    program = run.program
    rows = [row for row in run.half_cycles if row.complete]
    if program.counts_cycles:
        rows = [row for row in rows if program.cycle(row.step, row.visit)]
    mean_V = mean_overpotential(rows)
    if mean_V is None or not program.cell.shows_overpotential:
        return {}, []
    return {
        "overpotential_first_mV": rounded(rows[0].overpotential_V * MILLI),
        "overpotential_last_mV": rounded(rows[-1].overpotential_V * MILLI),
        "overpotential_mean_mV": rounded(mean_V * MILLI),
    }, []


def spike_results(run: RecordedRun) -> Found:
    """Return the spikes of half-cycles whose start was sampled densely: the first of each step. Raises
    ValueError."""
    dense = {step.index: step for step in run.steps if isinstance(step, ConstantCurrent) and step.dense_s}
    first: dict[int, HalfCycle] = {}
    for row in run.half_cycles:
        if row.step in dense and _plates(run, row):
            first.setdefault(row.step, row)
    if not first or not run.program.cell.shows_overpotential:
        return {}, []
    driven = [loops for step, loops in run.program.walk() if isinstance(step, ConstantCurrent)]
    if len(driven) == 1 and all(loop.total == 1 for loop in driven[0]):
        return _one_way(run, next(iter(first.values())))
    return _series(run, [(row, dense[row.step].dense_s) for row in first.values()])


def _plates(run: RecordedRun, row: HalfCycle) -> bool:
    """Whether lithium is plated on an electrode that had some, or on the bare one."""
    return row.set_current_A < 0.0 or bool(run.program.cell.working.inventory_C_per_m2)


def _one_way(run: RecordedRun, row: HalfCycle) -> Found:
    samples = run.between(row.t_start_s, row.t_end_s).of(row.step)
    found = nucleation(samples.t_s, samples.voltage_V)
    return {
        "nucleation_dip_mV": rounded(found.extreme_V * MILLI),
        "nucleation_plateau_mV": rounded(found.plateau_V * MILLI),
        "nucleation_overpotential_mV": rounded(found.height_V * MILLI),
    }, [_sparse(0 if found.is_resolved else 1)]


def _series(run: RecordedRun, rows: list[tuple[HalfCycle, float]]) -> Found:
    area_m2 = run.program.cell.area_m2
    found: list[dict[str, float]] = []
    sparse = 0
    for row, dense_s in rows:
        samples = run.between(row.t_start_s, min(row.t_end_s, row.t_start_s + dense_s)).of(
            row.step, row.visit
        )
        if len(samples.t_s) < 4:
            # It was stopped as it began.
            continue
        spike = nucleation(samples.t_s, samples.voltage_V)
        sparse += not spike.is_resolved
        j = row.set_current_A / area_m2
        found.append(
            {
                "half_cycle": row.number,
                "current_mA_per_cm2": rounded(j * MA_PER_CM2),
                "v_sp_mV": rounded(spike.height_V * MILLI),
                "v_sp_per_j_ohm_cm2": rounded(spike.height_V / abs(j) * OHM_CM2),
            }
        )
    return {"v_sp": found}, [_sparse(sparse)]


def _sparse(count: int) -> str:
    if not count:
        return ""
    return f"{count} spikes were not sampled every 0.1 s or 1 mV: they may have been higher"


def before_and_after(run: RecordedRun) -> Found:
    """Return the resistances of the first and of the last spectrum at rest, if there are two at one
    temperature."""
    if len({kelvin for _, kelvin in run.soaks().values()}) > 1:
        return {}, []
    at_rest = [found for found in run.all_spectra if _is_quiet(run, found)]
    if len(at_rest) < 2:
        return {}, []
    return {
        "spectrum_before": _resistances(at_rest[0], run.program.cell.area_m2),
        "spectrum_after": _resistances(at_rest[-1], run.program.cell.area_m2),
    }, []


def _is_quiet(run: RecordedRun, measured: Measured) -> bool:
    """Whether a spectrum was measured at open circuit. Those after the test and on a suspicion always
    are."""
    step = next((step for step in run.steps if step.index == measured[0].step), None)
    return step is None or run.is_at_rest(step)


def _resistances(measured: Measured, area_m2: float) -> dict[str, float]:
    spectrum, summary = measured
    whole_ohm = resistance_before_tail(*spectrum_arrays(spectrum))
    ohm = {
        "high_frequency": summary.r_hf_ohm,
        "interface": whole_ohm - summary.r_hf_ohm,
        "before_tail": whole_ohm,
        "lowest_frequency": summary.r_total_ohm,
    }
    return {"hours": rounded(spectrum.t_start_s / 3600)} | {
        f"{name}_ohm_cm2": rounded(value * area_m2 * OHM_CM2) for name, value in ohm.items()
    }
