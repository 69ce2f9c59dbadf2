"""Full cells, bare copper, blocking electrodes, a polymer; and voltages held on these and on Li | Li."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.simulation.cells import Cell, FloatArray
from drivers.simulation.phases import Potential, Scan
from drivers.simulation.potential import HeldPotential, Rows
from drivers.simulation.presets import GENERIC, describe

MA = 1e-3
MAH = 3.6
HOUR = 3600.0
LIMITS_V = {"lfp_full": (2.5, 3.65), "ncm_full": (3.0, 4.3)}


def cell(preset: str, **overrides: object) -> Cell:
    return describe(preset, {"area_cm2": 1.0} | overrides).build()


def held(under_test: Cell, phase: Potential | Scan, until_s: float = np.inf) -> Rows:
    return HeldPotential(phase, under_test, limit_A=1.0, first_s=40e-6).advance(until_s)[0]


def at_voltage(under_test: Cell, voltage_V: float, duration_s: float) -> Rows:
    return held(under_test, Potential(voltage_V, duration_s, record_dT_s=1.0, record_dI_A=0.0))


def passed_until(under_test: Cell, current_A: float, limit_V: float) -> float:
    """Drive until E passes the limit; return the charge in mAh."""
    interval_s = abs(0.001 * MAH / current_A)
    volts = [under_test.advance(current_A, np.array([interval_s]))[0]]
    while (volts[-1] - limit_V) * current_A < 0:
        volts.append(under_test.advance(current_A, np.array([interval_s]))[0])
    return len(volts) * 0.001


@pytest.mark.parametrize("preset", sorted(LIMITS_V))
def test_a_full_cell_charges_and_discharges_its_capacity_between_its_limits(preset: str) -> None:
    under_test = cell(preset)
    lower_V, upper_V = LIMITS_V[preset]
    nominal = float(describe(preset).positive_mAh_per_cm2 or 0)
    charge = passed_until(under_test, 0.1 * nominal * MA, upper_V)
    assert 0.9 * nominal < charge < nominal
    assert passed_until(under_test, -0.1 * nominal * MA, lower_V) == pytest.approx(charge, rel=0.01)


def test_a_fast_discharge_ends_earlier_by_the_resistance() -> None:
    discharged = []
    for rate in (0.1, 1.0, 3.0):
        under_test = cell("ncm_full", positive_charged=0.95)
        discharged.append(passed_until(under_test, -rate * 3.0 * MA, 3.0))
    assert discharged[0] > 1.02 * discharged[1] > 1.1 * discharged[2]


def test_capacity_fades_by_its_part_in_each_cycle() -> None:
    under_test = cell("lfp_full", fade_per_cycle=0.02)
    discharged = []
    for _ in range(4):
        passed_until(under_test, 0.5 * MA, 3.65)
        discharged.append(passed_until(under_test, -0.5 * MA, 2.5))
    retention = np.array(discharged) / discharged[0]
    assert retention == pytest.approx(0.98 ** np.arange(4), abs=0.003)


def test_an_open_full_cell_shows_its_open_circuit_voltage() -> None:
    (volt,) = cell("lfp_full", positive_charged=0.5).voltages(np.zeros(1))
    assert volt == pytest.approx(3.43)


def test_the_steep_ends_of_a_full_cell_show_in_its_spectrum() -> None:
    low_Hz = np.array([0.01])
    middle, end = (cell("ncm_full", positive_charged=charged).spectrum(low_Hz)[0] for charged in (0.5, 0.001))
    assert -end.imag > 2 * -middle.imag


def test_bare_copper_has_nothing_to_strip_until_lithium_is_plated() -> None:
    assert cell("li_cu").advance(0.5 * MA, np.array([60.0]))[0] > 10
    plated = cell("li_cu")
    assert -0.1 < plated.advance(-0.5 * MA, np.array([HOUR]))[0] < 0
    assert 0 < plated.advance(0.5 * MA, np.array([0.9 * HOUR]))[0] < 0.1


def test_copper_keeps_its_share_of_each_plating() -> None:
    under_test = cell("li_cu")
    efficiencies = []
    for _ in range(4):
        under_test.advance(-0.5 * MA, np.array([2 * HOUR]))
        efficiencies.append(passed_until(under_test, 0.5 * MA, 1.0) / 1.0)
    # The run-away itself takes 16 s, 0.002 mAh.
    assert efficiencies == pytest.approx([0.98] * 4, abs=0.005)


def test_scanned_copper_plates_and_strips_and_then_passes_almost_nothing() -> None:
    under_test = cell("li_cu", loss_mAh_per_cm2=0.0)
    held(under_test, Scan(0.0, -0.05, 5e-4, record_dE_V=1e-3))
    _, volts, currents_A = held(under_test, Scan(-0.05, 0.5, 5e-4, record_dE_V=1e-3))
    assert currents_A[volts < -0.01].max() < 0
    assert currents_A.max() > 0.1 * MA
    assert 0 < currents_A[-1] < 1e-4 * currents_A.max()


def test_a_held_voltage_cannot_strip_more_than_there_is() -> None:
    under_test = cell("generic_symmetric", working_um=0.1)
    times_s, _, currents_A = at_voltage(under_test, 0.1, HOUR)
    assert under_test.state.accessible_C[0] == pytest.approx(0, abs=1e-12)
    assert currents_A[-1] < 1e-4 * currents_A[1]
    assert np.trapezoid(currents_A, times_s) == pytest.approx(0.1 * 0.206 * MAH, rel=0.02)


def test_a_shorted_cell_has_its_short_s_resistance_at_a_held_voltage() -> None:
    under_test = cell("tfoh_llzto")
    under_test.advance(2.5 * MA, np.array([HOUR]))
    currents_A = at_voltage(under_test, 0.001, 60.0)[2]
    assert currents_A[-1] == pytest.approx(0.001 / (0.02 * under_test.resistance_ohm), rel=1e-3)


def test_a_held_voltage_drives_the_current_of_the_dc_resistance() -> None:
    under_test = cell("tfoh_llzto", activation=0.0, nucleation=0.0, contact_loss_cm2_per_mAh=0.0)
    currents_A = at_voltage(under_test, 0.01, 600.0)[2]
    assert currents_A[-1] == pytest.approx(0.01 / under_test.resistance_ohm, rel=1e-6)


def test_a_voltage_held_at_rest_turns_no_half_cycle() -> None:
    under_test = cell("mii2_100_20")
    under_test.advance(0.2 * MA, np.array([HOUR]))
    at_voltage(under_test, 0.0, HOUR)
    before = list(under_test.state.accessible_C)
    at_voltage(under_test, 0.0, HOUR)
    assert under_test.state.accessible_C == pytest.approx(before, abs=1e-6)


def test_a_blocking_cell_decays_to_its_leak_and_ends_in_a_capacitive_tail() -> None:
    under_test = cell("blocking_carbon")
    times_s, _, currents_A = at_voltage(under_test, 1.0, 2 * HOUR)
    leak_A = 1.0 / 2.5e7
    assert currents_A[-1] == pytest.approx(leak_A, rel=1e-3)
    assert currents_A[times_s >= 5][0] > 2 * leak_A
    assert (np.diff(currents_A) <= 1e-15).all()
    spectrum = cell("blocking_carbon").spectrum(np.array([1e5, 1.0, 0.1]))
    assert spectrum[0].real == pytest.approx(50.0, rel=0.01)
    assert np.degrees(np.angle(spectrum[1:])) == pytest.approx([-90, -90], abs=3)


def test_a_polymer_gives_back_its_transference_number() -> None:
    """Bruce and Vincent: t₊ = I_ss (ΔV − I_0 R_0) / (I_0 (ΔV − I_ss R_ss)); R is the interface's."""
    currents_A = at_voltage(cell("polymer_transference"), 0.01, HOUR)[2]
    first_A, steady_A, interface_ohm = currents_A[1], currents_A[-1], 30.0
    steady = steady_A * (0.01 - first_A * interface_ohm)
    assert steady / (first_A * (0.01 - steady_A * interface_ohm)) == pytest.approx(0.2, abs=0.01)


