"""Where a verdict fell: what people and :mod:`analysis.ccd` ask of the place, beside what a guard knows."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.records import HalfCycle
from protocols.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run was when a verdict was reached."""

    step: str
    """The step for people."""
    cycle: int
    """Number of the cycle; 0 where none is counted, or before the first."""
    half_cycle: HalfCycle | None
    """The open one, or the one before a rest; None before the first."""
    passed_C: float
    """|charge| that passed in it until the verdict."""
    cumulative_C: float
    """|charge| of both directions since the run's start."""
    temperature_K: float | None = None
    """Of the cell's surroundings; None: unknown."""


def placed(verdict: Verdict, place: Place, area_m2: float) -> Verdict:
    """Return a verdict whose evidence also says where it fell; what the guard itself says is kept.

    Keys: ``step``, ``cycle``, ``half_cycle`` (from 0), ``half_cycle_A`` (the set current),
    ``current_density_A_per_m2``, ``half_cycle_C`` and ``half_cycle_C_per_m2`` (|charge| that has passed in
    it), ``half_cycle_phase`` (the part of the planned charge), ``plating_side``, ``cumulative_C_per_m2``,
    ``temperature_K``; what is not known is missing.
    """
    found: dict[str, float | str] = {"cumulative_C_per_m2": place.cumulative_C / area_m2}
    if place.step:
        found["step"] = place.step
    if place.cycle:
        found["cycle"] = float(place.cycle)
    if place.temperature_K is not None:
        found["temperature_K"] = place.temperature_K
    if place.half_cycle is not None:
        found |= _of_half_cycle(place.half_cycle, place.passed_C, area_m2)
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
