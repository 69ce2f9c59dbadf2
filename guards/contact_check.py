"""What a cell shows before a test starts: is it there, is it whole, is it the right way round? Pure.

Judged from E at open circuit and a small spectrum or pulse. The bounds are wide (:mod:`guards.plausible`):
what is refused here would be a broken test, and what is only unusual is noted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from guards.plausible import (
    Bounds,
    has_sign,
    is_lithium_against_lithium,
    open_from_ohm,
    r_hf_bounds,
    voltage_bounds,
)
from protocols.cell import Cell
from protocols.check import CheckFinding, FindingResult
from protocols.measurements import Spectrum, SpectrumSummary

NOISE_NOTED_V, NOISE_REFUSED_V = 2e-3, 1e-2
"""Standard deviation of E around its trend: a cell at rest has far less, an open input picks up far more."""
SIGN_V = 0.05
"""E below −this is no full or half cell that is the right way round."""
RESISTOR_PHASE_RAD, RESISTOR_PART = 0.03, 0.05
"""A spectrum with smaller phases, whose ends differ by less, is that of a resistor."""
RESISTOR_BELOW_HZ = 1e5
"""Phases at higher frequencies may be those of the leads."""
PULSE_HZ = 0.1
"""A pulse of some seconds sees what is slower than this."""
OPEN_ADVICE = "A clip is off, or the cell holder is open: look at the leads and at the springs."
SHORT_ADVICE = "The cell is short-circuited, or leads or holder touch: measure it elsewhere, or take another."


@dataclass(frozen=True, slots=True)
class Shown:
    """What the steps of a check have shown."""

    voltage_V: float | None
    """E at open circuit; None: no sample came."""
    noise_V: float = 0.0
    """Standard deviation of E around its trend."""
    spectrum: Spectrum | None = None
    summary: SpectrumSummary | None = None
    pulse_ohm: float | None = None
    """Change of E over I at the end of a small pulse; None: there was no pulse."""
    ended_by_limit: str = ""
    """A limit on board ended it, and what it said."""
    wanted: str = ""
    """What was to be measured besides E: ``spectrum``, ``pulse``, or nothing."""


def judge(shown: Shown, cell: Cell) -> tuple[CheckFinding, ...]:
    """Return what a check has found; what says most about its cause comes first."""
    if shown.voltage_V is None:
        return (_found("voltage", "refused", "E was not measured: no sample came", OPEN_ADVICE),)
    findings = [_polarity(shown.voltage_V, cell), *_contact(shown, cell)]
    findings += [_voltage(shown.voltage_V, cell), _noise(shown.noise_V)]
    return tuple(finding for finding in findings if finding is not None)


def _voltage(voltage_V: float, cell: Cell) -> CheckFinding:
    text, bounds = f"E at open circuit is {volts(voltage_V)}", voltage_bounds(cell)
    value = _Value("V", voltage_V, bounds)
    if bounds is None:
        return _found("voltage", "fine", f"{text}; of a {cell.geometry} cell it may be anything", value=value)
    low_V = cell.voltage_min_V
    wanted = f"expected are {volts(bounds.low)} to {volts(bounds.high)}"
    if not bounds.hold(voltage_V):
        return _found("voltage", "refused", f"{text}; {wanted}", _voltage_advice(cell), value)
    if has_sign(cell) and low_V is not None and voltage_V < low_V:
        wanted = f"its window begins at {volts(low_V)}: as built, or discharged too far"
        return _found("voltage", "noted", f"{text}; {wanted}", value=value)
    return _found("voltage", "fine", f"{text}; {wanted}", value=value)


def _voltage_advice(cell: Cell) -> str:
    if is_lithium_against_lithium(cell):
        return (
            "A clip may be off, or this is not a cell with two electrodes alike. One that was driven just "
            "now needs a rest."
        )
    return "Another cell, one that is shorted or discharged far too deep, or a clip that is off."


def _noise(noise_V: float) -> CheckFinding | None:
    if noise_V <= NOISE_NOTED_V:
        return None
    text = f"E at open circuit is noisy: {volts(noise_V)} around its trend; {volts(NOISE_NOTED_V)} is much"
    advice = "An open input picks up what is around: a clip may be off, or a shield not connected."
    value = _Value("V", noise_V, Bounds(0.0, NOISE_REFUSED_V))
    return _found("noise", "refused" if noise_V > NOISE_REFUSED_V else "noted", text, advice, value)


def _polarity(voltage_V: float, cell: Cell) -> CheckFinding | None:
    if not has_sign(cell):
        return None
    if voltage_V >= -SIGN_V:
        return _found("polarity", "fine", "E has the sign of a cell the right way round")
    text = f"E is {volts(voltage_V)}; that of a {cell.geometry} cell is positive"
    return _found("polarity", "refused", text, "The leads are exchanged: put them right.")


# Contact and resistance


def _contact(shown: Shown, cell: Cell) -> list[CheckFinding]:
    if shown.ended_by_limit:
        text = f"E left its limits at a small current, so nothing conducts: {shown.ended_by_limit}"
        return [_found("contact", "refused", text, OPEN_ADVICE)]
    if shown.pulse_ohm is not None:
        return [_of_pulse(shown.pulse_ohm, cell)]
    if not shown.wanted:
        text = "whether the cell conducts could not be checked: this channel has no spectrum for it"
        return [_found("contact", "unknown", text)]
    if shown.spectrum is None or shown.summary is None:
        text = f"no usable {shown.wanted} could be measured: no current flows, or E is out of range"
        return [_found("contact", "refused", text, OPEN_ADVICE)]
    return _of_spectrum(shown.spectrum, shown.summary, cell)


def _of_spectrum(spectrum: Spectrum, summary: SpectrumSummary, cell: Cell) -> list[CheckFinding]:
    low_ohm = abs(complex(summary.r_total_ohm, summary.z_imag_low_ohm))
    most = open_from_ohm(cell, summary.f_low_Hz)
    text = f"|Z| at {summary.f_low_Hz:.3g} Hz is {ohms(low_ohm)}"
    value = _Value("ohm", low_ohm, Bounds(0.0, most))
    if low_ohm > most:
        text += f"; at most {ohms(most)} are plausible"
        return [_found("contact", "refused", text, OPEN_ADVICE, value)]
    resistance = _resistance(summary.r_hf_ohm, low_ohm, cell)
    found = [_found("contact", "fine", text, value=value), resistance]
    if resistance.result == "fine" and _is_resistor(spectrum, summary):
        text = "the spectrum is that of a resistor: it shows no interface"
        found.append(_found("short", "noted", text, "A dummy cell, or a cell that is short-circuited."))
    return found


def _resistance(r_hf_ohm: float, low_ohm: float, cell: Cell) -> CheckFinding:
    """Judge R_hf; |Z| at the lowest frequency below the electrolyte's R is a short too."""
    bounds = r_hf_bounds(cell)
    plausible = f"plausible for {_electrolyte(cell)} are {ohms(bounds.low)} to {ohms(bounds.high)}"
    text = f"R_hf is {ohms(r_hf_ohm)}; {plausible}"
    value = _Value("ohm", r_hf_ohm, bounds)
    if min(r_hf_ohm, low_ohm) < bounds.low:
        text += "" if r_hf_ohm < bounds.low else f", and |Z| at low frequency is {ohms(low_ohm)}"
        return _found("short", "refused", text, SHORT_ADVICE, value)
    if r_hf_ohm > bounds.high:
        advice = "A bad contact, a dry cell, or another electrolyte or thickness than the cell file says."
        return _found("resistance", "refused", text, advice, value)
    return _found("resistance", "fine", text, value=value)


