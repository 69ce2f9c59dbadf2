"""What a lab asks of a run when it has ended, computed from what the store holds."""

from __future__ import annotations

from analysis.ccd import critical_current_density
from analysis.depletion import lithium_loss
from protocols.program import Program
from protocols.records import HalfCycle
from storage.reader import Reader

MA_PER_CM2 = 0.1
"""A/m² → mA/cm²."""
MAH_PER_CM2 = 1 / 3.6e4
"""C/m² → mAh/cm²."""


def results_of(reader: Reader, run: int) -> dict[str, object]:
    """Return the results of an ended run; keys carry their units (design: The command line, ``demo``)."""
    program = reader.program(run)
    half_cycles = reader.half_cycles(run)
    last = reader.last_sample(run)
    results: dict[str, object] = {
        "hours": 0.0 if last is None else float(last["t_s"]) / 3600,
        "spectra": len(reader.spectra(run)),
        "half_cycles": len(half_cycles),
    }
    if _is_ramp(program):
        results |= _ccd_results(reader, run, program)
    return results | _depletion_results(reader, run, program, half_cycles)


def _is_ramp(program: Program) -> bool:
    """Whether the planned end is a short, as in the measurement of a critical current density."""
    return "short_circuit" in program.ends_on


def _ccd_results(reader: Reader, run: int, program: Program) -> dict[str, object]:
    found = critical_current_density(reader.half_cycles(run), reader.verdicts(run), program.cell.area_m2)
    results: dict[str, object] = {
        "ccd_end": found.end,
        "ccd_cumulative_capacity_mAh_per_cm2": found.cumulative_C_per_m2 * MAH_PER_CM2,
    }
    if found.j_passed_A_per_m2 is not None:
        results["ccd_mA_per_cm2"] = round(found.j_passed_A_per_m2 * MA_PER_CM2, 6)
    if found.j_failed_A_per_m2 is not None:
        results["failed_at_mA_per_cm2"] = round(found.j_failed_A_per_m2 * MA_PER_CM2, 6)
    return results


def _depletion_results(
    reader: Reader, run: int, program: Program, half_cycles: list[HalfCycle]
) -> dict[str, object]:
    for verdict in reader.verdicts(run):
        if verdict.kind == "li_depletion" and verdict.side is not None:
            inventory_C = program.cell.inventory_C(verdict.side)
            if inventory_C is None:
                continue
            loss = lithium_loss(half_cycles, verdict.side, inventory_C)
            results: dict[str, object] = {"li_depletion_side": verdict.side}
            if loss.lost_per_cycle_C is not None:
                lost = loss.lost_per_cycle_C / program.cell.area_m2 * MAH_PER_CM2
                results["li_lost_mAh_per_cm2_per_cycle"] = round(lost, 4)
            return results
    return {}
