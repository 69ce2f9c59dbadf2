"""Cyclic voltammetry, stability window, Tafel."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.kinetics import ChargeTransfer, allen_hickling
from monitor.published.extractions.record import Record
from monitor.published.extractions.registry import NotObtainedError, extraction
from protocols.nodes import VoltageSweep

FloatArray = NDArray[np.float64]
Peak = Literal["anodic", "cathodic"]

SAME_RATE = 0.01


@extraction("voltage")
def peak_separation(record: Record, rate_mV_per_s: float) -> float:
    """Distance of the anodic from the cathodic peak in the last cycle at a scan rate."""
    volts, amperes = _last_cycle(record, rate_mV_per_s * 1e-3)
    return float(volts[np.argmax(amperes)] - volts[np.argmin(amperes)])


@extraction("current")
def peak_current(record: Record, rate_mV_per_s: float, peak: Peak) -> float:
    """Current of a peak in the last cycle at a scan rate."""
    _, amperes = _last_cycle(record, rate_mV_per_s * 1e-3)
    return float(amperes.max() if peak == "anodic" else amperes.min())


@extraction("slope")
def peak_slope(record: Record, peak: Peak) -> float:
    """Slope of the peak current over the square root of the scan rate, in A·(s/V)^½."""
    rates = sorted({step.rate_V_per_s for step in _sweeps(record)})
    if len(rates) < 2:
        raise NotObtainedError("less than two scan rates")
    peaks = [float(peak_current(record, rate * 1e3, peak)) for rate in rates]
    return float(np.polyfit(np.sqrt(rates), peaks, 1)[0])


@extraction("voltage")
def window(record: Record, above_uA_per_cm2: float) -> float:
    """The voltage at which the current of a sweep passes a threshold for good."""
    step = _sweeps(record)[-1]
    volts, amperes = _of_step(record, step.index)
    within = amperes <= above_uA_per_cm2 * 1e-2 * record.area_m2
    if not within.any() or within[-1]:
        raise NotObtainedError("the current does not pass the threshold within the sweep")
    return float(volts[np.nonzero(within)[0][-1] + 1])


@extraction("current")
def exchange_current(record: Record) -> float:
    """i0 from the last sweep after Allen and Hickling; see :func:`analysis.kinetics.allen_hickling`."""
    found = _charge_transfer(record)
    if found.exchange_A is None:
        raise NotObtainedError(found.why_not)
    return found.exchange_A


@extraction("resistance")
def charge_transfer_resistance(record: Record) -> float:
    """R_ct = R T / (F i0) of one electrode, from the same."""
    found = _charge_transfer(record)
    if found.r_ct_ohm is None:
        raise NotObtainedError(found.why_not)
    return found.r_ct_ohm


def _charge_transfer(record: Record) -> ChargeTransfer:
    if not record.spectra:
        raise NotObtainedError("no spectrum before the sweep, so R_HF is unknown")
    volts, amperes = _of_step(record, _sweeps(record)[-1].index)
    return allen_hickling(
        volts,
        amperes,
        r_hf_ohm=record.spectra[0][1].r_hf_ohm,
        temperature_K=record.program.cell.temperature_K,
    )


def _sweeps(record: Record) -> list[VoltageSweep]:
    found = [step for step, _ in record.program.walk() if isinstance(step, VoltageSweep)]
    if not found:
        raise NotObtainedError("the protocol holds no sweep")
    return found


def _last_cycle(record: Record, rate_V_per_s: float) -> tuple[FloatArray, FloatArray]:
    """Return E and I of the last visit of the last steps at a scan rate: one way up and one way down."""
    steps = [s for s in _sweeps(record) if abs(s.rate_V_per_s / rate_V_per_s - 1) < SAME_RATE]
    if not steps:
        raise NotObtainedError(f"nothing was swept at {rate_V_per_s * 1e3:g} mV/s")
    return _of_step(record, steps[-1].index)


def _of_step(record: Record, step: int) -> tuple[FloatArray, FloatArray]:
    columns = record.samples(columns=("t_s", "voltage_V", "current_A", "step", "visit"))
    of_step = columns["step"] == step
    if not of_step.any():
        raise NotObtainedError("the sweep was not sampled")
    last = of_step & (columns["visit"] == columns["visit"][of_step].max())
    return columns["voltage_V"][last], columns["current_A"][last]
