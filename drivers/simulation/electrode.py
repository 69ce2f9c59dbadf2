"""The positive electrode of a full or half cell: lithium that is in, its surface that lags behind, its age.

A current moves the mean content x at once and the content of the surface, which makes the voltage, by more:
the difference relaxes with the time constants of diffusion in the particles and in the pores. Linear
relaxations have closed forms for a constant current, so the state never depends on how the time was cut, and
Z(f) follows from the same numbers. A positive current charges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.simulation.open_circuit import OpenCircuit
from protocols.impedance import rc_chain

FloatArray = NDArray[np.float64]

HOUR_S = 3600.0
_WORN_OUT = 0.01
"""Of the fresh capacity: less than this never stays."""


@dataclass(slots=True)
class ElectrodeState:
    """What has happened to the electrode of one cell."""

    charged: float
    """x: mean part of the usable lithium that is out, 0 to 1."""
    deviation: FloatArray
    """Of the surface from the mean, one per relaxation, shape (k,)."""
    capacity_C: float
    """What the electrode still takes."""
    charges: int = 0
    """Charges begun after the first."""

    def copy(self) -> ElectrodeState:
        """Return one that changes by itself."""
        return ElectrodeState(self.charged, self.deviation, self.capacity_C, self.charges)

    @property
    def surface(self) -> float:
        """x at the surface: what the voltage shows."""
        return self.charged + float(self.deviation.sum())


def particle_relaxations(diffusion_s: float, number: int = 6) -> tuple[tuple[float, float], ...]:
    """Return the slowest relaxations of diffusion in a sphere, radius²/D being ``diffusion_s``.

    For a constant flux the surface is ahead of the mean by the flux's dx/dt times radius²/D·Σ 2/(3 λ²)·
    (1 − exp(−λ²·D·t/radius²)), λ being the roots of tan λ = λ (Crank, The Mathematics of Diffusion, 6.3.3).
    The sum of all 2/(3 λ²) is 1/15: the last relaxation stands for all that are left out.
    """
    roots = [(n + 0.5) * math.pi for n in range(1, number + 1)]
    for _ in range(20):
        roots = [math.atan(root) + n * math.pi for n, root in enumerate(roots, start=1)]
    parts = [2 / (3 * root**2) for root in roots]
    parts[-1] = 1 / 15 - sum(parts[:-1])
    return tuple(
        (part * diffusion_s / HOUR_S, diffusion_s / root**2) for part, root in zip(parts, roots, strict=True)
    )


@dataclass(frozen=True, slots=True)
class PositiveElectrode:
    """What the electrode is made of."""

    capacity_C_per_m2: float
    """From x = 0 to x = 1."""
    curve: OpenCircuit
    diffusion: tuple[tuple[float, float], ...] = ()
    """Relaxations of the surface: by which part of the capacity it is ahead of the mean, once settled, at a
    current of 1 C (the present capacity in one hour), and the time constant in s. A slow one, which does not
    settle before the charge ends, takes a part of the capacity that hardly depends on the current."""
    charged: float = 0.0
    """x of the fresh cell; 0: as built, with all lithium in the electrode."""
    coulombic_efficiency: float = 1.0
    """Part of the charging current that takes lithium out; the rest feeds a side reaction."""
    fade: float = 0.0
    """Part of the fresh capacity that is lost with each charge n after the first …"""
    fade_growth: float = 0.0
    """… and what is lost beyond that, times n²: ageing that accelerates."""
    _ahead_s: FloatArray = field(init=False, repr=False, compare=False)
    """Lead of the surface per dx/dt, shape (k,)."""
    _tau_s: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts, taus = zip(*self.diffusion, strict=True) if self.diffusion else ((), ())
        object.__setattr__(self, "_ahead_s", np.array(parts) * HOUR_S)
        object.__setattr__(self, "_tau_s", np.array(taus, dtype=float))

    def fresh(self, area_m2: float) -> ElectrodeState:
        """Return the state of an electrode at rest to which nothing has happened."""
        return ElectrodeState(self.charged, np.zeros(len(self._tau_s)), self.capacity_C_per_m2 * area_m2)

    def surface(self, state: ElectrodeState, current_A: float, after_s: FloatArray) -> FloatArray:
        """Return x at the surface at the times ``after_s`` from now, same shape, if the current goes on."""
        rate = self._rate(state, current_A)
        settled = self._ahead_s * rate
        decay = np.exp(after_s[..., np.newaxis] / -self._tau_s)
        return np.asarray(
            state.charged + settled.sum() + rate * after_s + decay @ (state.deviation - settled)
        )

    def let_pass(self, state: ElectrodeState, current_A: float, seconds: float) -> None:
        """Let a current flow for a time."""
        rate = self._rate(state, current_A)
        settled = self._ahead_s * rate
        state.deviation = settled + (state.deviation - settled) * np.exp(seconds / -self._tau_s)
        state.charged += rate * seconds

    def begin_charge(self, state: ElectrodeState) -> None:
        """Age by one charge; not called for a cell's first."""
        before = self._left(state.charges)
        state.charges += 1
        state.capacity_C *= self._left(state.charges) / before

    def line(self, state: ElectrodeState, seconds: float, direction: int) -> tuple[float, float]:
        """Return (base, per_A): after ``seconds`` of a constant I the surface is at base + per_A·I.

        ``direction`` is the sign of I; base does not depend on it.
        """
        decay = np.exp(seconds / -self._tau_s)
        base = state.charged + float(state.deviation @ decay)
        ahead_s = float(self._ahead_s @ (1 - decay))
        return base, self._rate(state, direction) * direction * (seconds + ahead_s)

    def open_circuit_V(self, charged: ArrayLike) -> FloatArray:
        """Return U at x in V, shape of ``charged``."""
        return self.curve.volts(charged)

    def slope_at(self, charged: ArrayLike) -> FloatArray:
        """Return dU/dx at x in V, shape of ``charged``."""
        return self.curve.slopes(charged)

    def impedance(self, state: ElectrodeState, frequency_Hz: ArrayLike) -> NDArray[np.complex128]:
        """Return Z in Ω of the electrode at rest, shape of ``frequency_Hz``.

        U′/C·(1/jω + Σ a/(1 + jωτ)): the storage of lithium and the relaxations that :meth:`surface` has.
        """
        omega = 2j * np.pi * np.asarray(frequency_Hz, dtype=float)
        ahead = rc_chain(frequency_Hz, self._ahead_s, self._tau_s)
        slope_V = float(self.slope_at(state.surface))
        return np.asarray(slope_V / state.capacity_C * (1 / omega + ahead))

    def _rate(self, state: ElectrodeState, current_A: float) -> float:
        """Return dx/dt."""
        used = self.coulombic_efficiency if current_A > 0 else 1.0
        return used * current_A / state.capacity_C

    def _left(self, charges: int) -> float:
        """Return the part of the fresh capacity that so many charges leave."""
        return max(1 - self.fade * charges - self.fade_growth * charges**2, _WORN_OUT)
