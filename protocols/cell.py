"""The cell under test, in SI. The file that a person writes, with units, is read by ``load_cell``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from protocols.frozen import Frozen
from protocols.verdicts import Side

Geometry = Literal["symmetric", "asymmetric", "full", "half", "blocking"]
ElectrolyteClass = Literal["sulfide", "garnet", "polymer", "composite", "liquid", "other"]
AreaOf = Literal["working", "counter", "smaller", "electrolyte"]
"""Whose area a cell file gives; ``smaller``: that of the smaller one of two different electrodes."""

LITHIUM_C_PER_M3 = 0.205 * 3.6 / 1e-4 / 1e-6
"""Charge in dense lithium: 0.205 mAh/cm² per µm (facts/recipes.md), here in C/m³."""


class Electrode(Frozen):
    """One electrode."""

    inventory_C_per_m2: float | None = Field(default=None, ge=0)
    """Areal capacity of the lithium that is there at the start; None: unknown or no lithium metal."""
    uncertainty: float = Field(default=0.1, ge=0, le=1)
    """Relative uncertainty of the inventory (thickness of foil is rarely known better than 10 %)."""


class Cell(Frozen):
    """The thing under test."""

    name: str
    identity: str = ""
    """What is written on the cell, or its barcode."""
    geometry: Geometry = "symmetric"
    area_m2: float = Field(gt=0)
    area_uncertainty: float | None = Field(default=None, ge=0, le=1)
    """Relative standard deviation of the area; None: not said."""
    area_of: AreaOf | None = None
    """Which electrode the area is of; None: not said."""
    working: Electrode = Electrode()
    counter: Electrode = Electrode()
    thin_side_on: Side | None = None
    """The electrode that the thin lithium of an asymmetric cell was wired to; None: not said."""
    working_lead: str = ""
    """Which lead is on the working electrode, in the lab's own words."""
    electrolyte: str = ""
    electrolyte_class: ElectrolyteClass = "other"
    electrolyte_thickness_m: float | None = None
    electrolyte_thickness_uncertainty: float | None = Field(default=None, ge=0, le=1)
    """Relative standard deviation of the thickness; None: not said."""
    mass_kg: float | None = None
    """Active material of the working electrode."""
    capacity_C: float | None = None
    expected_resistance_ohm_m2: float | None = None
    """Areal resistance that the cell is expected to have, for checks of accuracy."""
    stack_pressure_Pa: float | None = None
    pressing_pressure_Pa: float | None = None
    temperature_K: float = 298.15
    activation_energy_J: float | None = Field(default=None, gt=0)
    """E_a of the whole cell's resistance, for one particle; None: a usual one of the electrolyte's class."""
    voltage_min_V: float | None = None
    """Window that the cell may see; None: from the electrolyte class."""
    voltage_max_V: float | None = None
    temperature_min_K: float | None = None
    temperature_max_K: float | None = None
    contains_liquid: bool = False
    max_loss: float = Field(default=0.5, ge=0, le=1)
    """Largest part of each stripped charge that may never come back (design: Depletion)."""
    fixture: str = ""
    notes: str = ""
    metadata: dict[str, str] = {}

    @property
    def shows_overpotential(self) -> bool:
        """Whether E is an overpotential, as short_circuit and depletion need it; else E/I says nothing."""
        return self.geometry in ("symmetric", "asymmetric")

    def inventory_C(self, side: Side) -> float | None:
        """Lithium at the start on one side, in C; None if unknown."""
        areal = (self.working if side == "working" else self.counter).inventory_C_per_m2
        return None if areal is None else areal * self.area_m2