voltages = st.lists(st.sampled_from([-0.2, -0.02, 0.0, 0.02, 0.2]), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(voltages, st.lists(st.floats(0.0, 1.0), max_size=6), st.sampled_from(sorted(GENERIC)))
def test_the_state_depends_on_the_voltages_and_not_on_how_they_were_cut(
    steps_V: list[float], cuts: list[float], preset: str
) -> None:
    offset_V = 0.0 if preset not in LIMITS_V else sum(LIMITS_V[preset]) / 2
    made = [cell(preset, short_at_mA_per_cm2=1.5, short_after_mAh_per_cm2=0.1) for _ in range(2)]
    rows: list[list[FloatArray]] = [[], []]
    for step_V in steps_V:
        phase = Potential(offset_V + step_V, 300.0, record_dT_s=7.0, record_dI_A=1e-5)
        edges = sorted({0.0, *(300.0 * cut for cut in cuts), 300.0})
        for under_test, stops, kept in zip(
            made, ([300.0], [b for _, b in pairwise(edges)]), rows, strict=True
        ):
            control = HeldPotential(phase, under_test, limit_A=0.1, first_s=40e-6)
            kept.extend(np.column_stack(control.advance(stop)[0]) for stop in stops)
    whole, cut = (np.concatenate(kept) for kept in rows)
    np.testing.assert_allclose(cut, whole, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(made[1].state.rc_V, made[0].state.rc_V, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(made[1].state.accessible_C, made[0].state.accessible_C, rtol=1e-9, atol=1e-9)
