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
    """Standard error of the slope; None for two points."""
    intercept_std: float | None

    def at(self, x: float) -> float:
        """Return y at x."""
        return self.intercept + self.slope * x


def fit_line(x: Floats, y: Floats) -> Line:
    """Return the line through points of shape (n,). Raises ValueError if they are at fewer than two x."""
    middle = float(np.mean(x)) if len(x) else 0.0
    spread = float(np.sum((x - middle) ** 2))
    if not spread > 0.0:
        raise ValueError("a line needs points at two places at least")
    slope = float(np.sum((x - middle) * (y - np.mean(y)))) / spread
    intercept = float(np.mean(y)) - slope * middle
    if len(x) < 3:
        return Line(slope, intercept, None, None)
    variance = float(np.sum((y - intercept - slope * x) ** 2)) / (len(x) - 2)
    mean_variance = variance * (1.0 / len(x) + middle**2 / spread)
    return Line(slope, intercept, math.sqrt(variance / spread), math.sqrt(mean_variance))
