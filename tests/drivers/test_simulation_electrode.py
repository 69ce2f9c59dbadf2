"""The positive electrode: its voltage, the lag of its surface, its age; and what published cells gave."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulation.electrode import ElectrodeState, FloatArray, PositiveElectrode, particle_relaxations
from drivers.simulation.open_circuit import CURVES, OpenCircuit, lco_fit, lfp_fit, ncm811_fit, plateau
from drivers.simulation.reach import Electrode, Reach

MA = 1e-3
HOUR = 3600.0
CM2 = 1e-4
FITS = {"lfp": (lfp_fit, 1.0, 0.0), "ncm811": (ncm811_fit, 0.9084, 0.262), "lco": (lco_fit, 0.99, 0.296)}
WINDOWS_V = {"lfp": (2.5, 4.0), "ncm811": (2.7, 4.3), "lco": (3.0, 4.5)}
ALL_CURVES = {**CURVES, "plateau": plateau(3.43, 0.02, 0.05)}
LAGGING = ((0.03, 100.0), (0.08, 1000.0), (0.2, 10_000.0))

curves = st.sampled_from(sorted(ALL_CURVES)).map(ALL_CURVES.__getitem__)
currents = st.lists(st.tuples(st.floats(-3e-3, 3e-3), st.floats(1.0, 2000.0)), min_size=1, max_size=4)


def reach(electrode: Electrode, series_ohm: float) -> Reach:
    """Return E(I) of an electrode behind one resistor."""
    return Reach(series_ohm, [0.0] * 4, [0.0] * 4, 1.0, 298.15, None, electrode)


def electrode(
    curve: OpenCircuit = CURVES["lfp"], charged: float = 0.5, **more: float
) -> tuple[PositiveElectrode, ElectrodeState]:
    """1 mAh on 1 cm²: 1 mA is 1 C."""
    made = PositiveElectrode(3.6 / CM2, curve, LAGGING, charged, **more)
    return made, made.fresh(CM2)


@pytest.mark.parametrize("name", sorted(FITS))
def test_a_curve_is_the_published_fit_away_from_its_ends(name: str) -> None:
    fit, full, empty = FITS[name]
    x = np.linspace(0.1, 0.9, 333)
    assert CURVES[name].volts(x) == pytest.approx(fit(full + x * (empty - full)), abs=0.004)


@pytest.mark.parametrize("name", sorted(WINDOWS_V))
def test_the_window_of_voltage_holds_all_of_the_capacity_but_one_percent(name: str) -> None:
    lower_V, upper_V = WINDOWS_V[name]
    x = np.linspace(0.0, 1.0, 100_001)
    inside = (CURVES[name].volts(x) > lower_V) & (CURVES[name].volts(x) < upper_V)
    assert 0.99 < inside.mean() < 1


@given(curves, st.floats(-0.1, 1.1), st.floats(1e-9, 0.2))
def test_a_curve_rises_everywhere_and_is_the_same_for_one_number_and_many(
    curve: OpenCircuit, x: float, more: float
) -> None:
    lower_V, upper_V = curve.volts([x, x + more])
    assert upper_V > lower_V
    assert curve.at(x) == pytest.approx((lower_V, float(curve.slopes(x))), rel=1e-9)
    assert curve.slopes(x) > 0


def test_beyond_its_ends_a_curve_runs_off_past_every_limit() -> None:
    for curve in ALL_CURVES.values():
        assert curve.volts(1.001) > 10
        assert curve.volts(-0.001) < -10


@given(currents, st.lists(st.floats(0.01, 0.99), max_size=5), st.floats(0.5, 1.0))
def test_the_state_depends_on_what_has_passed_and_not_on_how_it_was_cut(
    steps: list[tuple[float, float]], cuts: list[float], efficiency: float
) -> None:
    made, whole = electrode(coulombic_efficiency=efficiency)
    cut = made.fresh(CM2)
    for current_A, seconds in steps:
        foreseen = made.surface(whole, current_A, np.array([seconds]))[0]
        base, per_A = made.line(whole, seconds, 1 if current_A > 0 else -1)
        made.let_pass(whole, current_A, seconds)
        for start, end in pairwise(sorted({0.0, *cuts, 1.0})):
            made.let_pass(cut, current_A, (end - start) * seconds)
        assert whole.surface == pytest.approx(foreseen, abs=1e-12)
        assert whole.surface == pytest.approx(base + per_A * current_A, abs=1e-12)
    assert cut.charged == pytest.approx(whole.charged, abs=1e-12)
    np.testing.assert_allclose(cut.deviation, whole.deviation, atol=1e-12)


@given(
    curves,
    st.floats(-1.0, 7.0),
    st.floats(-3, 6).map(lambda power: 10**power),
    st.floats(-0.05, 1.05),
    st.floats(-9, 3).map(lambda power: 10**power),
    st.floats(-10.0, 10.0),
)
def test_the_current_at_a_voltage_is_always_found(
    curve: OpenCircuit, voltage_V: float, series_ohm: float, base: float, per_A: float, guess_A: float
) -> None:
    made = PositiveElectrode(1.0, curve)
    line = base, per_A
    current_A = reach(Electrode(made, line, line), series_ohm).current_at(voltage_V, guess_A)
    open_V, slope_V = curve.at(base + per_A * current_A)
    # As well as the numbers allow: where U is steep, a last digit of x is more than the tolerance.
    rounding_V = 1e-14 * ((1 + abs(base)) * slope_V + abs(series_ohm * current_A))
    assert series_ohm * current_A + open_V == pytest.approx(voltage_V, abs=2e-9 + rounding_V)


def test_the_surface_runs_ahead_of_the_mean_by_its_parts_and_relaxes() -> None:
    made, state = electrode()
    made.let_pass(state, 0.01 * MA, 20 * HOUR)
    assert state.charged == pytest.approx(0.7)
    assert state.surface - state.charged == pytest.approx(0.01 * (0.03 + 0.08 + 0.2), rel=2e-3)
    made.let_pass(state, 0.0, 20 * HOUR)
    assert state.surface == pytest.approx(state.charged, abs=1e-5)


def test_a_side_reaction_takes_its_part_of_the_charging_current_alone() -> None:
    made, state = electrode(coulombic_efficiency=0.99)
    made.let_pass(state, 0.1 * MA, HOUR)
    assert state.charged == pytest.approx(0.5 + 0.1 * 0.99)
    made.let_pass(state, -0.1 * MA, 0.99 * HOUR)
    assert state.charged == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("fade", "growth", "left_300", "left_500"),
    [(4e-4, 0.0, 0.88, 0.8), (1.63e-4, 1.28e-6, 0.836, 0.599), (0.01, 0.0, 0.01, 0.01)],
)
def test_capacity_fades_with_the_charges_evenly_or_ever_faster(
    fade: float, growth: float, left_300: float, left_500: float
) -> None:
    made, state = electrode(fade=fade, fade_growth=growth)
    left = []
    for _ in range(500):
        made.begin_charge(state)
        left.append(state.capacity_C / 3.6)
    assert (left[299], left[499]) == pytest.approx((left_300, left_500), abs=0.001)


@pytest.mark.parametrize("frequency_Hz", [1e-5, 1e-4, 1e-3, 1e-2])
def test_the_impedance_is_that_of_the_response_to_a_small_sine(frequency_Hz: float) -> None:
    made, state = electrode(CURVES["ncm811"])
    slope_V = float(made.slope_at(0.5))
    impedance = complex(made.impedance(state, np.array([frequency_Hz]))[0])
    steps, turns = 400, 4 + math.ceil(4e4 * frequency_Hz)
    angle = 2 * np.pi * (np.arange(steps * turns) + 0.5) / steps
    surface = []
    for current_A in 1e-6 * np.sin(angle):
        made.let_pass(state, float(current_A), 1 / frequency_Hz / steps)
        surface.append(state.surface)
    last = (np.array(surface[-steps:]) - surface[-1]) * slope_V
    wave = np.exp(-2j * np.pi * np.arange(1, steps + 1) / steps)
    # sin is the imaginary part of exp: the response is Im(Z·exp(jωt)).
    measured = 2j * (last @ wave) / steps / 1e-6
    assert abs(measured - impedance) < 0.01 * abs(impedance)


def test_relaxations_of_a_particle_follow_diffusion_from_early_times_to_late() -> None:
    """At early times a flux raises the surface like that of a half-space, by 2·j·√(t/(π·D))."""
    diffusion_s = 5000.0
    made = PositiveElectrode(HOUR / CM2, CURVES["lfp"], particle_relaxations(diffusion_s, 12))
    state = made.fresh(CM2)
    early_s = np.array([10.0, 20.0])
    lead = made.surface(state, 1.0, early_s) - early_s / HOUR
    # dx/dt = 3·j/radius; the next term of the series is the sphere's curvature, j·t/radius.
    half_space = 2 / 3 * np.sqrt(early_s * diffusion_s / np.pi) / HOUR
    curvature = early_s / 3 / HOUR - early_s / HOUR
    assert lead == pytest.approx(half_space + curvature, rel=0.02)
    late_s = np.array([4 * diffusion_s])
    assert made.surface(state, 1.0, late_s) - late_s / HOUR == pytest.approx(diffusion_s / 15 / HOUR)


def until(
    made: PositiveElectrode, state: ElectrodeState, current_A: float, ohm: float, limit_V: float
) -> float:
    """Drive until E passes the limit, within half a per mille of the capacity; return the charge in C."""
    after_s = np.linspace(0.0, 1.2, 2401) * state.capacity_C / abs(current_A)
    volts = ohm * current_A + made.open_circuit_V(made.surface(state, current_A, after_s))
    seconds = after_s[np.argmax((volts - limit_V) * current_A > 0)]
    made.let_pass(state, current_A, float(seconds))
    return float(abs(current_A) * seconds)


def rate_test(made: PositiveElectrode, ohm_cm2: float, rates: list[float]) -> FloatArray:
    """Return the third discharge capacity in mAh/g at each rate."""
    state, capacities = made.fresh(CM2), []
    for rate in rates:
        current_A = rate * 0.170 * LOADING_G
        for _ in range(3):
            until(made, state, current_A, ohm_cm2, 4.0)
            discharged_C = until(made, state, -current_A, ohm_cm2, 2.5)
        capacities.append(discharged_C / 3.6 / LOADING_G)
    return np.array(capacities)


LOADING_G = 1.5e-3
RATE_TESTS = {
    "A Li|CPCE|LFP": (
        162.0,
        200.0,
        ((0.03244, 100.0), (0.02241, 1000.0)),
        [0.1, 0.2, 0.5, 1, 2, 3, 4, 0.2],
        [157.4, 159.2, 153.3, 143.6, 129.6, 117.5, 108.2, 158.1],
    ),
    "B Li|LLZTO-PMA|LFP": (
        151.97,
        300.0,
        ((0.01997, 100.0), (0.08317, 1000.0), (0.19537, 10_000.0)),
        [0.1, 0.2, 0.5, 1, 2, 0.1],
        [143.79, 136.29, 125.38, 112.89, 101.90, 140.39],
    ),
    "C Li|LLZTO|LFP": (
        163.94,
        60.0,
        ((0.03645, 100.0), (0.00865, 1000.0), (0.34828, 10_000.0)),
        [0.2, 0.5, 1, 1.5, 2, 2.5, 3],
        [145.2, 138.5, 132.6, 126.3, 119.4, 114.3, 109.5],
    ),
}
"""Capacity in mAh/g, Ω cm², relaxations; rates (1 C = 170 mA/g) and the published capacities in mAh/g."""


@pytest.mark.parametrize("name", sorted(RATE_TESTS))
def test_a_rate_test_gives_the_published_capacities(name: str) -> None:
    capacity, ohm_cm2, diffusion, rates, published = RATE_TESTS[name]
    made = PositiveElectrode(capacity * 1e-3 * LOADING_G * HOUR / CM2, CURVES["lfp"], diffusion, 0.01)
    assert rate_test(made, ohm_cm2, rates) == pytest.approx(published, rel=0.017)


def peaks(made: PositiveElectrode, ohm: float, rate_V_per_s: float) -> list[tuple[float, float]]:
    """Scan from rest to 4.2 V and back to 2.7 V; return E and I of both peaks."""
    state, found, current_A = made.fresh(CM2), [], 0.0
    start_V = made.curve.at(state.surface)[0]
    for first_V, last_V in ((start_V, 4.2), (4.2, 2.7)):
        volts = np.linspace(first_V, last_V, math.ceil(abs(last_V - first_V) / 2e-3))[1:]
        flowing = []
        for volt in volts:
            seconds = 2e-3 / rate_V_per_s
            current_A = reach(Electrode.after(made, state, seconds), ohm).current_at(volt, current_A)
            made.let_pass(state, current_A, seconds)
            flowing.append(current_A)
        peak = int(np.argmax(np.abs(flowing)))
        found.append((float(volts[peak]), flowing[peak]))
    return found


@pytest.mark.parametrize(
    ("ohm_cm2", "rate_mV_per_s", "separation_V"),
    [
        (200.0, 0.1, 0.332),
        (200.0, 1.0, 0.789),
        (208.6, 0.1, 0.338),
        (397.2, 0.1, 0.498),
        (447.0, 0.1, 0.536),
    ],
)
def test_voltammograms_of_lfp_have_the_published_peak_separations(
    ohm_cm2: float, rate_mV_per_s: float, separation_V: float
) -> None:
    capacity_C_per_m2 = 162e-3 * 2.480e-3 * HOUR / CM2
    diffusion = ((0.12733, 100.0), (0.08796, 1000.0))
    made = PositiveElectrode(capacity_C_per_m2, CURVES["lfp"], diffusion, 0.01)
    (up_V, up_A), (down_V, down_A) = peaks(made, ohm_cm2, rate_mV_per_s * 1e-3)
    assert up_V - down_V == pytest.approx(separation_V, rel=0.015)
    if rate_mV_per_s == 1.0:
        # 12.7 mm across; 82.8 and −68.9, printed without a unit, are near these as mA/√(V/s).
        assert 1.26 * down_A == pytest.approx(-2.2e-3, rel=0.02)
        assert 1.26 * up_A / math.sqrt(1e-3) == pytest.approx(82.8e-3, rel=0.05)
