"""Units in which papers print their values. A published value is compared in its own unit."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "time",
    "voltage",
    "current",
    "current_density",
    "areal_capacity",
    "specific_capacity",
    "resistance",
    "areal_resistance",
    "conductivity",
    "energy",
    "ratio",
    "slope",
    "words",
]

ELEMENTARY_CHARGE_C = 1.602176634e-19

UNITS: dict[str, tuple[Kind, float]] = {
    "h": ("time", 3600.0),
    "V": ("voltage", 1.0),
    "mV": ("voltage", 1e-3),
    "mA": ("current", 1e-3),
    "mA/cm²": ("current_density", 10.0),
    "mAh/cm²": ("areal_capacity", 36e3),
    "mAh/g": ("specific_capacity", 3600.0),
    "Ω": ("resistance", 1.0),
    "Ω cm²": ("areal_resistance", 1e-4),
    "S/cm": ("conductivity", 100.0),
    "mS/cm": ("conductivity", 0.1),
    "eV": ("energy", ELEMENTARY_CHARGE_C),
    "mV cm²/mA": ("areal_resistance", 1e-4),
    "mA s^½/V^½": ("slope", 1e-3),
    "%": ("ratio", 0.01),
    "": ("ratio", 1.0),
}
"""Unit → what it measures, and its SI value."""
