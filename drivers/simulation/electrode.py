"""The open-circuit voltage of a positive electrode against lithium, and the current at which E is reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_END = 1e-6
"""Part of the capacity, at either end, in which U goes on along its tangent: steep, but never infinite."""
_ITERATIONS = 60
_TOLERANCE_V = 1e-9


@dataclass(frozen=True, slots=True)
class PositiveElectrode:
    """U(x) = plateau + slope·(x − ½) + end·ln(x/(1 − x)); x is the part of the lithium that is out.

    The logarithm is that of an ideal solution of lithium and vacancies: it carries the charge up to its
    upper and the discharge down to its lower limit of voltage.
    """

    capacity_C_per_m2: float
    plateau_V: float
    slope_V: float
    """Rise of U over the whole capacity, ends apart."""
    end_V: float
    charged: float = 0.0
    """x of the fresh cell; 0: as built, with all lithium in the electrode."""
    fade: float = 0.0
    """Part of the capacity that is lost with each charge after the first."""

    def open_circuit_V(self, charged: FloatArray | float) -> FloatArray | float:
        """Return U at x, shape of ``charged``."""
        inner = np.minimum(np.maximum(charged, _END), 1 - _END)
        ends_V = self.end_V * np.log(inner / (1 - inner)) + self.slope_at(inner) * (charged - inner)
        return np.asarray(self.plateau_V + self.slope_V * (inner - 0.5) + ends_V)

    def slope_at(self, charged: FloatArray | float) -> FloatArray | float:
        """Return dU/dx at x in V, shape of ``charged``."""
        inner = np.minimum(np.maximum(charged, _END), 1 - _END)
        return np.asarray(self.slope_V + self.end_V / (inner * (1 - inner)))

    def solve(
        self, voltage_V: float, series_ohm: float, charged: float, charge_per_A: float, guess_A: float
    ) -> float:
        """Return I with R·I + U(x + κ·I) = ``voltage_V``, beginning at ``guess_A``.

        Newton's method; it cannot miss, since the left side rises with I and bends once.
        """
        current_A = guess_A
        for _ in range(_ITERATIONS):
            reached = charged + charge_per_A * current_A
            excess_V = float(series_ohm * current_A + self.open_circuit_V(reached) - voltage_V)
            if abs(excess_V) < _TOLERANCE_V:
                break
            current_A -= excess_V / float(series_ohm + charge_per_A * self.slope_at(reached))
        return current_A
