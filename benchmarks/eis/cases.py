"""The circuits and the noise of the comparison, with what a perfect method would find in them.

The twelve cases a to d are those on which methods were compared, and tuned, before (the project's survey of
impedance libraries); no setting was chosen by the circuits of :data:`HELD_OUT`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from benchmarks.eis.elements import Complexes, Element, Floats, Gerischer, Span, Warburg, Zarc

PER_DECADE = 20
"""Points of the common grid of ln τ on which every method is judged."""
EDGE = 10**0.3
"""An arc beyond an edge of the window may show a maximum within this factor of the edge."""
NOISES = (1e-3, 1e-2)
SEEDS = 8


def sweep(highest_Hz: float, lowest_Hz: float, points: int) -> Floats:
    """Return the frequencies of a sweep, from the highest to the lowest."""
    return np.geomspace(highest_Hz, lowest_Hz, points)


F_81 = sweep(1e6, 1e-2, 81)
F_89 = sweep(7e6, 1e-2, 89)
F_50 = sweep(1e6, 1e-1, 50)


@dataclass(frozen=True, slots=True, eq=False)
class Circuit:
    """Elements in series with R_∞ and an inductance, and the frequencies they are measured at."""

    name: str
    text: str
    frequency_Hz: Floats
    r_inf_ohm: float
    elements: tuple[Element, ...]
    inductance_H: float = 0.0
    prominence: float = 0.02
    """Of the highest maximum of γ: what counts as a peak."""
    further: tuple[Span, ...] = field(default=())
    """Ranges of τ in s where maxima are neither missed nor wrong."""

    @property
    def window_s(self) -> Span:
        """1/(2πf) of the highest and of the lowest frequency."""
        ends = 1.0 / (2.0 * np.pi * self.frequency_Hz[[0, -1]])
        return float(ends[0]), float(ends[1])

    @property
    def tau_s(self) -> Floats:
        """The common grid: the window, :data:`PER_DECADE` points a decade."""
        fast, slow = self.window_s
        return np.geomspace(fast, slow, round(PER_DECADE * np.log10(slow / fast)) + 1)

    @property
    def smooth(self) -> bool:
        """Whether γ is known as a function; else only places and areas of its peaks are."""
        return all(element.smooth for element in self.elements)

    @property
    def blocks(self) -> bool:
        """Whether it holds a capacitance in series."""
        return any(element.blocks for element in self.elements)

    @property
    def gamma_ohm(self) -> Floats:
        """γ on the common grid, without what is not smooth."""
        tau = self.tau_s
        return np.asarray(np.sum([element.gamma(tau) for element in self.elements], axis=0))

    @property
    def peaks(self) -> list[Span]:
        """(τ in s, R in Ω) of each peak in the window that must be found."""
        fast, slow = self.window_s
        return sorted(e.peak for e in self.elements if fast <= e.peak[0] <= slow)

    @property
    def optional(self) -> list[Span]:
        """Ranges of τ in s where further maxima are no mistake."""
        fast, slow = self.window_s
        spans = [span for element in self.elements for span in element.optional] + list(self.further)
        if any(element.peak[0] < fast for element in self.elements):
            spans.append((fast, fast * EDGE))
        if any(element.peak[0] > slow for element in self.elements):
            spans.append((slow / EDGE, slow))
        return spans

    @property
    def r_p_ohm(self) -> float:
        """The area of γ within the window."""
        return sum(element.resistance_between(*self.window_s) for element in self.elements)

    def impedance(self) -> Complexes:
        """Return Z in Ω without noise."""
        omega = 2.0 * np.pi * self.frequency_Hz
        rest = self.r_inf_ohm + 1j * omega * self.inductance_H
        return np.asarray(rest + np.sum([element.impedance(omega) for element in self.elements], axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A circuit with noise: σ of each part of Z, relative to |Z|."""

    circuit: Circuit
    noise: float

    @property
    def name(self) -> str:
        """Such as ``c89 0.1%``."""
        return f"{self.circuit.name} {100 * self.noise:g}%"

    def spectra(self, seeds: int = SEEDS) -> Complexes:
        """Return spectra of the same circuit with other noise, shape (seeds, n); the same at each call."""
        clean = self.circuit.impedance()
        return np.array([with_noise(clean, self.noise, seed) for seed in range(seeds)])


