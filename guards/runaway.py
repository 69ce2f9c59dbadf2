"""How R ran away: at once, ever faster, or as a contact is lost.

A side that runs out of lithium takes time over it: its last islands shrink, and E grows e-fold in one to
hundreds of seconds (the project's survey of short detection), ever faster until a limit stops it. A contact
that breaks jumps and stays where it is; voids make R grow evenly, over many minutes (Singh et al., Cell Rep.
Phys. Sci. 3 (2022) 101043: 15 h).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Shape = Literal["accelerating", "step", "slowing", "slow", "unresolved"]
"""``unresolved``: too few samples to tell, as when a limit on board was faster."""

_MID = 2.0
"""A rise is seen in two parts: before and after it has grown by this since its first sample."""
_SLOWING = 1.7
"""It slows down if an e-fold takes this × longer in the second part: along a straight line it takes at least
2 × longer, along an exponential at most as long."""
_STAYS = 4.0
"""After a leap R stays if it grows this × slower than in the leap."""


@dataclass(slots=True)
class Rise:
    """R since it left its level, of samples with about the set current. Cheap: called for few samples."""

    interval_s: float = 0.0
    """Shortest time between two samples in this visit; 0: unknown."""
    heard_s: float | None = None
    from_ohm: float = 0.0
    """What R had to exceed for the first sample."""
    first_s: float | None = None
    first_ohm: float = 0.0
    mid_s: float | None = None
    mid_ohm: float = 0.0
    last_s: float = 0.0
    last_ohm: float = 0.0

    @property
    def seen(self) -> bool:
        """Whether R is above its level."""
        return self.first_s is not None

    def hear(self, t_s: float) -> None:
        """Learn how far samples lie apart; the first ones of a visit are all told."""
        if self.heard_s is not None and t_s > self.heard_s:
            gap_s = t_s - self.heard_s
            self.interval_s = min(gap_s, self.interval_s or gap_s)
        self.heard_s = t_s

    def add(self, t_s: float, resistance_ohm: float, from_ohm: float) -> None:
        """Take in a sample above the level."""
        if self.first_s is None:
            self.first_s, self.first_ohm, self.from_ohm = t_s, resistance_ohm, from_ohm
        elif self.mid_s is None and resistance_ohm > _MID * self.first_ohm:
            self.mid_s, self.mid_ohm = t_s, resistance_ohm
        self.last_s, self.last_ohm = t_s, resistance_ohm

    def end(self) -> None:
        """R is back at its level, or nothing is known any more."""
        self.first_s = self.mid_s = None

    @property
    def e_fold_s(self) -> float | None:
        """Time in which R grew e-fold; None if it was seen for too short to tell."""
        if self.first_s is None or self.last_ohm <= self.first_ohm:
            return None
        return (self.last_s - self.first_s) / math.log(self.last_ohm / self.first_ohm)

    @property
    def jump_s(self) -> float | None:
        """An upper bound of that time from the leap to the first sample; None if there was no leap."""
        if self.first_s is None or not 0.0 < self.from_ohm < self.first_ohm or self.interval_s == 0.0:
            return None
        return self.interval_s / math.log(self.first_ohm / self.from_ohm)

    def shape(self, step_s: float, slow_s: float, *, clipped: bool) -> Shape:
        """Return what it looks like. ``clipped``: E can't grow any more; others: ``depletion.Thresholds``."""
        jump_s, e_fold_s = self.jump_s, self.e_fold_s
        if jump_s is not None and (jump_s < step_s or (not clipped and self._stays(jump_s))):
            return "step"
        if e_fold_s is None:
            return "unresolved"
        if e_fold_s > slow_s:
            return "slow"
        return "slowing" if self._slows() else "accelerating"

    def _stays(self, jump_s: float) -> bool:
        """Whether R leapt to twice what it had to exceed and then hardly grew."""
        if self.first_s is None or self.first_ohm < _MID * self.from_ohm:
            return False
        lasted_s = self.last_s - self.first_s
        grown = math.log(max(self.last_ohm / self.first_ohm, 1.0))
        return lasted_s >= 2.0 * self.interval_s and lasted_s > _STAYS * jump_s * grown

    def _slows(self) -> bool:
        if self.first_s is None or self.mid_s is None or self.last_ohm < _MID * self.mid_ohm:
            return False
        before_s = (self.mid_s - self.first_s) / math.log(self.mid_ohm / self.first_ohm)
        after_s = (self.last_s - self.mid_s) / math.log(self.last_ohm / self.mid_ohm)
        return after_s > _SLOWING * before_s + self.interval_s
