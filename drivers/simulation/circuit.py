"""The linear part of a cell: one circuit for the response in time and in frequency.

The bulk is a resistor; grain boundaries, interfaces and charge transfer are arcs (ZARCs), diffusion in the
electrolyte is a finite-length Warburg element. Each is a chain of RC elements, so that the response to a
constant current is known in closed form at any time, and Z(f) follows from the same numbers. Resistances and
with them time constants follow Arrhenius; capacitances stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from protocols.impedance import finite_diffusion_as_rc_chain, inductor, rc_chain, zarc_as_rc_chain

FloatArray = NDArray[np.float64]

BOLTZMANN_EV_PER_K = 8.617333262e-5
_SETTLED = 40.0
"""Time constants after which an element has settled: e⁻⁴⁰ is below what a float resolves."""


class Part(IntEnum):
    """What an element stands for; what happens to a cell changes each part in its own way."""

    SERIES = 0
    """Grain boundaries, electrodes: nothing that is lithium's."""
    INTERFACE = 1
    """Contact to the lithium and interphases."""
    TRANSFER = 2
    """Charge transfer at the lithium."""
    DIFFUSION = 3
    """Concentration in the electrolyte."""


@dataclass(frozen=True, slots=True)
class Arc:
    """One arc of the spectrum: a ZARC (an RC where ``alpha`` is 1). Per electrode area."""

    resistance_ohm_m2: float
    tau_s: float
    alpha: float = 1.0
    interface: bool = True
    """Whether it changes with the contact to the lithium and its activation (a grain boundary does not)."""
    charge_transfer: bool = False
    """Whether it is the charge transfer, whose overpotential bends as Butler and Volmer say."""
    activation_eV: float = 0.0
    """Activation energy of its resistance."""


@dataclass(frozen=True, slots=True)
class Diffusion:
    """Diffusion of salt in an electrolyte with t₊ < 1. Per electrode area."""

    resistance_ohm_m2: float
    tau_s: float
    """ℓ²/D with ℓ = half of the electrolyte's thickness."""
    limiting_A_per_m2: float | None = None
    """Limiting current density; None: the concentration never runs out."""
    activation_eV: float = 0.0


