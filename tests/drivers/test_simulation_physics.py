"""Each term of the simulated cell against the law it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drivers.simulation.cells import Cell, FloatArray
from drivers.simulation.overpotential import concentration
from drivers.simulation.presets import describe
from protocols.impedance import finite_diffusion, finite_diffusion_as_rc_chain, rc_chain, zarc

MA = 1e-3
HOUR = 3600.0
PLAIN: dict[str, Any] = {
    "area_cm2": 1.0,
    "activation": 0.0,
    "nucleation": 0.0,
    "contact_loss_cm2_per_mAh": 0.0,
    "inductance_H": 0.0,
}
"""Nothing but the circuit; 1 cm², so that mA/cm² are mA."""


def cell(preset: str = "generic_symmetric", **overrides: object) -> Cell:
    return describe(preset, PLAIN | overrides).build()


def at(*seconds: float) -> FloatArray:
    return np.array(seconds)


def in_half_cycles(under_test: Cell, current_A: float, half_cycles: int, seconds: float = HOUR) -> FloatArray:
    """Cycle; return |E| at the end of each half-cycle."""
    signs = [1 if n % 2 == 0 else -1 for n in range(half_cycles)]
    volts = np.array([under_test.advance(sign * current_A, at(seconds))[0] for sign in signs])
    return np.asarray(np.abs(volts))


# One circuit for time and frequency


def step_response(frequency_Hz: FloatArray, real_ohm: FloatArray, time_s: FloatArray) -> FloatArray:
    """Return E per A after a step of the current: R(t) = (2/π)∫ Z′(ω) sin(ωt)/ω dω, from a dense spectrum."""
    omega = 2 * np.pi * frequency_Hz
    fine = np.geomspace(omega[0], omega[-1], 400_000)
    real = np.interp(np.log(fine), np.log(omega), real_ohm)
    parts = [np.trapezoid(real * np.sin(time * fine), np.log(fine)) for time in time_s]
    # Below the lowest frequency Z′ is flat, and the sine its argument.
    return np.asarray(2 / np.pi * (np.array(parts) + real[0] * omega[0] * time_s))


@pytest.mark.parametrize("preset", ["generic_symmetric", "tfoh_llzto", "polymer_transference"])
def test_step_response_and_spectrum_transform_into_each_other(preset: str) -> None:
    """Within the time window of the spectrum, 1/(2πf): the step from the spectrum is the step of the cell."""
    spectrum_Hz = np.geomspace(1e-6, 1e5, 2000)
    real_ohm = cell(preset).spectrum(spectrum_Hz).real
    time_s = np.geomspace(1e-2, 1e3, 20)
    expected = cell(preset, short_at_mA_per_cm2=None).advance(MA, time_s) / MA
    assert step_response(spectrum_Hz, real_ohm, time_s) == pytest.approx(expected, rel=0.01)


def test_the_spectrum_is_that_of_the_arcs_named() -> None:
    frequency_Hz = np.geomspace(1e-3, 1e7, 101)
    arcs = [(15.0, 1e-5, 0.9), (20.0, 1e-3, 0.85), (15.0, 0.3, 0.85)]
    expected = 50.0 + sum(zarc(frequency_Hz, *arc) for arc in arcs)
    assert np.abs(cell().spectrum(frequency_Hz) - expected).max() < 0.002 * 100


def test_the_chain_of_diffusion_follows_its_tanh() -> None:
    frequency_Hz = np.geomspace(1e-5, 1e2, 71)
    chain = rc_chain(frequency_Hz, *finite_diffusion_as_rc_chain(80.0, 50.0))
    assert np.abs(chain - finite_diffusion(frequency_Hz, 80.0, 50.0)).max() < 0.01 * 80


# Temperature


def test_resistances_and_time_constants_follow_arrhenius() -> None:
    under_test = cell(
        bulk_ohm_cm2=100.0,
        bulk_activation_eV=0.4,
        arcs=[{"resistance_ohm_cm2": 50.0, "tau_s": 0.01, "activation_eV": 0.6}],
    )
    reference = under_test.spectrum(at(1e6, 1 / (2 * np.pi * 0.01), 1e-4))
    under_test.set_temperature(298.15 + 20)
    inverse = (1 / 318.15 - 1 / 298.15) / 8.617333262e-5
    fast, slow = np.exp(0.4 * inverse), np.exp(0.6 * inverse)
    peak, low = under_test.spectrum(at(1 / (2 * np.pi * 0.01 * slow), 1e-4))
    assert under_test.spectrum(at(1e6))[0].real == pytest.approx(reference[0].real * fast, rel=1e-3)
    assert low.real == pytest.approx(100 * fast + 50 * slow)
    assert peak.imag == pytest.approx(reference[1].imag * slow)


def test_a_room_that_warms_and_cools_moves_the_resistance_by_the_activation_energy() -> None:
    under_test = cell(bulk_ohm_cm2=1000.0, bulk_activation_eV=0.5, swing_K=2.0, swing_period_h=4.0)
    volts = under_test.advance(0.1 * MA, np.arange(1.0, 5.0) * HOUR)
    # 0.5 eV: 6.7 % a kelvin at 25 °C.
    assert volts[0] / volts[1] == pytest.approx(1 - 2 * 0.065, abs=0.01)
    assert volts[2] / volts[1] == pytest.approx(1 + 2 * 0.067, abs=0.01)


# Charge transfer


def test_charge_transfer_bends_as_butler_and_volmer_say_and_is_linear_at_rest() -> None:
    arcs = [{"resistance_ohm_cm2": 400.0, "tau_s": 1e-3, "charge_transfer": True}]
    under_test = cell(bulk_ohm_cm2=10.0, arcs=arcs)
    assert under_test.spectrum(at(1e-3))[0].real == pytest.approx(410.0)
    (volt,) = under_test.advance(0.5 * MA, at(600.0))
    thermal_V = 8.617333262e-5 * 298.15
    exchange_A = 2 * thermal_V / 400.0  # two electrodes share the arc
    current_A = 2 * exchange_A * np.sinh((volt - 0.005) / 2 / (2 * thermal_V))
    assert current_A == pytest.approx(0.5 * MA, rel=1e-6)
    slope_ohm = (under_test.spectrum(at(1e-3), dc_current_A=0.5 * MA)[0].real, 410.0)
    assert slope_ohm[0] < 0.9 * slope_ohm[1]


# Concentration


def test_salt_runs_out_at_sands_time() -> None:
    diffusion = {"resistance_ohm_cm2": 100.0, "tau_s": 1e4, "limiting_mA_per_cm2": 1.0}
    for current_mA in (4.0, 8.0):
        under_test = cell("polymer_transference", diffusion=diffusion)
        sand_s = np.pi / 4 * 1e4 / current_mA**2
        time_s = np.linspace(0.5, 1.2, 701) * sand_s
        volts = under_test.advance(current_mA * MA, time_s)
        steepest_s = time_s[1 + int(np.argmax(np.diff(volts, 2)))]
        assert steepest_s == pytest.approx(sand_s, rel=0.03)


def test_below_the_limiting_current_it_settles_where_nernst_says() -> None:
    diffusion = {"resistance_ohm_cm2": 100.0, "tau_s": 100.0, "limiting_mA_per_cm2": 1.0}
    under_test = cell("generic_symmetric", diffusion=diffusion)
    dc_ohm = 100.0  # bulk and arcs
    (volt,) = under_test.advance(0.5 * MA, at(2 * HOUR))
    assert volt - 0.5 * MA * dc_ohm == pytest.approx(0.05 * np.log(1.5 / 0.5), rel=2e-3)
    assert concentration(1e-6, 0.1) == pytest.approx(1e-6)


# Nucleation, activation, interphase


def test_the_spike_of_nucleation_shows_above_its_current_alone_and_decays_with_charge() -> None:
    under_test = cell(nucleation=0.5, nucleation_from_mA_per_cm2=0.4, nucleation_mAh_per_cm2=0.001)
    first, later = under_test.advance(0.4 * MA, at(1.0, 1000.0)) / 0.4
    assert first < later * 1.001
    spike, settled = under_test.advance(-0.8 * MA, at(0.5, 1000.0)) / 0.8
    assert spike / settled == pytest.approx(1 + 0.5 * 0.5 * np.exp(-0.8 * 0.5 / 3.6), rel=0.05)


def test_activation_lowers_the_interface_and_leaves_the_bulk() -> None:
    under_test = cell(activation=2.0, activation_mAh_per_cm2=1.0)
    fresh = under_test.spectrum(at(1e7, 1e-3)).real
    in_half_cycles(under_test, 0.5 * MA, 20)
    later = under_test.spectrum(at(1e7, 1e-3)).real
    assert fresh[1] == pytest.approx(50 + 15 + 3 * 35, rel=1e-3)
    assert later[1] == pytest.approx(100, rel=1e-3)
    assert later[0] == pytest.approx(fresh[0], rel=0.02)


def test_an_alloy_raises_the_overpotential_before_it_falls() -> None:
    under_test = cell(alloying=0.8, alloying_mAh_per_cm2=5.0)
    volts = in_half_cycles(under_test, 0.5 * MA, 80)
    assert int(np.argmax(volts)) + 1 == pytest.approx(10, abs=1)
    assert volts[-1] < 0.8 * volts.max()


def test_the_interphase_grows_with_the_root_of_time_and_consumes_lithium() -> None:
    under_test = cell(sei_per_root_h=0.01, sei_mAh_per_cm2_per_root_h=0.02)
    before_C = list(under_test.state.accessible_C)
    fresh, grown = under_test.spectrum(at(1e-3))[0].real, []
    for hours in (100.0, 300.0):
        under_test.advance(0.0, at(hours * HOUR))
        grown.append(under_test.spectrum(at(1e-3))[0].real - fresh)
    assert grown[1] / grown[0] == pytest.approx(2.0, rel=1e-3)
    lost_C = np.subtract(before_C, under_test.state.accessible_C)
    assert lost_C == pytest.approx([0.02 * 20 * 3.6] * 2)


# Contact


def test_stripping_makes_voids_that_plating_fills() -> None:
    under_test = cell(contact_loss_cm2_per_mAh=0.5)
    one_way = under_test.advance(0.5 * MA, np.arange(1.0, 9.0) * HOUR)
    assert (np.diff(one_way) > 0).all()
    back = np.abs(under_test.advance(-0.5 * MA, np.arange(1.0, 4.0) * HOUR))
    assert back[-1] < 0.8 * one_way[-1]


def test_stack_pressure_fills_voids_as_fast_as_they_form_up_to_its_current() -> None:
    pressed = cell(contact_loss_cm2_per_mAh=0.5, creep_mA_per_cm2=0.6)
    loose = cell(contact_loss_cm2_per_mAh=0.5)
    ends = [under_test.advance(0.5 * MA, at(8 * HOUR))[0] for under_test in (pressed, loose)]
    assert ends[0] == pytest.approx(0.05, rel=0.01)
    assert ends[1] > 1.5 * ends[0]


def test_contact_is_lost_altogether_at_its_limit_and_current_still_flows() -> None:
    under_test = cell(contact_loss_cm2_per_mAh=0.5, contact_limit_mAh_per_cm2=3.0)
    volts = under_test.advance(0.5 * MA, np.array([2.0, 4.0, 5.99, 6.5]) * HOUR)
    assert volts[1] < 3 * volts[0]
    assert volts[2] > 10 * volts[1]
    assert under_test.current_A == 0.5 * MA


# Lithium


def test_plating_consumes_its_share_and_stripping_isolates_its_own() -> None:
    under_test = cell(efficiency=0.99, loss_mAh_per_cm2=0.1)
    in_half_cycles(under_test, 0.5 * MA, 4)
    under_test.drive(0.5 * MA)
    lithium = under_test.state.lithium
    assert lithium.isolated_C == pytest.approx([2 * 0.36, 2 * 0.36])
    assert lithium.consumed_C == pytest.approx([2 * 0.01 * 1.8] * 2)


# Shorts


def test_a_dendrite_is_through_after_its_charge_at_any_current() -> None:
    under_test = cell(lifetime_mAh_per_cm2=10.0, runaway_s=1e6)
    volts = in_half_cycles(under_test, 0.5 * MA, 25)
    shorted = int(np.argmax(volts < 0.1 * volts[0]))
    # 0.5 mAh/cm² in each: the 20th half-cycle ends with it.
    assert shorted in (19, 20)


def test_above_the_critical_current_charge_adds_up_over_half_cycles() -> None:
    under_test = cell(short_at_mA_per_cm2=1.0, short_after_mAh_per_cm2=1.2)
    volts = in_half_cycles(under_test, 0.9 * MA, 4)
    assert volts.min() > 0.08
    volts = in_half_cycles(under_test, 1.0 * MA, 3, 0.5 * HOUR)
    assert volts[:2].min() > 0.09
    assert volts[2] < 0.01


SOFT: dict[str, Any] = {
    "soft_from_mAh_per_cm2": 0.5,
    "soft_to_mAh_per_cm2": 2.0,
    "soft_residual": 0.4,
    "soft_heal_s": 60.0,
}


def test_a_soft_short_lowers_e_and_the_spectrum_alike_and_burns_off() -> None:
    under_test = cell(**SOFT)
    sound, soft, after = under_test.advance(0.5 * MA, np.array([0.9, 2.0, 6.0]) * HOUR)
    assert soft / sound == pytest.approx(0.4, rel=0.03)
    assert after == pytest.approx(sound, rel=0.01)


def test_a_soft_short_is_a_resistor_in_parallel_that_heals_when_the_current_stops() -> None:
    under_test = cell(**SOFT)
    frequency_Hz = np.geomspace(1e-2, 1e5, 30)
    before = under_test.spectrum(frequency_Hz)
    under_test.advance(0.5 * MA, at(2 * HOUR))
    under_test.drive(0.0)
    admittance = 1 / under_test.spectrum(frequency_Hz) - 1 / before
    assert admittance.real == pytest.approx(np.full(30, (1 / 0.4 - 1) / 100), rel=0.01)
    assert np.abs(admittance.imag).max() < 1e-3 * admittance.real.max()
    under_test.let_pass(1800.0)
    assert np.abs(under_test.spectrum(frequency_Hz) - before).max() < 0.1


def test_a_soft_short_flickers_between_two_levels_by_its_seed() -> None:
    def dips(seed: int) -> FloatArray:
        under_test = cell(**SOFT, flicker=0.8, flicker_s=20.0, seed=seed)
        under_test.advance(0.5 * MA, at(1.1 * HOUR))
        return under_test.advance(0.5 * MA, np.arange(1.0, 1801.0))

    volts = dips(1)
    upper = np.mean(volts > 0.03)
    assert 0.2 < upper < 0.8
    flips = np.abs(np.diff(volts > 0.03)).sum()
    assert 50 < flips < 150
    assert (dips(1) == volts).all()
    assert (dips(2) != volts).any()


def test_a_full_cell_with_a_short_never_ends_its_charge_and_falls_at_rest() -> None:
    sound = cell("lfp_full")
    shorted = cell("lfp_full", lifetime_mAh_per_cm2=0.3, short_ohm_cm2=7000.0)
    hours = np.arange(1.0, 60.0) * HOUR / 10
    charged = [under_test.advance(0.5 * MA, hours) for under_test in (sound, shorted)]
    assert charged[0].max() > 3.65
    assert charged[1].max() < 3.55
    rested = shorted.advance(0.0, np.array([0.3, 0.6, 1.2]) * HOUR)
    assert (np.diff(rested) < -0.001).all()


def test_what_is_seen_of_a_flickering_cell_does_not_depend_on_how_often_it_was_looked_at() -> None:
    made = [cell(**SOFT, flicker=0.5, seed=3) for _ in range(2)]
    for under_test in made:
        under_test.drive(0.5 * MA)
    made[0].let_pass(1.7 * HOUR)
    for _ in range(170):
        made[1].voltages(np.array([10.0, 100.0, 1000.0]))
        made[1].let_pass(0.01 * HOUR)
    ends = [under_test.voltages(np.array([1.0, 30.0])) for under_test in made]
    assert ends[0] == pytest.approx(ends[1], rel=1e-9)


# Decomposition


def test_the_electrolyte_decomposes_above_its_voltage_by_one_decade_a_slope() -> None:
    under_test = cell("blocking_carbon", oxidation_V=4.2, oxidation_V_per_decade=0.12)
    currents_A = []
    for voltage_V in (3.9, 4.2, 4.32):
        under_test.control(voltage_V, 1.0, limit_A=1.0)
        under_test.let_pass(1.0)
        under_test.control(voltage_V, 7200.0, limit_A=1.0)
        currents_A.append(under_test.current_A)
    leak_A = 4.0 / 2.5e7
    assert currents_A[0] == pytest.approx(leak_A, rel=0.5)
    assert currents_A[1] == pytest.approx(1e-5, rel=0.05)
    assert currents_A[2] == pytest.approx(1e-4, rel=0.05)


def test_a_current_that_oxidises_the_electrolyte_holds_e_at_its_voltage() -> None:
    under_test = cell("blocking_carbon", oxidation_V=4.2)
    volts = under_test.advance(1e-5, np.array([100.0, 600.0, 1200.0]))
    assert volts[-1] == pytest.approx(4.2, abs=0.02)
