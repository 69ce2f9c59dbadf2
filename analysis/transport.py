"""Transport in an electrolyte: transference number, conductivities, activation energy.

All in SI: A, V, Ω, m, m², S/m, K.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.lines import Floats, fit_line
from analysis.uncertain import Quantity, Uncertain, propagated
from protocols.cell import ElectrolyteClass

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""k in eV/K, exact by the definition of 2019 (CODATA)."""
CERAMIC: frozenset[ElectrolyteClass] = frozenset({"garnet", "sulfide"})
"""Classes in which the lithium ions alone move: t₊ ≈ 1."""
CERAMIC_AT_LEAST = 0.9
BEYOND = 2.0
"""Standard deviations by which a t₊ has to be out of its bounds to be called so."""
SAYS_NOTHING = 0.25
"""Standard deviation of a t₊ from which on it says nothing."""
LAST_SHARE = 0.05
"""The steady current is the mean over this last part of the time."""
UNSTEADY = 0.05
"""Above this relative change from the third quarter of the time to the last one a current was not
steady."""


@dataclass(frozen=True, slots=True)
class SteadyCurrent:
    """The end of a chronoamperometry."""

    current_A: float
    """Mean over the last part of the time, signed."""
    change: float
    """Relative change of the mean from the third quarter of the time to the last one; falling < 0."""
    std_A: float = 0.0
    """Standard error of the mean by the scatter, and what there is to come if the current goes on to change
    by as much as in the last quarter of the time."""

    @property
    def warning(self) -> str:
        """What is to be said about it; empty if it was steady."""
        if abs(self.change) <= UNSTEADY:
            return ""
        return f"the current was not steady yet: it changed by {self.change:.0%} in the last quarter"


def steady_current(t_s: Floats, current_A: Floats) -> SteadyCurrent:
    """Return the steady current of samples in order of time, shape (n,). Raises ValueError below 8
    samples."""
    if len(t_s) < 8:
        raise ValueError(f"{len(t_s)} samples of a current tell no steady state")
    share = (t_s - t_s[0]) / max(t_s[-1] - t_s[0], 1e-300)
    third, last = current_A[(share >= 0.5) & (share < 0.75)], current_A[share >= 0.75]
    end = current_A[share >= 1 - LAST_SHARE]
    steady_A, scatter_A = float(end.mean()), float(end.std()) / math.sqrt(len(end))
    if not len(third) or not third.mean():
        return SteadyCurrent(steady_A, 0.0, scatter_A)
    change = float(last.mean() / third.mean() - 1.0)
    # Anything between nothing and all of it is as likely: the standard deviation of that.
    return SteadyCurrent(steady_A, change, math.hypot(scatter_A, change * steady_A / math.sqrt(12.0)))


# Transference number


def computed_initial_current(voltage_V: float, resistance_ohm: float) -> float:
    """Return I_0 = ΔV / R in A, of the resistance before a tail of a spectrum at ΔV = 0.

    I_0 is the current after the electrodes have been charged and before salt has polarised. Where the two
    are not apart in time, or where the first samples come later than the polarisation begins, no sample is
    I_0: what is measured first is too large or too small. The spectrum separates them by frequency instead.
    With it I_0 drops out of t₊, which becomes I_ss R_b / (ΔV − I_ss R_ss), R_b the electrolyte's resistance
    (Hiller et al., Electrochim. Acta 114 (2013) 21; Watanabe et al., Solid State Ionics 28–30 (1988) 911).
    Raises ValueError if the resistance is not positive.
    """
    if resistance_ohm <= 0.0:
        raise ValueError(f"a resistance of {resistance_ohm:g} Ω gives no initial current")
    return voltage_V / resistance_ohm


def extrapolated_initial_current(t_s: Floats, current_A: Floats, from_s: float, to_s: float) -> float:
    """Return I_0 in A as the straight line of I against √t, between two times, gives it at t = 0.

    t from the start of the step. Salt that diffuses polarises an electrolyte with √t at first (Cottrell).
    The times have to lie after the charging of the electrodes and before the polarisation has spread over
    the thickness. Raises ValueError if fewer than three samples lie between them.
    """
    inside = (t_s >= from_s) & (t_s <= to_s)
    if int(inside.sum()) < 3:
        raise ValueError(
            f"fewer than three samples between {from_s:g} and {to_s:g} s: I_0 can't be extrapolated"
        )
    return fit_line(np.sqrt(t_s[inside]), current_A[inside]).intercept


