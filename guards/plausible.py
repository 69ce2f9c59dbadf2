"""Between which bounds a cell's open-circuit voltage and resistance may be, from its cell file alone. Pure.

The bounds are wide on purpose: a conductivity that somebody has measured must never judge a cell. They tell a
cell from a clip that is off, from leads that touch, and from another kind of cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from protocols.cell import Cell, ElectrolyteClass

CONDUCTIVITY_S_PER_M: dict[ElectrolyteClass, tuple[float, float]] = {
    "sulfide": (1e-3, 5.0),
    "garnet": (1e-4, 1.0),
    "polymer": (1e-6, 1.0),
    "composite": (1e-5, 5.0),
    "liquid": (1e-3, 10.0),
    "other": (1e-7, 10.0),
}
"""Lowest and highest σ of a class, a decade and more around what is published (facts/recipes.md, section 6),
as cells are tested cold and hot, porous and wetted badly."""
THICKNESS_M = (5e-6, 5e-3)
"""Of an electrolyte whose thickness the cell file does not say."""
SPARE_LOW, SPARE_HIGH = 0.5, 10.0
"""The bounds of R_hf are so much wider than the thickness over σ and area says."""
CONTACT_OHM_M2 = 0.1
"""R_hf may hold besides, of contacts and of arcs faster than the channel sees: 1000 Ω cm²."""
INTERFACE_OHM_M2 = 10.0
"""R at low frequency may hold besides, of both interfaces: 10⁵ Ω cm²."""
LEADS_OHM = 1e-3
"""No cell has less: that of two leads that touch."""
BLOCKING_F_PER_M2 = 1e-5
"""Electrodes that take no lithium have a larger capacitance than this, 1 nF/cm². A cable alone has some
100 pF at most."""

LITHIUM_V = 0.05
"""|E| of a cell with lithium on both sides, or with two electrodes alike, is below this at rest."""
ABOVE_V = 0.05
"""E of a full cell may be above its window by so much: errors of two instruments."""
AS_BUILT_V = 1.0
"""E of a full cell that was never charged may be below its window by so much."""
LEAST_FULL_V = 0.05
"""A full cell with less is shorted, or empty beyond repair."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lowest and highest value."""

    low: float
    high: float

    def hold(self, value: float) -> bool:
        """Whether a value lies inside."""
        return self.low <= value <= self.high


def r_hf_bounds(cell: Cell) -> Bounds:
    """Return between which bounds R_hf of a sound cell is, in Ω."""
    slow, fast = CONDUCTIVITY_S_PER_M[cell.electrolyte_class]
    thin_m, thick_m = THICKNESS_M
    if cell.electrolyte_thickness_m is not None:
        thin_m = thick_m = cell.electrolyte_thickness_m
    low = max(SPARE_LOW * thin_m / fast / cell.area_m2, LEADS_OHM)
    return Bounds(low, (SPARE_HIGH * thick_m / slow + CONTACT_OHM_M2) / cell.area_m2)


def open_from_ohm(cell: Cell, frequency_Hz: float) -> float:
    """Return |Z| at a low frequency from which on no cell is between the leads."""
    if cell.geometry == "blocking":
        return 1.0 / (2.0 * math.pi * frequency_Hz * BLOCKING_F_PER_M2 * cell.area_m2)
    return r_hf_bounds(cell).high + INTERFACE_OHM_M2 / cell.area_m2


def has_sign(cell: Cell) -> bool:
    """Whether E at open circuit tells which electrode is which."""
    return cell.geometry in ("full", "half")


def is_lithium_against_lithium(cell: Cell) -> bool:
    """Whether E at open circuit has to be near 0."""
    both = bool(cell.working.inventory_C_per_m2) and bool(cell.counter.inventory_C_per_m2)
    return cell.geometry == "symmetric" or (cell.geometry == "asymmetric" and both)


def voltage_bounds(cell: Cell) -> Bounds | None:
    """Return between which bounds E at open circuit has to be; None: any E is possible.

    A half cell may be above its window: an electrode against lithium often begins there.
    """
    if is_lithium_against_lithium(cell):
        return Bounds(-LITHIUM_V, LITHIUM_V)
    if cell.geometry != "full" or cell.voltage_min_V is None or cell.voltage_max_V is None:
        return None
    as_built_V = max(cell.voltage_min_V - AS_BUILT_V, LEAST_FULL_V)
    return Bounds(min(as_built_V, cell.voltage_min_V), cell.voltage_max_V + ABOVE_V)
