"""Z(f) of the circuit elements that simulated cells and fits share. Pure functions on arrays.

Frequencies are in Hz, impedances complex in Ω (or Ω m² where the resistances are areal), capacitive < 0.
"""

from __future__ import annotations

import cmath

import numpy as np
from numpy.typing import ArrayLike, NDArray

ComplexArray = NDArray[np.complex128]
FloatArray = NDArray[np.float64]

_NEARLY_RC = 1e-6
"""An exponent this close to 1 makes the distribution a single peak."""


def inductor(frequency_Hz: ArrayLike, inductance_H: float) -> ComplexArray:
    """Z of an inductance, shape of ``frequency_Hz``."""
    return np.asarray(2j * np.pi * np.asarray(frequency_Hz, dtype=float) * inductance_H)


def capacitor(frequency_Hz: ArrayLike, capacitance_F: float) -> ComplexArray:
    """Z of a capacitor, 1/(jωC)."""
    return np.asarray(1 / (2j * np.pi * np.asarray(frequency_Hz, dtype=float) * capacitance_F))


def constant_phase(frequency_Hz: ArrayLike, q: float, alpha: float) -> ComplexArray:
    """Z of a constant-phase element, 1/(Q(jω)^α), Q in S·s^α, 0 < α ≤ 1."""
    omega = 2 * np.pi * np.asarray(frequency_Hz, dtype=float)
    # (jω)^α = j^α·exp(α ln ω): real functions cost a third of a power of complex numbers.
    return np.asarray(cmath.exp(-0.5j * np.pi * alpha) / q * np.exp(-alpha * np.log(omega)))


def warburg(frequency_Hz: ArrayLike, sigma: float) -> ComplexArray:
    """Z of diffusion into a half-space, σ(1 − j)/√ω, σ in Ω·s^-1/2."""
    omega = 2 * np.pi * np.asarray(frequency_Hz, dtype=float)
    return np.asarray(sigma * (1 - 1j) / np.sqrt(omega))


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


def finite_diffusion(frequency_Hz: ArrayLike, resistance_ohm: float, tau_s: float) -> ComplexArray:
    """Z of diffusion through a layer to a plane of fixed concentration: R·tanh(√(jωτ))/√(jωτ).

    τ = ℓ²/D with the layer's thickness ℓ (of half the electrolyte in a symmetric cell).
    """
    root = np.sqrt(2j * np.pi * np.asarray(frequency_Hz, dtype=float) * tau_s)
    return np.asarray(resistance_ohm * np.tanh(root) / root)


def finite_space_diffusion(frequency_Hz: ArrayLike, resistance_ohm: float, tau_s: float) -> ComplexArray:
    """Z of diffusion through a layer to a wall that lets nothing pass: R·coth(√(jωτ))/√(jωτ).

    τ = ℓ²/D with the layer's thickness ℓ. At low frequency a resistance R/3 with a capacitance τ/R.
    """
    root = np.sqrt(2j * np.pi * np.asarray(frequency_Hz, dtype=float) * tau_s)
    return np.asarray(resistance_ohm / (root * np.tanh(root)))


def gerischer(frequency_Hz: ArrayLike, resistance_ohm: float, tau_s: float) -> ComplexArray:
    """Z of diffusion with a reaction on the way (Gerischer), R/√(1 + jωτ)."""
    omega = 2 * np.pi * np.asarray(frequency_Hz, dtype=float)
    return np.asarray(resistance_ohm / np.sqrt(1 + 1j * omega * tau_s))


def zarc_as_rc_chain(
    resistance_ohm: float, tau_s: float, alpha: float, elements: int = 9
) -> tuple[FloatArray, FloatArray]:
    """Return the RC chain that stands for a ZARC where a response in time is wanted.

    A quadrature over the ZARC's distribution of relaxation times (Cole and Cole, J. Chem. Phys. 9 (1941)
    341): Gauss and Legendre's nodes in the share F of the resistance that is faster, drawn towards the ends
    by F = s²(3 − 2s). Nine elements are within 0.5 % of the resistance at every frequency for α ≥ 0.6; their
    resistances sum up to it. Returns (resistances, time constants), each of shape (k,); one RC for α = 1.
    """
    if alpha > 1 - _NEARLY_RC:
        return np.array([resistance_ohm]), np.array([tau_s])
    node, weight = np.polynomial.legendre.leggauss(elements)
    drawn = (node + 1) / 2
    faster = drawn**2 * (3 - 2 * drawn)
    shares = 3 * weight * drawn * (1 - drawn)
    offset = 2 / alpha * np.arctanh(np.tan(np.pi * alpha * (faster - 0.5)) / np.tan(np.pi * alpha / 2))
    return resistance_ohm * shares, tau_s * np.exp(offset)


def finite_diffusion_as_rc_chain(
    resistance_ohm: float, tau_s: float, elements: int = 12
) -> tuple[FloatArray, FloatArray]:
    """Return the RC chain of :func:`finite_diffusion`: its slowest poles, and one element for the rest.

    R_n = 8R/(π²(2n − 1)²), τ_n = 4τ/(π²(2n − 1)²) (Mittag-Leffler's expansion of tanh). The last element
    has the resistance that is left over, and its mean time constant.
    """
    order = 2.0 * np.arange(1, elements + 1) - 1
    resistances, taus = 8 / (np.pi * order) ** 2, 4 / (np.pi * order) ** 2
    left = 1 - resistances.sum()
    # Σ Rₙτₙ of all poles is Rτ/3.
    rest_tau = (1 / 3 - resistances @ taus) / left
    return resistance_ohm * np.append(resistances, left), tau_s * np.append(taus, rest_tau)