class Circuit:
    """The chain of one cell. The cell keeps its state: the voltage on each element in V, shape (k,)."""

    def __init__(
        self,
        area_m2: float,
        bulk_ohm_m2: float,
        arcs: tuple[Arc, ...],
        diffusion: Diffusion | None = None,
        inductance_H: float = 0.0,
        bulk_activation_eV: float = 0.0,
        reference_K: float = 298.15,
    ) -> None:
        resistances, taus, parts, energies = _elements(arcs, diffusion)
        # The slow ones first: after a while only they have anything left to tell.
        order = np.argsort(-taus)
        self._reference_ohm = resistances[order] / area_m2
        self._reference_tau_s = taus[order]
        self._energy_eV = energies[order]
        self._bulk_reference_ohm = bulk_ohm_m2 / area_m2
        self._bulk_energy_eV = bulk_activation_eV
        self._reference_K = reference_K
        self._inductance_H = inductance_H
        self._member = np.eye(len(Part))[parts[order]]
        self.set_temperature(reference_K)

    def set_temperature(self, temperature_K: float) -> None:
        """Bring resistances and time constants to a temperature."""
        factor = np.exp(self._energy_eV * self._inverse_kT(temperature_K))
        self.bulk_ohm = self._bulk_reference_ohm * float(self.bulk_factor(temperature_K))
        """Resistance of the bulk, Ω."""
        self.rc_ohm = self._reference_ohm * factor
        self._tau_s = self._reference_tau_s * factor
        self._part_ohm = self.rc_ohm @ self._member
        self.resistance_ohm = float(self.bulk_ohm + self.rc_ohm.sum())
        """Of bulk and elements together, Ω."""
        self._last_decay = 0.0, np.ones(len(self._tau_s))

    def bulk_factor(self, temperature_K: FloatArray | float) -> FloatArray:
        """Return by how much the bulk's resistance exceeds that at the reference temperature."""
        return np.asarray(np.exp(self._bulk_energy_eV * self._inverse_kT(temperature_K)))

    def at_rest(self) -> FloatArray:
        """Return the voltages of a fresh chain."""
        return np.zeros(len(self.rc_ohm))

    def voltages(self, rc_V: FloatArray, current_A: float, after_s: FloatArray) -> FloatArray:
        """Return the voltage on each :class:`Part` at ascending times after ``rc_V``, shape (n, parts)."""
        alive = int(np.searchsorted(-self._tau_s, -after_s[0] / _SETTLED)) if len(after_s) else 0
        decaying_V = (rc_V[:alive] - current_A * self.rc_ohm[:alive])[:, np.newaxis] * self._member[:alive]
        decay = np.exp(after_s[:, np.newaxis] / -self._tau_s[:alive])
        return np.asarray(decay @ decaying_V + current_A * self._part_ohm)

    def passed(self, rc_V: FloatArray, current_A: float, seconds: float) -> FloatArray:
        """Return the voltages after a constant current for a time."""
        steady_V = current_A * self.rc_ohm
        return np.asarray(steady_V + (rc_V - steady_V) * self._decay(seconds))

    def line(self, rc_V: FloatArray, seconds: float) -> tuple[FloatArray, FloatArray]:
        """Return R and V of V_part = R·I + V after a constant current I for a time; shapes (parts,)."""
        decay = self._decay(seconds)
        return (self.rc_ohm * (1 - decay)) @ self._member, (rc_V * decay) @ self._member

    def impedance(self, frequency_Hz: FloatArray, part_scale: FloatArray) -> NDArray[np.complex128]:
        """Return Z of the elements in Ω, each part scaled, shape of ``frequency_Hz``; without the bulk."""
        return rc_chain(frequency_Hz, self.rc_ohm * (self._member @ part_scale), self._tau_s)

    def lead_impedance(self, frequency_Hz: FloatArray) -> NDArray[np.complex128]:
        """Return Z of the leads in Ω."""
        return inductor(frequency_Hz, self._inductance_H)

    def _inverse_kT(self, temperature_K: FloatArray | float) -> FloatArray | float:
        return (1 / temperature_K - 1 / self._reference_K) / BOLTZMANN_EV_PER_K

    def _decay(self, seconds: float) -> FloatArray:
        """Return what is left of each element's voltage; a controlled voltage asks twice an interval."""
        if seconds != self._last_decay[0]:
            self._last_decay = seconds, np.exp(seconds / -self._tau_s)
        return self._last_decay[1]


def _elements(
    arcs: tuple[Arc, ...], diffusion: Diffusion | None
) -> tuple[FloatArray, FloatArray, NDArray[np.intp], FloatArray]:
    """Return resistance, time constant, part and activation energy of each RC element."""
    chains = [zarc_as_rc_chain(arc.resistance_ohm_m2, arc.tau_s, arc.alpha) for arc in arcs]
    parts = [_part(arc) for arc in arcs]
    energies = [arc.activation_eV for arc in arcs]
    if diffusion is not None:
        chains.append(finite_diffusion_as_rc_chain(diffusion.resistance_ohm_m2, diffusion.tau_s))
        parts.append(Part.DIFFUSION)
        energies.append(diffusion.activation_eV)
    lengths = [len(tau) for _, tau in chains]
    return (
        np.concatenate([resistance for resistance, _ in chains]),
        np.concatenate([tau for _, tau in chains]),
        np.repeat(np.array(parts, dtype=np.intp), lengths),
        np.repeat(energies, lengths),
    )


def _part(arc: Arc) -> Part:
    if arc.charge_transfer:
        return Part.TRANSFER
    return Part.INTERFACE if arc.interface else Part.SERIES
