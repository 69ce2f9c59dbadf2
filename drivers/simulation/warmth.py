"""The temperature of a cell that sits in a chamber: it follows the air with one time constant.

It changes at the points of a grid of instrument time, so that nothing depends on how the time was cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable

GRID_S = 60.0


class Warmth:
    """A cell's temperature in K."""

    def __init__(self, air_K: Callable[[float], float], tau_s: float) -> None:
        """``air_K`` gives the temperature around the cell at an instrument time."""
        self.kelvin = air_K(0.0)
        self._air_K = air_K
        self._kept = math.exp(-GRID_S / tau_s)
        self._steps = 0

    @property
    def next_s(self) -> float:
        """When the temperature changes next."""
        return (self._steps + 1) * GRID_S

    def reach(self, now_s: float) -> bool:
        """Bring the temperature up to now; return whether that changed it."""
        before_K = self.kelvin
        while self.next_s <= now_s:
            air_K = self._air_K(self.next_s)
            self.kelvin = air_K + (self.kelvin - air_K) * self._kept
            self._steps += 1
        return self.kelvin != before_K