def bruce_vincent(
    *, voltage_V: float, initial_A: float, steady_A: float, initial_ohm: float, steady_ohm: float
) -> float:
    """Return t₊ = I_ss (ΔV − I_0 R_0) / (I_0 (ΔV − I_ss R_ss)).

    ``initial_ohm`` and ``steady_ohm``: R_0 and R_ss, the resistance of both *interfaces* before and at the
    end. Both currents have the sign of ΔV. For small ΔV (10 mV) and an ideal dilute electrolyte (Bruce and
    Vincent, J. Electroanal. Chem. 225 (1987) 1; Evans, Vincent and Bruce, Polymer 28 (1987) 2324). Raises
    ValueError where the interfaces alone would need as much as ΔV: then R, I or ΔV is wrong.
    """
    first_V, last_V = voltage_V - initial_A * initial_ohm, voltage_V - steady_A * steady_ohm
    if initial_A * voltage_V <= 0.0 or first_V * voltage_V <= 0.0 or last_V * voltage_V <= 0.0:
        raise ValueError(
            f"at {initial_A:.3g} A, then {steady_A:.3g} A, interfaces of {initial_ohm:.3g} and "
            f"{steady_ohm:.3g} Ω leave nothing of ΔV = {voltage_V:.3g} V for the electrolyte: no t₊ follows"
        )
    return steady_A * first_V / (initial_A * last_V)


def transference_number(
    *,
    voltage_V: Uncertain,
    steady_A: Uncertain,
    before_ohm: Uncertain,
    after_ohm: Uncertain,
    bulk_before_ohm: Uncertain,
    bulk_after_ohm: Uncertain,
) -> Quantity:
    """Return t₊ of :func:`bruce_vincent` from two spectra and a steady current, with its uncertainty.

    I_0 is computed (:func:`computed_initial_current`). ``before_ohm`` and ``after_ohm``: all resistance
    before a tail in either spectrum; ``bulk_…_ohm``: the part that is not the interfaces'. These four are
    read at frequencies of their own, so that their noise is independent; that of I_0, R_0 and R_ss is not.
    Raises ValueError as those two do.
    """

    def number(
        voltage_V: float,
        steady_A: float,
        before_ohm: float,
        after_ohm: float,
        bulk_before_ohm: float,
        bulk_after_ohm: float,
    ) -> float:
        return bruce_vincent(
            voltage_V=voltage_V,
            initial_A=computed_initial_current(voltage_V, before_ohm),
            steady_A=steady_A,
            initial_ohm=before_ohm - bulk_before_ohm,
            steady_ohm=after_ohm - bulk_after_ohm,
        )

    value, std, without = propagated(
        number,
        voltage_V=voltage_V,
        steady_A=steady_A,
        before_ohm=before_ohm,
        after_ohm=after_ohm,
        bulk_before_ohm=bulk_before_ohm,
        bulk_after_ohm=bulk_after_ohm,
    )
    return Quantity(value, std, "1", "Bruce and Vincent, I_0 from the spectrum before", "", without)


def transference_warning(number: float, material: ElectrolyteClass, std: float | None = None) -> str:
    """Return what is to be said about a t₊ that its material does not allow; empty if nothing.

    With a standard deviation a number is out of bounds only from :data:`BEYOND` of them on; one that is so
    uncertain that it says nothing is named too.
    """
    margin = 0.0 if std is None else BEYOND * std
    shown = f"t₊ = {number:.3f}" if std is None else f"t₊ = {number:.3f} ± {std:.2g}"
    if not -margin <= number <= 1.0 + margin:
        return f"{shown} is no transference number: it has to lie between 0 and 1"
    if std is not None and std > SAYS_NOTHING:
        return f"{shown} is too uncertain: interfaces take nearly all of ΔV, or there is much noise"
    if material in CERAMIC and number < CERAMIC_AT_LEAST - margin:
        return (
            f"{shown} is far below the 1 of a ceramic ({material}), in which only lithium ions "
            "move: an interface that grew, a second phase or a leak may have lowered the steady current"
        )
    return ""


# Conductivity


def conductivity(thickness_m: float, resistance_ohm: float, area_m2: float) -> float:
    """Return σ = L / (R A) in S/m. Raises ValueError if one of the three is not positive."""
    if min(thickness_m, resistance_ohm, area_m2) <= 0.0:
        raise ValueError(
            f"L = {thickness_m:g} m, R = {resistance_ohm:g} Ω and A = {area_m2:g} m² give no conductivity"
        )
    return thickness_m / (resistance_ohm * area_m2)


