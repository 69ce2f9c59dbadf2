"""Distribution of relaxation times with one penalty for all of it: fast, and as studies have published it.

Study C's settings in DRTtools: real and imaginary parts together, first derivative, λ = 1e-3, Gaussian
functions whose full width at half maximum is two steps of the grid, γ not negative. What DRTtools calls its
Gaussian process with these settings is sampled about this very solution: its maximum a posteriori (Liu and
Ciucci, Electrochim. Acta 331 (2020) 135316; Wan, Saccoccio, Chen and Ciucci, ibid. 184 (2015) 483).

One λ does not suit sharp and broad arcs at once: in 1 % noise two or three maxima are not real. For the
record :mod:`analysis.drt.hierarchical` is better; this one is for comparison with what was published, and
for maps of thousands of spectra.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.drt.distribution import Complexes, Distribution, Floats
from analysis.drt.grid import BEYOND_DECADES, stacked
from analysis.drt.non_negative import non_negative
from analysis.spectrum_input import checked

PENALTY = 1e-3
FEWEST_POINTS = 8
SHAPE = np.sqrt(np.log(2.0))
"""Times 1/step: Gaussians exp(−(εx)²) that are two steps wide at half their height."""
FINE_PER_DECADE = 20
"""γ is given at so many points a decade."""
ITERATIONS, RELAXATION, WEIGHT = 140, 1.9, 0.02
"""Of the batch: iterations, over-relaxation, and weight of the constraint; the curvatures are scaled to 1."""
BLOCK = 128
"""Spectra that are resolved together: what is worked on stays in the processor's cache, as float32."""

GUESS_ITERATIONS = 20
"""Of the guess from which a single spectrum is solved exactly."""

Numbers = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class RidgeGrid:
    """All that depends on the frequencies and the settings alone."""

    columns: Floats
    """Real above imaginary parts of Z of each element of value 1, shape (2n, e + m)."""
    hessian: Floats
    """Of the penalised least squares, halved, shape (e + m, e + m)."""
    scale: Floats
    """1/√(diagonal of the Hessian), shape (e + m,)."""
    pushed: Floats
    """Inverse of the scaled Hessian with :data:`WEIGHT` on its diagonal."""
    elements: int
    """How many columns come before the distribution: R_∞ and perhaps an inductance."""
    fine_tau_s: Floats
    fine: Floats
    """What γ on the fine grid is of the coefficients, shape (fine, m)."""


def ridge(
    frequency_Hz: ArrayLike,
    impedance_ohm: ArrayLike,
    *,
    penalty: float = PENALTY,
    inductance: bool = True,
    tau_s: ArrayLike | None = None,
) -> Distribution:
    """Resolve one spectrum: f in Hz and Z in Ω, shape (n,), in any order.

    ``tau_s``: the grid, ascending, evenly spaced in ln τ; None: as dense as the frequencies, and a decade
    wider on both sides. DRTtools takes 1/f, which is not the time constant 1/(2πf) and has no room for an
    arc that is cut off. Raises SpectrumError below :data:`FEWEST_POINTS` points, or where a point is no
    impedance (see :func:`analysis.spectrum_input.checked`).
    """
    f, z = checked(frequency_Hz, impedance_ohm, FEWEST_POINTS)
    made = ridge_grid(f, penalty=penalty, inductance=inductance, tau_s=tau_s)
    pull = stacked(z) @ made.columns
    near = _alternating(made, pull[None, :], GUESS_ITERATIONS, np.float64)[0]
    x = non_negative(made.hessian, pull, near > 0.0)
    fitted = made.columns @ x
    fitted_z: Complexes = fitted[: len(z)] + 1j * fitted[len(z) :]
    residuals: Complexes = np.asarray((z - fitted_z) / np.abs(z), dtype=np.complex128)
    used = int(np.count_nonzero(x))
    return Distribution(
        method="ridge",
        tau_s=made.fine_tau_s,
        gamma_ohm=made.fine @ x[made.elements :],
        lower_ohm=None,
        upper_ohm=None,
        r_inf_ohm=float(x[0]),
        inductance_H=float(x[1] / (2.0 * np.pi * f[-1])) if inductance else 0.0,
        capacitance_F=None,
        noise=float(np.sqrt(np.sum(np.abs(residuals) ** 2) / max(2 * len(z) - used, 1))),
        residuals=residuals[np.argsort(np.argsort(np.asarray(frequency_Hz)))],
        window_s=(1.0 / (2.0 * np.pi * float(f[-1])), 1.0 / (2.0 * np.pi * float(f[0]))),
    )


def ridge_batch(
    frequency_Hz: ArrayLike,
    impedances_ohm: ArrayLike,
    *,
    penalty: float = PENALTY,
    inductance: bool = True,
) -> tuple[Floats, Floats]:
    """Resolve many spectra at the same frequencies at once, nearly: for maps over time.

    ``impedances_ohm``: shape (k, n), in the order of ``frequency_Hz``. Returns τ in s, shape (m,), and γ in
    Ω, shape (k, m). The constraint is met by alternating directions (Boyd et al., Found. Trends Mach. Learn.
    3 (2011) 1), all spectra together: within 0.5 % of what :func:`ridge` gives. Raises SpectrumError as that
    does.
    """
    given = np.asarray(frequency_Hz, dtype=np.float64)
    rows = np.atleast_2d(np.asarray(impedances_ohm, dtype=np.complex128))
    measured = np.isfinite(rows).all(axis=1) & (rows != 0.0).all(axis=1)
    first_bad = int(np.argmin(measured))
    f, _ = checked(given, rows[first_bad], FEWEST_POINTS)
    made = ridge_grid(f, penalty=penalty, inductance=inductance)
    z = rows[:, np.argsort(given)]
    pulls = np.concatenate([z.real, z.imag], axis=1) @ made.columns
    x = _alternating(made, pulls, ITERATIONS, np.float32)
    return made.fine_tau_s, x[:, made.elements :] @ made.fine.T


