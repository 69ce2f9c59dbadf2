"""For each protocol of the library the text of a cell file that fits it."""

from __future__ import annotations

_SYMMETRIC = """\
sandtime: 1
name: garnet pellet
geometry: symmetric
area: 0.5 cm²
working: {lithium: 100 µm}
counter: {lithium: 100 µm}
electrolyte: {name: LLZTO, class: garnet, thickness: 600 µm}
"""
_ASYMMETRIC = """\
sandtime: 1
name: thin against thick
geometry: asymmetric
area: 0.785 cm²
working: {lithium: 20 µm}
counter: {lithium: 100 µm}
electrolyte: {name: LPSC, class: sulfide, thickness: 600 µm}
"""
_COPPER = """\
sandtime: 1
name: copper against lithium
geometry: asymmetric
area: 1 cm²
counter: {lithium: 100 µm}
electrolyte: {name: LPSC, class: sulfide, thickness: 600 µm}
"""
_BLOCKING = """\
sandtime: 1
name: pellet between steel
geometry: blocking
area: 0.785 cm²
electrolyte: {name: LPSC, class: sulfide, thickness: 1 mm}
temperature_window: {from: 10 °C, to: 100 °C}
"""
_FULL = """\
sandtime: 1
name: LFP against lithium
geometry: full
area: 0.785 cm²
counter: {lithium: 100 µm}
electrolyte: {name: PEO, class: polymer, thickness: 100 µm}
mass: 8 mg
capacity: 1.36 mAh
voltage_window: {from: 2.5 V, to: 4.2 V}
temperature_window: {from: 20 °C, to: 80 °C}
"""
_COMPOSITE = """\
sandtime: 1
name: electrolyte with carbon against lithium
geometry: half
area: 0.785 cm²
counter: {lithium: 100 µm}
electrolyte: {name: LPSC, class: sulfide, thickness: 600 µm}
voltage_window: {from: 0.5 V, to: 2.5 V}
"""

CELLS: dict[str, str] = {
    "arrhenius_conductivity": _BLOCKING,
    "asymmetric_depletion": _ASYMMETRIC,
    "ccd_constant_capacity": _SYMMETRIC,
    "ccd_constant_time": _SYMMETRIC,
    "cv_rates": _FULL,
    "eis_after_cycles": _SYMMETRIC,
    "eis_after_cycles_full_cell": _FULL,
    "electronic_conductivity": _BLOCKING,
    "in_situ_eis_cycling": _SYMMETRIC,
    "ionic_conductivity_dc": _SYMMETRIC,
    "long_cycling": _FULL,
    "lsv_window": _COMPOSITE,
    "nucleation_overpotential": _COPPER,
    "plating_stripping_cu": _COPPER,
    "rate_test": _FULL,
    "symmetric_cycling": _SYMMETRIC,
    "symmetric_cycling_with_activation": _SYMMETRIC,
    "tafel": _SYMMETRIC,
    "transference_number": _SYMMETRIC,
    "unidirectional_geis": _SYMMETRIC,
    "v_sp_series": _SYMMETRIC,
}
"""Protocol → cell file."""