def _is_resistor(spectrum: Spectrum, summary: SpectrumSummary) -> bool:
    """Whether a spectrum is one point on the real axis."""
    points = zip(spectrum.frequency_Hz, spectrum.z_real_ohm, spectrum.z_imag_ohm, strict=True)
    flat = all(abs(im) <= RESISTOR_PHASE_RAD * abs(re) for f, re, im in points if f <= RESISTOR_BELOW_HZ)
    return flat and abs(summary.r_int_ohm) <= RESISTOR_PART * abs(summary.r_hf_ohm)


def _of_pulse(pulse_ohm: float, cell: Cell) -> CheckFinding:
    """Judge by a pulse of a few seconds, whose R holds the interfaces too."""
    bounds = Bounds(r_hf_bounds(cell).low, open_from_ohm(cell, PULSE_HZ))
    text = f"R by a small pulse is {ohms(pulse_ohm)}; plausible are {ohms(bounds.low)} to {ohms(bounds.high)}"
    value = _Value("ohm", pulse_ohm, bounds)
    if bounds.hold(pulse_ohm):
        return _found("contact", "fine", text, value=value)
    if pulse_ohm < bounds.low:
        return _found("short", "refused", text, SHORT_ADVICE, value)
    return _found("contact", "refused", text, OPEN_ADVICE, value)


def _electrolyte(cell: Cell) -> str:
    thickness = cell.electrolyte_thickness_m
    size = f"{cell.area_m2 * 1e4:.3g} cm²"
    if thickness is not None:
        size += f" and {thickness * 1e6:.3g} µm"
    return f"the class {cell.electrolyte_class} at {size}"


@dataclass(frozen=True, slots=True)
class _Value:
    """What was measured and has bounds."""

    unit: Literal["V", "ohm"]
    value: float
    bounds: Bounds | None


def _found(
    name: str, result: FindingResult, text: str, advice: str = "", value: _Value | None = None
) -> CheckFinding:
    finding = CheckFinding(name=name, result=result, text=text, advice=advice)
    if value is None:
        return finding
    low, high = (None, None) if value.bounds is None else (value.bounds.low, value.bounds.high)
    return finding.model_copy(update={"value": value.value, "unit": value.unit, "low": low, "high": high})


def volts(value: float) -> str:
    """Return a voltage in words."""
    return f"{value * 1e3:.3g} mV" if abs(value) < 1.0 else f"{value:.4g} V"


def ohms(value: float) -> str:
    """Return a resistance in words."""
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {prefix}Ω"
    return f"{value * 1e3:.3g} mΩ"
