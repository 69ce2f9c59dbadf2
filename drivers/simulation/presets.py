"""Named cells, in the units of a lab. The numbers of the Li | Li cells come from published studies
(facts/recipes.md, C, D, E); where a study is silent (the lithium lost per cycle, the currents at which a cell
shorts) and in the other cells they are this model's choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.simulation.description import CellDescription
from drivers.simulation.published_cells import published_cells


def _arcs(grain_boundary: float, charge_transfer: float, transport: float) -> list[dict[str, object]]:
    """Arcs of a garnet cell at the time constants that study C assigns; resistances in Ω cm²."""
    return [
        {"resistance_ohm_cm2": grain_boundary, "tau_s": 1e-6, "alpha": 0.9, "interface": False},
        {"resistance_ohm_cm2": charge_transfer, "tau_s": 1e-3, "alpha": 0.85},
        {"resistance_ohm_cm2": transport, "tau_s": 0.1, "alpha": 0.85},
    ]


_MII2: dict[str, object] = {
    "bulk_ohm_cm2": 25.0,
    "arcs": [
        {"resistance_ohm_cm2": 9.0, "tau_s": 1e-4, "alpha": 0.85},
        {"resistance_ohm_cm2": 8.0, "tau_s": 5e-2, "alpha": 0.85},
    ],
    "activation": 0.04,
    "nucleation": 0.1,
    "loss_mAh_per_cm2": 0.25,
}
"""Metal-rich interphase of study D: at most 26 mV at 0.5 mA/cm², and much lithium lost."""

_NO_FORMATION: dict[str, object] = {"activation": 0.0, "nucleation": 0.0, "contact_loss_cm2_per_mAh": 0.0}
"""A cell whose resistance stays as it is."""

_FULL: dict[str, object] = {
    **_NO_FORMATION,
    "bulk_ohm_cm2": 25.0,
    "arcs": [
        {"resistance_ohm_cm2": 10.0, "tau_s": 1e-4, "alpha": 0.85},
        {"resistance_ohm_cm2": 15.0, "tau_s": 2e-2, "alpha": 0.85},
        {"resistance_ohm_cm2": 20.0, "tau_s": 60.0, "interface": False},
    ],
    "counter_um": 50.0,
}
"""A positive electrode against 50 µm of lithium, as built: discharged. The slow arc is diffusion in the
active material: it makes the current at a held voltage fall over minutes."""

GENERIC: Mapping[str, Mapping[str, object]] = {
    "generic_symmetric": {},
    "tfoh_llzto": {
        "bulk_ohm_cm2": 22.0,
        "arcs": _arcs(6.0, 12.0, 10.0),
        "short_at_mA_per_cm2": 2.5,
    },
    "air_llzto": {
        "bulk_ohm_cm2": 80.0,
        "arcs": _arcs(40.0, 330.0, 200.0),
        "roughness": 0.12,
        "short_at_mA_per_cm2": 0.2,
    },
    "mii2_100_20": {**_MII2, "working_um": 20.0},
    "mii2_100_100": _MII2,
    "symmetric_20_20": {**_MII2, "working_um": 20.0, "counter_um": 20.0},
    "llzto_unidirectional": {
        "bulk_ohm_cm2": 30.0,
        "arcs": _arcs(10.0, 20.0, 20.0),
        "contact_loss_cm2_per_mAh": 0.05,
    },
    "lfp_full": {**_FULL, "positive_mAh_per_cm2": 1.5, "fade_per_cycle": 5e-4},
    "ncm_full": {
        **_FULL,
        "positive_mAh_per_cm2": 3.0,
        "positive_curve": "ncm811",
        "positive_particle_s": 3000.0,
        "fade_per_cycle": 1e-3,
    },
    "blocking_carbon": {
        **_NO_FORMATION,
        "bulk_ohm_cm2": 50.0,
        "arcs": [
            {"resistance_ohm_cm2": 2e7, "tau_s": 300.0, "interface": False},
            {"resistance_ohm_cm2": 5e6, "tau_s": 25.0, "interface": False},
        ],
        "blocking": True,
    },
    "li_cu": {**_NO_FORMATION, "nucleation": 0.3, "working_um": 0.0, "loss_mAh_per_cm2": 0.02},
    "polymer_transference": {
        **_NO_FORMATION,
        "bulk_ohm_cm2": 20.0,
        "arcs": [
            {"resistance_ohm_cm2": 30.0, "tau_s": 1e-3, "alpha": 0.9},
            {"resistance_ohm_cm2": 80.0, "tau_s": 200.0, "interface": False},
        ],
    },
}
"""Name → what differs from :class:`CellDescription`'s defaults. In the asymmetric cell the working electrode
is the thin one. Of the others:

``lfp_full`` runs from 2.5 to 3.65 V, ``ncm_full`` from 3.0 to 4.3 V. ``blocking_carbon`` is carbon on both
sides: electrons leak through 2.5·10⁷ Ω cm² beside double layers of 15 and 5 µF/cm², so that the current at a
held voltage decays over minutes to the leak, and the spectrum ends in a capacitive tail. ``li_cu`` plates on
bare copper (a negative current) and strips, 0.02 mAh/cm² short in each cycle. ``polymer_transference``
polarises like an electrolyte with t₊ = R_bulk/(R_bulk + R_diffusion) = 0.2: the method of Bruce and Vincent
gives it back.
"""

PRESETS: Mapping[str, Mapping[str, object]] = {**GENERIC, **published_cells()}
"""The same and, with the letter of a study before their name, the cells of published studies."""


def describe(preset: str, overrides: Mapping[str, Any] | None = None) -> CellDescription:
    """Return a preset with values of one's own. Raises KeyError for an unknown preset, ValidationError for
    an unknown or impossible value.
    """
    return CellDescription.model_validate({**PRESETS[preset], **(overrides or {})})
