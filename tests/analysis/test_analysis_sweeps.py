"""Peaks, windows and exchange currents come back from sweeps that are made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.kinetics import (
    FARADAY_C_PER_MOL,
    GAS_J_PER_MOL_K,
    allen_hickling,
    charge_transfer_resistance,
)
from analysis.sweeps import cycle_peaks, onset_by_tangent, onset_by_threshold, peak_slope

Floats = NDArray[np.float64]


def bell(volts: Floats, centre_V: float, height_A: float) -> Floats:
    return np.asarray(height_A * np.exp(-(((volts - centre_V) / 0.05) ** 2)))


def cycle(anodic_V: float, cathodic_V: float, *, down_first: bool = True) -> tuple[Floats, Floats]:
    """From 4 V down to 2.6 V and back, or the other way round, with one peak each way."""
    down = np.linspace(4.0, 2.6, 1400)
    up = down[::-1]
    falling, rising = bell(down, cathodic_V, -1.5e-3), bell(up, anodic_V, 2e-3)
    legs = [(down, falling), (up, rising)]
    first, second = legs if down_first else legs[::-1]
    volts, amps = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    return volts, amps


@given(st.floats(3.45, 3.85), st.floats(2.75, 3.4), st.booleans(), st.integers(0, 9))
def test_both_peaks_of_a_cycle_are_found(
    anodic_V: float, cathodic_V: float, down_first: bool, seed: int
) -> None:
    volts, amps = cycle(anodic_V, cathodic_V, down_first=down_first)
    amps = amps + 1e-6 * np.random.default_rng(seed).standard_normal(len(amps))
    found = cycle_peaks(volts, amps)
    assert found.anodic is not None
    assert found.cathodic is not None
    assert found.anodic.voltage_V == pytest.approx(anodic_V, abs=0.003)
    assert found.anodic.current_A == pytest.approx(2e-3, rel=0.01)
    assert found.cathodic.current_A == pytest.approx(-1.5e-3, rel=0.01)
    assert found.separation_V == pytest.approx(anodic_V - cathodic_V, abs=0.005)


def test_a_peak_outside_of_the_range_is_none() -> None:
    found = cycle_peaks(*cycle(4.2, 3.2))
    assert found.anodic is None
    assert found.cathodic is not None
    assert found.separation_V is None


def test_a_cycle_that_was_cut_short_has_no_peak_where_it_ended() -> None:
    volts, amps = cycle(3.6, 3.2)
    found = cycle_peaks(volts[:2300], amps[:2300])
    assert found.cathodic is not None
    assert found.anodic is None
    assert cycle_peaks(volts[:2], amps[:2]).separation_V is None


@given(st.floats(1e-3, 0.1), st.floats(-1e-3, 1e-3))
def test_the_slope_of_the_peaks_comes_back(slope: float, intercept: float) -> None:
    rates = [1e-4, 2e-4, 5e-4, 1e-3]
    line = peak_slope(rates, [slope * rate**0.5 + intercept for rate in rates])
    assert line.slope == pytest.approx(slope, rel=1e-6)
    assert line.intercept == pytest.approx(intercept, abs=1e-9)


def test_one_rate_has_no_slope() -> None:
    with pytest.raises(ValueError, match="two places"):
        peak_slope([1e-4], [1e-3])


# Stability window


def knee(volts: Floats, at_V: float, slope: float, base: float = 0.002) -> Floats:
    """A baseline, and from ``at_V`` on a current that grows linearly, in A/m²."""
    return np.asarray(base + slope * np.clip(volts - at_V, 0.0, None))


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_knee_is_found_both_ways_in_both_directions(direction: float) -> None:
    volts = direction * np.linspace(3.0, 5.0, 2001)
    amps = direction * knee(direction * volts, 4.5, 2.0)
    amps = amps + 1e-4 * np.random.default_rng(2).standard_normal(len(amps))
    assert onset_by_threshold(volts, amps, 0.1) == pytest.approx(direction * 4.549, abs=0.003)
    assert onset_by_tangent(volts, amps) == pytest.approx(direction * 4.5, abs=0.01)


def test_the_onset_follows_the_threshold() -> None:
    volts = np.linspace(3.0, 5.0, 2001)
    amps = np.exp((volts - 4.5) / 0.05)
    found = [onset_by_threshold(volts, amps, threshold) for threshold in (0.1, 1.0, 10.0)]
    assert found == pytest.approx([4.5 - 0.05 * np.log(10), 4.5, 4.5 + 0.05 * np.log(10)], abs=0.003)


def test_a_hump_that_passes_is_no_limit() -> None:
    volts = np.linspace(3.0, 5.0, 2001)
    amps = knee(volts, 4.5, 2.0) + 0.5 * np.exp(-(((volts - 3.7) / 0.03) ** 2))
    assert onset_by_threshold(volts, amps, 0.1) == pytest.approx(4.549, abs=0.003)


def test_what_stays_stable_has_no_onset() -> None:
    volts = np.linspace(3.0, 5.0, 2001)
    flat = 0.002 + 1e-3 * np.random.default_rng(3).standard_normal(len(volts))
    assert onset_by_threshold(volts, flat, 0.1) is None
    assert onset_by_tangent(volts, flat) is None
    leaking = 0.01 * (volts - 2.0)
    assert onset_by_tangent(volts, leaking) is None


def test_what_is_above_the_threshold_from_the_start_begins_there() -> None:
    volts = np.linspace(3.0, 5.0, 100)
    assert onset_by_threshold(volts, np.ones(100), 0.1) == pytest.approx(3.0)


def test_too_few_samples_are_named() -> None:
    with pytest.raises(ValueError, match="too few"):
        onset_by_tangent(np.linspace(3.0, 5.0, 20), np.ones(20))
    with pytest.raises(ValueError, match="two voltages"):
        onset_by_threshold(np.ones(3), np.ones(3), 0.1)


# Charge transfer

R_HF = 30.0


def symmetric_sweep(exchange_A: float, kelvin: float, most_eta_V: float = 0.06) -> tuple[Floats, Floats]:
    """E and I of two equal electrodes with α = 0.5 behind a resistance."""
    eta = np.linspace(-most_eta_V, most_eta_V, 1201)
    per_volt = FARADAY_C_PER_MOL / (GAS_J_PER_MOL_K * kelvin)
    amps = 2.0 * exchange_A * np.sinh(0.5 * per_volt * eta)
    return 2.0 * eta + amps * R_HF, amps


@given(st.floats(1e-6, 1e-3), st.floats(273.0, 353.0), st.sampled_from([0.0, 0.01]))
def test_the_exchange_current_comes_back(exchange_A: float, kelvin: float, open_V: float) -> None:
    volts, amps = symmetric_sweep(exchange_A, kelvin)
    found = allen_hickling(volts + open_V, amps, r_hf_ohm=R_HF, temperature_K=kelvin, open_V=open_V)
    assert found.exchange_A == pytest.approx(exchange_A, rel=1e-3)
    assert found.r_ct_ohm == pytest.approx(
        GAS_J_PER_MOL_K * kelvin / FARADAY_C_PER_MOL / exchange_A, rel=1e-3
    )
    assert found.alpha == pytest.approx(0.5, abs=1e-3)
    assert found.why_not == ""


def test_near_equilibrium_there_is_an_exchange_current_but_no_alpha() -> None:
    volts, amps = symmetric_sweep(1e-4, 298.15, most_eta_V=0.01)
    found = allen_hickling(volts, amps, r_hf_ohm=R_HF, temperature_K=298.15)
    assert found.exchange_A == pytest.approx(1e-4, rel=1e-3)
    assert found.alpha is None


@pytest.mark.parametrize("exchange_A", [0.1, 10.0])
def test_fast_charge_transfer_behind_a_large_resistance_is_not_resolvable(exchange_A: float) -> None:
    amps = np.linspace(-5e-3, 5e-3, 1001)
    kelvin = 298.15
    eta = 2.0 * GAS_J_PER_MOL_K * kelvin / FARADAY_C_PER_MOL * np.arcsinh(amps / (2.0 * exchange_A))
    found = allen_hickling(2.0 * eta + amps * R_HF, amps, r_hf_ohm=R_HF, temperature_K=kelvin)
    assert found.exchange_A is found.r_ct_ohm is found.alpha is None
    assert "not resolvable" in found.why_not


def test_the_charge_transfer_resistance_is_in_ohm() -> None:
    """25.69 mV / 23.1039 mA = 1.11 Ω, where study C prints 0.0011 Ω (recipes, section 7)."""
    assert charge_transfer_resistance(23.1039e-3, 298.15) == pytest.approx(1.112, rel=1e-3)
    with pytest.raises(ValueError, match="no charge-transfer resistance"):
        charge_transfer_resistance(0.0, 298.15)
