"""Linear Kramers–Kronig test of a spectrum, and the summary of it that guards and plots use.

A causal, linear, stable cell obeys the Kramers–Kronig relations, and so does any sum of RC elements; a
spectrum that such a sum cannot describe was disturbed (Boukamp, J. Electrochem. Soc. 142 (1995) 1885). Here
the sum has four RC elements a decade and reaches half a decade beyond both ends of the spectrum, with an
ohmic part, an inductance and a capacitance beside it, fitted to Z weighted by 1/|Z|.

The size of what remains cannot tell noise from drift (1 % noise leaves 0.9 %, a drift of 20 % 0.3–0.9 %);
its correlation from one frequency to the next does. Of white noise a least-squares fit leaves residuals
whose lag-1 autocorrelation has a mean and a variance that follow from the fit's projector alone (moments of
a ratio of quadratic forms: Durbin and Watson, Biometrika 37 (1950) 409). A spectrum fails if its
autocorrelation is :data:`SIGNIFICANT` standard deviations above that mean, and what is correlated is more
than an instrument's own error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.spectrum_input import Complexes, Floats, measured_points
from protocols.errors import SpectrumError
from protocols.measurements import Spectrum, SpectrumSummary

RC_PER_DECADE = 4
BEYOND = 10**0.5
"""The RC elements reach beyond the spectrum by this factor: half a decade."""
SIGNIFICANT = 4.0
"""Noise stays below 3.6 in 6000 spectra; 20 % of drift in 0.1 % noise is above 10."""
SIGNIFICANT_IN_PART = 2.0
"""The same for a part of a spectrum that failed: what disturbed it may reach a few points into the part."""
SYSTEMATIC_FLOOR = 1.5e-3
"""Correlated residuals below this part of |Z| are an instrument's (ranges, calibration: 0.1 % in recordings
of steady cells), or numerical."""
FEWEST_POINTS = 8
"""With fewer there is nothing left over to judge."""
FEWEST_IN_PART = 12
"""A shorter part of a spectrum that failed passes too easily to be called valid."""


@dataclass(frozen=True, slots=True, eq=False)
class KramersKronig:
    """Outcome of the test. All figures relative to |Z|."""

    passed: bool
    systematic: float
    """Root mean square of what is correlated in the residuals."""
    rms: float
    """Root mean square of the residuals, real and imaginary parts together."""
    lag1: float
    """Lag-1 autocorrelation of the residuals, in the order of frequency."""
    significance: float
    """How many standard deviations that is above what white noise leaves."""
    noise: float
    """σ of the noise of one part, estimated from the residuals and the degrees of freedom left."""
    drift: float
    """Growth of Z over the time of the sweep that describes the residuals best: 0.2 is +20 %."""
    drift_std: float
    """Standard deviation of it, if all else is noise."""
    residuals: Complexes
    """(Z − fit)/|Z|, shape (n,), in the order given."""


UNTESTED = KramersKronig(False, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, np.zeros(0, dtype=np.complex128))


def kramers_kronig(
    frequency_Hz: Floats, impedance_ohm: Complexes, t_s: Floats | None = None
) -> KramersKronig:
    """Test one spectrum: f in Hz and Z in Ω, shape (n,), in any order, f > 0 and Z ≠ 0.

    ``t_s``: time of each point, for the drift; without it the points are taken for evenly spaced in time,
    from the highest frequency to the lowest. With fewer than :data:`FEWEST_POINTS` points nothing can be
    tested: not passed, and zeros.
    """
    count = len(frequency_Hz)
    if count < FEWEST_POINTS:
        return UNTESTED
    order = np.argsort(frequency_Hz)
    z = impedance_ohm[order]
    share = np.linspace(1.0, 0.0, count) if t_s is None else _share_of_time(t_s[order])
    basis = _basis(frequency_Hz[order], 1.0 / np.abs(z))
    unit = z / np.abs(z)
    values = np.concatenate([unit.real, unit.imag])
    left = values - basis @ (basis.T @ values)
    freedom = max(2 * count - basis.shape[1], 1)
    squares = float(left @ left)
    lag1, significance, systematic = _correlation(basis, left, freedom)
    drift, drift_std = _drift(basis, left, unit * share, np.sqrt(squares / freedom))
    residuals = np.empty(count, dtype=np.complex128)
    residuals[order] = left[:count] + 1j * left[count:]
    return KramersKronig(
        passed=significance < SIGNIFICANT or systematic < SYSTEMATIC_FLOOR,
        systematic=systematic,
        rms=float(np.sqrt(squares / (2 * count))),
        lag1=lag1,
        significance=significance,
        noise=float(np.sqrt(squares / freedom)),
        drift=drift,
        drift_std=drift_std,
        residuals=residuals,
    )


def valid_range(frequency_Hz: Floats, impedance_ohm: Complexes) -> tuple[float, float] | None:
    """Return the lowest and the highest frequency of the widest part of a spectrum that passes, in Hz.

    Points are taken off one end or off the other: what disturbs a sweep mostly shows where a point takes
    longest or where cables end. A few are taken off at first and then ever more, so that a wider part may be
    overlooked by some points. None if no part of at least :data:`FEWEST_IN_PART` points passes. Accepts what
    :func:`kramers_kronig` accepts.
    """
    order = np.argsort(frequency_Hz)
    f, z = frequency_Hz[order], impedance_ohm[order]
    count, before = len(f), 0
    if kramers_kronig(f, z).passed and count:
        return float(f[0]), float(f[-1])
    for taken in _trims(count - FEWEST_IN_PART):
        for slow_end in (True, False):
            if _passes(f, z, taken, slow_end):
                least = _fewest_taken(f, z, before, taken, slow_end)
                part = _part(count, least, slow_end)
                return float(f[part][0]), float(f[part][-1])
        before = taken
    return None


def summarize(spectrum: Spectrum) -> SpectrumSummary:
    """Return the few numbers that guards judge, with the outcome of the Kramers–Kronig test.

    Points that are no measured impedance are left out. Raises SpectrumError if none is left.
    """
    f, z, t_s = measured_points(spectrum)
    if not len(f):
        total = len(spectrum.frequency_Hz)
        raise SpectrumError(f"none of the {total} points of the spectrum is a measured impedance")
    outcome = kramers_kronig(f, z, t_s)
    valid = (float(f[0]), float(f[-1])) if outcome.passed else valid_range(f, z)
    r_hf, lowest = high_frequency_resistance(f, z), z[0]
    return SpectrumSummary(
        t_s=spectrum.t_end_s,
        current_A=spectrum.current_A,
        r_hf_ohm=r_hf,
        r_total_ohm=float(lowest.real),
        r_int_ohm=float(lowest.real) - r_hf,
        phase_low_rad=float(np.angle(lowest)),
        z_imag_low_ohm=-float(lowest.imag),
        f_low_Hz=float(f[0]),
        conductance_low_S=float((1.0 / lowest).real),
        kk_passed=outcome.passed,
        kk_rms=outcome.rms,
        kk_lag1=outcome.lag1,
        noise=outcome.noise,
        drift=outcome.drift,
        drift_std=outcome.drift_std,
        valid_from_Hz=valid[0] if valid else None,
        valid_to_Hz=valid[1] if valid else None,
    )


def high_frequency_resistance(frequency_Hz: Floats, impedance_ohm: Complexes) -> float:
    """Return Z′ in Ω where Z″ turns from inductive to capacitive, seen from high frequencies.

    f ascending. Linear between the two points around the zero. A spectrum that is capacitive at its highest
    frequency gives Z′ there, one that is inductive throughout gives Z′ at its lowest frequency.
    """
    reactance = impedance_ohm.imag[::-1]
    resistance = impedance_ohm.real[::-1]
    capacitive = np.flatnonzero(reactance <= 0.0)
    if not len(capacitive):
        return float(resistance[-1])
    first = int(capacitive[0])
    if first == 0:
        return float(resistance[0])
    share = reactance[first - 1] / (reactance[first - 1] - reactance[first])
    return float(resistance[first - 1] + share * (resistance[first] - resistance[first - 1]))


def _trims(most: int) -> list[int]:
    """Return how many points to take off: 1, and each time 1.4 times as many and one more."""
    trims, taken = [], 1
    while taken < most:
        trims.append(taken)
        taken = int(1.4 * taken) + 1
    return [*trims, most] if most > 0 else []


def _fewest_taken(f: Floats, z: Complexes, fails: int, passes: int, slow_end: bool) -> int:
    while passes - fails > 1:
        taken = (passes + fails) // 2
        if _passes(f, z, taken, slow_end):
            passes = taken
        else:
            fails = taken
    return passes


def _passes(f: Floats, z: Complexes, taken: int, slow_end: bool) -> bool:
    part = _part(len(f), taken, slow_end)
    outcome = kramers_kronig(f[part], z[part])
    return outcome.significance < SIGNIFICANT_IN_PART or outcome.systematic < SYSTEMATIC_FLOOR


def _part(count: int, taken: int, slow_end: bool) -> slice:
    return slice(taken, count) if slow_end else slice(0, count - taken)


def _basis(frequency_Hz: Floats, weight: Floats) -> Floats:
    """Return an orthonormal basis of the spectra that the elements can make, shape (2n, k), weighted."""
    columns = _kernel(tuple(frequency_Hz.tolist())) * weight[:, None]
    stacked = np.concatenate([columns.real, columns.imag])
    return np.asarray(np.linalg.qr(stacked / np.linalg.norm(stacked, axis=0))[0])


@lru_cache(maxsize=64)
def _kernel(frequency_Hz: tuple[float, ...]) -> Complexes:
    """Return the elements' impedances, one column each, shape (n, elements); f ascending."""
    omega = 2.0 * np.pi * np.asarray(frequency_Hz)
    fastest, slowest = 1.0 / (omega[-1] * BEYOND), BEYOND / omega[0]
    most = len(omega) - 4
    elements = int(np.clip(round(RC_PER_DECADE * np.log10(slowest / fastest)), 1, most))
    tau = np.geomspace(fastest, slowest, elements)
    relaxations = 1.0 / (1.0 + 1j * omega[:, None] * tau[None, :])
    ohmic = np.ones_like(omega)
    columns = np.column_stack([ohmic, 1j * omega / omega[-1], -1j * omega[0] / omega, relaxations])
    columns.setflags(write=False)
    return columns.astype(np.complex128)


