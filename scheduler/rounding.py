"""Units and digits of the numbers that leave the house in results."""

from __future__ import annotations

MA_PER_CM2 = 0.1
"""A/m² → mA/cm²."""
MAH_PER_CM2 = 1 / 3.6e4
"""C/m² → mAh/cm²."""
MAH = 1 / 3.6
"""C → mAh."""
OHM_CM2 = 1e4
"""Ω m² → Ω cm²."""
S_PER_CM, MS_PER_CM = 1e-2, 10.0
"""S/m → S/cm and mS/cm."""
MILLI = 1e3
CELSIUS_0_K = 273.15


def rounded(value: float, digits: int = 6) -> float:
    """Return a value with so many significant digits: more would be noise, and harder to read."""
    return float(f"{value:.{digits}g}")
