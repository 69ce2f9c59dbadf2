"""The simulated cell: one circuit in time and frequency, lithium, shorts, no trace of how it was asked."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulation.cells import Cell, FloatArray
from drivers.simulation.presets import GENERIC, describe

MA = 1e-3
HOUR = 3600.0
IDEAL: dict[str, Any] = {
    "activation": 0.0,
    "nucleation": 0.0,
    "contact_loss_cm2_per_mAh": 0.0,
    "area_cm2": 1.0,
}
"""Nothing that changes the circuit; 1 cm², so that mA/cm² are mA."""


def cell(preset: str = "generic_symmetric", **overrides: object) -> Cell:
    return describe(preset, {"area_cm2": 1.0} | overrides).build()


def at(*seconds: float) -> FloatArray:
    return np.array(seconds)


def measured_impedance(under_test: Cell, frequency_Hz: float) -> complex:
    """Drive a staircase sine and compare the fundamentals of E and I in the second of two long runs."""
    steps, samples, periods = 64, 16, 4
    step_s = 1 / (frequency_Hz * steps)
    within_s = (np.arange(samples) + 0.5) * step_s / samples
    currents, volts = [], []
    for k in range(steps * periods):
        current_A = MA * np.sin(2 * np.pi * (k + 0.5) / steps)
        volts.append(under_test.advance(current_A, np.append(within_s, step_s))[:-1])
        currents.append(np.full(samples, current_A))
    last = steps * samples
    spectrum_E = np.fft.fft(np.concatenate(volts)[-last:])
    spectrum_I = np.fft.fft(np.concatenate(currents)[-last:])
    return complex(spectrum_E[1] / spectrum_I[1])


@pytest.mark.parametrize("frequency_Hz", [0.2, 1.0, 20.0, 300.0])
def test_the_response_in_time_gives_the_spectrum(frequency_Hz: float) -> None:
    parameters = IDEAL | {"inductance_H": 0.0}
    expected = cell(**parameters).spectrum(at(frequency_Hz))[0]
    assert abs(measured_impedance(cell(**parameters), frequency_Hz) - expected) < 0.01 * abs(expected)


@pytest.mark.parametrize(
    "preset",
    sorted(set(GENERIC) - {"lfp_full", "ncm_full", "blocking_carbon", "li_cu", "polymer_transference"}),
)
def test_the_steady_voltage_is_the_current_times_the_spectrum_at_zero_frequency(preset: str) -> None:
    under_test = cell(preset, short_at_mA_per_cm2=None)
    (volt,) = under_test.advance(0.1 * MA, at(600.0))
    dc_ohm = under_test.spectrum(at(1e-7), dc_current_A=0.1 * MA)[0].real
    # The slow tail of a depressed arc takes longer than these 600 s.
    assert volt == pytest.approx(0.1 * MA * dc_ohm, rel=1e-3)


def test_a_positive_current_raises_e_and_open_circuit_lets_it_relax() -> None:
    under_test = cell()
    driven = under_test.advance(0.2 * MA, at(1.0, 60.0))
    rested = under_test.advance(0.0, at(1e-6, 600.0))
    assert 0 < driven[0] < driven[1] * 1.3
    assert 0 < rested[0] < driven[1]
    assert abs(rested[1]) < 1e-3 * driven[1]


segments = st.lists(
    st.tuples(st.sampled_from([-1.2, -0.4, 0.0, 0.4, 1.2]), st.floats(1.0, 2 * HOUR)), min_size=1, max_size=6
)


@given(segments, st.lists(st.floats(0.0, 1.0), max_size=12), st.sampled_from(sorted(GENERIC)))
def test_voltages_depend_on_what_has_passed_and_not_on_how_it_was_cut(
    segments: list[tuple[float, float]], cuts: list[float], preset: str
) -> None:
    whole = cell(preset, short_at_mA_per_cm2=1.0, short_after_mAh_per_cm2=0.7, working_um=4.0)
    cut = cell(preset, short_at_mA_per_cm2=1.0, short_after_mAh_per_cm2=0.7, working_um=4.0)
    for current_mA, duration_s in segments:
        edges = sorted({0.0, *(round(fraction * duration_s, 6) for fraction in cuts), duration_s})
        asked = at(*edges[1:])
        at_once = whole.advance(current_mA * MA, asked)
        in_pieces = [cut.advance(current_mA * MA, at(end - start))[0] for start, end in pairwise(edges)]
        np.testing.assert_allclose(
            np.clip(in_pieces, -10, 10), np.clip(at_once, -10, 10), rtol=1e-6, atol=1e-9
        )
    np.testing.assert_allclose(cut.state.accessible_C, whole.state.accessible_C, atol=1e-9)
    np.testing.assert_allclose(cut.spectrum(at(10.0)), whole.spectrum(at(10.0)), rtol=1e-6)


def test_lithium_moves_with_the_charge_and_each_cycle_loses_its_share() -> None:
    under_test = cell("mii2_100_20")
    before = list(under_test.state.accessible_C)
    for _ in range(3):
        under_test.advance(0.5 * MA, at(HOUR))
        under_test.advance(-0.5 * MA, at(HOUR))
    lost_C = 0.25 * MA * HOUR
    working_lost, counter_lost = np.subtract(before, under_test.state.accessible_C)
    assert working_lost == pytest.approx(3 * lost_C)
    # The counter electrode's third stripping has not ended yet.
    assert counter_lost == pytest.approx(2 * lost_C)


def cycled_until_runaway(preset: str, limit_V: float = 1.5, cycles: int = 20) -> tuple[float, int]:
    """Return hours until |E| passes the limit and the sign of the current then; infinity if it does not."""
    under_test = cell(preset)
    for half_cycle in range(2 * cycles):
        sign = 1 if half_cycle % 2 == 0 else -1
        volts = np.abs(under_test.advance(sign * 0.5 * MA, np.arange(1.0, HOUR + 1)))
        if volts.max() > limit_V:
            return half_cycle + int(np.argmax(volts > limit_V)) / HOUR, sign
    return np.inf, 0


def test_the_thin_side_runs_out_at_about_30_hours_while_it_strips() -> None:
    hours, sign = cycled_until_runaway("mii2_100_20")
    # 4.1 mAh/cm² less 0.25 a cycle leave 0.35 of the 0.5 to strip in cycle 16, which begins at 30 h.
    assert hours == pytest.approx(30.7, abs=0.1)
    assert sign == 1


def test_the_symmetric_twin_survives() -> None:
    hours, _ = cycled_until_runaway("mii2_100_100")
    assert hours == np.inf


def test_the_overpotential_of_mii2_is_at_most_26_mV() -> None:
    under_test = cell("mii2_100_100")
    volts = [
        np.abs(under_test.advance(sign * 0.5 * MA, np.arange(0.01, HOUR, 5.0))).max()
        for _ in range(15)
        for sign in (1, -1)
    ]
    assert max(volts) <= 0.026


def test_e_runs_away_within_seconds_and_comes_back_on_the_other_sign() -> None:
    under_test = cell(**IDEAL, working_um=1.0)
    empty_s = 0.205 / 0.5 * HOUR
    volts = under_test.advance(0.5 * MA, at(empty_s - 1, empty_s + 5, empty_s + 60))
    assert volts[0] < 0.06
    assert volts[0] < volts[1] < 1.0
    assert volts[2] > 10
    assert -0.1 < under_test.advance(-0.5 * MA, at(10.0))[0] < 0


@pytest.mark.parametrize("sign", [1, -1])
def test_a_short_falls_within_a_second_at_its_charge_and_stays(sign: int) -> None:
    under_test = cell("tfoh_llzto")
    short_s = 0.1 / 2.5 * HOUR
    sound, shorted, later = under_test.advance(sign * 2.5 * MA, at(short_s - 0.1, short_s + 1, short_s + 60))
    assert 0.015 < shorted / sound < 0.03
    # Ions still share a little, and less when the slow arcs have charged.
    assert later == pytest.approx(shorted, rel=0.05)
    assert abs(under_test.advance(0.0, at(1.0))[0]) < 5e-6
    assert under_test.advance(sign * 0.1 * MA, at(1.0))[0] == pytest.approx(later / 25, rel=0.05)


def test_a_shorted_cell_is_a_point_on_the_real_axis_where_its_dc_resistance_is() -> None:
    under_test = cell("tfoh_llzto")
    (volt,) = under_test.advance(2.5 * MA, at(HOUR))
    spectrum = under_test.spectrum(np.geomspace(0.1, 1e6, 20), dc_current_A=2.5 * MA)
    np.testing.assert_allclose(spectrum, volt / (2.5 * MA), rtol=0.03)
    assert np.abs(np.angle(spectrum)).max() < 0.01


def test_no_short_below_its_current_density() -> None:
    under_test = cell("tfoh_llzto")
    (volt,) = under_test.advance(2.4 * MA, at(HOUR))
    assert volt == pytest.approx(2.4 * MA * under_test.resistance_ohm, rel=0.1)


def test_tfoh_llzto_shows_10_mV_at_0_2_mA_per_cm2() -> None:
    (volt,) = cell("tfoh_llzto").advance(0.2 * MA, at(HOUR))
    assert volt == pytest.approx(0.010, rel=0.08)


def test_air_llzto_is_rough_and_above_50_mV() -> None:
    volts = cell("air_llzto").advance(0.1 * MA, np.arange(60.0, HOUR, 1.0))
    assert volts.mean() > 0.05
    assert volts.std() > 0.03 * volts.mean()


def test_a_half_cycle_starts_with_a_spike_that_decays() -> None:
    under_test = cell(nucleation=0.5, activation=0.0)
    under_test.advance(-0.2 * MA, at(HOUR))
    volts = under_test.advance(0.2 * MA, at(5.0, 600.0))
    assert volts[0] > 1.2 * volts[1]


def test_contact_loss_shows_in_the_spectra_of_a_one_way_run() -> None:
    under_test = cell("llzto_unidirectional")
    frequencies = at(1e7, 0.1)
    under_test.advance(0.5 * MA, at(HOUR))
    first = under_test.spectrum(frequencies, dc_current_A=0.5 * MA)
    volts = under_test.advance(0.5 * MA, at(29 * HOUR))
    last = under_test.spectrum(frequencies, dc_current_A=0.5 * MA)
    assert last[1].real > 1.2 * first[1].real
    assert last[0].real == pytest.approx(first[0].real, rel=0.1)
    assert volts[0] < 0.2
