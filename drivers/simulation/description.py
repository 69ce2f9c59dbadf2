"""A simulated cell as a person writes it, in the units of a lab."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from drivers.simulation.ageing import AgeingParameters
from drivers.simulation.cells import Cell, CellParameters
from drivers.simulation.circuit import Arc, Diffusion
from drivers.simulation.decomposition import Decomposition
from drivers.simulation.electrode import PositiveElectrode, particle_relaxations
from drivers.simulation.lithium import LithiumParameters
from drivers.simulation.open_circuit import CURVES, plateau
from drivers.simulation.shorts import ShortParameters
from protocols.cell import LITHIUM_C_PER_M3

CM2 = 1e-4
MAH = 3.6
HOUR_S = 3600.0
CELSIUS_K = 273.15
CHARGE = MAH / CM2
"""mAh/cm² → C/m²."""
DENSITY = 1e-3 / CM2
"""mA/cm² → A/m²."""


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ArcDescription(_Checked):
    """One arc of the spectrum; see :class:`Arc`."""

    resistance_ohm_cm2: float = Field(gt=0)
    tau_s: float = Field(gt=0)
    alpha: float = Field(default=1.0, gt=0.5, le=1)
    interface: bool = True
    charge_transfer: bool = False
    activation_eV: float = Field(default=0.0, ge=0)

    def arc(self) -> Arc:
        """Return the same in SI."""
        return Arc(
            self.resistance_ohm_cm2 * CM2,
            self.tau_s,
            self.alpha,
            self.interface,
            self.charge_transfer,
            self.activation_eV,
        )


class DiffusionDescription(_Checked):
    """Diffusion of the salt; see :class:`Diffusion`."""

    resistance_ohm_cm2: float = Field(gt=0)
    tau_s: float = Field(gt=0)
    limiting_mA_per_cm2: float | None = Field(default=None, gt=0)
    activation_eV: float = Field(default=0.0, ge=0)

    def diffusion(self) -> Diffusion:
        """Return the same in SI."""
        limiting = self.limiting_mA_per_cm2
        return Diffusion(
            self.resistance_ohm_cm2 * CM2,
            self.tau_s,
            None if limiting is None else limiting * DENSITY,
            self.activation_eV,
        )


class RelaxationDescription(_Checked):
    """One relaxation of the positive electrode's surface."""

    part_per_C_rate: float = Field(ge=0)
    tau_s: float = Field(gt=0)


