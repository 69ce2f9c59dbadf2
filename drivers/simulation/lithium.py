"""The lithium of a cell: what each side can still reach, what it has lost, the voids left by stripping."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

WORKING, COUNTER = 0, 1
REFILL = 3.0
"""How much faster plating fills voids than stripping makes them: it goes to their rims."""
_FULL = 0.999
"""Part of the contact that may be lost; the rest keeps Z finite."""
_FAR = 60.0
"""exp of more than this is beyond every voltage range."""


@dataclass(frozen=True, slots=True)
class LithiumParameters:
    """Charges are per electrode area."""

    working_C_per_m2: float = 7.38e5
    """Lithium on the working side; infinite where it is never the lithium that ends a half-cycle. A side
    without any is a bare collector, which keeps ``loss_C_per_m2`` of the first lithium plated on it."""
    counter_C_per_m2: float = 7.38e5
    loss_C_per_m2: float = 0.0
    """Lithium that a side loses each time its stripping has ended: isolated, out of contact for good."""
    efficiency: float = 1.0
    """Part of plated lithium that is not consumed by the electrolyte (Coulombic efficiency)."""
    sei_C_per_m2_per_root_s: float = 0.0
    """Lithium that the interphase of each side consumes: ·√t, growth limited by its own thickness
    (Peled, J. Electrochem. Soc. 126 (1979) 2047)."""
    contact_loss_m2_per_C: float = 0.0
    """Relative growth of the interface's resistance per charge of voids on either side."""
    contact_limit_C_per_m2: float = np.inf
    """Voids with which a side has lost all contact."""
    creep_A_per_m2: float = 0.0
    """Current density up to which creep under the stack pressure fills voids as they form (Kasemchainan et
    al., Nat. Mater. 18 (2019) 1105: critical current for stripping)."""
    runaway_V: float = 0.02
    runaway_s: float = 4.0
    """Time constant of the exponential rise of E once the stripped side has no lithium left."""


@dataclass(slots=True)
class Lithium:
    """What has happened to it. Pairs are working, counter."""

    accessible_C: list[float]
    """Within reach. Below 0: lost from what will be plated next."""
    isolated_C: list[float] = field(default_factory=lambda: [0.0, 0.0])
    consumed_C: list[float] = field(default_factory=lambda: [0.0, 0.0])
    void_C: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Stripped from the interface and not filled again."""
    starved_s: float = 0.0
    """Time for which the present half-cycle has stripped a side without lithium."""

    def copy(self) -> Lithium:
        """Return one that changes by itself."""
        return Lithium(
            self.accessible_C[:], self.isolated_C[:], self.consumed_C[:], self.void_C[:], self.starved_s
        )


class LithiumModel:
    """How the lithium of one cell changes."""

    def __init__(self, parameters: LithiumParameters, area_m2: float) -> None:
        self._parameters = parameters
        self._area_m2 = area_m2

    def fresh(self) -> Lithium:
        """Return the lithium of a new cell."""
        parameters = self._parameters
        sides = (parameters.working_C_per_m2, parameters.counter_C_per_m2)
        return Lithium([(side or -parameters.loss_C_per_m2) * self._area_m2 for side in sides])

    def let_pass(self, lithium: Lithium, current_A: float, from_s: float, seconds: float) -> None:
        """Let a constant current move it; ``from_s`` is the cell's age."""
        self._grow_interphase(lithium, from_s, seconds)
        lithium.void_C = [float(void[0]) for void in self._voids(lithium, current_A, np.full(1, seconds))]
        if not current_A:
            return
        stripped = stripped_side(current_A)
        lithium.starved_s = max(self.starved_s(lithium, current_A, seconds), 0.0)
        left_C, charge_C = lithium.accessible_C[stripped], abs(current_A) * seconds
        lithium.accessible_C[stripped] = max(left_C - charge_C, min(left_C, 0.0))
        lithium.accessible_C[1 - stripped] += charge_C

    def turn(self, lithium: Lithium, direction: int, passed_C: float) -> None:
        """End a half-cycle of this direction in which ``passed_C`` has passed."""
        stripped = stripped_side(direction)
        isolated_C = self._parameters.loss_C_per_m2 * self._area_m2
        consumed_C = (1 - self._parameters.efficiency) * passed_C
        lithium.accessible_C[stripped] -= isolated_C
        lithium.isolated_C[stripped] += isolated_C
        lithium.accessible_C[1 - stripped] -= consumed_C
        lithium.consumed_C[1 - stripped] += consumed_C

    def starved_s(self, lithium: Lithium, current_A: float, after_s: float) -> float:
        """Return for how long the stripped side will have been without lithium; ≤ 0 means not yet."""
        if not current_A:
            return 0.0
        return lithium.starved_s + after_s - self.left_C(lithium, current_A) / abs(current_A)

    def left_C(self, lithium: Lithium, current_A: float) -> float:
        """Return what the side that this current strips has left."""
        return max(lithium.accessible_C[stripped_side(current_A)], 0.0)

    def runaway_V(self, starved_s: FloatArray, current_A: float) -> FloatArray:
        """Return the rise of E at times since the stripped side ran out (below 0: none)."""
        exponent = np.clip(starved_s / self._parameters.runaway_s, 0.0, _FAR)
        return np.asarray(np.sign(current_A) * self._parameters.runaway_V * np.expm1(exponent))

    def contact_loss(self, lithium: Lithium, current_A: float, after_s: FloatArray) -> FloatArray:
        """Return the relative growth of the interface's resistance at these times, shape (n,)."""
        per_C = self._parameters.contact_loss_m2_per_C / self._area_m2
        if not per_C:
            return np.zeros(len(after_s))
        limit_C = self._parameters.contact_limit_C_per_m2 * self._area_m2
        lost = sum(
            void / (1 - np.minimum(void / limit_C, _FULL))
            for void in self._voids(lithium, current_A, after_s)
        )
        return np.asarray(per_C * lost)

    def _voids(self, lithium: Lithium, current_A: float, after_s: FloatArray) -> list[FloatArray]:
        """Return the voids of both sides at these times."""
        creep_A = self._parameters.creep_A_per_m2 * self._area_m2
        rates_A = [-creep_A, -creep_A]
        if current_A:
            stripped = stripped_side(current_A)
            rates_A[stripped] += abs(current_A)
            rates_A[1 - stripped] -= REFILL * abs(current_A)
        return [
            np.maximum(void_C + rate_A * after_s, 0.0)
            for void_C, rate_A in zip(lithium.void_C, rates_A, strict=True)
        ]

    def _grow_interphase(self, lithium: Lithium, from_s: float, seconds: float) -> None:
        per_root = self._parameters.sei_C_per_m2_per_root_s * self._area_m2
        if not per_root:
            return
        grown_C = per_root * (np.sqrt(from_s + seconds) - np.sqrt(from_s))
        for side in (WORKING, COUNTER):
            lithium.accessible_C[side] -= float(grown_C)
            lithium.consumed_C[side] += float(grown_C)


def stripped_side(current_A: float) -> int:
    """Return the side that a current strips: a positive one the working side."""
    return WORKING if current_A > 0 else COUNTER
