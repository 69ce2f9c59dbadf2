"""Drawn full cells, healthy and with shorts: charge and discharge over a curve of E, capacity and losses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from benchmarks.detection import faults
from benchmarks.detection.cells import Floats, log_uniform
from benchmarks.detection.disturbances import Disturbances
from benchmarks.detection.plans import HOUR_S, Kind, PlannedStep
from benchmarks.detection.render import Stretch
from guards.guard import StepFacts
from protocols.cell import Cell

Chemistry = Literal["LFP", "NMC"]
WINDOWS: dict[Chemistry, tuple[float, float]] = {"LFP": (2.5, 3.8), "NMC": (2.8, 4.25)}
FullCause = Literal["leak", "dips", "hard", "self-discharge"]
CAUSES: tuple[FullCause, ...] = ("leak", "dips", "hard", "self-discharge")
SLOW = 0.25
"""Rate of formation, of the usual one."""
_CHARGE = np.linspace(0.0, 1.0, 401)


@dataclass(frozen=True, slots=True)
class FullCell:
    """A cell of a chemistry: A, C, Ω."""

    chemistry: Chemistry
    capacity_C: float
    resistance_ohm: float
    slow_ohm: float
    slow_s: float
    efficiency: float
    """Coulombic, of each charge."""
    first_efficiency: float
    fade: float
    """Part of the capacity lost per cycle."""
    noise_V: float

    def open_V(self, state: Floats) -> Floats:
        """Return E at open circuit for states of charge from 0 to 1."""
        x = np.clip(state, 0.0, 1.0)
        low, high = -0.9 * np.exp(-x / 0.025), 0.4 * np.exp((x - 1.0) / 0.012)
        if self.chemistry == "LFP":
            return np.asarray(3.40 + 0.03 * np.tanh((x - 0.3) / 0.1) + 0.03 * x + low + high)
        return np.asarray(3.55 + 0.55 * x + 0.12 * np.tanh((x - 0.55) / 0.15) + low + 0.4 * high)


@dataclass(frozen=True, slots=True)
class FullShort:
    """What goes wrong, from a time on."""

    t_s: float
    cause: FullCause
    part: float
    """Of the charging current that leaks, while E is at its mean; of E that is left by a hard short."""
    dip_V: float
    dip_s: float
    dips_per_h: float


@dataclass(frozen=True, slots=True)
class FullPlan:
    """Charge to a voltage, discharge to a voltage."""

    rate_per_h: float
    formation: int
    """First cycles at a quarter of the rate."""
    rates: tuple[float, ...]
    """Factors on the discharge rate, cycle by cycle."""
    hold: bool
    """Constant voltage at the end of the charge, to a tenth of the current."""
    rest_s: float
    upper: float
    """Part of the window's top that a charge goes to: less is a partial charge."""


