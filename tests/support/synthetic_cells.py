"""Healthy and shorted Li|Li cells at constant current, for tests of guards.

The generator holds the false-alarm sources of the project's survey of short detection: reversal with a slow
interface, nucleation spikes, arcs at the end, activation, current steps with Butler-Volmer, temperature,
drift, noise, single outliers. Cells, plans and events are drawn; no threshold of a guard is known to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guards.guard import StepFacts

Floats = NDArray[np.float64]
HOUR = 3600.0


@dataclass(frozen=True)
class Short:
    """R falls to ``ratio`` within ``fall_s`` from ``t_s`` on, whether current flows or not."""

    t_s: float
    ratio: float
    fall_s: float

    def factor(self, t: Floats) -> Floats:
        return np.asarray(self.ratio ** np.clip((t - self.t_s) / self.fall_s, 0.0, 1.0))


@dataclass(frozen=True)
class SyntheticCell:
    """A healthy Li|Li cell of 1 cm²; what makes it look ill is drawn by :func:`draw_cell`."""

    seed: int
    r_ohm: float
    r_interface: float
    tau_s: float
    spike: float
    spike_s: float
    arc: float
    activation: float
    activation_s: float
    exchange_A: float
    noise: float
    noise_V: float
    wander: float
    warmth: float
    glitches_per_h: float

    def resistance(self, t: Floats, since: Floats, phase: Floats, current: float, memory: float) -> Floats:
        x = abs(current) / self.exchange_A
        interface = self.r_interface * np.arcsinh(x) / x
        polarised = 1.0 - (1.0 - memory) * np.exp(-since / self.tau_s)
        shape = (1.0 + self.spike * np.exp(-since / self.spike_s)) * (1.0 + self.arc * phase**6)
        slow = (1.0 + self.activation * np.exp(-t / self.activation_s)) * np.exp(
            self.warmth * np.sin(2 * np.pi * t / (7 * HOUR)) + self.wander * np.sin(t / 911.0)
        )
        return np.asarray((self.r_ohm + interface * polarised) * shape * slow)


@dataclass(frozen=True)
class Stretch:
    """One step of a run: facts and, if current flows, samples."""

    facts: StepFacts
    t: Floats
    voltage: Floats
    current: Floats
    charge: Floats


def draw_cell(seed: int) -> SyntheticCell:
    rng = np.random.default_rng(seed)
    r_ohm = float(np.exp(rng.uniform(np.log(3), np.log(300))))
    return SyntheticCell(
        seed=seed,
        r_ohm=r_ohm,
        r_interface=float(np.exp(rng.uniform(np.log(10), np.log(2500)))),
        tau_s=float(np.exp(rng.uniform(np.log(1e-3), np.log(60)))),
        spike=float(rng.uniform(0, 1.5) * np.exp(0.3 * rng.standard_normal())),
        spike_s=float(rng.uniform(5, 40)),
        arc=float(rng.uniform(0, 1.0)),
        activation=float(rng.choice([0.0, 0.7, 2.0])),
        activation_s=float(rng.uniform(1, 30)) * HOUR,
        exchange_A=float(np.exp(rng.uniform(np.log(1e-4), np.log(1e-2)))),
        noise=float(rng.uniform(2e-4, 8e-3)),
        noise_V=float(rng.uniform(5e-6, 3e-4)),
        wander=float(rng.uniform(2e-4, 1e-2)),
        warmth=float(rng.uniform(0, 0.25)),
        glitches_per_h=0.05,
    )


Plan = list[tuple[str, float, float]]
"""Kind (constant_current, rest, geis), current in A, duration in s."""


def cycling(hours: float, current: float, half_s: float, rest_s: float) -> Plan:
    plan: Plan = []
    while sum(step[2] for step in plan) < hours * HOUR:
        for sign in (1.0, -1.0):
            plan.append(("constant_current", sign * current, half_s))
            plan += [("rest", 0.0, rest_s)] if rest_s else []
    return plan


def ramp(steps: int, start: float, half_s: float | None, rest_s: float) -> Plan:
    """A ramp of constant time, or (``half_s`` None) of the capacity that the first step passes in an hour."""
    plan: Plan = []
    for number in range(1, steps + 1):
        plan += cycling(1e-9, start * number, half_s or HOUR / number, rest_s)
    return plan


def one_way(hours: float, current: float, piece_s: float) -> Plan:
    pieces = math.ceil(hours * HOUR / piece_s)
    return [("constant_current", current, piece_s), ("geis", current, 120.0)] * pieces


def draw_plan(seed: int, hours: float) -> Plan:
    rng = np.random.default_rng([seed, 1])
    rest = float(rng.choice([0.0, 60.0, 600.0]))
    half = float(rng.choice([0.25, 0.5, 1.0, 2.0, 4.0])) * HOUR
    start = float(rng.choice([5e-5, 1e-4, 2e-4]))
    kind = rng.choice(["cycling", "cycling", "ramp", "capacity", "one way"])
    if kind == "cycling":
        return cycling(hours, float(rng.choice([1e-4, 5e-4, 1.7e-3])), half, rest)
    if kind == "ramp":
        return ramp(math.ceil(hours / 2), start, HOUR, rest)
    if kind == "capacity":
        return ramp(25, start, None, rest) + cycling(0.75 * hours, start, half, rest)
    return one_way(hours, 5e-4, half)


def play(cell: SyntheticCell, plan: Plan, dt: float = 1.0, short: Short | None = None) -> Iterator[Stretch]:
    rng = np.random.default_rng([cell.seed, 2])
    t0, memory_A = 0.0, 0.0
    for number, (kind, current, duration) in enumerate(plan):
        driven = kind == "constant_current"
        planned = abs(current) * duration if driven else None
        facts = StepFacts(
            number,
            0,
            "rest" if kind == "rest" else "geis" if kind == "geis" else "constant_current",
            t0,
            current,
            planned,
        )
        if driven:
            yield samples(cell, rng, facts, duration, dt, memory_A / current, short)
        else:
            yield Stretch(facts, *(np.empty(0) for _ in range(4)))
        fade = 1.0 if kind == "geis" and current else np.exp(-duration / cell.tau_s)
        memory_A = current if driven else memory_A * fade
        t0 += duration


def samples(
    cell: SyntheticCell,
    rng: np.random.Generator,
    facts: StepFacts,
    duration: float,
    dt: float,
    memory: float,
    short: Short | None,
) -> Stretch:
    since = np.arange(dt, duration + dt / 2, dt)
    t = facts.t_s + since
    r = cell.resistance(t, since, since / duration, facts.set_current_A, memory)
    if short is not None:
        r = r * short.factor(t)
    current = facts.set_current_A * (1.0 + 1e-5 * rng.standard_normal(len(t)))
    voltage = current * r * (1.0 + cell.noise * rng.standard_normal(len(t)))
    voltage += cell.noise_V * rng.standard_normal(len(t))
    glitch = rng.random(len(t)) < cell.glitches_per_h * dt / HOUR
    voltage[glitch] *= rng.uniform(-3.0, 10.0, int(glitch.sum()))
    return Stretch(facts, t, voltage, current, facts.set_current_A * since)


def draw_short(seed: int, first_s: float, last_s: float) -> Short:
    rng = np.random.default_rng([seed, 3])
    fall_s = float(np.exp(rng.uniform(np.log(0.01), np.log(20.0))))
    return Short(float(rng.uniform(first_s, last_s)), float(rng.uniform(0.006, 0.12)), fall_s)
