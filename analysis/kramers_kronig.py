"""Linear Kramers–Kronig test of a spectrum, and the summary of it that guards and plots use.

A causal, linear, stable cell obeys the Kramers–Kronig relations, and so does any sum of RC elements; a
spectrum that such a sum cannot describe was disturbed (Boukamp, J. Electrochem. Soc. 142 (1995) 1885). Here
the sum has four RC elements a decade, an ohmic part, an inductance and a capacitance, fitted to Z weighted by
1/|Z|. The size of what remains cannot tell noise from drift (1 % noise leaves 0.85 %, 20 % drift 0.33 %);
its correlation from one frequency to the next does (noise −0.2, drift or a step above +0.5). Figures: the
project's survey of impedance libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from protocols.measurements import Spectrum, SpectrumSummary

RC_PER_DECADE = 4
RMS_FLOOR = 2e-4
"""Residuals below this are numerical, whatever their correlation (0.02 %)."""
LAG1_LIMIT = 0.4
"""Between noise and drift, see above."""
FEWEST_POINTS = 8
"""With fewer there is nothing left over to judge."""

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class KramersKronig:
    """Outcome of the test. All figures relative to |Z|."""

    passed: bool
    rms: float
    """Root mean square of the residuals, real and imaginary parts together."""
    lag1: float
    """Lag-1 autocorrelation of the real residuals, in the order of frequency."""
    noise: float
    """σ of the noise of one part, estimated from the residuals and the degrees of freedom left."""
    residuals: Complexes
    """(Z − fit)/|Z|, shape (n,), in the order given."""


def kramers_kronig(frequency_Hz: Floats, impedance_ohm: Complexes) -> KramersKronig:
    """Test one spectrum: f in Hz and Z in Ω, shape (n,), in any order, f > 0 and Z ≠ 0.

    With fewer than :data:`FEWEST_POINTS` points nothing can be tested: not passed, and zeros.
    """
    count = len(frequency_Hz)
    if count < FEWEST_POINTS:
        return KramersKronig(False, 0.0, 0.0, 0.0, np.zeros(count, dtype=np.complex128))
    order = np.argsort(frequency_Hz)
    sorted_Z = impedance_ohm[order]
    kernel = _kernel(tuple(frequency_Hz[order].tolist()))
    weight = 1.0 / np.abs(sorted_Z)
    left, free = _weighted_residuals(kernel, sorted_Z, weight)
    squares = float(np.sum(np.abs(left) ** 2))
    rms = float(np.sqrt(squares / (2 * count)))
    lag1 = _lag1(left.real)
    residuals = np.empty_like(left)
    residuals[order] = left
    passed = rms < RMS_FLOOR or lag1 < LAG1_LIMIT
    return KramersKronig(passed, rms, lag1, float(np.sqrt(squares / free)), residuals)


def summarize(spectrum: Spectrum) -> SpectrumSummary:
    """Return the few numbers that guards judge, with the outcome of the Kramers–Kronig test."""
    f = np.asarray(spectrum.frequency_Hz)
    order = np.argsort(f)
    f, z = f[order], spectrum.impedance()[order]
    outcome = kramers_kronig(f, z)
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


@lru_cache(maxsize=64)
def _kernel(frequency_Hz: tuple[float, ...]) -> Complexes:
    """Return the elements' impedances, one column each, shape (n, elements); f ascending."""
    omega = 2.0 * np.pi * np.asarray(frequency_Hz)
    decades = np.log10(omega[-1] / omega[0])
    most = len(omega) - 4
    elements = int(np.clip(round(RC_PER_DECADE * decades), 1, most))
    tau = np.geomspace(1.0 / omega[-1], 1.0 / omega[0], elements)
    relaxations = 1.0 / (1.0 + 1j * omega[:, None] * tau[None, :])
    ohmic = np.ones_like(omega)
    columns = np.column_stack([ohmic, 1j * omega / omega[-1], -1j * omega[0] / omega, relaxations])
    columns.setflags(write=False)
    return columns.astype(np.complex128)


def _weighted_residuals(kernel: Complexes, impedance: Complexes, weight: Floats) -> tuple[Complexes, int]:
    """Return (Z − fit)·weight and the degrees of freedom that are left."""
    count = len(impedance)
    rows = kernel * weight[:, None]
    target = impedance * weight
    matrix = np.concatenate([rows.real, rows.imag])
    values = np.concatenate([target.real, target.imag])
    solution, _, rank, _ = np.linalg.lstsq(matrix, values, rcond=None)
    left = values - matrix @ solution
    return left[:count] + 1j * left[count:], max(2 * count - int(rank), 1)


def _lag1(values: Floats) -> float:
    centred = values - values.mean()
    power = float(centred @ centred)
    return float(centred[:-1] @ centred[1:]) / power if power > 0.0 else 0.0
