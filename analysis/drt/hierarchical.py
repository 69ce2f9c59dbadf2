"""Distribution of relaxation times with a local penalty, found by itself, and with uncertainty.

γ is positive and its logarithm is smooth but for a few bends (see :mod:`analysis.drt.curvature`). So ln γ is
given a Gaussian prior on its second derivative, whose variance v(ln τ) is local and is itself estimated: by
expectation and maximisation, v becomes the mean of the squared bends and of their posterior variances over
the neighbourhood. Where the data ask for a peak v grows and the peak is sharp; elsewhere v falls, and noise
bends nothing. This is the idea of hierarchical ridge regression (Huang, Papac and O'Hayre, Electrochim. Acta
367 (2021) 137493; Effat and Ciucci, Electrochim. Acta 247 (2017) 1117) with its penalty on ln γ instead of γ.

R_∞, the inductance and the capacitance in series are positive too and are fitted by their logarithms with
wide priors, so that blocking and inductive ends need no switch. The noise is proportional to |Z|, and its
size is known beforehand from the Kramers–Kronig test. The posterior about the maximum is taken for a
Gaussian in ln γ (Laplace), so that the band is never negative.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.drt.curvature import bends_of
from analysis.drt.distribution import Complexes, Distribution, Floats
from analysis.drt.grid import ENTRIES, Grid, grid, stacked
from analysis.kramers_kronig import kramers_kronig
from analysis.spectrum_input import checked

Places = NDArray[np.intp]

FEWEST_POINTS = 12
PER_DECADE = 15
"""Points of ln τ: a Cole–Cole arc of α = 0.95 is 0.3 decades wide."""
NOISE_FLOOR = 2e-4
"""Relative to |Z|; below it the grid's own error counts."""
STEPS = 12
RELAXING = 0.25
"""The noise is taken for 10 % at first, then for this part of it each step, until it is the true one: far
from the solution the problem is not linear."""
FIRST_NOISE = 0.1
ESTIMATED_FROM = 4
"""Step from which the local variance is estimated."""
HASTE = 1.8
"""Power of the change in variance of one step: plain expectation and maximisation crawls."""
NEIGHBOURHOOD = 0.2
"""Width in ln τ over which the variance is taken for the same."""
FIRST_VARIANCE, LEAST_VARIANCE = 0.5, 0.05
"""Of the second derivative of ln γ, for white noise of this intensity."""
LEVEL_STD, SLOPE_STD = 3.0, 2.0
"""Of ln γ in the middle, and of its slope there."""
ELEMENT_SHARE = np.array([0.3, 0.02, 0.02])
"""R_∞, ωL at the highest and 1/(ωC) at the lowest frequency before anything is known, in parts of |Z|."""
ELEMENT_STD = np.array([2.0, 3.0, 4.0])
"""Of their logarithms."""
LARGEST_STEP, DEEPEST_STEP = 4.0, 3.0
"""In ln γ."""
BAND = 1.96 * 0.9
"""Of the posterior standard deviation. 1.96 is 95 %; bands of that width hold 97 % of spectra of random
circuits, since the prior is wider than arcs need."""
KNOWN = 0.5
"""An inductance or a capacitance is reported if the standard deviation of its logarithm is below this."""


def hierarchical(
    frequency_Hz: ArrayLike, impedance_ohm: ArrayLike, *, noise: float | None = None
) -> Distribution:
    """Resolve one spectrum: f in Hz and Z in Ω, shape (n,), in any order.

    ``noise``: σ of each part of Z relative to |Z|; None: as the Kramers–Kronig test finds it. Raises
    SpectrumError below :data:`FEWEST_POINTS` points, or where a point is no impedance (see
    :func:`analysis.spectrum_input.checked`).
    """
    f, z = checked(frequency_Hz, impedance_ohm, FEWEST_POINTS)
    found = kramers_kronig(f, z).noise if noise is None else noise
    made = grid(f, PER_DECADE)
    search = _Search(made, z, max(found, NOISE_FLOOR))
    for step in range(STEPS):
        search.move(step)
    return _distribution(made, f, z, search, np.argsort(np.argsort(np.asarray(frequency_Hz))))


