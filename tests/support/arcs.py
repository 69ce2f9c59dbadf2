"""Spectra of Cole–Cole arcs in series, and what is to be found in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.impedance import zarc
from protocols.measurements import Spectrum

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Arc = tuple[float, float, float]
"""R in Ω, τ in s, α."""

WIDE = np.geomspace(7e6, 1e-2, 89)
"""The frequencies of a VSP-300, 10 a decade."""
USUAL = np.geomspace(1e6, 1e-2, 81)
SULFIDE: tuple[Arc, ...] = ((250.0, 1e-7, 0.95), (120.0, 1e-5, 0.85), (130.0, 1e-2, 0.80))
"""Bulk, grain boundary and interface; up to 1 MHz the bulk is outside the window."""


def arcs(
    frequency: Floats,
    parts: Sequence[Arc],
    *,
    r_inf: float = 5.0,
    inductance: float = 0.0,
    capacitance: float | None = None,
) -> Complexes:
    """Return Z without noise."""
    omega = 2.0 * np.pi * frequency
    z = r_inf + 1j * omega * inductance + sum(zarc(frequency, *part) for part in parts)
    return np.asarray(z if capacitance is None else z + 1.0 / (1j * omega * capacitance))


def noisy(impedance: Complexes, sigma: float, seed: int = 0) -> Complexes:
    """Return Z with white noise on both parts, relative to |Z|."""
    parts = np.random.default_rng(seed).standard_normal((2, len(impedance)))
    return np.asarray(impedance + sigma * np.abs(impedance) * (parts[0] + 1j * parts[1]))


def spectrum_of(
    frequency: Floats,
    impedance: Complexes,
    t_start_s: float = 0.0,
    t_end_s: float = 1.0,
    current_A: float = 0.0,
) -> Spectrum:
    """Return a spectrum whose points are evenly spaced in time."""
    return Spectrum(
        channel=0,
        step=0,
        visit=0,
        t_start_s=t_start_s,
        t_end_s=t_end_s,
        frequency_Hz=tuple(frequency.tolist()),
        z_real_ohm=tuple(impedance.real.tolist()),
        z_imag_ohm=tuple(impedance.imag.tolist()),
        t_s=tuple(np.linspace(t_start_s, t_end_s, len(frequency)).tolist()),
        current_A=current_A,
    )


def true_gamma(tau: Floats, parts: Sequence[Arc]) -> Floats:
    """Return γ(ln τ) in Ω (Cole and Cole, J. Chem. Phys. 9 (1941) 341)."""
    total = np.zeros_like(tau)
    for resistance, centre, alpha in parts:
        edge = np.pi * (1.0 - alpha)
        total += (
            resistance / (2 * np.pi) * np.sin(edge) / (np.cosh(alpha * np.log(tau / centre)) - np.cos(edge))
        )
    return total
