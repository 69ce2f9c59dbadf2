"""One descent into a minimum of the sum of squares, in coordinates in which it is short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.circuit.coordinates import Coordinates
from analysis.circuit.elements import Sweep
from analysis.circuit.tree import Circuit

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

GOOD_LAG1 = 0.2
"""Lag-1 autocorrelation below which residuals are taken for noise (scatter of 81 points: 0.08)."""
GOOD_RMS = 1e-6
"""Residuals below this are numerical."""
_TOLERANCE = 1e-6
_MOST_STEPS = 200
_ENDED = (1, 2, 3, 4)
"""What MINPACK returns where a tolerance was met."""
_FIRST_STEP = 1.0
"""Longest first step: a factor e in the parameters together."""
_NO_RANK = 1e-7
"""Directions in which the spectrum changes by less than this part of the most are not determined."""
_TAKES_PART = 1e-3
"""Part of a parameter in such a direction above which it is not determined either."""


@dataclass(frozen=True, slots=True, eq=False)
class Minimum:
    """Where a descent ended."""

    values: Floats
    squares: float
    """Sum of the weighted deviations' squares."""
    residuals: Floats
    """Weighted deviations, fit − Z, real and imaginary parts in turn, shape (2n,)."""
    sensitivity: Floats
    """Their derivatives to the logarithms of parameters and to exponents, shape (parameters, 2n)."""
    converged: bool

    @property
    def lag1(self) -> float:
        """Autocorrelation at neighbouring frequencies, mean of real and imaginary parts."""
        return float(self.residuals[2:] @ self.residuals[:-2]) / self.squares if self.squares > 0 else 0.0


class Problem:
    """One circuit and one spectrum, with the weight of each point."""

    def __init__(self, circuit: Circuit, f: Floats, z: Complexes, scale: Floats) -> None:
        self.circuit, self.f, self.z = circuit, f, z
        self.weight = 1.0 / scale
        self.sweep = Sweep(f)

    def good(self, minimum: Minimum) -> bool:
        """Whether what is left is noise, or next to nothing."""
        rms = math.sqrt(minimum.squares / len(minimum.residuals))
        next_to_nothing = rms < GOOD_RMS * float(np.mean(np.abs(self.z) * self.weight))
        return next_to_nothing or (minimum.converged and minimum.lag1 < GOOD_LAG1)


def descend(problem: Problem, start: Floats) -> Minimum:
    """Follow the sum of squares down from a start (MINPACK's lmder)."""
    from scipy.optimize import leastsq

    descent = _Descent(problem, start)
    x, _, _, _, status = leastsq(
        descent.residuals,
        descent.coordinates.point(start),
        Dfun=descent.rows,
        col_deriv=True,
        full_output=True,
        ftol=_TOLERANCE,
        xtol=_TOLERANCE,
        maxfev=_MOST_STEPS,
        diag=np.ones(len(start)),
        factor=_FIRST_STEP,
    )
    return descent.minimum(x, status in _ENDED)


class _Descent:
    """What MINPACK asks for, and the last answers: it asks for derivatives where it has been before."""

    def __init__(self, problem: Problem, start: Floats) -> None:
        self._problem = problem
        self.coordinates = Coordinates(problem.circuit, problem.f, start)
        self._at = b""
        self._sensitivity = self._rows = self._residuals = np.empty(0)

    def residuals(self, x: Floats) -> Floats:
        """Return the weighted deviations, real and imaginary parts in turn, shape (2n,)."""
        self._evaluate(x)
        return self._residuals

    def rows(self, x: Floats) -> Floats:
        """Return their derivatives to the coordinates, shape (parameters, 2n)."""
        self._evaluate(x)
        return self._rows

    def minimum(self, x: Floats, converged: bool) -> Minimum:
        """Return a point as the end of the descent."""
        self._evaluate(x)
        squares = float(self._residuals @ self._residuals)
        values = np.array(self.coordinates.values(x))
        return Minimum(values, squares, self._residuals, self._sensitivity, converged)

    def _evaluate(self, x: Floats) -> None:
        at = x.tobytes()
        if at == self._at:
            return
        problem = self._problem
        z, rows = problem.circuit.derive(problem.sweep, self.coordinates.values(x))
        rows *= problem.weight
        turned = rows.copy()
        self.coordinates.turn(turned, x)
        self._residuals = ((z - problem.z) * problem.weight).view(np.float64)
        self._sensitivity, self._rows, self._at = rows.view(np.float64), turned.view(np.float64), at


def standard_deviations(minimum: Minimum, exponents: Sequence[bool]) -> Floats:
    """Return the standard deviation of each value, infinite in directions that change nothing."""
    _, sizes, directions = np.linalg.svd(minimum.sensitivity.T, full_matrices=False)
    seen = sizes > _NO_RANK * sizes[0]
    free = len(minimum.residuals) - len(minimum.values)
    squares = ((directions[seen] / sizes[seen, np.newaxis]) ** 2).sum(axis=0)
    spread = np.sqrt(squares * minimum.squares / free)
    spread[np.abs(directions[~seen]).max(axis=0, initial=0.0) > _TAKES_PART] = np.inf
    return np.where(exponents, spread, spread * minimum.values)