def with_noise(impedance_ohm: Complexes, noise: float, seed: int) -> Complexes:
    """Return a spectrum with white noise on both parts, relative to |Z|."""
    parts = np.random.default_rng([2026, seed]).standard_normal((2, len(impedance_ohm)))
    return np.asarray(impedance_ohm + noise * np.abs(impedance_ohm) * (parts[0] + 1j * parts[1]))


SULFIDE = (Zarc(250.0, 1e-7, 0.95), Zarc(120.0, 1e-5, 0.85), Zarc(130.0, 1e-2, 0.80))
"""Bulk, grain boundary and interface of a sulfide cell; at 1 MHz the bulk is outside the window."""

TUNED = (
    Circuit("a", "one arc", F_81, 10.0, (Zarc(500.0, 1e-3, 0.85),)),
    Circuit("b", "two arcs, one decade apart", F_81, 10.0, (Zarc(200, 1e-3, 0.8), Zarc(300, 1e-2, 0.8))),
    Circuit("c81", "sulfide cell up to 1 MHz, bulk cut off", F_81, 5.0, SULFIDE),
    Circuit("d81", "the same and 1 µH", F_81, 5.0, SULFIDE, inductance_H=1e-6),
    Circuit("c89", "sulfide cell up to 7 MHz", F_89, 5.0, SULFIDE),
    Circuit("d89", "the same and 1 µH", F_89, 5.0, SULFIDE, inductance_H=1e-6),
)

HELD_OUT = (
    Circuit(
        "garnet",
        "symmetric garnet cell: grain, grain boundary, interface",
        F_89,
        1.0,
        (Zarc(150.0, 6e-8, 0.96), Zarc(80.0, 3e-6, 0.88), Zarc(220.0, 8e-4, 0.82)),
    ),
    Circuit(
        "polymer",
        "polymer cell: interface, charge transfer, diffusion of salt (transmissive)",
        F_81,
        12.0,
        (Zarc(85.0, 3e-4, 0.85), Zarc(40.0, 1e-2, 0.9), Warburg(60.0, 12.0, blocks=False)),
    ),
    Circuit(
        "lfp",
        "Li and LFP: interface, charge transfer, diffusion in particles (blocking)",
        F_81,
        3.0,
        (Zarc(15.0, 1e-4, 0.85), Zarc(30.0, 6e-3, 0.9), Warburg(60.0, 15.0, blocks=True)),
    ),
    Circuit(
        "gerischer", "an arc and a Gerischer element", F_81, 8.0, (Zarc(50, 2e-5, 0.9), Gerischer(120.0, 0.3))
    ),
    Circuit(
        "overlap",
        "two arcs 0.7 decade apart, 50 points",
        F_50,
        20.0,
        (Zarc(100.0, 1e-3, 0.9), Zarc(100.0, 5e-3, 0.9)),
    ),
    Circuit(
        "narrow",
        "an RC element beside a broad arc",
        F_81,
        10.0,
        (Zarc(60.0, 1e-5, 1.0), Zarc(200, 1e-2, 0.7)),
    ),
    Circuit(
        "inductive",
        "two small arcs and 1 µH",
        F_81,
        4.0,
        (Zarc(20.0, 1e-5, 0.9), Zarc(30.0, 1e-2, 0.85)),
        inductance_H=1e-6,
    ),
    Circuit(
        "ratio",
        "two arcs, 100 to 1",
        F_81,
        10.0,
        (Zarc(10.0, 1e-5, 0.9), Zarc(1000.0, 1e-2, 0.9)),
        prominence=0.005,
    ),
    Circuit(
        "slow", "an arc beyond the lowest frequency", F_81, 5.0, (Zarc(80, 1e-4, 0.85), Zarc(120, 60, 0.9))
    ),
    Circuit(
        "four",
        "four arcs of a composite cell",
        F_89,
        8.0,
        (Zarc(60, 3e-7, 0.92), Zarc(40, 2e-5, 0.88), Zarc(90, 2e-3, 0.85), Zarc(50, 0.3, 0.85)),
    ),
)

TUNED_CASES = tuple(Case(circuit, noise) for circuit, noise in product(TUNED, NOISES))
HELD_OUT_CASES = tuple(Case(circuit, noise) for circuit, noise in product(HELD_OUT, NOISES))
