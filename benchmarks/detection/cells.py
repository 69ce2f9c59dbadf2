"""Drawn Li|Li cells: what resistances they have, how slowly they polarise, what their spectrum is.

Independent of :mod:`drivers.simulation`: a bulk, a fast interface with Butler–Volmer kinetics, and a slow
process (diffusion through a layer, or a stretched relaxation) that is linear and remembers earlier steps.
The ranges are those of the project's survey of short detection, sections 5 and 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.cell import Cell, ElectrolyteClass

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

BOLTZMANN_EV_PER_K = 8.617e-5
ROOM_K = 298.15
FORGOTTEN = 12.0
"""A step is forgotten after this × the slow time constant."""
_ODD = np.array([1.0, 3.0, 5.0, 7.0])
_CLASSES: tuple[ElectrolyteClass, ...] = ("sulfide", "garnet", "polymer", "composite", "liquid", "other")
_SHARE = (0.35, 0.3, 0.1, 0.1, 0.1, 0.05)


@dataclass(frozen=True, slots=True)
class LithiumCell:
    """A cell at 25 °C after activation; Ω, s, A, eV."""

    facts: Cell
    """What the lab wrote down of it."""
    bulk_ohm: float
    fast_ohm: float
    """Interface, at small currents."""
    fast_s: float
    exponent: float
    """Of its depressed arc."""
    exchange_A: float
    slow_ohm: float
    slow_s: float
    stretching: float | None
    """Exponent of a stretched relaxation; None: diffusion through a layer."""
    bulk_eV: float
    interface_eV: float
    wire_ohm: float
    """In series in a spectrum alone, where the impedance channel has two wires and contacts of its own."""

    def kinetics(self, current_A: float) -> float:
        """Return the fast interface's chord resistance relative to that at small currents."""
        x = abs(current_A) / (2.0 * self.exchange_A)
        return math.asinh(x) / x if x > 1e-6 else 1.0

    def steady_ohm(self, current_A: float) -> float:
        """Return E/I once all has settled."""
        return self.bulk_ohm + self.fast_ohm * self.kinetics(current_A) + self.slow_ohm

    def settled(self, since_s: Floats) -> Floats:
        """Return the step response of the slow process, 0 to 1, for times ≥ 0."""
        s = since_s / self.slow_s
        if self.stretching is not None:
            return np.asarray(-np.expm1(-(s**self.stretching)))
        odd = _ODD[:, None]
        decays = np.exp(-(odd**2) * (math.pi**2 / 4.0) * s) / odd**2
        return np.asarray(1.0 - decays.sum(axis=0) / float((1.0 / _ODD**2).sum()))

    def heated(self, temperature_K: Floats) -> tuple[Floats, Floats]:
        """Return by what bulk and interfaces are multiplied at a temperature."""
        x = (1.0 / temperature_K - 1.0 / ROOM_K) / BOLTZMANN_EV_PER_K
        return np.exp(self.bulk_eV * x), np.exp(self.interface_eV * x)

    def impedance(
        self, frequency_Hz: Floats, current_A: float, bulk: float, interface: float, short_S: float
    ) -> Complexes:
        """Return Z at a DC current, with factors on bulk and interfaces and a conductance in parallel."""
        jw = 2j * np.pi * frequency_Hz
        x = current_A / (2.0 * self.exchange_A)
        fast = self.fast_ohm / math.sqrt(1.0 + x * x) * interface
        z = self.bulk_ohm * bulk + fast / (1.0 + (jw * self.fast_s) ** self.exponent)
        z += self.slow_ohm * interface * self._slow_part(jw)
        return np.asarray(1.0 / (1.0 / z + short_S) + self.wire_ohm)

    def _slow_part(self, jw: NDArray[np.complexfloating]) -> Complexes:
        if self.stretching is not None:
            return np.asarray(1.0 / (1.0 + (jw * self.slow_s) ** self.stretching))
        root = np.sqrt(jw * self.slow_s)
        return np.asarray(np.tanh(root) / root)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is even between two bounds."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def draw_cell(rng: np.random.Generator) -> LithiumCell:
    """Draw a cell; its lithium is given to it by whoever knows its test."""
    electrolyte = _CLASSES[int(rng.choice(len(_CLASSES), p=_SHARE))]
    facts = Cell(
        name="drawn",
        area_m2=log_uniform(rng, 0.3e-4, 3e-4),
        electrolyte_class=electrolyte,
    )
    bulk_ohm = log_uniform(rng, 3.0, 300.0)
    interface_ohm = log_uniform(rng, 10.0, 2500.0)
    if electrolyte == "garnet":
        interface_ohm = bulk_ohm * log_uniform(rng, 0.02, 3.0)
    slow = float(rng.choice([0.0, rng.uniform(0.02, 0.2), rng.uniform(0.1, 0.7)]))
    steady_ohm = bulk_ohm + interface_ohm
    wire_ohm = 0.0
    if electrolyte == "garnet" and rng.random() < 0.2:
        wire_ohm = max(steady_ohm / log_uniform(rng, 0.5, 2.0) - bulk_ohm, 0.0)
    return LithiumCell(
        facts=facts,
        bulk_ohm=bulk_ohm,
        fast_ohm=interface_ohm * (1.0 - slow),
        fast_s=log_uniform(rng, 1e-4, 0.1),
        exponent=float(rng.uniform(0.7, 1.0)),
        exchange_A=log_uniform(rng, 2e-5, 2e-2),
        slow_ohm=interface_ohm * slow,
        slow_s=log_uniform(rng, 1.0, 200.0),
        stretching=None if rng.random() < 0.5 else float(rng.uniform(0.5, 1.0)),
        bulk_eV=float(rng.uniform(0.25, 0.45)),
        interface_eV=float(rng.uniform(0.3, 0.6)),
        wire_ohm=wire_ohm,
    )
