"""E runs away: lithium is used up, contact is lost, or the circuit is open."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.detection.cells import Floats, LithiumCell, log_uniform
from benchmarks.detection.plans import Plan, PlannedStep
from protocols.verdicts import Side

COMPLIANCE_V = 10.0
"""What the instrument can drive."""
HALF_CYCLES = 8
"""An event comes within so many."""
ENDS = 1.0 - 1e-9
LEAST_LEFT = 0.15
"""Part of its lithium that a side which is not used up has left, at least."""
Cause = Literal["depletion", "contact", "open"]
Form = Literal["exponential", "asymptote", "step", "creep"]


@dataclass(frozen=True, slots=True)
class Runaway:
    """From ``t_s`` on, R is multiplied by what grows with time, in one direction of current or in both."""

    t_s: float
    cause: Cause
    form: Form
    tau_s: float
    ratio: float = 1.0
    """Of a step, or what creep ends with."""
    side: Side | None = None
    """That runs out of lithium."""
    on_board: bool = True
    """The instrument holds the limit of E and opens the circuit by itself."""
    highest_V: float = COMPLIANCE_V
    """Where something else carries the current: the electrolyte decomposes."""

    @property
    def complete_s(self) -> float:
        """When it counts as begun: there is no full size."""
        return self.t_s

    @property
    def sort(self) -> str:
        """What tells it from others of its class."""
        return self.form

    def factor(self, t_s: Floats) -> Floats:
        """Return by what R is multiplied."""
        since = np.maximum(t_s - self.t_s, 0.0) / self.tau_s
        match self.form:
            case "exponential":
                return np.exp(np.minimum(since, 50.0))
            case "asymptote":
                return np.asarray(1.0 / np.sqrt(np.maximum(1.0 - since / 5.0, 1e-9)))
            case "step":
                return np.asarray(self.ratio ** np.minimum(since, 1.0))
            case _:
                return np.asarray(1.0 + (self.ratio - 1.0) * since**2)


@dataclass(frozen=True, slots=True)
class Tail:
    """What is left of a step's samples when the limit on board has fired."""

    count: int
    fired_s: float | None


def run_away(runaway: Runaway, limit_V: float, t_s: Floats, voltage: Floats, current: Floats) -> Tail:
    """Let E run away, in place; return how many samples there are and when a limit on board fired."""
    first = int(np.searchsorted(t_s, runaway.t_s))
    before_A = float(current[0]) if len(current) else 0.0
    if runaway.cause == "open":
        voltage[first:] = math.copysign(COMPLIANCE_V, before_A)
        current[first:] *= 1e-4
    else:
        wanted = voltage[first:] * runaway.factor(t_s[first:])
        wanted = np.clip(wanted, -runaway.highest_V, runaway.highest_V)
        voltage[first:] = np.clip(wanted, -COMPLIANCE_V, COMPLIANCE_V)
        current[first:] *= voltage[first:] / wanted
    beyond = np.flatnonzero(np.abs(voltage[first:]) > limit_V)
    if not runaway.on_board or not len(beyond):
        return Tail(len(t_s), None)
    at = first + int(beyond[0])
    if runaway.cause != "open":
        # It samples when E has changed much, so that the last sample is at the limit.
        voltage[at] = math.copysign(1.001 * limit_V, float(voltage[at]))
        current[at] = before_A
    return Tail(at + 1, float(t_s[at]))


def draw_depletion(rng: np.random.Generator, cell: LithiumCell, plan: Plan) -> tuple[Runaway, LithiumCell]:
    """Draw when the side that is stripped first runs out, and the lithium with which it does."""
    side: Side = "working" if plan.current_of(0) > 0.0 else "counter"
    half_cycle, phase, loss = _empties(rng, plan)
    t_s, truly_C = _used(plan, half_cycle, phase, loss)
    written_C = truly_C * (1.0 + float(np.clip(rng.normal(0.0, 0.05), -0.1, 0.1)))
    forms: list[Form] = ["exponential", "asymptote"]
    left_s = (1.0 - phase) * plan.seconds_of(half_cycle)
    runaway = Runaway(
        t_s=t_s,
        cause="depletion",
        form=forms[int(rng.integers(2))],
        tau_s=min(log_uniform(rng, 1.0, 200.0), left_s / 12.0),
        side=side,
        on_board=bool(rng.random() < 0.5),
        highest_V=log_uniform(rng, 3.5, 15.0),
    )
    return runaway, with_lithium(cell, side, written_C, written_C * float(rng.uniform(2.0, 20.0)))


