"""How fast a noisy value rises: the slope of a line through it, and what it may be at most."""

from __future__ import annotations

import math
from dataclasses import dataclass

_LEAST = 4
"""Values through which a line says something, and how well."""
_QUANTILE, _FEW, _POWER = 2.576, 5.4, 1.36
"""Student's t of 99.5 % for ν degrees of freedom is 2.576 (1 + 5.4 ν^−1.36) within 3 % from ν = 3 on, and
20 % more for ν = 2."""


@dataclass(slots=True)
class Rise:
    """Sums over the values so far; O(1) memory."""

    n: int = 0
    first: float = 0.0
    t: float = 0.0
    tt: float = 0.0
    y: float = 0.0
    yy: float = 0.0
    ty: float = 0.0

    def add(self, t_s: float, value: float) -> None:
        """Take in a value at a time that counts from the first one."""
        if self.n == 0:
            self.first = value
        # Relative to the first value, so that small differences of large numbers keep their digits.
        y = value - self.first
        self.n += 1
        self.t, self.tt = self.t + t_s, self.tt + t_s * t_s
        self.y, self.yy, self.ty = self.y + y, self.yy + y * y, self.ty + t_s * y

    def highest_per_s(self) -> float:
        """Return the slope that is exceeded with a probability of 0.5 %; ∞ with too few values."""
        n = self.n
        spread = self.tt - self.t * self.t / n if n >= _LEAST else 0.0
        if spread <= 0.0:
            return math.inf
        slope = (self.ty - self.t * self.y / n) / spread
        left = max(self.yy - self.y * self.y / n - slope * slope * spread, 0.0) / (n - 2)
        student = _QUANTILE * (1.0 + _FEW * math.pow(n - 2, -_POWER))
        return slope + student * math.sqrt(left / spread)
