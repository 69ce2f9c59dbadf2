"""The elements of a circuit: their letters, parameters, impedances, and how these change with each parameter.

Letters and parameters are those of impedance.py (Murbach et al., J. Open Source Softw. 5 (2020) 2349). Z(f)
is shared with the simulated cells: :mod:`protocols.impedance`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols import impedance as z_of

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of element."""

    letters: str
    meaning: str
    suffixes: tuple[str, ...]
    """What is put behind the element's name for each parameter; empty for the only one."""
    units: tuple[str, ...]
    impedance: Callable[..., Complexes]
    """f in Hz and the parameters to Z in Ω, shape (n,)."""
    gradient: Callable[..., Complexes]
    """f, Z and the parameters to ∂Z/∂parameter, shape (parameters, n)."""


def _resistance(f: Floats, r: float) -> Complexes:
    return np.full(len(f), r, dtype=np.complex128)


def _proportional(f: Floats, z: Complexes, value: float) -> Complexes:
    return (z / value)[np.newaxis]


def _reciprocal(f: Floats, z: Complexes, value: float) -> Complexes:
    return (-z / value)[np.newaxis]


def _of_constant_phase(f: Floats, z: Complexes, q: float, alpha: float) -> Complexes:
    return np.stack([-z / q, -z * (np.log(2 * np.pi * f) + 0.5j * np.pi)])


def _of_finite_length(f: Floats, z: Complexes, r: float, tau: float) -> Complexes:
    # With u = √(jωτ): ∂Z/∂τ = (u/2τ) ∂Z/∂u, and tanh u = uZ/R.
    tanh_squared = 2j * np.pi * f * tau * (z / r) ** 2
    return np.stack([z / r, (r * (1 - tanh_squared) - z) / (2 * tau)])


def _of_finite_space(f: Floats, z: Complexes, r: float, tau: float) -> Complexes:
    coth_squared = 2j * np.pi * f * tau * (z / r) ** 2
    return np.stack([z / r, (r * (1 - coth_squared) - z) / (2 * tau)])


def _of_gerischer(f: Floats, z: Complexes, r: float, tau: float) -> Complexes:
    s = 2j * np.pi * f
    return np.stack([z / r, -0.5 * z * s / (1 + s * tau)])


KINDS = {
    kind.letters: kind
    for kind in (
        Kind("R", "resistor", ("",), ("Ω",), _resistance, _proportional),
        Kind("C", "capacitor", ("",), ("F",), z_of.capacitor, _reciprocal),
        Kind("L", "inductor", ("",), ("H",), z_of.inductor, _proportional),
        Kind(
            "CPE",
            "constant-phase element",
            ("Q", "alpha"),
            ("S s^α", ""),
            z_of.constant_phase,
            _of_constant_phase,
        ),
        Kind("W", "semi-infinite diffusion (Warburg)", ("",), ("Ω s^-1/2",), z_of.warburg, _proportional),
        Kind(
            "Wo",
            "finite-space diffusion, reflecting (open)",
            ("R", "tau"),
            ("Ω", "s"),
            z_of.finite_space_diffusion,
            _of_finite_space,
        ),
        Kind(
            "Ws",
            "finite-length diffusion, transmissive (short)",
            ("R", "tau"),
            ("Ω", "s"),
            z_of.finite_diffusion,
            _of_finite_length,
        ),
        Kind(
            "G",
            "diffusion with reaction (Gerischer)",
            ("R", "tau"),
            ("Ω", "s"),
            z_of.gerischer,
            _of_gerischer,
        ),
    )
}
"""By the letters that stand for them."""
