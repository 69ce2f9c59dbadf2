"""Steps of a drawn run as samples and spectra: what an instrument would have recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from benchmarks.detection import faults
from benchmarks.detection.cells import Complexes, Floats, LithiumCell
from benchmarks.detection.disturbances import GRID_S, Disturbances
from benchmarks.detection.events import Dips, Short
from benchmarks.detection.plans import HOUR_S, Plan, PlannedStep
from benchmarks.detection.runaways import Runaway, run_away
from guards.guard import StepFacts
from protocols.cell import Cell
from protocols.limits import DEFAULT_LIMIT_V
from protocols.measurements import Spectrum

FIRST_S = np.concatenate([[0.0], np.geomspace(0.02, GRID_S, 28)])
"""Times after a change of current at which what is fast is computed."""
FREQUENCY_HZ = np.geomspace(1e4, 0.5, 50)
TOLD_K = 0.2
"""The engine tells of the temperature when it has changed by so much."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One visit of a step."""

    facts: StepFacts
    planned: PlannedStep
    t_s: Floats
    voltage_V: Floats
    current_A: Floats
    charge_C: Floats
    spectrum: Spectrum | None = None
    temperatures: tuple[tuple[float, float], ...] = ()
    """Time and K of what is told of the surroundings."""
    tripped_s: float | None = None
    """When a limit on board opened the circuit."""


@dataclass(frozen=True, slots=True)
class Path:
    """The healthy ions' path at some times: E = linear·I + kinetic·2·I0·asinh(I/(2·I0))."""

    linear_ohm: Floats
    kinetic_ohm: Floats
    exchange_A: float

    def voltage(self, current_A: Floats | float) -> Floats:
        """Return E for the ions' current."""
        twice = 2.0 * self.exchange_A
        return np.asarray(
            self.linear_ohm * current_A + self.kinetic_ohm * twice * np.arcsinh(current_A / twice)
        )

    def with_resistor(self, current_A: float, conductance_S: Floats) -> Floats:
        """Return E when a conductance lies in parallel, by Newton's method on the ions' current."""
        twice = 2.0 * self.exchange_A
        ions = current_A / (1.0 + conductance_S * self.voltage(current_A) / current_A)
        for _ in range(8):
            slope = self.linear_ohm + self.kinetic_ohm / np.sqrt(1.0 + (ions / twice) ** 2)
            ions -= (ions + conductance_S * self.voltage(ions) - current_A) / (1.0 + conductance_S * slope)
        return self.voltage(ions)


