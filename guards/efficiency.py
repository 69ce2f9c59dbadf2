"""Coulombic efficiency of whole cycles, and whether it drops."""

from __future__ import annotations

from dataclasses import dataclass

from guards.charge_balance import HalfCycle, alike

_WEIGHT = 0.3
"""Of the newest cycle in the mean."""


@dataclass(slots=True)
class Efficiency:
    """Mean of the cycles before. A cycle is whole if it began and ended empty: with a voltage."""

    first_is: int
    """Direction of a cycle's first half: 1 where charging comes first (full cell), −1 where plating does."""
    before: HalfCycle | None = None
    partner: HalfCycle | None = None
    """The half-cycle before that one."""
    like: tuple[HalfCycle, HalfCycle] | None = None
    """The newest whole cycle."""
    mean: float = 0.0
    cycles: int = 0

    def half_cycle(self, ended: HalfCycle, direction: int) -> float | None:
        """Take in a half-cycle of this direction; return the efficiency of the whole cycle that it ends.

        The mean is of the cycles before, ``cycles`` of them; :meth:`learn` takes in the new one.
        """
        first, previous = self.before, self.partner
        self.partner, self.before = self.before, ended
        if direction == self.first_is or first is None or previous is None or not first.charge_C:
            return None
        if not (ended.by_voltage and previous.by_voltage):
            return None
        if self.like is None or not (alike(self.like[0], first) and alike(self.like[1], ended)):
            self.cycles = 0
        self.like = (first, ended)
        return ended.charge_C / first.charge_C

    def learn(self, value: float, most_drop: float) -> None:
        """Take in the efficiency of a cycle, as one that dropped by ``most_drop`` at most."""
        value = max(value, self.mean - most_drop) if self.cycles else value
        self.mean += (value - self.mean) * max(_WEIGHT, 1.0 / (self.cycles + 1))
        self.cycles += 1
