"""The open-circuit voltage of a positive electrode against lithium, and the current at which E is reached."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_END = 1e-6
"""Part of the capacity, at either end, in which U goes on along its tangent: steep, but never infinite."""


@dataclass(slots=True)
class ElectrodeState:
    """What has happened to it."""

    charged: float
    capacity_C: float
    charges: int = 0
    deviation: FloatArray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, slots=True)
class PositiveElectrode:
    """U(x) = plateau + slope·(x − ½) + end·ln(x/(1 − x)); x is the part of the lithium that is out."""

    capacity_C_per_m2: float
    plateau_V: float
    slope_V: float
    end_V: float
    charged: float = 0.0
    fade: float = 0.0

    def fresh(self, area_m2: float) -> ElectrodeState:
        return ElectrodeState(self.charged, self.capacity_C_per_m2 * area_m2)

    def surface(self, state: ElectrodeState, current_A: float, after_s: FloatArray) -> FloatArray:
        return np.asarray(state.charged + current_A * after_s / state.capacity_C)

    def let_pass(self, state: ElectrodeState, current_A: float, seconds: float) -> None:
        state.charged += current_A * seconds / state.capacity_C

    def begin_charge(self, state: ElectrodeState) -> None:
        state.capacity_C *= 1 - self.fade

    def line(self, state: ElectrodeState, seconds: float, direction: int) -> tuple[float, float]:
        return state.charged, seconds / state.capacity_C

    def impedance(self, state: ElectrodeState, frequency_Hz: FloatArray) -> NDArray[np.complex128]:
        return np.asarray(self.slope_at(state.charged) / (2j * np.pi * frequency_Hz * state.capacity_C))

    def open_circuit_V(self, charged: FloatArray | float) -> FloatArray | float:
        inner = np.minimum(np.maximum(charged, _END), 1 - _END)
        ends_V = self.end_V * np.log(inner / (1 - inner)) + self.slope_at(inner) * (charged - inner)
        return np.asarray(self.plateau_V + self.slope_V * (inner - 0.5) + ends_V)

    def slope_at(self, charged: FloatArray | float) -> FloatArray | float:
        inner = np.minimum(np.maximum(charged, _END), 1 - _END)
        return np.asarray(self.slope_V + self.end_V / (inner * (1 - inner)))
