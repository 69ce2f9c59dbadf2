"""Overpotentials that are not proportional to the current, as functions of what they would be if they were.

Each takes the linear response V of its part of the circuit and returns the overpotential; small ones are V
itself, so that the spectrum at rest is that of the circuit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

GAS_V_PER_K = 8.617333262e-5
"""R/F."""
_EXHAUSTED = 0.999
"""Part of the salt's concentration at which the logarithm goes on along its tangent, up to any limit."""


def charge_transfer(linear_V: FloatArray | float, temperature_K: float) -> FloatArray:
    """Return that of both electrodes after Butler and Volmer, α = ½: η = (2RT/F)·asinh(η_linear F/2RT)."""
    scale_V = 4 * GAS_V_PER_K * temperature_K
    return np.asarray(scale_V * np.arcsinh(linear_V / scale_V))


def charge_transfer_slope(linear_V: FloatArray | float, temperature_K: float) -> FloatArray:
    """Return dη/dV of :func:`charge_transfer`."""
    scale_V = 4 * GAS_V_PER_K * temperature_K
    return np.asarray(1 / np.sqrt(1 + (linear_V / scale_V) ** 2))


def concentration(linear_V: FloatArray | float, scale_V: float) -> FloatArray:
    """Return that of a binary electrolyte between two electrodes of which one depletes it, the other not.

    With u = V/scale, the change of the concentration at either electrode relative to the mean:
    η = (scale/2)·ln((1 + u)/(1 − u)). ``scale_V`` is R_diffusion × the limiting current. u reaches 1 at
    Sand's time, τ = (π/4)(ℓ²/D)(j_lim/j)² for j ≫ j_lim (Bard and Faulkner, 2nd ed., §8.2): E runs away.
    """
    share = linear_V / scale_V
    inner = np.clip(share, -_EXHAUSTED, _EXHAUSTED)
    return np.asarray(scale_V * (np.arctanh(inner) + (share - inner) / (1 - inner**2)))


def concentration_slope(linear_V: FloatArray | float, scale_V: float) -> FloatArray:
    """Return dη/dV of :func:`concentration`."""
    inner = np.clip(linear_V / scale_V, -_EXHAUSTED, _EXHAUSTED)
    return np.asarray(1 / (1 - inner**2))
