"""The elements of a circuit: their letters, parameters, impedances, and how these change with each parameter.

Letters and parameters are those of impedance.py (Murbach et al., J. Open Source Softw. 5 (2020) 2349). Z(f)
is shared with the simulated cells: :mod:`protocols.impedance`.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protocols import impedance as z_of

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Sweep:
    """The frequencies of a spectrum, with what does not change when parameters do."""

    f: Floats
    """In Hz, shape (n,)."""

    @cached_property
    def s(self) -> Complexes:
        """jω in rad/s."""
        return np.asarray(2j * np.pi * self.f)

    @cached_property
    def log_s(self) -> Complexes:
        """ln jω."""
        return np.asarray(np.log(self.s))

    @cached_property
    def log_omega(self) -> Floats:
        """ln ω."""
        return np.asarray(self.log_s.real)

    @cached_property
    def capacitor(self) -> Complexes:
        """Z of 1 F."""
        return z_of.capacitor(self.f, 1.0)

    @cached_property
    def warburg(self) -> Complexes:
        """Z of 1 Ω s^-1/2."""
        return z_of.warburg(self.f, 1.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of element."""

    letters: str
    meaning: str
    suffixes: tuple[str, ...]
    """What is put behind the element's name for each parameter; empty for the only one."""
    units: tuple[str, ...]
    impedance: Callable[..., Complexes]
    """Sweep and parameters to Z in Ω, shape (n,)."""
    derive: Callable[..., None]
    """Rows to fill, the sweep, Z and the parameters; a row is ∂Z/∂ln p, of an exponent ∂Z/∂α, shape (n,).

    The logarithm is what a fit moves, and spares a division by each parameter.
    """

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.suffixes)


def _resistor(sweep: Sweep, r: float) -> Complexes:
    return np.full(len(sweep.f), r, dtype=np.complex128)


def _capacitor(sweep: Sweep, c: float) -> Complexes:
    return (1 / c) * sweep.capacitor


def _inductor(sweep: Sweep, inductance: float) -> Complexes:
    return inductance * sweep.s


def _warburg(sweep: Sweep, sigma: float) -> Complexes:
    return sigma * sweep.warburg


def _constant_phase(sweep: Sweep, q: float, alpha: float) -> Complexes:
    # As z_of.constant_phase, with the logarithm taken once.
    return (cmath.exp(-0.5j * np.pi * alpha) / q) * np.exp(-alpha * sweep.log_omega)


def _shared(function: Callable[..., Complexes]) -> Callable[..., Complexes]:
    """Return a function of the frequencies as one of the sweep."""
    return lambda sweep, *values: function(sweep.f, *values)


def _proportional(rows: Complexes, sweep: Sweep, z: Complexes, value: float) -> None:
    rows[0] = z


def _reciprocal(rows: Complexes, sweep: Sweep, z: Complexes, value: float) -> None:
    np.negative(z, out=rows[0])


def _of_constant_phase(rows: Complexes, sweep: Sweep, z: Complexes, q: float, alpha: float) -> None:
    np.negative(z, out=rows[0])
    np.multiply(rows[0], sweep.log_s, out=rows[1])


def _of_diffusion(rows: Complexes, sweep: Sweep, z: Complexes, r: float, tau: float) -> None:
    # With u = √(jωτ) both Ws and Wo obey ∂Z/∂ln τ = (R − u²Z²/R − Z)/2: tanh u = uZ/R, or coth u is.
    rows[0] = z
    rows[1] = 0.5 * (r - (tau / r) * sweep.s * z**2 - z)


def _of_gerischer(rows: Complexes, sweep: Sweep, z: Complexes, r: float, tau: float) -> None:
    rows[0] = z
    rows[1] = -0.5 * z * (sweep.s * tau) / (1 + sweep.s * tau)


def arc(rows: Complexes, sweep: Sweep, r: float, q: float, alpha: float) -> Complexes:
    """Return Z of p(R,CPE) and fill its three rows: in a third of the time of its elements one by one."""
    z = 1 / ((q * cmath.exp(0.5j * np.pi * alpha)) * np.exp(alpha * sweep.log_omega) + 1 / r)
    np.multiply(z * z, 1 / r, out=rows[0])
    np.subtract(rows[0], z, out=rows[1])
    np.multiply(rows[1], sweep.log_s, out=rows[2])
    return np.asarray(z)


KINDS = {
    kind.letters: kind
    for kind in (
        Kind("R", "resistor", ("",), ("Ω",), _resistor, _proportional),
        Kind("C", "capacitor", ("",), ("F",), _capacitor, _reciprocal),
        Kind("L", "inductor", ("",), ("H",), _inductor, _proportional),
        Kind(
            "CPE",
            "constant-phase element",
            ("Q", "alpha"),
            ("S s^α", ""),
            _constant_phase,
            _of_constant_phase,
        ),
        Kind("W", "semi-infinite diffusion (Warburg)", ("",), ("Ω s^-1/2",), _warburg, _proportional),
        Kind(
            "Wo",
            "finite-space diffusion, reflecting (open)",
            ("R", "tau"),
            ("Ω", "s"),
            _shared(z_of.finite_space_diffusion),
            _of_diffusion,
        ),
        Kind(
            "Ws",
            "finite-length diffusion, transmissive (short)",
            ("R", "tau"),
            ("Ω", "s"),
            _shared(z_of.finite_diffusion),
            _of_diffusion,
        ),
        Kind(
            "G",
            "diffusion with reaction (Gerischer)",
            ("R", "tau"),
            ("Ω", "s"),
            _shared(z_of.gerischer),
            _of_gerischer,
        ),
    )
}
"""By the letters that stand for them."""