def ridge_grid(
    frequency_Hz: Floats, *, penalty: float, inductance: bool, tau_s: ArrayLike | None = None
) -> RidgeGrid:
    """Return the grid for frequencies in ascending order; made once for each set and settings."""
    taus = b"" if tau_s is None else np.asarray(tau_s, dtype=np.float64).tobytes()
    return _ridge_grid(frequency_Hz.tobytes(), taus, penalty, inductance)


@lru_cache(maxsize=16)
def _ridge_grid(frequencies: bytes, taus: bytes, penalty: float, inductance: bool) -> RidgeGrid:
    f = np.frombuffer(frequencies)
    omega, tau_s = 2.0 * np.pi * f, np.frombuffer(taus) if taus else _usual_tau(f)
    distance = np.log(tau_s[-1] / tau_s[0]) / (len(tau_s) - 1)
    shape = SHAPE / distance
    beside = [np.ones_like(omega), 1j * omega / omega[-1]][: 1 + inductance]
    columns = stacked(np.column_stack([*beside, _gaussians(omega, tau_s, shape)]))
    elements = len(beside)
    hessian = columns.T @ columns
    hessian[elements:, elements:] += penalty * _roughness(np.log(tau_s), shape)
    hessian += 1e-12 * np.trace(hessian) / len(hessian) * np.eye(len(hessian))
    scale = 1.0 / np.sqrt(np.diag(hessian))
    scaled = hessian * scale[:, None] * scale
    pushed = np.asarray(np.linalg.inv(scaled + WEIGHT * np.eye(len(hessian))), dtype=np.float64)
    decades = np.log10(tau_s[-1] / tau_s[0])
    fine_tau_s = np.geomspace(tau_s[0], tau_s[-1], int(np.ceil(FINE_PER_DECADE * decades)) + 1)
    fine = np.exp(-((shape * np.log(fine_tau_s[:, None] / tau_s)) ** 2))
    return RidgeGrid(columns, hessian, scale, pushed, elements, fine_tau_s, fine)


def _usual_tau(frequency_Hz: Floats) -> Floats:
    fast, slow = 1.0 / (2.0 * np.pi * frequency_Hz[[-1, 0]])
    decades = float(np.log10(slow / fast))
    density = float(np.clip((len(frequency_Hz) - 1) / decades, 8.0, 20.0))
    count = round(density * (decades + 2.0 * BEYOND_DECADES)) + 1
    return np.geomspace(fast / 10**BEYOND_DECADES, slow * 10**BEYOND_DECADES, count)


def _gaussians(omega: Floats, tau_s: Floats, shape: float) -> Complexes:
    """Return ∫ exp(−(εx)²)/(1 + jωτeˣ) dx of each frequency and τ, shape (n, m): the trapezoidal rule."""
    step = 0.4
    place = np.arange(-5.0, 5.0 + step / 2, step)
    weight = np.exp(-(place**2)) * step / shape
    waiting = omega[:, None] * tau_s
    total = np.zeros(waiting.shape, dtype=np.complex128)
    for x, w in zip(place / shape, weight, strict=True):
        total += w / (1.0 + 1j * waiting * np.exp(x))
    return total


def _roughness(log_tau: Floats, shape: float) -> Floats:
    """Return ∫ φ′φ′ d ln τ of each pair of Gaussians, shape (m, m)."""
    apart = (shape * (log_tau[:, None] - log_tau)) ** 2
    return np.asarray(np.sqrt(np.pi / 2.0) * shape * (1.0 - apart) * np.exp(-apart / 2.0))


def _alternating(made: RidgeGrid, pulls: Floats, iterations: int, kind: type[np.floating]) -> Floats:
    """Return nearly the non-negative solutions of rows of pulls, shape (k, m), calculated in one kind."""
    fixed = (pulls * made.scale) @ made.pushed
    sizes = np.maximum(np.abs(fixed).max(axis=1, keepdims=True), 1e-300)
    pushed = (RELAXATION * WEIGHT * made.pushed).astype(kind)
    solved = np.empty_like(fixed)
    for first in range(0, len(fixed), BLOCK):
        rows = slice(first, first + BLOCK)
        solved[rows] = _iterated((fixed[rows] / sizes[rows]).astype(kind), pushed, iterations)
    return np.asarray(solved * sizes * made.scale)


def _iterated(fixed: Numbers, pushed: Numbers, iterations: int) -> Numbers:
    """Return one block's solutions: the part x is over-relaxed, the part that is positive is returned."""
    positive, dual = np.maximum(fixed, 0.0), np.zeros_like(fixed)
    fixed = fixed.dtype.type(RELAXATION) * fixed
    kept = fixed.dtype.type(1.0 - RELAXATION)
    for _ in range(iterations):
        dual += (positive - dual) @ pushed + fixed + kept * positive
        positive = np.maximum(dual, 0.0)
        dual -= positive
    return positive
