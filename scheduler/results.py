"""What a lab asks of a run when it has ended, computed from what the store holds (docs/results.md)."""

from __future__ import annotations

from collections.abc import Callable

from analysis.capacity import CapacityMeter, capacity_of, stores_charge
from analysis.ccd import critical_current_density
from analysis.depletion import lithium_loss
from protocols.cell import Cell
from protocols.program import Program
from protocols.records import HalfCycle
from scheduler.recorded import RecordedRun
from scheduler.results_plating import before_and_after, overpotential_results, spike_results
from scheduler.results_sweeps import sweep_results
from scheduler.results_transport import Found, conductivity_results, transport_results
from scheduler.rounding import MA_PER_CM2, MAH, MAH_PER_CM2
from storage.run_reader import RunReader


def results_of(reader: RunReader, run: int, *, deducted_ohm: float = 0.0) -> dict[str, object]:
    """Return the results of an ended run; keys carry their units (design: The command line, ``demo``).

    ``deducted_ohm``: resistance of the layers that block electrons, where direct current measures an ionic
    conductivity. What can't be computed is missing, and ``warnings`` says why. Raises StorageError.
    """
    recorded = RecordedRun(reader, run)
    program, half_cycles = recorded.program, recorded.half_cycles
    results: dict[str, object] = {
        "hours": recorded.hours,
        "spectra": len(recorded.all_spectra),
        "half_cycles": len(half_cycles),
    }
    if _is_ramp(program):
        results |= _ccd_results(recorded)
    results |= _capacity_results(program, half_cycles)
    results |= _depletion_results(recorded)
    warnings: list[str] = []
    for part in (
        overpotential_results,
        spike_results,
        before_and_after,
        conductivity_results,
        lambda found: transport_results(found, deducted_ohm),
        sweep_results,
    ):
        found, said = _computed(part, recorded)
        results |= found
        warnings += filter(None, said)
    return results | ({"warnings": warnings} if warnings else {})


def _computed(part: Callable[[RecordedRun], Found], recorded: RecordedRun) -> Found:
    """Return what one part finds. Data from which nothing follows (a run cut short) take nothing from the
    others."""
    try:
        return part(recorded)
    except ValueError as error:
        return {}, [str(error)]


def _is_ramp(program: Program) -> bool:
    """Whether the planned end is a short, as in the measurement of a critical current density."""
    return "short_circuit" in program.ends_on


def _ccd_results(run: RecordedRun) -> dict[str, object]:
    found = critical_current_density(run.half_cycles, run.verdicts, run.program.cell.area_m2)
    results: dict[str, object] = {
        "ccd_end": found.end,
        "ccd_cumulative_capacity_mAh_per_cm2": found.cumulative_C_per_m2 * MAH_PER_CM2,
    }
    if found.j_passed_A_per_m2 is not None:
        results["ccd_mA_per_cm2"] = round(found.j_passed_A_per_m2 * MA_PER_CM2, 6)
    if found.j_failed_A_per_m2 is not None:
        results["failed_at_mA_per_cm2"] = round(found.j_failed_A_per_m2 * MA_PER_CM2, 6)
    return results


def cycle_of(program: Program, half_cycle: HalfCycle) -> int | None:
    """Return the cycle that a half-cycle belongs to, if the program counts them."""
    return program.cycle(half_cycle.step, half_cycle.visit) if program.counts_cycles else None


def _capacity_results(program: Program, half_cycles: list[HalfCycle]) -> dict[str, object]:
    meter = CapacityMeter(program.cell, program.retention_from)
    capacity_of(meter, ((row, cycle_of(program, row)) for row in half_cycles))
    results: dict[str, object] = {"cycles": _cycles(program, half_cycles)}
    if meter.last is None or not _has_a_capacity(program.cell):
        return results
    if meter.mean_efficiency is not None:
        results["coulombic_efficiency"] = round(meter.mean_efficiency, 6)
    if meter.retention is not None:
        results["capacity_retention"] = round(meter.retention, 6)
    results["capacity_mAh"] = round(meter.last.got_back_C * MAH, 6)
    return results


def _cycles(program: Program, half_cycles: list[HalfCycle]) -> int:
    """Return how many cycles there were: as the program counts them, else two half-cycles each."""
    counted = [cycle for row in half_cycles if (cycle := cycle_of(program, row)) is not None]
    return max(counted, default=0) if program.counts_cycles else len(half_cycles) // 2


def _has_a_capacity(cell: Cell) -> bool:
    """Whether what comes back says something: not where lithium waits on both sides."""
    bare = cell.geometry == "asymmetric" and not cell.working.inventory_C_per_m2
    return stores_charge(cell) or cell.geometry == "half" or bare


def _depletion_results(run: RecordedRun) -> dict[str, object]:
    program = run.program
    for verdict in run.verdicts:
        if verdict.kind == "li_depletion" and verdict.side is not None:
            inventory_C = program.cell.inventory_C(verdict.side)
            if inventory_C is None:
                continue
            loss = lithium_loss(run.half_cycles, verdict.side, inventory_C)
            results: dict[str, object] = {"li_depletion_side": verdict.side}
            if loss.lost_per_cycle_C is not None:
                lost = loss.lost_per_cycle_C / program.cell.area_m2 * MAH_PER_CM2
                results["li_lost_mAh_per_cm2_per_cycle"] = round(lost, 4)
            return results
    return {}
