"""A median of the last few values."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence


class RollingMedian:
    """The upper median of the last values, up to a number of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: list[float] = []
        self._ordered: list[float] = []

    def __len__(self) -> int:
        return len(self._values)

    @property
    def values(self) -> list[float]:
        """The values in the order in which they came, oldest first."""
        return list(self._values)

    def median(self, empty: float) -> float:
        """Return the median; ``empty`` if there is no value."""
        return self._ordered[len(self._ordered) // 2] if self._ordered else empty

    def add(self, value: float) -> None:
        """Take in a value; the oldest goes."""
        self._values.append(value)
        insort(self._ordered, value)
        if len(self._values) > self._most:
            del self._ordered[bisect_left(self._ordered, self._values.pop(0))]

    def restore(self, values: Sequence[float]) -> None:
        """Hold these values and no others."""
        self._values, self._ordered = list(values), sorted(values)