@dataclass
class FullRun:
    """One test of a full cell; the same calls as :class:`benchmarks.detection.render.Run`."""

    cell: FullCell
    plan: FullPlan
    dist: Disturbances
    rng: np.random.Generator
    dt_s: float
    event: FullShort | None
    _state: float = 0.02
    _t_s: float = 0.0
    _cycle: int = 0
    _before_A: float = 0.0
    _visits: dict[int, int] = field(default_factory=dict)

    def stretches(self, until_s: float) -> Iterator[Stretch]:
        """Render step after step until the run has lasted so long."""
        yield self._rest(0, 600.0)
        while self._t_s < until_s:
            slow = SLOW if self._cycle < self.plan.formation else 1.0
            base_A = self.plan.rate_per_h * self.cell.capacity_C / HOUR_S * slow
            factor = self.plan.rates[self._cycle % len(self.plan.rates)] if slow == 1.0 else 1.0
            yield self._current(1, base_A)
            if self.plan.hold:
                yield self._hold(2, base_A)
            yield self._rest(3, self.plan.rest_s)
            yield self._current(4, -base_A * factor)
            yield self._rest(5, self.plan.rest_s)
            self._cycle += 1

    def facts(self) -> Cell:
        """Return what the lab wrote down of the cell."""
        low, high = WINDOWS[self.cell.chemistry]
        return Cell(
            name="drawn",
            geometry="full",
            area_m2=1e-4,
            capacity_C=self.cell.capacity_C,
            voltage_min_V=low - 0.1,
            voltage_max_V=high + 0.1,
        )

    def _settle(self, state: float) -> None:
        """Take over a state of charge, as far as the cell's E at open circuit stays in its window."""
        _, high_V = WINDOWS[self.cell.chemistry]
        fullest = float(np.interp(high_V - 0.01, self.cell.open_V(_CHARGE), _CHARGE))
        self._state = min(max(state, 0.0), fullest)

    def _capacity_C(self) -> float:
        return self.cell.capacity_C * (1.0 - self.cell.fade) ** self._cycle

    def _current(self, step: int, current_A: float) -> Stretch:
        cell, capacity_C = self.cell, self._capacity_C()
        low_V, high_V = WINDOWS[cell.chemistry]
        high_V = low_V + (high_V - low_V) * self.plan.upper
        limit_V = high_V if current_A > 0.0 else low_V
        most_s = 1.6 * capacity_C / abs(current_A)
        since = np.arange(self.dt_s, most_s, self.dt_s)
        lost = self._losses(current_A) * current_A
        leak_A = self._leak_A(since, current_A)
        passed_C = np.cumsum(current_A - lost - leak_A) * self.dt_s
        state = self._state + passed_C / capacity_C
        settled = 1.0 - np.exp(-since / cell.slow_s)
        voltage = cell.open_V(state) + current_A * (cell.resistance_ohm + cell.slow_ohm * settled)
        voltage += self._sudden(since, voltage, current_A)
        voltage += cell.noise_V * self.rng.standard_normal(len(since))
        beyond = np.flatnonzero(voltage >= limit_V if current_A > 0.0 else voltage <= limit_V)
        count = int(beyond[0]) + 1 if len(beyond) else len(since)
        self._settle(float(state[count - 1]))
        self._before_A = current_A
        current = np.full(count, current_A)
        return self._stretch(
            step, "constant_current", current_A, since[:count], voltage[:count], current, limit_V
        )

    def _hold(self, step: int, first_A: float) -> Stretch:
        """Constant voltage: the current falls to a tenth, or as far as a leak lets it."""
        tau_s = 0.06 * self._capacity_C() / first_A
        since = np.arange(self.dt_s, 2.4 * tau_s, self.dt_s)
        current = first_A * np.exp(-since / tau_s) + self._leak_A(since, first_A)
        self._before_A = 0.1 * first_A
        self._settle(self._state + float(first_A * tau_s * 0.9 / self._capacity_C()))
        _, high_V = WINDOWS[self.cell.chemistry]
        voltage = np.full(len(since), high_V) + self.cell.noise_V * self.rng.standard_normal(len(since))
        return self._stretch(step, "constant_voltage", 0.0, since, voltage, current, None)

    def _rest(self, step: int, lasts_s: float) -> Stretch:
        since = np.arange(self.dt_s, lasts_s, self.dt_s)
        leak_A = self._leak_A(since, self.plan.rate_per_h * self.cell.capacity_C / HOUR_S)
        state = self._state - np.cumsum(leak_A) * self.dt_s / self._capacity_C()
        voltage = self.cell.open_V(state) + self.cell.noise_V * self.rng.standard_normal(len(since))
        voltage += self._before_A * self.cell.slow_ohm * np.exp(-since / self.cell.slow_s)
        voltage += self._sudden(since, voltage, 0.0)
        self._before_A = 0.0
        if len(state):
            self._state = float(max(state[-1], 0.0))
        return self._stretch(step, "rest", 0.0, since, voltage, np.zeros(len(since)), None)

    def _stretch(
        self,
        step: int,
        kind: Literal["constant_current", "constant_voltage", "rest"],
        set_A: float,
        since: Floats,
        voltage: Floats,
        current: Floats,
        until_V: float | None,
    ) -> Stretch:
        visit = self._visits.get(step, -1) + 1
        self._visits[step] = visit
        facts = StepFacts(step, visit, kind, self._t_s, set_A, None, until_V)
        lasts_s = (float(since[-1]) if len(since) else 0.0) + self.dt_s
        shown: Kind = "constant_current" if kind == "constant_current" else "rest"
        planned = PlannedStep(shown, step, visit, set_A, lasts_s, 2 * self._cycle + (set_A < 0.0))
        charge = np.cumsum(current) * self.dt_s
        t_s = self._t_s + since
        faults.spoil(self.rng, self.dist, self.dt_s, voltage, current)
        self._t_s += lasts_s
        return Stretch(facts, planned, t_s, voltage, current, charge)

    def _losses(self, current_A: float) -> float:
        """Return the part of a charge that is never given back."""
        if current_A < 0.0:
            return 0.0
        return 1.0 - (self.cell.first_efficiency if self._cycle == 0 else self.cell.efficiency)

    def _leak_A(self, since: Floats, current_A: float) -> Floats:
        event = self.event
        if event is None or event.cause not in ("leak", "self-discharge"):
            return np.zeros(len(since))
        share = event.part if event.cause == "leak" else 0.1 * event.part
        return np.where(self._t_s + since > event.t_s, share * abs(current_A), 0.0)

    def _sudden(self, since: Floats, voltage: Floats, current_A: float) -> Floats:
        """Return what dips and a hard short take off E."""
        event = self.event
        change = np.zeros(len(since))
        if event is None or not len(since) or self._t_s + float(since[-1]) < event.t_s:
            return change
        t = self._t_s + since
        if event.cause == "hard":
            after = t > event.t_s
            change[after] = (event.part - 1.0) * voltage[after]
        elif event.cause == "dips" and current_A > 0.0:
            hours = max((t[-1] - max(event.t_s, t[0])) / HOUR_S, 0.0)
            for _ in range(int(self.rng.poisson(event.dips_per_h * hours))):
                at_s = float(self.rng.uniform(max(event.t_s, t[0]), t[-1]))
                depth = (t >= at_s) * np.exp(-np.maximum(t - at_s, 0.0) / event.dip_s)
                change -= event.dip_V * float(self.rng.uniform(0.5, 1.5)) * depth
        return change


