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
_MOST_STEPS = 100
_LONGEST_STEP = 1.0
"""In a coordinate: a factor e in a parameter."""
_FIRST_DAMPING = 1e-3
"""Small: starts are near. A well seen parameter has a curvature of about the number of points."""
_LEAST_DAMPING = 1e-10
"""Of the sum of all curvatures, so that directions that change nothing don't make the equations singular."""
_NEGLIGIBLE = 1e-5
"""A step that lowers the sum of squares by less than this part of it moves no parameter by more than a
twentieth of its standard deviation (for 100 points)."""
_NUMERICAL = 1e-24
_NO_RANK = 1e-13
"""Directions in which the sum of squares is bent by less than this part of the most are not determined."""
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

    def relative(self, minimum: Minimum) -> Complexes:
        """Return (Z − fit)/|Z|, shape (n,)."""
        return np.asarray(-minimum.residuals.view(np.complex128) / (self.weight * np.abs(self.z)))

    def good(self, minimum: Minimum, enough: float = 0.0) -> bool:
        """Whether what is left is noise, or next to nothing, or has at most the rms ``enough``."""
        if minimum.converged and minimum.lag1 < GOOD_LAG1:
            return True
        return rms_of(self.relative(minimum)) < max(enough, GOOD_RMS)


def rms_of(numbers: Complexes) -> float:
    """Return the root mean square of real and imaginary parts together."""
    return math.sqrt(float(np.vdot(numbers, numbers).real) / (2 * len(numbers)))


def descend(problem: Problem, start: Floats) -> Minimum:
    """Follow the sum of squares down from a start.

    Levenberg and Marquardt's way with Nielsen's rule for the damping (Madsen, Nielsen and Tingleff, Methods
    for non-linear least squares problems, DTU 2004): of MINPACK's accuracy here, without its overhead.
    """
    coordinates = Coordinates(problem.circuit, problem.f, start)
    at = _place(problem, coordinates, coordinates.point(start))
    damping, growth, unit = _FIRST_DAMPING, 2.0, np.eye(len(start))
    for _ in range(_MOST_STEPS):
        least = _LEAST_DAMPING * float(at.curvature.trace())
        step = -np.linalg.solve(at.curvature + max(damping, least) * unit, at.slope)
        step *= min(1.0, _LONGEST_STEP / float(np.abs(step).max()))
        expected = -float(step @ (2.0 * at.slope + at.curvature @ step))
        if expected <= _NEGLIGIBLE * at.squares or at.squares <= _NUMERICAL:
            return at.minimum(converged=True)
        there = _place(problem, coordinates, at.x + step)
        gain = (at.squares - there.squares) / expected
        if gain > 0:
            at = there
            damping, growth = damping * max(1 / 3, 1 - (2 * gain - 1) ** 3), 2.0
        else:
            damping, growth = damping * growth, 2 * growth
    return at.minimum(converged=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A point of a descent, and the shape of the sum of squares around it."""

    x: Floats
    values: list[float]
    squares: float
    residuals: Floats
    sensitivity: Floats
    slope: Floats
    """Half the gradient in x."""
    curvature: Floats
    """Half the second derivatives in x, as far as the first ones of Z make them."""

    def minimum(self, *, converged: bool) -> Minimum:
        """Return the point as the end of a descent."""
        return Minimum(np.array(self.values), self.squares, self.residuals, self.sensitivity, converged)


def _place(problem: Problem, coordinates: Coordinates, x: Floats) -> _Place:
    values = coordinates.values(x)
    z, rows = problem.circuit.derive(problem.sweep, values)
    rows *= problem.weight
    residuals = ((z - problem.z) * problem.weight).view(np.float64)
    sensitivity = rows.view(np.float64)
    turn = coordinates.turn(x)
    slope = turn @ (sensitivity @ residuals)
    curvature = turn @ (sensitivity @ sensitivity.T) @ turn.T
    return _Place(x, values, float(residuals @ residuals), residuals, sensitivity, slope, curvature)


def standard_deviations(minimum: Minimum, exponents: Sequence[bool]) -> Floats:
    """Return the standard deviation of each value, infinite in directions that change nothing."""
    sizes, directions = np.linalg.eigh(minimum.sensitivity @ minimum.sensitivity.T)
    seen = sizes > _NO_RANK * sizes[-1]
    free = len(minimum.residuals) - len(minimum.values)
    inverse = (directions[:, seen] ** 2 / sizes[seen]).sum(axis=1)
    spread = np.sqrt(inverse * (minimum.squares / free))
    if not seen.all():
        spread[np.abs(directions[:, ~seen]).max(axis=1) > _TAKES_PART] = np.inf
    return np.asarray(np.where(exponents, spread, spread * minimum.values))
