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
"""Points of ln τ: an arc of α = 0.95, two tenths of a decade wide, still has three."""
NOISE_FLOOR = 2e-4
"""Relative to |Z|; below it the grid's own error counts."""
FIRST_NOISE, RELAXING = 0.1, 0.25
"""The noise is taken for 10 % at first, then for this part of it whenever the fit is as good as that, until
it is the true one: far from the solution the problem is not linear."""
REACHED = 1.5
"""A fit is as good as a noise if its residuals are below this times the noise."""
PATIENCE = 6
"""Steps after which a noise that was not reached is taken for what the model can do."""
FEWEST_STEPS, SETTLING, AFTERWARDS, MOST_STEPS = 12, 6, 3, 60
"""Steps in all, at the last noise, after a change of it, and at most."""
IMPROVING = 0.98
"""More steps follow as long as the residuals fall by this factor a step."""
ESTIMATED_FROM = 4
"""Step from which the local variance is estimated."""
HASTE = 1.3
"""Power of the change in variance of one step: plain expectation and maximisation crawls."""
NEIGHBOURHOOD = 0.15
"""Width in ln τ over which the variance is taken for the same."""
FIRST_VARIANCE, LEAST_VARIANCE = 0.5, 0.05
"""Of the second derivative of ln γ, for white noise of this intensity."""
LEVEL_STD, SLOPE_STD = 3.0, 2.0
"""Of ln γ in the middle, and of its slope there."""
ELEMENT_SHARE = np.array([0.3, 0.02, 0.02])
"""R_∞, ωL at the highest and 1/(ωC) at the lowest frequency before anything is known, in parts of |Z|."""
ELEMENT_STD = np.array([2.0, 3.0, 4.0])
"""Of their logarithms."""
LARGEST_STEP, DEEPEST_STEP, LARGEST_LOG = 4.0, 3.0, 300.0
"""In ln γ; the last keeps a step that is far too large a number."""
LENGTHS = (1.0, 0.4, 0.16, 0.03)
"""Of a step."""
BAND = 1.96 * 0.9
"""Of the posterior standard deviation. 1.96 is 95 %; bands of that width hold more than that of the γ of
known circuits, since the prior is wider than arcs need."""
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
    search.settle()
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
        self._left = self._values - self._kernel @ np.exp(self.logs)
        self._level, self._tried = max(FIRST_NOISE, noise), 0
        self._smoothing = _neighbourhoods(len(made.tau_s) - 2, NEIGHBOURHOOD / made.step)

    def settle(self) -> None:
        """Go from step to step until the residuals are noise, or fall no further.

        Where they are more than the noise in the end, the data hold what no distribution makes (an inductive
        loop, an artefact): that is then taken for noise as well, so that it draws no peaks.
        """
        settled = 0
        for step in range(MOST_STEPS):
            before = self._rms
            self._move(estimates=step >= ESTIMATED_FROM)
            if self._level > self.noise:
                self._sharpen()
                continue
            settled += 1
            if settled < SETTLING or step + 1 < FEWEST_STEPS:
                continue
            if self._rms < REACHED * self.noise:
                return
            if self._rms > IMPROVING * before:
                self._take_for_noise(self._rms)
                settled = SETTLING - AFTERWARDS

    def _sharpen(self) -> None:
        """Take the noise for less if the fit allows it, and for what it is if the fit never will."""
        self._tried += 1
        if self._rms < REACHED * self._level:
            self._level, self._tried = max(self.noise, RELAXING * self._level), 0
        elif self._tried >= PATIENCE:
            self._take_for_noise(max(self._level, self._rms))

    def _take_for_noise(self, noise: float) -> None:
        scale = self.noise / noise
        self._kernel, self._values = self._kernel * scale, self._values * scale
        self._left, self._beyond = self._left * scale, self._beyond * scale**2
        self.noise = self._level = noise

    @property
    def _rms(self) -> float:
        """Root mean square of the residuals, relative to |Z|."""
        return self.noise * float(np.sqrt((self._left @ self._left + self._beyond) / (2 * self._points)))

    def _move(self, *, estimates: bool) -> None:
        """Take one step of Gauss and Newton, and estimate the local variance anew."""
        ratio = (self._level / self.noise) ** 2
        rows = self._rows()
        inverse = self._inverse(rows, ratio)
        seen = self._left + rows @ (self._p - self._mean)
        self._go(self._change_to(self._mean + self._variance * (rows.T @ (inverse @ seen))), ratio)
        if estimates:
            self._estimate(rows, inverse)

    def covariance(self) -> Floats:
        """Return the posterior covariance of ln γ and, first, of the three elements' logarithms."""
        rows = self._rows()
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

    def _rows(self) -> Floats:
        """Return the derivative of the weighted data by p."""
        by_logs = self._kernel * np.exp(self.logs)
        by_bends = by_logs[:, ENTRIES:] @ self._grid.logs
        return np.concatenate([by_logs[:, :ENTRIES], by_bends], axis=1)

    def _change_to(self, wanted: Floats) -> Floats:
        logs = np.concatenate([wanted[:ENTRIES], self._grid.logs @ wanted[ENTRIES:]])
        return np.asarray(logs - self.logs)

    def _go(self, change: Floats, ratio: float) -> None:
        """Take the best of a step in ln γ and one in γ; a shorter one if none is better; else none.

        The data are linear in γ and the prior is Gaussian in ln γ: the one or the other is nearly exact.
        """
        now = self._cost(self._p, self._left, ratio)
        for length in LENGTHS:
            in_gamma = np.log(np.maximum(1.0 + length * change, np.exp(-DEEPEST_STEP)))
            in_logs = np.clip(length * change, -LARGEST_STEP, LARGEST_STEP)
            both = np.concatenate([in_gamma[:ENTRIES], in_logs[ENTRIES:]])
            tries = [self._at(self.logs + step, ratio) for step in (in_logs, in_gamma, both)]
            cost, p, logs, left = min(tries, key=lambda tried: tried[0])
            if cost <= now:
                self._p, self.logs, self._left = p, logs, left
                return

    def _at(self, logs: Floats, ratio: float) -> tuple[float, Floats, Floats, Floats]:
        p = np.concatenate([logs[:ENTRIES], bends_of(logs[ENTRIES:], self._grid.step)])
        left = self._values - self._kernel @ np.exp(np.minimum(logs, LARGEST_LOG))
        return self._cost(p, left, ratio), p, logs, left

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
    upper = np.exp(np.minimum(search.logs + BAND * spread, LARGEST_LOG))
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
