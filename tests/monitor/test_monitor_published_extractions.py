"""Each kind of published value, out of runs whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from published_records import CELL, HALF_s, half_cycle, program, record, spectrum

from monitor.published.extractions import EXTRACTIONS, NotObtainedError, Record
from protocols.verdicts import Verdict, VerdictKind

CURRENT_A = 1e-4
CYCLES = """\
  - repeat:
      times: 3
      counts: cycles
      steps:
        - constant_current: {current: 0.1 mA/cm², until: {time: 1 h}}
        - constant_current: {current: -0.1 mA/cm², until: {time: 1 h}}
      spectra:
        after_cycles: [1, 3]
        steps:
          - geis: {amplitude: 0.01 mA/cm², frequency: {from: 1 MHz, to: 1 Hz}}
"""
LEVELS_V = (0.30, 0.28, 0.20, 0.20, 0.10, 0.10)


def _get(name: str, run: Record, **arguments: object) -> float | str:
    return EXTRACTIONS[name](run, arguments)


def _cycled(verdict: Verdict | None = None) -> Record:
    rows = [half_cycle(n, CURRENT_A * (-1) ** n, volts, step=n % 2) for n, volts in enumerate(LEVELS_V)]
    return record(program(CYCLES), rows, verdict=verdict)


def _verdict(kind: VerdictKind, event_s: float) -> Verdict:
    return Verdict(kind=kind, tier=1, time_s=event_s + 10, event_s=event_s, message="it happened")


def test_overpotentials_by_time_by_cycle_and_of_all() -> None:
    cycled = _cycled()
    assert _get("overpotential", cycled, hours=2.5) == 0.20
    assert _get("overpotential", cycled, cycle=1) == pytest.approx(0.29)
    assert _get("overpotential", cycled) == pytest.approx(0.20)
    assert _get("overpotential_largest", cycled) == 0.30
    assert _get("course", cycled) == "falls"
    with pytest.raises(NotObtainedError, match="had ended 10 h"):
        _get("overpotential", cycled, hours=10)


def test_life_and_cause() -> None:
    whole = _cycled()
    assert _get("life", whole) == len(LEVELS_V) * HALF_s
    assert _get("cause", whole) == "none"
    short = _cycled(_verdict("short_circuit", 9000.0))
    assert _get("life", short) == 9000.0
    assert _get("cause", short) == "short_circuit"
    assert _get("depleted_side", short) == "none"


def test_what_went_on_after_the_event_does_not_count() -> None:
    short = _cycled(_verdict("short_circuit", 2.5 * HALF_s))
    assert _get("overpotential", short) == pytest.approx((LEVELS_V[0] + LEVELS_V[1]) / 2)
    assert _get("cycles_done", short) == 1.0


def test_a_ratio_to_another_test() -> None:
    tests: dict[str, Record] = {"short": _cycled(_verdict("short_circuit", 5400.0))}
    long = _cycled()
    with pytest.raises(NotObtainedError, match="short was not run"):
        _get("ratio_to", long, test="short", of="life")
    long.others = tests
    assert _get("ratio_to", long, test="short", of="life") == pytest.approx(4.0)


def test_critical_current_density() -> None:
    rows = [half_cycle(n, 1e-4 * (n // 2 + 1) * (-1) ** n, 0.1) for n in range(6)]
    ended = record(program(CYCLES), rows, verdict=_verdict("short_circuit", 4.5 * HALF_s))
    assert _get("ccd_passed", ended) == pytest.approx(2.0)
    assert _get("ccd_failed", ended) == pytest.approx(3.0)
    assert _get("ccd_end", ended) == "short_circuit"
    with pytest.raises(NotObtainedError, match="did not fail"):
        _get("ccd_failed", record(program(CYCLES), rows))


def test_resistances_of_a_cycle_and_over_time() -> None:
    of = program(CYCLES)
    geis = next(step.index for step, _ in of.walk() if step.kind == "geis")
    spectra = [spectrum(100, 500, step=geis, visit=0), spectrum(100, 300, step=geis, visit=2)]
    measured = record(of, spectra=spectra)
    assert _get("resistance", measured, part="interface", after_cycle=1) == 400
    assert _get("resistance", measured, part="interface", after_cycle=3) == 200
    assert _get("resistance", measured, part="total", index=-1) == 300
    assert _get("areal_resistance", measured, part="hf") == pytest.approx(100e-4)
    assert _get("resistance_course", measured, part="interface") == "falls"
    with pytest.raises(NotObtainedError, match="no spectrum after cycle 2"):
        _get("resistance", measured, part="interface", after_cycle=2)


def test_transference_number_after_bruce_and_vincent() -> None:
    of = program("  - constant_voltage: {voltage: 10 mV, until: {time: 1 h}}\n")
    step = next(step.index for step, _ in of.walk())
    t = np.arange(0.0, 3600.0, 10.0)
    # 100 Ω of ions at first, with 20 Ω of interface besides; t₊ = 0.5 adds as much as the ions have.
    current = 0.01 / 220 + (0.01 / 120 - 0.01 / 220) * np.exp(-t / 100)
    samples = {"t_s": t.tolist(), "current_A": current.tolist(), "step": [float(step)] * len(t)}
    measured = record(of, spectra=[spectrum(100, 120), spectrum(100, 120)], samples=samples)
    assert _get("transference", measured) == pytest.approx(0.5, rel=1e-3)


def test_conductivities() -> None:
    of = program("  - constant_voltage: {voltage: 50 mV, until: {time: 1 h}}\n")
    step = next(step.index for step, _ in of.walk())
    t = np.arange(0.0, 3600.0, 10.0)
    samples = {"t_s": t.tolist(), "current_A": [5e-5] * len(t), "step": [float(step)] * len(t)}
    measured = record(of, spectra=[spectrum(100, 120)], samples=samples)
    # 500 µm, 1 cm²; 1000 Ω, of which 100 are deducted.
    assert _get("conductivity_dc", measured, deducted_ohm_cm2=100.0) == pytest.approx(5e-4 / 1e-4 / 900)
    assert _get("conductivity_at_rest", measured) == pytest.approx(5e-4 / 1e-4 / 100)


SWEEP = "  - cyclic_voltammetry: {from: 0 V, first: 1 V, second: -1 V, rates: [1 mV/s, 4 mV/s], cycles: 1}\n"


def test_peaks_of_voltammograms() -> None:
    of = program(SWEEP)
    rates = {step.index: step.rate_V_per_s for step, _ in of.walk() if step.kind == "voltage_sweep"}
    volts, amperes, steps = [], [], []
    for index, rate in rates.items():
        down, up = np.linspace(1, -1, 401), np.linspace(-1, 1, 401)
        height = 1e-3 * math.sqrt(rate / 1e-3)
        volts += [*down, *up]
        amperes += [
            *(-height * np.exp(-((down + 0.1) ** 2) / 0.01)),
            *(height * np.exp(-((up - 0.2) ** 2) / 0.01)),
        ]
        steps += [float(index)] * 802
    samples = {
        "t_s": [float(n) for n in range(len(volts))],
        "voltage_V": volts,
        "current_A": amperes,
        "step": steps,
        "visit": [0.0] * len(volts),
    }
    swept = record(of, samples=samples)
    assert _get("peak_separation", swept, rate_mV_per_s=1.0) == pytest.approx(0.3, abs=1e-2)
    assert _get("peak_current", swept, rate_mV_per_s=4.0, peak="cathodic") == pytest.approx(-2e-3, rel=1e-3)
    assert _get("peak_slope", swept, peak="anodic") == pytest.approx(1e-3 / math.sqrt(1e-3), rel=1e-3)
    with pytest.raises(NotObtainedError, match="nothing was swept at 3 mV/s"):
        _get("peak_separation", swept, rate_mV_per_s=3.0)


FULL = CELL.replace("geometry: symmetric", "geometry: full").replace("working: {lithium: 100 µm}\n", "")
FULL += "mass: 10 mg\ncapacity: 1.5 mAh\nvoltage_window: {from: 0 V, to: 5 V}\n"


def _stored(charged: list[float], back: list[float]) -> Record:
    """Return a full cell's run; charges in mAh."""
    rows = []
    for n, (put_in, got) in enumerate(zip(charged, back, strict=True)):
        rows.append(half_cycle(2 * n, CURRENT_A, 3.5, step=0, charge_C=put_in * 3.6))
        rows.append(half_cycle(2 * n + 1, -CURRENT_A, 3.4, step=1, charge_C=-got * 3.6))
    steps = CYCLES.replace("after_cycles: [1, 3]", "after_cycles: [1]").split("      spectra")[0]
    return record(program(steps.replace("times: 3", f"times: {len(back)}"), FULL), rows)