class CellDescription(_Checked):
    """A simulated cell. What each value means stands at the parameters of the same name in SI:
    :class:`CellParameters`, :class:`AgeingParameters`, :class:`LithiumParameters`, :class:`ShortParameters`,
    :class:`PositiveElectrode`.
    """

    seed: int = Field(default=0, ge=0)
    """For the instrument's noise, the cell's fluctuations and its shorts."""
    area_cm2: float = Field(default=0.785, gt=0)
    bulk_ohm_cm2: float = Field(default=50.0, gt=0)
    bulk_activation_eV: float = Field(default=0.0, ge=0)
    arcs: Annotated[tuple[ArcDescription, ...], Field(min_length=1)] = (
        ArcDescription(resistance_ohm_cm2=15.0, tau_s=1e-5, alpha=0.9, interface=False),
        ArcDescription(resistance_ohm_cm2=20.0, tau_s=1e-3, alpha=0.85),
        ArcDescription(resistance_ohm_cm2=15.0, tau_s=0.3, alpha=0.85),
    )
    diffusion: DiffusionDescription | None = None
    inductance_H: float = Field(default=2e-7, ge=0)
    reference_celsius: float = Field(default=25.0, gt=-273.15)
    temperature_celsius: float | None = Field(default=None, gt=-273.15)
    """Where it lies; None: at the reference temperature. A cell in a chamber follows that."""
    swing_K: float = Field(default=0.0, ge=0, le=20)
    swing_period_h: float = Field(default=24.0, gt=0)
    activation: float = Field(default=0.05, ge=0)
    activation_mAh_per_cm2: float = Field(default=5.0, gt=0)
    alloying: float = Field(default=0.0, ge=0)
    alloying_mAh_per_cm2: float = Field(default=5.0, gt=0)
    sei_per_root_h: float = Field(default=0.0, ge=0)
    drift_per_h: float = 0.0
    roughness: float = Field(default=0.0, ge=0, le=0.3)
    contact_loss_cm2_per_mAh: float = Field(default=0.04, ge=0)
    contact_limit_mAh_per_cm2: float | None = Field(default=None, gt=0)
    creep_mA_per_cm2: float = Field(default=0.0, ge=0)
    nucleation: float = Field(default=0.2, ge=0)
    nucleation_mAh_per_cm2: float = Field(default=0.001, gt=0)
    nucleation_from_mA_per_cm2: float = Field(default=0.0, ge=0)
    short_at_mA_per_cm2: float | None = Field(default=None, gt=0)
    short_after_mAh_per_cm2: float = Field(default=0.1, ge=0)
    lifetime_mAh_per_cm2: float | None = Field(default=None, gt=0)
    short_residual: float = Field(default=0.02, gt=0, lt=1)
    short_ohm_cm2: float | None = Field(default=None, gt=0)
    shorted: bool = False
    """It is short-circuited before anything is done to it."""
    short_fall_s: float = Field(default=0.1, gt=0)
    soft_from_mAh_per_cm2: float | None = Field(default=None, gt=0)
    soft_to_mAh_per_cm2: float | None = Field(default=None, gt=0)
    soft_residual: float = Field(default=0.3, gt=0, lt=1)
    soft_ohm_cm2: float | None = Field(default=None, gt=0)
    soft_form_s: float = Field(default=5.0, gt=0)
    soft_heal_s: float = Field(default=120.0, gt=0)
    flicker: float = Field(default=0.0, ge=0, le=1)
    flicker_s: float = Field(default=10.0, gt=0)
    working_um: float = Field(default=100.0, ge=0)
    """Thickness of the lithium on the working electrode; 0: a bare current collector."""
    counter_um: float = Field(default=100.0, ge=0)
    loss_mAh_per_cm2: float = Field(default=0.0, ge=0)
    """Lithium isolated per cycle on each side, after it was stripped."""
    efficiency: float = Field(default=1.0, gt=0, le=1)
    sei_mAh_per_cm2_per_root_h: float = Field(default=0.0, ge=0)
    runaway_V: float = Field(default=0.02, gt=0)
    runaway_s: float = Field(default=4.0, gt=0)
    oxidation_V: float | None = Field(default=None, gt=0)
    """E at which the electrolyte's oxidation carries 0.01 mA/cm²; None: it is stable."""
    oxidation_V_per_decade: float = Field(default=0.12, gt=0)
    blocking: bool = False
    """Both electrodes take no lithium: none is needed, and none moves."""
    positive_mAh_per_cm2: float | None = Field(default=None, gt=0)
    """All lithium of the positive electrode; None: the working electrode is no positive electrode. Between
    its limits of voltage a cell gives a little less."""
    positive_curve: Literal["lfp", "ncm811", "lco"] | None = None
    """Its open-circuit voltage; None: a plateau of one's own, the next three values."""
    positive_plateau_V: float = Field(default=3.43, gt=0)
    positive_slope_V: float = Field(default=0.02, ge=0)
    positive_end_V: float = Field(default=0.05, gt=0)
    positive_charged: float = Field(default=0.001, ge=0, le=1)
    positive_diffusion: tuple[RelaxationDescription, ...] = ()
    """Its surface's lag behind the mean."""
    positive_particle_s: float | None = Field(default=None, gt=0)
    """Diffusion in its particles, radius²/D: more such relaxations."""
    coulombic_efficiency: float = Field(default=1.0, gt=0.5, le=1)
    fade_per_cycle: float = Field(default=0.0, ge=0, lt=1)
    fade_growth: float = Field(default=0.0, ge=0, lt=1)

    @property
    def temperature_K(self) -> float:
        """Temperature of the place where it lies."""
        celsius = self.reference_celsius if self.temperature_celsius is None else self.temperature_celsius
        return celsius + CELSIUS_K

    def build(self) -> Cell:
        """Return a fresh cell."""
        return Cell(self.parameters())

    def parameters(self) -> CellParameters:
        """Return the same cell in SI."""
        return CellParameters(
            area_m2=self.area_cm2 * CM2,
            bulk_ohm_m2=self.bulk_ohm_cm2 * CM2,
            bulk_activation_eV=self.bulk_activation_eV,
            arcs=tuple(arc.arc() for arc in self.arcs),
            diffusion=None if self.diffusion is None else self.diffusion.diffusion(),
            inductance_H=self.inductance_H,
            reference_K=self.reference_celsius + CELSIUS_K,
            temperature_K=self.temperature_K,
            nucleation=self.nucleation,
            nucleation_C_per_m2=self.nucleation_mAh_per_cm2 * CHARGE,
            nucleation_from_A_per_m2=self.nucleation_from_mA_per_cm2 * DENSITY,
            ageing=self._ageing(),
            lithium=self._lithium(),
            short=self._short(),
            positive=self._positive(),
            decomposition=self._decomposition(),
        )

    def _ageing(self) -> AgeingParameters:
        return AgeingParameters(
            activation=self.activation,
            activation_C_per_m2=self.activation_mAh_per_cm2 * CHARGE,
            alloying=self.alloying,
            alloying_C_per_m2=self.alloying_mAh_per_cm2 * CHARGE,
            sei_per_root_h=self.sei_per_root_h,
            drift_per_s=self.drift_per_h / HOUR_S,
            roughness=self.roughness,
            seed=self.seed,
            swing_K=self.swing_K,
            swing_period_s=self.swing_period_h * HOUR_S,
        )

    def _lithium(self) -> LithiumParameters:
        endless = math.inf if self.blocking else None
        endless_working = math.inf if self.positive_mAh_per_cm2 is not None else endless
        lithium = LITHIUM_C_PER_M3 * 1e-6
        return LithiumParameters(
            working_C_per_m2=endless_working or self.working_um * lithium,
            counter_C_per_m2=endless or self.counter_um * lithium,
            loss_C_per_m2=self.loss_mAh_per_cm2 * CHARGE,
            efficiency=self.efficiency,
            sei_C_per_m2_per_root_s=self.sei_mAh_per_cm2_per_root_h * CHARGE / math.sqrt(HOUR_S),
            contact_loss_m2_per_C=self.contact_loss_cm2_per_mAh / CHARGE,
            contact_limit_C_per_m2=_charge(self.contact_limit_mAh_per_cm2) or math.inf,
            creep_A_per_m2=self.creep_mA_per_cm2 * DENSITY,
            runaway_V=self.runaway_V,
            runaway_s=self.runaway_s,
        )

    def _short(self) -> ShortParameters:
        critical = self.short_at_mA_per_cm2
        return ShortParameters(
            critical_A_per_m2=None if critical is None else critical * DENSITY,
            critical_C_per_m2=self.short_after_mAh_per_cm2 * CHARGE,
            lifetime_C_per_m2=_charge(self.lifetime_mAh_per_cm2),
            residual=self.short_residual,
            path_ohm_m2=_resistance(self.short_ohm_cm2),
            fall_s=self.short_fall_s,
            from_start=self.shorted,
            soft_from_C_per_m2=_charge(self.soft_from_mAh_per_cm2),
            soft_to_C_per_m2=_charge(self.soft_to_mAh_per_cm2) or math.inf,
            soft_residual=self.soft_residual,
            soft_path_ohm_m2=_resistance(self.soft_ohm_cm2),
            form_s=self.soft_form_s,
            heal_s=self.soft_heal_s,
            flicker=self.flicker,
            flicker_s=self.flicker_s,
            seed=self.seed,
        )

    def _decomposition(self) -> Decomposition | None:
        if self.oxidation_V is None:
            return None
        return Decomposition(self.oxidation_V, slope_V=self.oxidation_V_per_decade)

    def _positive(self) -> PositiveElectrode | None:
        if self.positive_mAh_per_cm2 is None:
            return None
        if self.positive_curve is None:
            curve = plateau(self.positive_plateau_V, self.positive_slope_V, self.positive_end_V)
        else:
            curve = CURVES[self.positive_curve]
        particle_s = self.positive_particle_s
        particle = () if particle_s is None else particle_relaxations(particle_s)
        return PositiveElectrode(
            capacity_C_per_m2=self.positive_mAh_per_cm2 * CHARGE,
            curve=curve,
            diffusion=tuple((one.part_per_C_rate, one.tau_s) for one in self.positive_diffusion) + particle,
            charged=self.positive_charged,
            coulombic_efficiency=self.coulombic_efficiency,
            fade=self.fade_per_cycle,
            fade_growth=self.fade_growth,
        )


def _charge(mAh_per_cm2: float | None) -> float | None:
    """Return an areal capacity in C/m²."""
    return None if mAh_per_cm2 is None else mAh_per_cm2 * CHARGE


def _resistance(ohm_cm2: float | None) -> float | None:
    return None if ohm_cm2 is None else ohm_cm2 * CM2