def _correlation(basis: Floats, left: Floats, freedom: int) -> tuple[float, float, float]:
    """Return the lag-1 autocorrelation of residuals, its excess in standard deviations, and in part of |Z|.

    Of white noise ε the residuals are Mε with the projector M = 1 − QQᵀ, their autocorrelation is
    εᵀMSMε / εᵀMε with the shift S: mean tr(MS)/tr(M), variance 2 tr((MSM − mean·M)²)/tr(M)², nearly.
    """
    shifted = _shifted(basis)
    inner = basis.T @ shifted
    mean = -float(np.trace(inner)) / freedom
    squared = (len(left) - 2) / 2 - 2.0 * float(np.sum(shifted**2)) + float(np.sum(inner**2))
    deviation = float(np.sqrt(2.0 * max(squared - freedom * mean**2, 1e-12))) / freedom
    power = float(left @ left)
    if power <= 0.0:
        return 0.0, 0.0, 0.0
    lag1 = float(left @ _shifted(left)) / power
    excess = max(lag1 - mean, 0.0)
    return lag1, (lag1 - mean) / deviation, float(np.sqrt(excess * power / len(left)))


def _shifted(values: Floats) -> Floats:
    """Return the mean of each value's two neighbours in frequency; real and imaginary parts apart."""
    parts = values.reshape(2, len(values) // 2, -1)
    moved = np.zeros_like(parts)
    moved[:, :-1] += parts[:, 1:]
    moved[:, 1:] += parts[:, :-1]
    return np.asarray(moved.reshape(values.shape) / 2)


def _drift(basis: Floats, left: Floats, change: Complexes, noise: float) -> tuple[float, float]:
    """Return how much of a change (in Z/|Z|) the residuals hold, and the standard deviation of that."""
    values = np.concatenate([change.real, change.imag])
    new = values - basis @ (basis.T @ values)
    power = float(new @ new)
    if power <= 0.0:
        return 0.0, 0.0
    return float(new @ left) / power, noise / float(np.sqrt(power))


def _share_of_time(t_s: Floats) -> Floats:
    """Return the part of the sweep's time that has passed at each point; zeros where all are at one time."""
    first, last = float(t_s.min()), float(t_s.max())
    return np.asarray((t_s - first) / (last - first)) if last > first else np.zeros_like(t_s)
