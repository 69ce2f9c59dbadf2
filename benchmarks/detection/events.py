"""What goes wrong with a cell, and when: drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.detection.cells import Floats, log_uniform
from benchmarks.detection.plans import HOUR_S, Plan, PlannedStep

Where = Literal["first half-cycle", "rest", "CCD step", "last seconds", "anywhere"]
PLACES: tuple[Where, ...] = ("first half-cycle", "rest", "CCD step", "last seconds", "anywhere")
GRADUAL_DEPTH = 0.6


@dataclass(frozen=True, slots=True)
class Short:
    """A resistor that comes in parallel to the ions' path, with which E is ``depth`` × what it was."""

    t_s: float
    depth: float
    fall_s: float
    flicker: float = 0.0
    """Standard deviation of ln depth while it lasts (a soft short is not quiet)."""
    flicker_s: float = 10.0
    where: Where = "anywhere"
    heals: bool = False
    """It is gone when the circuit is open, and comes back with the current."""

    @property
    def complete_s(self) -> float:
        """When it has its full size."""
        return self.t_s + self.fall_s

    @property
    def sort(self) -> str:
        """What tells it from others of its class."""
        return self.where

    def depth_at(self, t_s: Floats) -> Floats:
        """Return the depth without flicker: E falls evenly in its logarithm."""
        done = np.clip((t_s - self.t_s) / self.fall_s, 0.0, 1.0)
        return np.asarray(self.depth**done)


@dataclass(frozen=True, slots=True)
class Dips:
    """Micro shorts from ``t_s`` on: E dips for a moment and comes back."""

    t_s: float
    per_h: float
    depth: float
    """Part of E that is left in a dip."""
    lasts_s: float

    @property
    def complete_s(self) -> float:
        """When it has its full size: they begin all at once."""
        return self.t_s

    @property
    def sort(self) -> str:
        """What tells it from others of its class: how long a dip lasts."""
        return "long" if self.lasts_s > 1.0 else "short"

    def put(self, rng: np.random.Generator, t_s: Floats, voltage: Floats) -> None:
        """Put dips into the samples of one step, in place."""
        if not len(t_s) or t_s[-1] <= self.t_s:
            return
        begin_s = max(float(t_s[0]), self.t_s)
        hours = (float(t_s[-1]) - begin_s) / HOUR_S
        for at_s in rng.uniform(begin_s, float(t_s[-1]), int(rng.poisson(self.per_h * hours))).tolist():
            lasts_s = self.lasts_s * float(rng.uniform(0.5, 2.0))
            first, last = np.searchsorted(t_s, [at_s, at_s + lasts_s])
            voltage[first:last] *= self.depth ** float(rng.uniform(0.5, 1.5))


def draw_dips(rng: np.random.Generator, plan: Plan) -> Dips:
    """Draw micro shorts: E to about 55–90 % for 0.3 to 10 s, 5 to 60 times an hour."""
    t_s, _ = _place(rng, plan, "anywhere")
    return Dips(t_s, log_uniform(rng, 5.0, 60.0), float(rng.uniform(0.55, 0.9)), log_uniform(rng, 0.3, 10.0))


def draw_hard(rng: np.random.Generator, plan: Plan, places: tuple[Where, ...] = PLACES) -> Short:
    """Draw a hard short, at one of those places that the test has: E to 0.6–12 % within 10 ms to 20 s."""
    steps = _first_steps(plan)
    there = [place for place in places if any(_fits(plan, step, place) for step in steps)]
    t_s, where = _place(rng, plan, there[int(rng.integers(len(there)))])
    return Short(
        t_s=t_s,
        depth=float(rng.uniform(0.006, 0.12)),
        fall_s=log_uniform(rng, 0.01, 20.0),
        flicker=float(rng.choice([0.0, 0.02, 0.1])),
        where=where,
    )


def draw_soft(rng: np.random.Generator, plan: Plan, depth: float) -> Short:
    """Draw a soft short of a depth that lasts."""
    t_s, where = _place(rng, plan, "anywhere")
    return Short(
        t_s=t_s,
        depth=depth,
        fall_s=log_uniform(rng, 0.01, 20.0),
        flicker=float(rng.choice([0.005, 0.03, 0.1])),
        flicker_s=log_uniform(rng, 1.0, 60.0),
        where=where,
        heals=bool(rng.random() < 0.3),
    )


def draw_gradual(rng: np.random.Generator, plan: Plan) -> Short:
    """Draw a short through which E falls by 40 % in 10 to 90 min."""
    t_s, where = _place(rng, plan, "anywhere")
    return Short(t_s, GRADUAL_DEPTH, log_uniform(rng, 600.0, 5400.0), 0.01, 30.0, where)


def _place(rng: np.random.Generator, plan: Plan, where: Where) -> tuple[float, Where]:
    """Draw a time; what the plan does not have (a rest, a step of a ramp) is anywhere."""
    steps = _first_steps(plan)
    starts = np.cumsum([0.0] + [step.duration_s for step in steps])
    found = [k for k, step in enumerate(steps) if _fits(plan, step, where)]
    if not found:
        where = "anywhere"
        found = [k for k, step in enumerate(steps) if _fits(plan, step, where)]
    k = found[int(rng.integers(len(found)))]
    lasts_s = steps[k].duration_s
    if where == "last seconds":
        return float(starts[k] + lasts_s - rng.uniform(0.5, 6.0)), where
    if where == "CCD step":
        return float(starts[k] + rng.uniform(0.0, min(lasts_s, 120.0))), where
    return float(starts[k] + rng.uniform(0.02, 0.98) * lasts_s), where


def _first_steps(plan: Plan) -> list[PlannedStep]:
    """Return the steps among which an event is placed: those of the first half-cycles."""
    found: list[PlannedStep] = []
    for step in plan.steps():
        if step.half_cycle >= 2 + 2 * min(plan.levels, 3):
            return found
        found.append(step)
    return found


def _fits(plan: Plan, step: PlannedStep, where: Where) -> bool:
    driven = step.kind == "constant_current"
    match where:
        case "rest":
            return not driven and step.half_cycle >= 0
        case "first half-cycle":
            return driven and step.half_cycle == 0
        case "CCD step":
            return driven and plan.is_new_level(step.half_cycle) and step.part[0] == 0.0
        case "last seconds":
            return driven and step.part[1] == 1.0
        case _:
            return driven and step.half_cycle > 0
