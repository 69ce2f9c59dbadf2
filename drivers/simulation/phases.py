"""What a technique does, one after the other: phases, with the limit tests that end them early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drivers.biologic.constants import ExitCondition, LimitVariable

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LimitTest:
    """One comparison of a step's limits."""

    on_voltage: bool
    above: bool
    and_next: bool
    value: float

    @classmethod
    def from_word(cls, config: int, value: float) -> LimitTest | None:
        """Decode Test*_Config (bits 0, 1, 2…4, 5…31); None if the test is inactive. Raises ValueError."""
        if not config & 1:
            return None
        variable = config >> 5
        if variable not in (LimitVariable.E, LimitVariable.I):
            raise ValueError(f"there is no input for test variable {variable}")
        return cls(variable == LimitVariable.E, bool(config >> 2 & 1), bool(config >> 1 & 1), value)

    def holds(self, volts: FloatArray, current_A: float) -> NDArray[np.bool_]:
        """Return where the comparison is true, shape of ``volts``."""
        compared = volts if self.on_voltage else np.full(len(volts), current_A)
        return compared >= self.value if self.above else compared <= self.value


def tripped(tests: Sequence[LimitTest], volts: FloatArray, current_A: float) -> NDArray[np.bool_]:
    """Return where ((T1 op T2) op T3) is true; the operators are those of T1 and T2."""
    result = tests[0].holds(volts, current_A)
    for before, test in pairwise(tests):
        holds = test.holds(volts, current_A)
        result = result & holds if before.and_next else result | holds
    return result


@dataclass(frozen=True, slots=True)
class Steady:
    """Open circuit (``current_A`` None) or a constant current."""

    current_A: float | None
    duration_s: float
    record_dT_s: float
    record_dE_V: float
    tests: tuple[LimitTest, ...] = ()
    exit_condition: ExitCondition = ExitCondition.NEXT_STEP
    cycle: int = 0


@dataclass(frozen=True, slots=True)
class Potential:
    """A constant voltage."""

    voltage_V: float
    duration_s: float
    record_dT_s: float
    record_dI_A: float
    tests: tuple[LimitTest, ...] = ()
    exit_condition: ExitCondition = ExitCondition.NEXT_STEP
    cycle: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """One leg of a voltammogram: a voltage that rises or falls from vertex to vertex at a constant rate."""

    start_V: float
    end_V: float
    rate_V_per_s: float
    """Above 0, whichever way it goes."""
    record_dE_V: float
    measuring: tuple[float, float] = (0.0, 1.0)
    """The part of each dE over which I and E are averaged."""
    tests: tuple[LimitTest, ...] = ()
    exit_condition: ExitCondition = ExitCondition.NEXT_STEP
    cycle: int = 0

    @property
    def duration_s(self) -> float:
        """Time from vertex to vertex."""
        return abs(self.end_V - self.start_V) / self.rate_V_per_s

    @property
    def record_s(self) -> float:
        """Time in which the voltage changes by dE."""
        return self.record_dE_V / self.rate_V_per_s


@dataclass(frozen=True, slots=True)
class Sweep:
    """An impedance spectrum around a constant current or, if ``of_voltage``, voltage."""

    level: float
    """A or V."""
    amplitude: float
    """A or V."""
    frequency_Hz: FloatArray
    ends_s: FloatArray
    """Time since the sweep's start at which each point is done."""
    of_voltage: bool = False

    @property
    def current_A(self) -> float | None:
        """The controlled current, None if the voltage is controlled."""
        return None if self.of_voltage else self.level


Phase = Steady | Potential | Scan | Sweep
