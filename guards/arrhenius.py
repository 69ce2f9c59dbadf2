"""How the resistance of a cell follows its temperature: Arrhenius, R ∝ exp(E_a / kT).

E_a is the cell file's, else a usual one of the electrolyte's class. It stands for the whole cell, so it leans
towards the interfaces: they hold most of the resistance of a Li-metal cell under current, and mostly follow
temperature at least as steeply as the bulk. Measured: 0.33 and 0.37 eV of garnets and their composites,
0.50 eV of a plasticised polymer (the project's sheet of recipes, section 6), that is 4 to 7 % per K.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from protocols.cell import Cell, ElectrolyteClass

BOLTZMANN_J_PER_K = 1.380649e-23
EV_J = 1.602176634e-19
COOLING_S = 1800.0
"""Time constant of a cell in its fixture behind the air: ten minutes to half an hour."""

_USUAL_EV: dict[ElectrolyteClass, float] = {
    "sulfide": 0.35,
    "garnet": 0.35,
    "composite": 0.4,
    "liquid": 0.25,
    "other": 0.35,
}
"""Liquid: between the solvent's viscosity (0.1–0.2 eV) and the interphase. Other: as most solids."""
_POLYMER_EV, _MOLTEN_POLYMER_EV, _MELTING_K = 0.9, 0.6, 333.15
"""A polymer of the PEO kind follows temperature more steeply while it is partly crystalline, below 60 °C."""


def factor(cell: Cell, from_K: float, to_K: float) -> float:
    """Return R of a cell at ``to_K`` relative to R at ``from_K``, both > 0: below 1 for a warmer cell."""
    if cell.activation_energy_J is not None:
        return _factor(cell.activation_energy_J, from_K, to_K)
    if cell.electrolyte_class != "polymer":
        return _factor(_USUAL_EV[cell.electrolyte_class] * EV_J, from_K, to_K)
    cold = _factor(_POLYMER_EV * EV_J, min(from_K, _MELTING_K), min(to_K, _MELTING_K))
    molten = _factor(_MOLTEN_POLYMER_EV * EV_J, max(from_K, _MELTING_K), max(to_K, _MELTING_K))
    return cold * molten


def kelvin_for(cell: Cell, ratio: float) -> float:
    """Return by how much a cell at its usual temperature has to warm up for its R to fall to 1/``ratio``.

    In K, to first order; ``ratio`` > 1. Cooling down by as much makes R ``ratio`` times as high.
    """
    per_K = -math.log(factor(cell, cell.temperature_K, cell.temperature_K + 1.0))
    return math.log(ratio) / per_K


@dataclass(slots=True)
class Warmth:
    """How warm a cell may be, by what is known of its surroundings: it cools down later than the air."""

    now_K: float | None = None
    hottest_K: float = 0.0
    hottest_s: float = 0.0

    def tell(self, t_s: float, temperature_K: float) -> None:
        """Take notice of a temperature around the cell."""
        before_K = self.at(t_s)
        self.hottest_K = temperature_K if before_K is None else max(temperature_K, before_K)
        self.hottest_s, self.now_K = t_s, temperature_K

    def at(self, t_s: float) -> float | None:
        """Return the highest temperature that the cell may have at a time; None if nothing is known."""
        if self.now_K is None:
            return None
        return self.now_K + (self.hottest_K - self.now_K) * math.exp((self.hottest_s - t_s) / COOLING_S)


def _factor(energy_J: float, from_K: float, to_K: float) -> float:
    return math.exp(energy_J / BOLTZMANN_J_PER_K * (1.0 / to_K - 1.0 / from_K))
