"""Visits of steps: what guards are told of one, and where one ends among samples."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from guards.guard import StepFacts
from protocols.nodes import ConstantCurrent, Rest, Soak, Step, set_current_A


def step_facts(leaf: Step, visit: int, t_s: float) -> StepFacts:
    """What the guards are told of a step."""
    current = set_current_A(leaf)
    waits = leaf.waits if isinstance(leaf, Rest) else None
    return StepFacts(
        step=leaf.index,
        visit=visit,
        kind=leaf.kind,
        t_s=t_s,
        set_current_A=current,
        planned_charge_C=leaf.charge_C if isinstance(leaf, ConstantCurrent) else None,
        until_voltage_V=leaf.until_voltage_V if isinstance(leaf, ConstantCurrent) else None,
        demanded_K=waits.target_K if isinstance(waits, Soak) else None,
    )


def stretches(step: list[int], visit: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, past-the-last) of each stretch that stays in one visit of one step."""
    first = 0
    for k in range(1, len(step)):
        if step[k] != step[first] or visit[k] != visit[first]:
            yield first, k
            first = k
    if step:
        yield first, len(step)


def integrated(
    t_s: list[float], current_A: list[float], last_s: float, last_A: float, charge_C: float
) -> tuple[list[float], float]:
    """Return the charge at each sample, by trapezoids from the last one on, and the newest current.

    What was not measured is held; guards.over_range opens the circuit if that lasts.
    """
    charges = []
    last_A = last_A if isfinite(last_A) else 0.0
    for time_s, measured_A in zip(t_s, current_A, strict=True):
        now_A = measured_A if isfinite(measured_A) else last_A
        charge_C += 0.5 * (last_A + now_A) * (time_s - last_s)
        last_s, last_A = time_s, now_A
        charges.append(charge_C)
    return charges, last_A
