"""Results on transport: t₊, conductivities at one or more temperatures, conductivities by direct current.

What a test is for follows from the structure of its program and from the cell's geometry (docs/results.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.spectra import resistance_before_tail
from analysis.transport import (
    SteadyCurrent,
    arrhenius,
    computed_initial_current,
    conductivity_of,
    dc_conductivity_of,
    extrapolated_initial_current,
    steady_current,
    transference_number,
    transference_warning,
)
from analysis.uncertain import Quantity, Uncertain, propagated
from protocols.cell import Cell
from protocols.nodes import ConstantVoltage
from scheduler.recorded import Measured, RecordedRun, Stretch, spectrum_arrays
from scheduler.rounding import CELSIUS_0_K, MS_PER_CM, S_PER_CM, rounded

SMALL_V = 0.1
"""Up to this voltage a cell between two lithium electrodes answers linearly."""
EXTRAPOLATED_S = (1.0, 10.0)
"""Samples of the current that I_0 is extrapolated from: after the charging of usual electrodes (µs to 0.1
s)."""
DIFFERENT = 0.2
"""From this relative difference on, two ways to I_0 contradict each other."""
NO_THICKNESS = "no conductivity: the cell file gives no thickness of the electrolyte"
NOTHING_DEDUCTED = (
    "the ionic conductivity counts all of ΔV/I as the sample's: deduct the layers that block electrons with "
    "`sandtime analyze run RUN --deduct '100 Ω'`"
)

Found = tuple[dict[str, object], list[str]]
"""Results and warnings."""


@dataclass(frozen=True, slots=True)
class _Hold:
    """A voltage that was held until the current was steady."""

    step: ConstantVoltage
    samples: Stretch
    before: Measured | None
    after: Measured | None

    @property
    def open_V(self) -> float:
        """E at open circuit before it, where the voltage is meant from there."""
        return self.before[0].voltage_V if self.before is not None and self.step.relative else 0.0


def _hold(run: RecordedRun) -> _Hold | None:
    """Return the first hold of a small voltage that no current leads up to, if it was measured."""
    held = [
        step
        for step in run.steps
        if isinstance(step, ConstantVoltage)
        and not step.set_current_A
        and 0.0 < abs(step.voltage_V) <= SMALL_V
    ]
    if not held:
        return None
    samples = run.samples([held[0].index])
    if not len(samples.t_s):
        return None
    first = samples.of(held[0].index, samples.visits()[0])
    index = held[0].index
    return _Hold(held[0], first, run.spectrum_before(index), run.spectrum_after(index))


def transport_results(run: RecordedRun, deducted_ohm: float) -> Found:
    """Return what a held voltage says: t₊ between two spectra, else a conductivity. Raises ValueError."""
    geometry = run.program.cell.geometry
    if geometry not in ("symmetric", "blocking"):
        return {}, []
    hold = _hold(run)
    if hold is None:
        return {}, []
    if geometry == "symmetric" and hold.before is not None and hold.after is not None:
        return _transference(run, hold, hold.before, hold.after)
    return _by_direct_current(run, hold, deducted_ohm)


def _transference(run: RecordedRun, hold: _Hold, before: Measured, after: Measured) -> Found:
    steady = steady_current(hold.samples.t_s, hold.samples.current_A)
    voltage_V = _late_voltage(hold)
    before_ohm = _before_tail(before)
    found = transference_number(
        voltage_V=voltage_V,
        steady_A=Uncertain(steady.current_A, steady.std_A),
        before_ohm=before_ohm,
        after_ohm=_before_tail(after),
        bulk_before_ohm=_high_frequency(before),
        bulk_after_ohm=_high_frequency(after),
    )
    computed_A = computed_initial_current(voltage_V.value, before_ohm.value)
    warnings = [
        transference_warning(found.value, run.program.cell.electrolyte_class, found.std),
        steady.warning,
        _contradiction(hold.samples, computed_A),
    ]
    return {"transference_number": rounded(found.value), "transference_number_std": _std(found.std)}, warnings


def _before_tail(measured: Measured) -> Uncertain:
    """Return the resistance before a tail; a reading at one frequency has the noise of one point."""
    ohm = resistance_before_tail(*spectrum_arrays(measured[0]))
    return Uncertain(ohm, measured[1].noise * abs(ohm))


def _high_frequency(measured: Measured) -> Uncertain:
    return Uncertain(measured[1].r_hf_ohm, measured[1].noise * abs(measured[1].r_hf_ohm))


def _std(std: float | None, factor: float = 1.0) -> float | None:
    """Return a standard deviation as it leaves the house; None also where it has no bounds."""
    return None if std is None or not math.isfinite(std) else rounded(std * factor, 2)


def _contradiction(samples: Stretch, computed_A: float) -> str:
    """Say if the current as it was measured at first is far from the one that the spectrum gives."""
    try:
        first_A = extrapolated_initial_current(
            samples.t_s - samples.t_s[0], samples.current_A, *EXTRAPOLATED_S
        )
    except ValueError:
        # Sampled too seldom: then the spectrum alone says what I_0 was.
        return ""
    if abs(first_A / computed_A - 1.0) <= DIFFERENT:
        return ""
    return (
        f"t₊ is made with I_0 = {computed_A:.3g} A, which the spectrum gives, but the current began at "
        f"{first_A:.3g} A: polarisation is faster than the spectrum's lowest frequency, or the cell changed"
    )


def _late_voltage(hold: _Hold) -> Uncertain:
    """Return ΔV as the mean of the second half of a hold, in which no current range changes any more."""
    volts = hold.samples.voltage_V
    late = volts[len(volts) // 2 :]
    return Uncertain(float(late.mean()) - hold.open_V, float(late.std()) / math.sqrt(len(late)))


def _by_direct_current(run: RecordedRun, hold: _Hold, deducted_ohm: float) -> Found:
    kind = "electronic" if run.program.cell.geometry == "blocking" else "ionic"
    steady, voltage_V = steady_current(hold.samples.t_s, hold.samples.current_A), _late_voltage(hold)
    results: dict[str, object] = {}
    warnings = [steady.warning]
    if kind == "ionic":
        results["deducted_ohm"] = deducted_ohm
        warnings += [] if deducted_ohm else [NOTHING_DEDUCTED]
    else:
        deducted_ohm = 0.0
    results |= _dc_resistance(voltage_V, steady)
    found = _dc_conductivity(run, voltage_V, steady, deducted_ohm)
    if found is None:
        return results, [NO_THICKNESS, *warnings]
    return results | {
        f"{kind}_conductivity_S_per_cm": rounded(found.value * S_PER_CM),
        f"{kind}_conductivity_std_S_per_cm": _std(found.std, S_PER_CM),
    } | _without(found), warnings


def _dc_resistance(voltage_V: Uncertain, steady: SteadyCurrent) -> dict[str, object]:
    if not steady.current_A:
        return {}
    ohm, std, _ = propagated(
        lambda volts, amps: volts / amps,
        volts=voltage_V,
        amps=Uncertain(steady.current_A, steady.std_A),
    )
    return {"dc_resistance_ohm": rounded(ohm), "dc_resistance_std_ohm": _std(std)}


def _dc_conductivity(
    run: RecordedRun, voltage_V: Uncertain, steady: SteadyCurrent, deducted_ohm: float
) -> Quantity | None:
    """Return σ by direct current; None without a thickness. Raises ValueError."""
    thickness_m = _thickness(run.program.cell)
    if thickness_m is None:
        return None
    return dc_conductivity_of(
        voltage_V=voltage_V,
        steady_A=Uncertain(steady.current_A, steady.std_A),
        thickness_m=thickness_m,
        area_m2=_area(run.program.cell),
        deducted_ohm=Uncertain(deducted_ohm, None if deducted_ohm else 0.0),
    )


def _thickness(cell: Cell) -> Uncertain | None:
    if cell.electrolyte_thickness_m is None:
        return None
    return _relative(cell.electrolyte_thickness_m, cell.electrolyte_thickness_uncertainty)


def _area(cell: Cell) -> Uncertain:
    return _relative(cell.area_m2, cell.area_uncertainty)


def _relative(value: float, part: float | None) -> Uncertain:
    return Uncertain(value, None if part is None else part * value)


def _without(found: Quantity) -> dict[str, object]:
    """Name what is not in a standard deviation because nobody said how well it is known."""
    words = {"thickness_m": "thickness", "area_m2": "area", "deducted_ohm": "deducted resistance"}
    names = [words[name] for name in found.without if name in words]
    return {"conductivity_std_without": names} if names else {}


def conductivity_results(run: RecordedRun) -> Found:
    """Return σ of a blocking cell, and σ and E_a of any cell at a ladder of temperatures. Raises
    ValueError.

    Between blocking electrodes all resistance before the capacitive tail is the electrolyte's; between
    others only the one at high frequency surely is (without grain boundaries, if their arc is apart).
    """
    cell, soaks = run.program.cell, run.soaks()
    blocking = cell.geometry == "blocking"
    levels: dict[int, tuple[float, Measured]] = {}
    for step in run.steps:
        found = run.spectra_of(step.index) if run.is_at_rest(step) else []
        if found:
            soak, kelvin = soaks[step.index]
            levels[soak] = (kelvin, found[-1])
    is_ladder = len({kelvin for kelvin, _ in levels.values()}) > 1
    if not levels or not (blocking or is_ladder):
        return {}, []
    thickness_m = _thickness(cell)
    if thickness_m is None:
        return {}, [NO_THICKNESS]
    rows = [
        _Level(kelvin, resistance_ohm, _conductivity(cell, thickness_m, resistance_ohm, blocking))
        for kelvin, measured in levels.values()
        for resistance_ohm in [_before_tail(measured) if blocking else _high_frequency(measured)]
    ]
    first = rows[0].sigma
    results = _as_conductivity(first) | {"conductivity_from": first.method} | _without(first)
    return results | (_ladder(rows) if is_ladder else {}), []


@dataclass(frozen=True, slots=True)
class _Level:
    """One temperature of a ladder."""

    kelvin: float
    resistance_ohm: Uncertain
    sigma: Quantity


def _conductivity(cell: Cell, thickness_m: Uncertain, resistance_ohm: Uncertain, blocking: bool) -> Quantity:
    return conductivity_of(
        thickness_m=thickness_m,
        resistance_ohm=resistance_ohm,
        area_m2=_area(cell),
        method="before the tail" if blocking else "high frequency",
    )


def _as_conductivity(found: Quantity) -> dict[str, object]:
    return {
        "conductivity_mS_per_cm": rounded(found.value * MS_PER_CM),
        "conductivity_std_mS_per_cm": _std(found.std, MS_PER_CM),
    }


def _ladder(rows: list[_Level]) -> dict[str, object]:
    kelvins, sigmas = [row.kelvin for row in rows], [row.sigma.value for row in rows]
    # The geometry is the same at all temperatures: it is in the prefactor, not in the slope.
    stds = [row.sigma.value * (row.resistance_ohm.std or 0.0) / abs(row.resistance_ohm.value) for row in rows]
    fit = arrhenius(kelvins, sigmas, sigma_std_S_per_m=stds)
    with_T = arrhenius(kelvins, sigmas, times_T=True, sigma_std_S_per_m=stds)
    return {
        "conductivities": [
            {"temperature_celsius": rounded(row.kelvin - CELSIUS_0_K)} | _as_conductivity(row.sigma)
            for row in rows
        ],
        "activation_energy_eV": rounded(fit.activation_eV),
        "activation_energy_std_eV": _std(fit.activation_std_eV),
        "activation_energy_of_sigma_T_eV": rounded(with_T.activation_eV),
        "activation_energy_of_sigma_T_std_eV": _std(with_T.activation_std_eV),
    }
