"""Where a verdict fell: what people and :mod:`analysis.ccd` ask of the place, beside what a guard knows."""

from __future__ import annotations

from protocols.program import Program
from protocols.records import HalfCycle
from protocols.verdicts import Verdict


def placed(
    verdict: Verdict,
    program: Program,
    half_cycle: HalfCycle | None,
    *,
    step: str,
    later_C: float,
    closed_C: float,
    temperature_K: float | None,
) -> Verdict:
    """Return a verdict whose evidence also says where it fell; what the guard itself says is kept.

    ``half_cycle``: the open one, or the one before a rest; ``later_C``: charge that has passed in it since
    the verdict; ``closed_C``: |charge| of those before it.

    Keys: ``step``, ``cycle`` (where the program counts them), ``half_cycle`` (from 0), ``half_cycle_A`` (the
    set current), ``current_density_A_per_m2``, ``half_cycle_C`` and ``half_cycle_C_per_m2`` (|charge| that
    has passed in it), ``half_cycle_phase`` (the part of the planned charge), ``plating_side``,
    ``cumulative_C_per_m2``, ``temperature_K``; what is not known is missing.
    """
    area_m2 = program.cell.area_m2
    passed_C = 0.0 if half_cycle is None else max(abs(half_cycle.charge_C) - abs(later_C), 0.0)
    found: dict[str, float | str] = {"cumulative_C_per_m2": (closed_C + passed_C) / area_m2}
    if step:
        found["step"] = step
    if temperature_K is not None:
        found["temperature_K"] = temperature_K
    if half_cycle is not None:
        found |= _of_half_cycle(half_cycle, passed_C, area_m2)
        if program.counts_cycles:
            found["cycle"] = float(program.cycle(half_cycle.step, half_cycle.visit))
    return verdict.model_copy(update={"evidence": {**found, **verdict.evidence}})


def _of_half_cycle(half_cycle: HalfCycle, passed_C: float, area_m2: float) -> dict[str, float | str]:
    found: dict[str, float | str] = {
        "half_cycle": float(half_cycle.number),
        "half_cycle_A": half_cycle.set_current_A,
        "current_density_A_per_m2": half_cycle.set_current_A / area_m2,
        "half_cycle_C": passed_C,
        "half_cycle_C_per_m2": passed_C / area_m2,
        "plating_side": "counter" if half_cycle.set_current_A > 0.0 else "working",
    }
    if half_cycle.planned_charge_C:
        found["half_cycle_phase"] = passed_C / half_cycle.planned_charge_C
    return found