@dataclass
class Run:
    """One drawn test of one drawn cell; :meth:`stretches` renders it, once."""

    cell: LithiumCell
    plan: Plan
    dist: Disturbances
    rng: np.random.Generator
    dt_s: float = 1.0
    short: Short | None = None
    runaway: Runaway | None = None
    dips: Dips | None = None
    tells_temperature: bool = False
    spectrum_noise: float = 0.005
    """σ of each part of Z, relative to |Z|."""
    _jump: float = 0.0
    _wander: float = 0.0
    _range: float = 1.0
    _history: list[tuple[float, float]] = field(default_factory=list)
    """Time and size of each change of current that the slow process still remembers."""
    _conductance_S: float | None = None
    _told_K: float = -math.inf

    def stretches(self, until_s: float) -> Iterator[Stretch]:
        """Render step after step until the run has lasted so long."""
        t_s, before_A = 0.0, 0.0
        for step in self.plan.steps():
            if t_s >= until_s:
                return
            if step.current_A != before_A:
                self._history.append((t_s, step.current_A - before_A))
                before_A = step.current_A
            if step.kind != "constant_current" and step.half_cycle >= 0:
                self._jump = 0.7 * self._jump + self.dist.jump * float(self.rng.standard_normal())
            yield self._render(step, t_s)
            t_s += step.duration_s

    def facts(self) -> Cell:
        """Return what the lab wrote down of the cell."""
        return self.cell.facts

    def conductance_S(self, t_s: float) -> float:
        """Return the conductance of the short at a time, without flicker."""
        short = self.short
        if short is None or t_s <= short.t_s:
            return 0.0
        depth = float(short.depth_at(np.array([t_s]))[0])
        return self._full_conductance() * (1.0 / depth - 1.0) / (1.0 / short.depth - 1.0)

    def spectrum(
        self,
        step: int,
        visit: int,
        t_s: float,
        current_A: float,
        lasts_s: float,
        *,
        shape: float = 1.0,
        healed: bool = False,
        rng: np.random.Generator | None = None,
    ) -> Spectrum:
        """Measure a spectrum from a time on; ``shape``: what the charge has made of the interfaces.

        One that is no part of the test has its own ``rng``, so that the test stays as it is without it.
        """
        f = FREQUENCY_HZ
        bulk, interface = self._factors(np.array([t_s + 0.5 * lasts_s]))
        short_S = 0.0 if healed else self.conductance_S(t_s + 0.5 * lasts_s)
        z = self.cell.impedance(f, current_A, float(bulk[0]), shape * float(interface[0]), short_S)
        z = self._noisy(z, rng or self.rng)
        chord = self.chord_ohm(t_s, current_A) if current_A else 0.0
        at = t_s + lasts_s * np.cumsum(1.0 / f) / float(np.sum(1.0 / f))
        return Spectrum(
            channel=0,
            step=step,
            visit=visit,
            t_start_s=t_s,
            t_end_s=t_s + lasts_s,
            frequency_Hz=tuple(f.tolist()),
            z_real_ohm=tuple(z.real.tolist()),
            z_imag_ohm=tuple(z.imag.tolist()),
            t_s=tuple(at.tolist()),
            voltage_V=chord * current_A,
            current_A=current_A,
            amplitude=0.1 * abs(self.plan.current_A),
        )

    def chord_ohm(self, t_s: float, current_A: float, *, shorted: bool = True) -> float:
        """Return E/I at a settled current, with the short if it is there."""
        path = self._settled_path(t_s)
        conductance_S = np.array([self.conductance_S(t_s) if shorted else 0.0])
        return float(path.with_resistor(current_A, conductance_S)[0] / current_A)

    def pulse_ohm(self, t_s: float, current_A: float, lasts_s: float, *, healed: bool = False) -> float:
        """Return E/I at the end of a pulse from rest, the slow process not settled."""
        bulk, interface = (float(x[0]) for x in self._factors(np.array([t_s])))
        settled = float(self.cell.settled(np.array([lasts_s]))[0])
        linear = np.array([self.cell.bulk_ohm * bulk + self.cell.slow_ohm * interface * settled])
        path = Path(linear, np.array([self.cell.fast_ohm * interface]), self.cell.exchange_A)
        short_S = np.array([0.0 if healed else self.conductance_S(t_s)])
        return float(path.with_resistor(current_A, short_S)[0] / current_A)

    def _render(self, step: PlannedStep, t_s: float) -> Stretch:
        driven = step.kind == "constant_current"
        planned_C = abs(step.current_A) * step.duration_s if driven else None
        facts = StepFacts(step.step, step.visit, step.kind, t_s, step.current_A, planned_C)
        told = self._temperatures(t_s, step.duration_s) if self.tells_temperature else ()
        if step.kind == "geis":
            healed = self.short is not None and self.short.heals and step.current_A == 0.0
            spectrum = self.spectrum(
                step.step, step.visit, t_s, step.current_A, step.duration_s, healed=healed
            )
            none = np.empty(0)
            return Stretch(facts, step, none, none, none, none, spectrum, told)
        since = self._times(step.duration_s)
        if driven:
            voltage, current = self._driven(step, t_s, since)
        else:
            voltage, current = self._resting(t_s, since), np.zeros(len(since))
        charge = step.current_A * since
        faults.spoil(self.rng, self.dist, self.dt_s, voltage, current)
        columns = [t_s + since, voltage, current, charge]
        fired_s = None
        if self.runaway is not None and driven and self._is_struck(step):
            tail = run_away(self.runaway, self.limit_V, *columns[:3])
            columns = [column[: tail.count] for column in columns]
            fired_s = tail.fired_s
        arrive = faults.gaps(self.rng, self.dist, columns[0])
        if arrive is not None:
            columns = [column[arrive] for column in columns]
        t, voltage, current, charge = columns
        return Stretch(facts, step, t, voltage, current, charge, None, told, fired_s)

    def _is_struck(self, step: PlannedStep) -> bool:
        """Whether E runs away in this direction of the current."""
        side = self.runaway.side if self.runaway else None
        return side is None or (step.current_A > 0.0) == (side == "working")

    @property
    def limit_V(self) -> float:
        """The limit of |E| that the program has."""
        return DEFAULT_LIMIT_V[self.cell.facts.electrolyte_class]

    def relaxed_V(self, t_s: float, pause_s: float, later_s: Floats, current_A: float) -> Floats:
        """Return what a pause at open circuit takes off E at later times: the slow process relaxes."""
        lost = float(self.cell.settled(np.array([pause_s]))[0])
        interface = float(self._factors(np.array([t_s]))[1][0])
        size_V = current_A * self.cell.slow_ohm * interface * lost
        return np.asarray(size_V * (1.0 - self.cell.settled(later_s - t_s)))

    def _times(self, lasts_s: float) -> Floats:
        """Return when samples are taken after the step's start."""
        first = float(self.rng.uniform(0.05, 1.0)) * self.dt_s
        since = np.arange(first, lasts_s, self.dt_s)
        if self.dist.jitter:
            since += self.dist.jitter * self.dt_s * self.rng.random(len(since))
        return since

    def _driven(self, step: PlannedStep, t_s: float, since: Floats) -> tuple[Floats, Floats]:
        grid = _grid(step.duration_s)
        path = self._path(step, t_s, grid)
        current_A = step.current_A
        voltage = np.interp(since, grid, path.voltage(current_A))
        if self.short is not None and t_s + step.duration_s > self.short.t_s:
            self._put_short(self.short, path, grid, current_A, t_s, since, voltage)
        if self.dips is not None:
            self.dips.put(self.rng, t_s + since, voltage)
        noise = self.rng.standard_normal(len(since))
        level_V = float(np.abs(voltage).mean()) if len(voltage) else 0.0
        sigma_V = math.hypot(self.dist.noise * level_V, self.dist.noise_V)
        voltage += sigma_V * noise + self.dist.offset_V
        if self.dist.averages and len(voltage) and step.part[0] == 0.0:
            voltage[0] *= float(self.rng.uniform(-1.0, 1.0))
        return voltage, current_A * (1.0 + 1e-4 * np.roll(noise, 7))

    def _resting(self, t_s: float, since: Floats) -> Floats:
        grid = _grid(float(since[-1]) + 1.0 if len(since) else 1.0)
        left = self._slow_current(t_s + grid) * self.cell.slow_ohm
        voltage = np.interp(since, grid, left)
        voltage += self.dist.noise_V * self.rng.standard_normal(len(since)) + self.dist.offset_V
        return np.asarray(voltage)

    def _put_short(
        self,
        short: Short,
        path: Path,
        grid: Floats,
        current_A: float,
        t_s: float,
        since: Floats,
        voltage: Floats,
    ) -> None:
        """Put the resistor beside the path from the event on, in place."""
        first = int(np.searchsorted(since, short.t_s - t_s))
        s = since[first:]
        if not len(s):
            return
        depth = short.depth_at(t_s + s)
        if short.flicker:
            keep = math.exp(-self.dt_s / short.flicker_s)
            depth = depth * np.exp(short.flicker * _wander(self.rng, len(s), keep, 0.0))
        full = self._full_conductance() / (1.0 / short.depth - 1.0)
        conductance_S = full * (1.0 / np.clip(depth, 1e-4, 1.0) - 1.0)
        here = Path(
            np.interp(s, grid, path.linear_ohm), np.interp(s, grid, path.kinetic_ohm), path.exchange_A
        )
        voltage[first:] = here.with_resistor(current_A, conductance_S)

    def _path(self, step: PlannedStep, t_s: float, grid: Floats) -> Path:
        cell, dist = self.cell, self.dist
        begin, end = step.part
        phase = begin + (end - begin) * np.minimum(grid / step.duration_s, 1.0)
        bulk, interface = self._factors(t_s + grid)
        interface *= dist.shape(phase, step.half_cycle)
        keep = math.exp(-GRID_S / dist.wander_s)
        wander = _wander(self.rng, len(grid), keep, self._wander)
        self._wander = float(wander[-1])
        breath = 1.0 + dist.wander * wander
        linear = cell.bulk_ohm * bulk
        linear += cell.slow_ohm * interface * self._slow_current(t_s + grid) / step.current_A
        kinetic = cell.fast_ohm * interface
        if begin == 0.0 and dist.spike:
            rise = -np.expm1(-grid / 0.5)
            size = (
                dist.spike
                * dist.varied(step.half_cycle, 2.0)
                * (cell.bulk_ohm + cell.fast_ohm * cell.kinetics(step.current_A))
            )
            linear += size * rise * (1.0 + grid / dist.spike_s) ** -dist.spike_power
        return Path(linear * breath, kinetic * breath, cell.exchange_A)

    def _slow_current(self, t_s: Floats) -> Floats:
        """Return the current that the slow process shows at times: what it has settled to."""
        total = np.zeros(len(t_s))
        reach_s = self.cell.slow_s * 7.0 ** (1.0 / (self.cell.stretching or 1.0))
        kept, gone = [], 0.0
        for at_s, size_A in self._history:
            if t_s[0] - at_s > reach_s:
                gone += size_A
            else:
                kept.append((at_s, size_A))
                total += size_A * self.cell.settled(np.maximum(t_s - at_s, 0.0))
        self._history = ([(-math.inf, gone)] if gone else []) + kept
        return total + gone

    def _factors(self, t_s: Floats) -> tuple[Floats, Floats]:
        bulk, interface = self.dist.cell_factors(self.cell, t_s)
        jump = math.exp(self._jump)
        return bulk * jump, interface * jump

    def _settled_path(self, t_s: float) -> Path:
        bulk, interface = self._factors(np.array([t_s]))
        linear = self.cell.bulk_ohm * bulk + self.cell.slow_ohm * interface
        return Path(linear, self.cell.fast_ohm * interface, self.cell.exchange_A)

    def _full_conductance(self) -> float:
        """Return the conductance at which E falls to the event's depth, at the current of that time."""
        if self._conductance_S is None and self.short is not None:
            path = self._settled_path(self.short.t_s)
            current_A = self._current_at(self.short.t_s)
            wanted_V = self.short.depth * float(path.voltage(current_A)[0])
            low, high = 0.0, current_A
            for _ in range(60):
                middle = 0.5 * (low + high)
                less = float(path.voltage(middle)[0]) < wanted_V
                low, high = (middle, high) if less else (low, middle)
            self._conductance_S = (current_A - low) / wanted_V
        return self._conductance_S or 0.0

    def _current_at(self, t_s: float) -> float:
        """Return |I| at a time, in a rest that of the half-cycle before."""
        current_A = abs(self.plan.current_A)
        for step in self.plan.steps_until(t_s):
            current_A = abs(step.current_A) or current_A
        return current_A

    def _temperatures(self, t_s: float, lasts_s: float) -> tuple[tuple[float, float], ...]:
        times = t_s + np.arange(0.0, lasts_s, 10.0)
        told = []
        for at_s, kelvin in zip(times.tolist(), self.dist.temperature_K(times).tolist(), strict=True):
            if abs(kelvin - self._told_K) >= TOLD_K:
                self._told_K = kelvin
                told.append((at_s, kelvin))
        return tuple(told)

    def _noisy(self, z: Complexes, rng: np.random.Generator) -> Complexes:
        draws = rng.standard_normal((2, len(z)))
        return np.asarray(z + np.abs(z) * self.spectrum_noise * (draws[0] + 1j * draws[1]))


def _grid(lasts_s: float) -> Floats:
    later = np.arange(2 * GRID_S, max(lasts_s, 2 * GRID_S) + GRID_S, GRID_S)
    return np.concatenate([FIRST_S, later])


def _wander(rng: np.random.Generator, count: int, keep: float, start: float) -> NDArray[np.float64]:
    """Return an Ornstein–Uhlenbeck path of standard deviation 1 that goes on from ``start``."""
    kicks = math.sqrt(1.0 - keep * keep) * rng.standard_normal(count)
    kicks[0] += keep * start
    return np.asarray(lfilter([1.0], [1.0, -keep], kicks))


def hours(stretch: Stretch) -> float:
    """Return how long a stretch lasts, in h."""
    return stretch.planned.duration_s / HOUR_S
