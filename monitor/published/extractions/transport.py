"""Transference number, conductivities, activation energy."""

from __future__ import annotations

import math

import numpy as np

from analysis.transport import bruce_vincent, computed_initial_current
from monitor.published.extractions.record import Record
from monitor.published.extractions.registry import NotObtainedError, extraction
from protocols.measurements import Spectrum
from protocols.nodes import ConstantVoltage, Rest, Soak

BOLTZMANN_J_PER_K = 1.380649e-23
STEADY_PART = 0.05
"""The last part of a polarisation whose mean current is the steady one."""


@extraction("ratio")
def transference(record: Record) -> float:
    """t₊ after Bruce and Vincent, from the spectra before and after and the steady current between them.

    I_0 is what the first spectrum lets through: the first samples still charge the interfaces.
    """
    if len(record.spectra) < 2:
        raise NotObtainedError("a spectrum before and one after the polarisation are needed")
    step = _polarisation(record)
    (_, before), (_, after) = record.spectra[0], record.spectra[-1]
    try:
        return bruce_vincent(
            voltage_V=step.voltage_V,
            initial_A=computed_initial_current(step.voltage_V, before.r_total_ohm),
            steady_A=_steady_current(record, step.index),
            initial_ohm=before.r_int_ohm,
            steady_ohm=after.r_int_ohm,
        )
    except ValueError as error:
        raise NotObtainedError(str(error)) from error


@extraction("conductivity")
def conductivity(record: Record, celsius: float) -> float:
    """σ = L / (R A) at the temperature of the ladder nearest to ``celsius``."""
    kelvin = celsius + 273.15
    at_K, spectrum = min(_ladder(record), key=lambda rung: abs(rung[0] - kelvin))
    if abs(at_K - kelvin) > 1.0:
        raise NotObtainedError(f"no spectrum was measured at {celsius:g} °C")
    return _geometry_per_m(record) / _electrolyte_ohm(spectrum)


@extraction("energy")
def activation_energy(record: Record) -> float:
    """E_a in J from the slope of ln σ over 1/T."""
    ladder = _ladder(record)
    if len(ladder) < 3:
        raise NotObtainedError("less than three temperatures")
    inverse = np.array([1 / kelvin for kelvin, _ in ladder])
    log_sigma = np.array([-math.log(_electrolyte_ohm(spectrum)) for _, spectrum in ladder])
    return float(-np.polyfit(inverse, log_sigma, 1)[0]) * BOLTZMANN_J_PER_K


@extraction("conductivity")
def conductivity_at_rest(record: Record) -> float:
    """σ = L / (R A) from the run's first spectrum."""
    if not record.spectra:
        raise NotObtainedError("no spectrum")
    return _geometry_per_m(record) / _electrolyte_ohm(record.spectra[0][0])


@extraction("conductivity")
def conductivity_dc(record: Record, deducted_ohm_cm2: float = 0.0) -> float:
    """σ = L / (R A) with R = ΔV / I at the end of a polarisation, less what other layers have."""
    step = _polarisation(record)
    steady_A = _steady_current(record, step.index)
    deducted_ohm = deducted_ohm_cm2 * 1e-4 / record.area_m2
    return _geometry_per_m(record) / (step.voltage_V / steady_A - deducted_ohm)


def _polarisation(record: Record) -> ConstantVoltage:
    """Return the first step that holds a voltage."""
    for step, _ in record.program.walk():
        if isinstance(step, ConstantVoltage) and step.voltage_V:
            return step
    raise NotObtainedError("no voltage was held")


def _steady_current(record: Record, step: int) -> float:
    """Return the mean current in A of the last part of a step."""
    columns = record.samples(columns=("t_s", "current_A", "step"))
    current = columns["current_A"][columns["step"] == step]
    if len(current) < 2:
        raise NotObtainedError("the polarisation was not sampled")
    return float(np.mean(current[-max(int(len(current) * STEADY_PART), 1) :]))


def _ladder(record: Record) -> list[tuple[float, Spectrum]]:
    """Return each temperature, in K, with the last spectrum measured at it."""
    targets: dict[int, float] = {}
    kelvin = None
    for step, _ in record.program.walk():
        if isinstance(step, Rest):
            kelvin = next((end.target_K for end in step.host_ends if isinstance(end, Soak)), kelvin)
        if kelvin is not None:
            targets[step.index] = kelvin
    found = {targets[s.step]: s for s, _ in record.spectra if s.step in targets}
    return sorted(found.items(), key=lambda rung: rung[0])


def _electrolyte_ohm(spectrum: Spectrum) -> float:
    """Return Z′ where −Z″ is smallest: between the arcs of the electrolyte and the blocking electrodes."""
    impedance = spectrum.impedance()
    return float(impedance.real[int(np.argmin(np.abs(impedance.imag)))])


def _geometry_per_m(record: Record) -> float:
    thickness_m = record.program.cell.electrolyte_thickness_m
    if thickness_m is None:
        raise NotObtainedError("the cell file gives no thickness of the electrolyte")
    return thickness_m / record.area_m2
