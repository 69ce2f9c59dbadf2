"""Named cells, in the units of a lab. The numbers of the Li | Li cells come from published studies
(facts/recipes.md, C, D, E); where a study is silent (the lithium lost per cycle, the currents at which a cell
shorts) and in the other cells they are this model's choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from drivers.simulation.cells import Arc, Cell, CellParameters
from drivers.simulation.electrode import PositiveElectrode
from protocols.cell import LITHIUM_C_PER_M3

CM2 = 1e-4
MAH = 3.6


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ArcDescription(_Checked):
    """One arc of the spectrum."""

    resistance_ohm_cm2: float = Field(gt=0)
    tau_s: float = Field(gt=0)
    alpha: float = Field(default=1.0, gt=0.5, le=1)
    interface: bool = True


class CellDescription(_Checked):
    """A simulated cell as a person writes it; the meaning of each value is in :class:`CellParameters`."""

    seed: int = Field(default=0, ge=0)
    """For the instrument's noise and the cell's fluctuations."""
    area_cm2: float = Field(default=0.785, gt=0)
    bulk_ohm_cm2: float = Field(default=50.0, gt=0)
    arcs: Annotated[tuple[ArcDescription, ...], Field(min_length=1)] = (
        ArcDescription(resistance_ohm_cm2=15.0, tau_s=1e-5, alpha=0.9, interface=False),
        ArcDescription(resistance_ohm_cm2=20.0, tau_s=1e-3, alpha=0.85),
        ArcDescription(resistance_ohm_cm2=15.0, tau_s=0.3, alpha=0.85),
    )
    bulk_activation_eV: float = Field(default=0.0, ge=0)
    inductance_H: float = Field(default=2e-7, ge=0)
    activation: float = Field(default=0.05, ge=0)
    activation_mAh_per_cm2: float = Field(default=5.0, gt=0)
    drift_per_h: float = 0.0
    contact_loss_cm2_per_mAh: float = Field(default=0.04, ge=0)
    roughness: float = Field(default=0.0, ge=0, le=0.3)
    nucleation: float = Field(default=0.2, ge=0)
    nucleation_mAh_per_cm2: float = Field(default=0.001, gt=0)
    short_at_mA_per_cm2: float | None = Field(default=None, gt=0)
    short_after_mAh_per_cm2: float = Field(default=0.1, ge=0)
    short_residual: float = Field(default=0.02, gt=0, lt=1)
    short_fall_s: float = Field(default=0.1, gt=0)
    working_um: float = Field(default=100.0, ge=0)
    """Thickness of the lithium on the working electrode; 0: a bare current collector."""
    counter_um: float = Field(default=100.0, ge=0)
    loss_mAh_per_cm2: float = Field(default=0.0, ge=0)
    """Lithium lost per cycle on each side, after it was stripped."""
    runaway_V: float = Field(default=0.02, gt=0)
    runaway_s: float = Field(default=4.0, gt=0)
    blocking: bool = False
    """Both electrodes take no lithium: none is needed, and none moves."""
    positive_mAh_per_cm2: float | None = Field(default=None, gt=0)
    """All lithium of the positive electrode; None: the working electrode is no positive electrode. Between
    its limits of voltage a cell gives a little less."""
    positive_plateau_V: float = Field(default=3.43, gt=0)
    positive_slope_V: float = Field(default=0.02, ge=0)
    positive_end_V: float = Field(default=0.05, gt=0)
    positive_charged: float = Field(default=0.001, ge=0, le=1)
    fade_per_cycle: float = Field(default=0.0, ge=0, lt=1)

    def parameters(self) -> CellParameters:
        """Return the same cell in SI."""
        charge = MAH / CM2
        lithium = LITHIUM_C_PER_M3 * 1e-6
        short_at = self.short_at_mA_per_cm2
        endless = math.inf if self.blocking else None
        endless_working = math.inf if self.positive_mAh_per_cm2 is not None else endless
        return CellParameters(
            area_m2=self.area_cm2 * CM2,
            bulk_ohm_m2=self.bulk_ohm_cm2 * CM2,
            arcs=tuple(
                Arc(arc.resistance_ohm_cm2 * CM2, arc.tau_s, arc.alpha, arc.interface) for arc in self.arcs
            ),
            bulk_activation_eV=self.bulk_activation_eV,
            inductance_H=self.inductance_H,
            activation=self.activation,
            activation_C_per_m2=self.activation_mAh_per_cm2 * charge,
            drift_per_s=self.drift_per_h / 3600,
            contact_loss_m2_per_C=self.contact_loss_cm2_per_mAh / charge,
            roughness=self.roughness,
            roughness_seed=self.seed,
            nucleation=self.nucleation,
            nucleation_C_per_m2=self.nucleation_mAh_per_cm2 * charge,
            short_at_A_per_m2=None if short_at is None else short_at * 1e-3 / CM2,
            short_after_C_per_m2=self.short_after_mAh_per_cm2 * charge,
            short_residual=self.short_residual,
            short_fall_s=self.short_fall_s,
            working_C_per_m2=endless_working or self.working_um * lithium,
            counter_C_per_m2=endless or self.counter_um * lithium,
            loss_C_per_m2=self.loss_mAh_per_cm2 * charge,
            runaway_V=self.runaway_V,
            runaway_s=self.runaway_s,
            positive=self._positive(),
        )

    def _positive(self) -> PositiveElectrode | None:
        if self.positive_mAh_per_cm2 is None:
            return None
        return PositiveElectrode(
            capacity_C_per_m2=self.positive_mAh_per_cm2 * MAH / CM2,
            plateau_V=self.positive_plateau_V,
            slope_V=self.positive_slope_V,
            end_V=self.positive_end_V,
            charged=self.positive_charged,
            fade=self.fade_per_cycle,
        )

    def build(self) -> Cell:
        """Return a fresh cell."""
        return Cell(self.parameters())


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

PRESETS: Mapping[str, Mapping[str, object]] = {
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
        "positive_plateau_V": 3.75,
        "positive_slope_V": 0.6,
        "positive_end_V": 0.08,
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


def describe(preset: str, overrides: Mapping[str, Any] | None = None) -> CellDescription:
    """Return a preset with values of one's own. Raises KeyError for an unknown preset, ValidationError for
    an unknown or impossible value.
    """
    return CellDescription.model_validate({**PRESETS[preset], **(overrides or {})})