def conductivity_of(
    *, thickness_m: Uncertain, resistance_ohm: Uncertain, area_m2: Uncertain, method: str
) -> Quantity:
    """Return σ = L / (R A) in S/m with its uncertainty; ``method``: where R is from. Raises ValueError as
    :func:`conductivity` does."""
    value, std, without = propagated(
        conductivity, thickness_m=thickness_m, resistance_ohm=resistance_ohm, area_m2=area_m2
    )
    return Quantity(value, std, "S/m", method, _geometry(thickness_m, area_m2), without)


def dc_conductivity_of(
    *,
    voltage_V: Uncertain,
    steady_A: Uncertain,
    thickness_m: Uncertain,
    area_m2: Uncertain,
    deducted_ohm: Uncertain,
) -> Quantity:
    """Return the σ of :func:`dc_conductivity` in S/m with its uncertainty. Raises ValueError as that does."""
    value, std, without = propagated(
        dc_conductivity,
        voltage_V=voltage_V,
        steady_A=steady_A,
        thickness_m=thickness_m,
        area_m2=area_m2,
        deducted_ohm=deducted_ohm,
    )
    method = "direct current" + (f" less {deducted_ohm.value:g} Ω" if deducted_ohm.value else "")
    return Quantity(value, std, "S/m", method, _geometry(thickness_m, area_m2), without)


def _geometry(thickness_m: Uncertain, area_m2: Uncertain) -> str:
    return f"{thickness_m.value * 1e6:.4g} µm, {area_m2.value * 1e4:.4g} cm²"


def dc_conductivity(
    *, voltage_V: float, steady_A: float, thickness_m: float, area_m2: float, deducted_ohm: float = 0.0
) -> float:
    """Return σ = L / ((ΔV/I − deducted) A) in S/m, from the steady current of a DC polarisation.

    Between electrodes that block ions it is the *electronic* conductivity (nothing deducted). Between
    layers that block electrons it is the *ionic* one of a mixed conductor, and the resistance of the layers
    is deducted (study E: 50 mV, 100 Ω; recipes §6). Raises ValueError where nothing is left, or without
    current.
    """
    if not steady_A:
        raise ValueError("no current at all: the conductivity is below what this channel can measure")
    left_ohm = voltage_V / steady_A - deducted_ohm
    if left_ohm <= 0.0:
        raise ValueError(
            f"ΔV/I = {voltage_V / steady_A:.4g} Ω less the deducted {deducted_ohm:g} Ω leaves nothing to the "
            "sample"
        )
    return conductivity(thickness_m, left_ohm, area_m2)


@dataclass(frozen=True, slots=True)
class Arrhenius:
    """σ = A exp(−E_a/kT), or σT = A exp(−E_a/kT)."""

    activation_eV: float
    activation_std_eV: float | None
    """Standard error; None for two temperatures, which always lie on a line, without standard deviations."""
    prefactor: float
    """A in S/m, or in S K/m."""
    times_T: bool
    ln_prefactor_std: float | None = None
    """Standard error of ln A; None as that of E_a."""


def arrhenius(
    temperature_K: Sequence[float],
    sigma_S_per_m: Sequence[float],
    *,
    times_T: bool = False,
    sigma_std_S_per_m: Sequence[float | None] | None = None,
) -> Arrhenius:
    """Fit ln σ (or, with ``times_T``, ln σT) against 1/T by least squares.

    Both forms are in use, and E_a of σT is larger by about kT (0.026 eV at 300 K): a number without its
    form is worth that much less. σ is what studies of this kind quote. ``sigma_std_S_per_m``: standard
    deviations of σ by what differs from one temperature to the next (not of thickness and area, which are in
    the prefactor alone): each σ then weighs by its own, if all have one above zero. Raises ValueError below
    two temperatures, or where a σ is not positive.
    """
    T, sigma = np.asarray(temperature_K, dtype=np.float64), np.asarray(sigma_S_per_m, dtype=np.float64)
    if len(T) < 2 or np.ptp(T) <= 0.0:
        raise ValueError("an activation energy needs at least two temperatures")
    if not (sigma > 0.0).all() or not (T > 0.0).all():
        raise ValueError("an activation energy needs conductivities and temperatures above zero")
    stds = [std for std in sigma_std_S_per_m or () if std is not None and std > 0.0]
    relative = np.asarray(stds) / sigma if len(stds) == len(sigma) else None
    line = fit_line(1.0 / T, np.log(sigma * T if times_T else sigma), relative)
    return Arrhenius(
        activation_eV=-line.slope * BOLTZMANN_EV_PER_K,
        activation_std_eV=None if line.slope_std is None else line.slope_std * BOLTZMANN_EV_PER_K,
        prefactor=math.exp(line.intercept),
        times_T=times_T,
        ln_prefactor_std=line.intercept_std,
    )
