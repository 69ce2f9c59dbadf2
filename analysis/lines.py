"""A straight line through points, by least squares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """y = intercept + slope · x."""

    slope: float
    intercept: float
    slope_std: float | None
    """Standard error of the slope; None for two points without standard deviations."""
    intercept_std: float | None

    def at(self, x: float) -> float:
        """Return y at x."""
        return self.intercept + self.slope * x


def fit_line(x: Floats, y: Floats, std: Floats | None = None) -> Line:
    """Return the line through points of shape (n,). Raises ValueError if they are at fewer than two x.

    ``std``: standard deviations of y, > 0; points weigh with their inverse square. The errors of the line are
    then what these say, for two points too, or what the scatter says, whichever is more.
    """
    weight = np.ones(len(x)) if std is None else 1.0 / np.asarray(std, dtype=np.float64) ** 2
    total = float(weight.sum())
    middle = float(weight @ x) / total if len(x) else 0.0
    spread = float(weight @ (x - middle) ** 2)
    if not spread > 0.0:
        raise ValueError("a line needs points at two places at least")
    mean = float(weight @ y) / total
    slope = float(weight @ ((x - middle) * (y - mean))) / spread
    intercept = mean - slope * middle
    if len(x) < 3 and std is None:
        return Line(slope, intercept, None, None)
    squares = float(weight @ (y - intercept - slope * x) ** 2)
    variance = max(squares / max(len(x) - 2, 1), 0.0 if std is None else 1.0)
    mean_variance = variance * (1.0 / total + middle**2 / spread)
    return Line(slope, intercept, math.sqrt(variance / spread), math.sqrt(mean_variance))