def draw_full(rng: np.random.Generator, dist: Disturbances, dt_s: float, *, shorted: bool) -> FullRun:
    """Draw a cell, its test, and what goes wrong if anything shall."""
    chemistries: tuple[Chemistry, ...] = ("LFP", "NMC")
    capacity_C = log_uniform(rng, 1.0, 20.0)
    rate_per_h = log_uniform(rng, 0.33, 2.0)
    drop_V = float(rng.uniform(0.01, 0.12))
    slow = float(rng.uniform(0.1, 0.6))
    total_ohm = drop_V / (rate_per_h * capacity_C / HOUR_S)
    cell = FullCell(
        chemistry=chemistries[int(rng.integers(2))],
        capacity_C=capacity_C,
        resistance_ohm=total_ohm * (1.0 - slow),
        slow_ohm=total_ohm * slow,
        slow_s=log_uniform(rng, 10.0, 600.0),
        efficiency=1.0 - log_uniform(rng, 2e-4, 2e-2),
        first_efficiency=float(rng.uniform(0.85, 0.97)),
        fade=log_uniform(rng, 1e-4, 5e-3),
        noise_V=log_uniform(rng, 2e-5, 5e-4),
    )
    plan = FullPlan(
        rate_per_h=rate_per_h,
        formation=int(rng.choice([0, 0, 1, 2])),
        rates=(1.0,) if rng.random() < 0.6 else (1.0, 1.0, 2.0, 0.5),
        hold=bool(rng.random() < 0.5),
        rest_s=float(rng.choice([60.0, 600.0, 3600.0])),
        upper=float(rng.choice([1.0, 1.0, 0.9])),
    )
    run = FullRun(cell, plan, dist, rng, dt_s, None)
    if shorted:
        run.event = _draw_event(rng, plan)
        if run.event.cause == "self-discharge":
            run.plan = replace(plan, rest_s=3600.0)
    return run


def _draw_event(rng: np.random.Generator, plan: FullPlan) -> FullShort:
    cycle_h = 2.2 / plan.rate_per_h
    formation_h = cycle_h / SLOW * plan.formation
    cause = CAUSES[int(rng.integers(len(CAUSES)))]
    return FullShort(
        t_s=(formation_h + cycle_h * float(rng.uniform(1.0, 4.0))) * HOUR_S,
        cause=cause,
        part=float(rng.uniform(0.0, 0.5) if cause == "hard" else rng.uniform(0.25, 1.0)),
        dip_V=log_uniform(rng, 0.02, 0.3),
        dip_s=log_uniform(rng, 2.0, 60.0),
        dips_per_h=log_uniform(rng, 5.0, 60.0),
    )


def seconds_after(run: FullRun) -> float:
    """Return how long a run goes on after its event: two cycles."""
    return 2.0 * 2.6 / run.plan.rate_per_h * HOUR_S + 4.0 * math.ceil(run.plan.rest_s)
