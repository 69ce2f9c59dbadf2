"""Visits of steps: what guards are told of one, and where one ends among samples."""

from __future__ import annotations

from collections.abc import Iterator

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
