"""Z(f) of the circuit elements that simulated cells and fits share. Pure functions on arrays.

Frequencies are in Hz, impedances complex in Ω (or Ω m² where the resistances are areal), capacitive < 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ComplexArray = NDArray[np.complex128]
FloatArray = NDArray[np.float64]

_NEARLY_RC = 1e-6
"""An exponent this close to 1 makes the distribution a single peak."""


def inductor(frequency_Hz: ArrayLike, inductance_H: float) -> ComplexArray:
    """Z of an inductance, shape of ``frequency_Hz``."""
    return np.asarray(2j * np.pi * np.asarray(frequency_Hz, dtype=float) * inductance_H)


def rc_chain(frequency_Hz: ArrayLike, resistances_ohm: ArrayLike, taus_s: ArrayLike) -> ComplexArray:
    """Z of resistors with a capacitor across each, in series: Σ R/(1 + jωτ), shape of ``frequency_Hz``.

    ``resistances_ohm`` and ``taus_s`` have equal shape (k,); k may be 0.
    """
    omega = 2 * np.pi * np.asarray(frequency_Hz, dtype=float)
    admittance = 1 + 1j * omega[..., np.newaxis] * np.asarray(taus_s, dtype=float)
    return np.asarray((np.asarray(resistances_ohm, dtype=float) / admittance).sum(axis=-1))


def zarc(frequency_Hz: ArrayLike, resistance_ohm: float, tau_s: float, alpha: float) -> ComplexArray:
    """Z of a resistor with a constant-phase element across it, R/(1 + (jωτ)^α), 0 < α ≤ 1."""
    omega = 2 * np.pi * np.asarray(frequency_Hz, dtype=float)
    return np.asarray(resistance_ohm / (1 + (1j * omega * tau_s) ** alpha))


def zarc_as_rc_chain(
    resistance_ohm: float, tau_s: float, alpha: float, per_decade: int = 2, decades: float = 2.0
) -> tuple[FloatArray, FloatArray]:
    """Return the RC chain that stands for a ZARC where a response in time is wanted.

    The weights follow the ZARC's distribution of relaxation times, Cole and Cole, J. Chem. Phys. 9 (1941)
    341, on a logarithmic grid of ``decades`` to either side of ``tau_s``; they sum up to ``resistance_ohm``
    exactly. For α ≥ 0.8 the default grid is within 5 % of the ZARC. Returns (resistances, time constants),
    each of shape (k,); one RC for α = 1.
    """
    if alpha > 1 - _NEARLY_RC:
        return np.array([resistance_ohm]), np.array([tau_s])
    offset = np.linspace(-decades, decades, round(2 * decades * per_decade) + 1)
    weights = 1 / (np.cosh(alpha * offset * np.log(10)) + np.cos(alpha * np.pi))
    return resistance_ohm * weights / weights.sum(), tau_s * 10**offset