def test_capacities() -> None:
    stored = _stored([1.5, 1.4, 1.3], [1.4, 1.33, 1.26])
    assert _get("capacity", stored, cycle=2) == pytest.approx(133 * 3600)
    assert _get("retention", stored, cycle=3) == pytest.approx(0.9)
    assert _get("coulombic_efficiency", stored) == pytest.approx((1.33 / 1.4 + 1.26 / 1.3) / 2)
    with pytest.raises(NotObtainedError, match="no complete cycle 4"):
        _get("capacity", stored, cycle=4)


@pytest.mark.parametrize(("charged", "outcome"), [([1.5, 1.5, 2.0], 2.0), ([1.5, 1.5, 1.5], None)])
def test_a_charge_that_never_ends_is_a_short(charged: list[float], outcome: float | None) -> None:
    stored = _stored(charged, [1.5, 1.5, 1.5])
    if outcome is not None:
        assert _get("cycles_until_short", stored) == outcome
    else:
        with pytest.raises(NotObtainedError, match="no short circuit in 3 cycles"):
            _get("cycles_until_short", stored)


EMPTY: dict[str, Callable[[], Record]] = {
    "overpotential": lambda: record(program(CYCLES)),
    "life": lambda: record(program(CYCLES)),
    "resistance": lambda: record(program(CYCLES)),
    "transference": lambda: record(program(CYCLES)),
    "conductivity_at_rest": lambda: record(program(CYCLES)),
    "activation_energy": lambda: record(program(CYCLES)),
    "exchange_current": lambda: record(program(CYCLES)),
    "coulombic_efficiency": lambda: record(program(CYCLES)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_run_that_brought_nothing_says_so(name: str) -> None:
    arguments = {"part": "interface"} if name == "resistance" else {}
    with pytest.raises(NotObtainedError):
        _get(name, EMPTY[name](), **arguments)
