"""How a cell's resistances change with its age and the charge it has passed, whatever their frequency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_SINES = 6
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class AgeingParameters:
    """Relative changes; charges are per electrode area, passed in either direction."""

    activation: float = 0.0
    """The fresh interface's resistance is higher by this part; it decays with the charge passed, as lithium
    grows into pores and wets the surface (facts/recipes.md, E: 0.30 → 0.07 V in 20 cycles)."""
    activation_C_per_m2: float = 1.8e5
    alloying: float = 0.0
    """A part by which the interface's resistance rises while an alloy forms, and then falls again
    (recipes, A: 19.2 mV at 180 h, 10.7 mV later)."""
    alloying_C_per_m2: float = 1.8e5
    """Charge passed at the top of that rise."""
    sei_per_root_h: float = 0.0
    """Growth of the interface's resistance with the thickness of the interphase: ·√t."""
    drift_per_s: float = 0.0
    """Slow change of all resistances."""
    roughness: float = 0.0
    """Amplitude of slow fluctuations of all resistances."""
    seed: int = 0
    swing_K: float = 0.0
    """Amplitude of the room's temperature, without a chamber."""
    swing_period_s: float = 86400.0


class Ageing:
    """The factors on the resistances of one cell. Sines of seeded phases make fluctuations that need no
    history.
    """

    def __init__(self, parameters: AgeingParameters, area_m2: float) -> None:
        self._parameters = parameters
        self._area_m2 = area_m2
        random = np.random.default_rng(parameters.seed)
        self._omega = 2 * np.pi / np.geomspace(30, 900, _SINES)
        self._phase = random.uniform(0, 2 * np.pi, _SINES)

    def of_all(self, age_s: FloatArray) -> FloatArray:
        """Return the factor on every resistance at these ages, without temperature; shape (n,)."""
        parameters = self._parameters
        factor = 1 + parameters.drift_per_s * age_s
        if parameters.roughness:
            sines = np.sin(age_s[:, np.newaxis] * self._omega + self._phase).sum(axis=1)
            factor = factor * (1 + parameters.roughness * sines / np.sqrt(_SINES / 2))
        return np.asarray(factor)

    def of_interface(self, age_s: FloatArray, passed_C: FloatArray) -> FloatArray:
        """Return the further factor on the interface's resistance, shape (n,)."""
        parameters = self._parameters
        factor = np.ones(len(age_s))
        if parameters.activation:
            activated = passed_C / (parameters.activation_C_per_m2 * self._area_m2)
            factor += parameters.activation * np.exp(-activated)
        if parameters.alloying:
            alloyed = passed_C / (parameters.alloying_C_per_m2 * self._area_m2)
            factor += parameters.alloying * alloyed * np.exp(1 - alloyed)
        if parameters.sei_per_root_h:
            factor += parameters.sei_per_root_h * np.sqrt(age_s / _HOUR_S)
        return factor

    def swing_K(self, age_s: FloatArray) -> FloatArray:
        """Return by how much the room is warmer than its mean, shape (n,)."""
        parameters = self._parameters
        return np.asarray(parameters.swing_K * np.sin(2 * np.pi * age_s / parameters.swing_period_s))
