"""Oxidation of the electrolyte at high voltage: a current in parallel to everything else, after Tafel."""

from __future__ import annotations

import math
from dataclasses import dataclass

_HIGHEST = 40.0
"""exp of more than this is beyond every current range."""


@dataclass(frozen=True, slots=True)
class Decomposition:
    """I = onset · area · 10^((E − E_onset)/slope)."""

    onset_V: float
    onset_A_per_m2: float = 0.1
    """Current density at ``onset_V``: 0.01 mA/cm², a usual threshold for the window of stability."""
    slope_V: float = 0.12
    """Tafel slope, V per decade: that of one electron with α = ½."""

    def current(self, voltage_V: float, area_m2: float) -> tuple[float, float]:
        """Return I in A and dI/dE in S."""
        exponent = min((voltage_V - self.onset_V) / self.slope_V * math.log(10), _HIGHEST)
        current_A = self.onset_A_per_m2 * area_m2 * math.exp(exponent)
        return current_A, current_A * math.log(10) / self.slope_V
