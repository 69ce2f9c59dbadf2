"""Drawn tests: what steps a cell is taken through."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.detection.cells import LithiumCell, log_uniform
from protocols.limits import DEFAULT_LIMIT_V

HOUR_S = 3600.0
SWEEP_S = 90.0
LOWEST_V = 2e-3
"""A test begins with at least this E: with less, an instrument of 0.3 mV noise sees nothing."""
HEALTHY = 0.6
"""Part of the limit of E that a healthy cell may reach."""
Kind = Literal["constant_current", "rest", "geis"]
PlanKind = Literal["cycling", "ramp of time", "ramp of capacity", "one way"]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One visit of a step."""

    kind: Kind
    step: int
    visit: int
    current_A: float
    duration_s: float
    half_cycle: int
    """Number of the passage of current that it belongs to, or that came before."""
    part: tuple[float, float] = (0.0, 1.0)
    """Which part of the half-cycle it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole test, drawn."""

    kind: PlanKind
    current_A: float
    """Of the first step."""
    half_cycle_s: float
    rest_s: float
    levels: int
    """Of a ramp: after them its last current goes on."""
    spectra: int
    """A spectrum after so many half-cycles; 0: none."""
    pieces: int = 1
    """A half-cycle is interrupted by spectra into so many pieces."""
    first_side: float = 1.0

    def current_of(self, half_cycle: int) -> float:
        """Return the signed current of a half-cycle, from 0."""
        if self.kind == "one way":
            return self.first_side * self.current_A
        sign = self.first_side if half_cycle % 2 == 0 else -self.first_side
        return sign * self.current_A * self._level(half_cycle)

    def seconds_of(self, half_cycle: int) -> float:
        """Return how long a half-cycle lasts."""
        shorter = self._level(half_cycle) if self.kind == "ramp of capacity" else 1
        return self.half_cycle_s / shorter

    def is_new_level(self, half_cycle: int) -> bool:
        """Whether the current is larger than in the half-cycle before."""
        return half_cycle > 0 and self._level(half_cycle) > self._level(half_cycle - 1)

    def steps(self) -> Iterator[PlannedStep]:
        """Yield the steps, without end."""
        yield PlannedStep("rest", 0, 0, 0.0, 120.0, -1)
        if self.spectra:
            yield PlannedStep("geis", 1, 0, 0.0, SWEEP_S, -1)
        half_cycle = 0
        while True:
            yield from self._half_cycle(half_cycle)
            half_cycle += 1

    def steps_until(self, t_s: float) -> Iterator[PlannedStep]:
        """Yield the steps up to the one that runs at a time."""
        end_s = 0.0
        for step in self.steps():
            yield step
            end_s += step.duration_s
            if end_s > t_s:
                return

    def _level(self, half_cycle: int) -> int:
        ramps = self.kind in ("ramp of time", "ramp of capacity")
        return min(half_cycle // 2 + 1, self.levels) if ramps else 1

    def _half_cycle(self, number: int) -> Iterator[PlannedStep]:
        current, seconds = self.current_of(number), self.seconds_of(number)
        ramps = self._level(number) < self.levels
        step, visit = (10 + 10 * number, 0) if ramps else (2 + 4 * (number % 2), number // 2)
        if self.kind == "one way":
            step, visit = 2, number
        cuts = np.linspace(0.0, 1.0, self.pieces + 1).tolist()
        for piece in range(self.pieces):
            part = (cuts[piece], cuts[piece + 1])
            own = step if self.pieces == 1 else 1000 * (piece + 1) + step
            yield PlannedStep("constant_current", own, visit, current, seconds / self.pieces, number, part)
            if piece + 1 < self.pieces:
                yield PlannedStep("geis", 500 + own, visit, current, SWEEP_S, number)
        if self.rest_s:
            yield PlannedStep("rest", step + 1, visit, 0.0, self.rest_s, number)
        if self.spectra and (number + 1) % self.spectra == 0:
            dc = current if self.kind == "one way" else 0.0
            yield PlannedStep("geis", step + 2, visit, dc, SWEEP_S, number)


def within(plan: Plan, cell: LithiumCell, highest: float) -> Plan:
    """Return the plan with so little current that the healthy cell's E stays well under its limit."""
    current_A = plan.current_A * plan.levels
    highest_V = current_A * cell.steady_ohm(current_A) * highest
    limit_V = DEFAULT_LIMIT_V[cell.facts.electrolyte_class]
    plan = replace(plan, current_A=plan.current_A * min(1.0, HEALTHY * limit_V / highest_V))
    lowest_V = plan.current_A * cell.steady_ohm(plan.current_A)
    return plan if lowest_V >= LOWEST_V else replace(plan, current_A=plan.current_A * LOWEST_V / lowest_V)


def draw_plan(rng: np.random.Generator, cell: LithiumCell, spectra: bool) -> Plan:
    """Draw a test that suits the cell: its E is a few mV to 0.6 V."""
    kinds: list[PlanKind] = ["cycling", "ramp of time", "ramp of capacity", "one way"]
    kind = kinds[int(rng.choice(4, p=[0.5, 0.2, 0.15, 0.15]))]
    levels = int(rng.integers(5, 21)) if kind.startswith("ramp") else 1
    wanted_V = min(log_uniform(rng, 4e-3, 0.6) * levels**0.5, 0.6)
    current_A = _current_for(cell, wanted_V) / levels
    pieces = int(rng.integers(2, 6)) if spectra and kind != "one way" and rng.random() < 0.3 else 1
    return Plan(
        kind=kind,
        current_A=current_A,
        half_cycle_s=_half_cycle_h(rng, kind) * HOUR_S,
        rest_s=float(rng.choice([0.0, 0.0, 60.0, 300.0, 600.0])),
        levels=levels,
        spectra=int(rng.choice([1, 1, 2, 4, 10])) if spectra else 0,
        pieces=pieces,
        first_side=float(rng.choice([-1.0, 1.0])),
    )


def _half_cycle_h(rng: np.random.Generator, kind: PlanKind) -> float:
    """Return 0.25 to 4 h; ramps must get on, and a ramp of capacity divides it by its level."""
    low, high = {"ramp of time": (0.25, 1.0), "ramp of capacity": (1.0, 2.0)}.get(kind, (0.25, 4.0))
    return log_uniform(rng, low, high)


def _current_for(cell: LithiumCell, wanted_V: float) -> float:
    """Return the current at which E is about this, within 0.02 to 5 mA/cm²."""
    area_m2 = cell.facts.area_m2
    current_A = wanted_V / cell.steady_ohm(0.0)
    for _ in range(20):
        current_A = 0.5 * (current_A + wanted_V / cell.steady_ohm(current_A))
    return min(max(current_A, 0.2 * area_m2), 50.0 * area_m2) if math.isfinite(current_A) else 0.0
