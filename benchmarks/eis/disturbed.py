"""Spectra for Kramers–Kronig tests: with noise, which must pass, and disturbed while they were measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.eis.cases import HELD_OUT, TUNED, Circuit, with_noise
from benchmarks.eis.elements import Complexes, Floats

CIRCUITS = TUNED + HELD_OUT
QUIET = 1e-3
"""Noise of the disturbed spectra."""
SEEN = 0.1
"""A step counts only where it changes |Z| by this share: elsewhere there is nothing to see."""
PERIODS, SETTLING_S = 3.0, 0.1
"""Of each frequency of a sweep."""
FEWEST = 6
"""Points on either side of a step: with fewer it cannot be told from a process at the edge of the window."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """One spectrum, and the noise it has."""

    frequency_Hz: Floats
    impedance_ohm: Complexes
    noise: float


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of disturbing, or none."""

    name: str
    make: Callable[[Circuit, np.random.Generator], tuple[Complexes, float]]
    """(circuit, chance) → clean Z, and the noise to add."""
    fine: bool
    """Whether the spectrum obeys Kramers and Kronig."""

    def spectra(self, count: int) -> list[Spectrum]:
        """Return ``count`` spectra over all circuits; the same at each call."""
        chance = np.random.default_rng([83, sum(self.name.encode())])
        return [self._spectrum(CIRCUITS[i % len(CIRCUITS)], chance, i) for i in range(count)]

    def _spectrum(self, circuit: Circuit, chance: np.random.Generator, seed: int) -> Spectrum:
        impedance, noise = self.make(circuit, chance)
        return Spectrum(circuit.frequency_Hz, with_noise(impedance, noise, seed), noise)


def _clean(circuit: Circuit, chance: np.random.Generator) -> tuple[Complexes, float]:
    return circuit.impedance(), 0.0


def _noisy(circuit: Circuit, chance: np.random.Generator) -> tuple[Complexes, float]:
    return circuit.impedance(), float(chance.uniform(0.0, 0.01))


def _drifting(share: float) -> Callable[[Circuit, np.random.Generator], tuple[Complexes, float]]:
    """All resistances beside R_∞ rise, or fall, by a share of themselves, evenly from point to point."""

    def make(circuit: Circuit, chance: np.random.Generator) -> tuple[Complexes, float]:
        passed = np.linspace(0.0, 1.0, len(circuit.frequency_Hz))
        return _scaled(circuit, 1.0 + chance.choice([-share, share]) * passed), QUIET

    return make


def _drifting_in_time(circuit: Circuit, chance: np.random.Generator) -> tuple[Complexes, float]:
    """They rise, or fall, by 20 %, evenly in time: most of it at the lowest frequencies."""
    spent_s = np.cumsum(SETTLING_S + PERIODS / circuit.frequency_Hz)
    passed = (spent_s - spent_s[0]) / (spent_s[-1] - spent_s[0])
    return _scaled(circuit, 1.0 + chance.choice([-0.2, 0.2]) * passed), QUIET


def _stepping(circuit: Circuit, chance: np.random.Generator) -> tuple[Complexes, float]:
    """All resistances beside R_∞ fall by 40 % between two points, wherever that is seen."""
    before, after = circuit.impedance(), _scaled(circuit, np.full(len(circuit.frequency_Hz), 0.6))
    seen = np.flatnonzero(np.abs(after - before) >= SEEN * np.abs(before))
    first, last = max(int(seen[0]), FEWEST), min(int(seen[-1]), len(before) - FEWEST)
    place = int(chance.integers(first, last + 1))
    return np.concatenate([before[:place], after[place:]]), QUIET


def _scaled(circuit: Circuit, factor: Floats) -> Complexes:
    omega = 2.0 * np.pi * circuit.frequency_Hz
    rest = circuit.r_inf_ohm + 1j * omega * circuit.inductance_H
    return np.asarray(rest + factor * (circuit.impedance() - rest))


CLEAN = Kind("no noise", _clean, fine=True)
NOISY = Kind("noise of 0 to 1 %", _noisy, fine=True)
DRIFT_20 = Kind("drift of 20 %, even over points", _drifting(0.2), fine=False)
DRIFT_IN_TIME = Kind("drift of 20 %, even in time", _drifting_in_time, fine=False)
DRIFT_50 = Kind("drift of 50 %, even over points", _drifting(0.5), fine=False)
STEP = Kind("step of −40 %", _stepping, fine=False)
KINDS = (CLEAN, NOISY, DRIFT_20, DRIFT_IN_TIME, DRIFT_50, STEP)