def _empties(rng: np.random.Generator, plan: Plan) -> tuple[int, float, float]:
    """Draw half-cycle, phase and loss with which the side has not run out in a half-cycle before."""
    halves = [k for k in range(HALF_CYCLES) if plan.current_of(k) * plan.current_of(0) > 0.0]
    for _ in range(100):
        half_cycle = halves[int(rng.integers(len(halves)))]
        phase, loss = float(rng.uniform(0.1, 0.95)), float(rng.uniform(0.0, 0.4))
        before = [_used(plan, k, ENDS, loss)[1] for k in halves if k < half_cycle]
        if _used(plan, half_cycle, phase, loss)[1] > 1.01 * max(before, default=0.0):
            return half_cycle, phase, loss
    return 0, 0.9, 0.1


def _used(plan: Plan, half_cycle: int, phase: float, loss: float) -> tuple[float, float]:
    """Return the time of a place in a half-cycle, and the lithium that the side stripped first lacks then."""
    t_s, net_C, gross_C = _passed(plan, half_cycle, phase, math.copysign(1.0, plan.current_of(0)))
    return t_s, net_C + loss * gross_C


def draw_contact(rng: np.random.Generator, cell: LithiumCell, plan: Plan) -> tuple[Runaway, LithiumCell]:
    """Draw a loss of contact on a cell whose sides both have lithium left."""
    half_cycle = int(rng.integers(HALF_CYCLES))
    sign = math.copysign(1.0, plan.current_of(half_cycle))
    t_s, net_C, gross_C = _passed(plan, half_cycle, float(rng.uniform(0.02, 0.98)), sign)
    loss = float(rng.uniform(0.0, 0.2))
    used_C = max(net_C, 0.0) + loss * gross_C
    least_C = abs(plan.current_A) * plan.half_cycle_s * plan.levels
    thin_C = max(used_C / (1.0 - LEAST_LEFT), least_C) * log_uniform(rng, 1.2, 20.0)
    forms: list[Form] = ["step", "creep", "exponential"]
    form = forms[int(rng.integers(3))]
    runaway = Runaway(
        t_s=t_s,
        cause="contact",
        form=form,
        tau_s={"step": log_uniform(rng, 0.01, 5.0), "creep": log_uniform(rng, 300.0, 7200.0)}.get(
            form, log_uniform(rng, 1.0, 300.0)
        ),
        ratio=log_uniform(rng, 5.0, 1000.0),
        on_board=bool(rng.random() < 0.5),
        highest_V=log_uniform(rng, 3.5, 15.0),
    )
    side: Side = "working" if rng.random() < 0.7 else "counter"
    return runaway, with_lithium(cell, side, thin_C, thin_C * float(rng.uniform(1.5, 20.0)))


def draw_open(rng: np.random.Generator, cell: LithiumCell, plan: Plan) -> tuple[Runaway, LithiumCell]:
    """Draw a clip that comes off, of the cells that also run out of lithium and of others."""
    other, cell = (draw_depletion if rng.random() < 0.5 else draw_contact)(rng, cell, plan)
    runaway = Runaway(
        t_s=other.t_s,
        cause="open",
        form="step",
        tau_s=0.01,
        on_board=other.on_board,
    )
    return runaway, cell


def with_lithium(cell: LithiumCell, side: Side, thin_C: float, thick_C: float) -> LithiumCell:
    """Return the cell with so much lithium written on it; its thin side is ``side``."""
    area = cell.facts.area_m2
    amounts = {side: thin_C / area, _other(side): thick_C / area}
    changes: dict[str, object] = {
        name: getattr(cell.facts, name).model_copy(update={"inventory_C_per_m2": amount})
        for name, amount in amounts.items()
    }
    return replace(cell, facts=cell.facts.model_copy(update={**changes, "geometry": "asymmetric"}))


def made_symmetric(cell: LithiumCell) -> LithiumCell:
    """Return the cell with as much lithium on its counter electrode as on the other."""
    facts = cell.facts.model_copy(update={"geometry": "symmetric", "counter": cell.facts.working})
    return replace(cell, facts=facts)


def _passed(plan: Plan, half_cycle: int, phase: float, sign: float) -> tuple[float, float, float]:
    """Return the time of a place in a half-cycle, and net and gross charge stripped from a side by then."""
    t_s = net_C = gross_C = 0.0
    for step in plan.steps():
        lasts_s = step.duration_s
        if is_here(step, half_cycle, phase):
            begin, end = step.part
            lasts_s *= (phase - begin) / (end - begin)
        stripped_C = sign * step.current_A * lasts_s
        t_s, net_C, gross_C = t_s + lasts_s, net_C + stripped_C, gross_C + max(stripped_C, 0.0)
        if is_here(step, half_cycle, phase):
            break
    return t_s, net_C, gross_C


def is_here(step: PlannedStep, half_cycle: int, phase: float) -> bool:
    """Whether a place in a half-cycle is in this step."""
    driven = step.kind == "constant_current" and step.half_cycle == half_cycle
    return driven and step.part[0] <= phase < step.part[1]


def _other(side: Side) -> Side:
    return "counter" if side == "working" else "working"
