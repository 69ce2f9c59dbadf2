"""How often something took how long: counts between bounds, for whoever watches the daemon."""

from __future__ import annotations

import bisect
from collections.abc import Sequence


class Histogram:
    """Counts of values up to each bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        """Ascending; a last one without end comes by itself."""
        self.counts = [0] * (len(bounds) + 1)
        """Values between a bound and the one before it."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value