class _Search:
    """The way to the most probable ln γ. ``p``: ln of the three elements, then w of ln γ."""

    def __init__(self, made: Grid, impedance_ohm: Complexes, noise: float) -> None:
        self._grid = made
        self.noise = noise
        magnitude = np.abs(impedance_ohm)
        weight = np.tile(1.0 / (noise * magnitude), 2)
        values = stacked(impedance_ohm) * weight
        basis, triangle = np.linalg.qr(made.left * weight[:, None])
        self._kernel = triangle @ made.right
        self._values = basis.T @ values
        self._beyond = float(values @ values - self._values @ self._values)
        self._points = len(impedance_ohm)
        self._mean, self._variance = _prior(made, impedance_ohm)
        self.logs = np.concatenate([self._mean[:ENTRIES], made.logs @ self._mean[ENTRIES:]])
        self._p = self._mean.copy()
        self._smoothing = _neighbourhoods(len(made.tau_s) - 2, NEIGHBOURHOOD / made.step)

    def move(self, step: int) -> None:
        """Take one step of Gauss and Newton, and estimate the local variance anew."""
        ratio = max(1.0, FIRST_NOISE * RELAXING**step / self.noise) ** 2
        rows, left = self._linearised()
        inverse = self._inverse(rows, ratio)
        wanted = self._mean + self._variance * (rows.T @ (inverse @ (left + rows @ (self._p - self._mean))))
        self._go(self._change_to(wanted), left, ratio)
        if ESTIMATED_FROM <= step < STEPS - 1:
            self._estimate(rows, inverse)

    def covariance(self) -> Floats:
        """Return the posterior covariance of ln γ and, first, of the three elements' logarithms."""
        rows, _ = self._linearised()
        inverse = self._inverse(rows, 1.0)
        spread = np.sqrt(self._variance)
        logs = np.eye(len(spread))
        logs[ENTRIES:, ENTRIES:] = self._grid.logs
        prior, seen = logs * spread, logs @ (rows * self._variance).T
        return np.asarray(prior @ prior.T - seen @ inverse @ seen.T)

    def _inverse(self, rows: Floats, ratio: float) -> Floats:
        """Return the inverse covariance of the weighted data, before they are known."""
        expected = ratio * np.eye(len(rows)) + (rows * self._variance) @ rows.T
        return np.asarray(np.linalg.inv(expected), dtype=np.float64)

    def _linearised(self) -> tuple[Floats, Floats]:
        """Return the derivative of the weighted data by p, and what the data hold beyond the model."""
        gamma = np.exp(self.logs)
        by_logs = self._kernel * gamma
        by_bends = by_logs[:, ENTRIES:] @ self._grid.logs
        rows = np.concatenate([by_logs[:, :ENTRIES], by_bends], axis=1)
        return rows, self._values - self._kernel @ gamma

    def _change_to(self, wanted: Floats) -> Floats:
        logs = np.concatenate([wanted[:ENTRIES], self._grid.logs @ wanted[ENTRIES:]])
        return np.asarray(logs - self.logs)

    def _go(self, change: Floats, left: Floats, ratio: float) -> None:
        """Take the best of a step in ln γ and one in γ; shorter ones as long as none is better.

        The data are linear in γ and the prior is Gaussian in ln γ: the one or the other is nearly exact.
        """
        now = self._cost(self._p, left, ratio)
        best: tuple[float, Floats, Floats] | None = None
        for length in (1.0, 0.4, 0.16):
            in_gamma = np.log(np.maximum(1.0 + length * change, np.exp(-DEEPEST_STEP)))
            in_logs = np.clip(length * change, -LARGEST_STEP, LARGEST_STEP)
            both = np.concatenate([in_gamma[:ENTRIES], in_logs[ENTRIES:]])
            for step in (in_logs, in_gamma, both):
                logs = self.logs + step
                p = np.concatenate([logs[:ENTRIES], bends_of(logs[ENTRIES:], self._grid.step)])
                cost = self._cost(p, self._values - self._kernel @ np.exp(np.minimum(logs, 60.0)), ratio)
                if best is None or cost < best[0]:
                    best = cost, p, logs
            if best is not None and best[0] <= now:
                break
        if best is not None:
            _, self._p, self.logs = best

    def _cost(self, p: Floats, left: Floats, ratio: float) -> float:
        distance = p - self._mean
        return float(left @ left) / ratio + float(distance @ (distance / self._variance))

    def _estimate(self, rows: Floats, inverse: Floats) -> None:
        """Let the local variance be the mean of the squared bends about each place."""
        first, h = ENTRIES + 2, self._grid.step
        bends, prior, seen = self._p[first:], self._variance[first:], rows[:, first:]
        posterior = prior - prior**2 * np.sum(seen * (inverse @ seen), axis=0)
        mean = self._smoothing @ (bends**2 + posterior) + LEAST_VARIANCE / h
        self._variance[first:] = prior * np.clip(mean / prior, 0.02, 50.0) ** HASTE


def _prior(made: Grid, impedance_ohm: Complexes) -> tuple[Floats, Floats]:
    """Return mean and variance of the parameters before the data; Z from the lowest frequency on."""
    magnitude = np.abs(impedance_ohm)
    ends = np.array([magnitude[-1], magnitude[-1], magnitude[0]])
    height = (np.ptp(impedance_ohm.real) + 1e-9 * magnitude.max()) / (made.step * len(made.tau_s))
    mean, variance = np.zeros((2, ENTRIES + len(made.tau_s)))
    mean[:ENTRIES], mean[ENTRIES] = np.log(ELEMENT_SHARE * ends), np.log(height)
    variance[:] = FIRST_VARIANCE / made.step
    variance[:ENTRIES] = ELEMENT_STD**2
    variance[ENTRIES : ENTRIES + 2] = LEVEL_STD**2, SLOPE_STD**2
    return mean, variance


@lru_cache(maxsize=16)
def _neighbourhoods(count: int, width: float) -> Floats:
    """Return the matrix that takes means with Gaussian weights about each of ``count`` places."""
    place = np.arange(count)
    weights = np.exp(-0.5 * ((place[:, None] - place) / width) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _distribution(made: Grid, f: Floats, z: Complexes, search: _Search, order: Places) -> Distribution:
    covariance = search.covariance()
    gamma = np.exp(search.logs)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    fitted = made.kernel @ gamma
    residuals = (z - fitted[: len(z)] - 1j * fitted[len(z) :]) / np.abs(z)
    omega, known = 2.0 * np.pi * f, spread[:ENTRIES] < KNOWN
    upper = np.exp(np.minimum(search.logs + BAND * spread, 300.0))
    return Distribution(
        method="hierarchical",
        tau_s=made.tau_s,
        gamma_ohm=gamma[ENTRIES:],
        lower_ohm=np.exp(search.logs - BAND * spread)[ENTRIES:],
        upper_ohm=upper[ENTRIES:],
        r_inf_ohm=float(gamma[0]),
        inductance_H=float(gamma[1] / omega[-1]) if known[1] else 0.0,
        capacitance_F=float(1.0 / (gamma[2] * omega[0])) if known[2] else None,
        noise=search.noise,
        residuals=residuals[order],
        window_s=made.window_s,
        log_covariance=covariance[ENTRIES:, ENTRIES:],
    )
