"""Transference number, conductivity and activation energy come back from cells that are made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.transport import (
    BOLTZMANN_EV_PER_K,
    arrhenius,
    bruce_vincent,
    computed_initial_current,
    conductivity,
    conductivity_of,
    dc_conductivity,
    dc_conductivity_of,
    extrapolated_initial_current,
    steady_current,
    transference_number,
    transference_warning,
)
from analysis.uncertain import Uncertain, propagated

ohms = st.floats(1.0, 1e4)
numbers = st.floats(0.01, 1.0)
TEMPERATURES = [293.15, 303.15, 313.15, 333.15]


def steady_of(voltage_V: float, bulk_ohm: float, interface_ohm: float, number: float) -> float:
    """At the steady state an ideal dilute electrolyte has the resistance R_b / t₊."""
    return voltage_V / (bulk_ohm / number + interface_ohm)


@given(ohms, ohms, ohms, numbers, st.sampled_from([0.01, -0.01]))
def test_the_transference_number_of_an_ideal_cell_comes_back(
    bulk_ohm: float, before_ohm: float, after_ohm: float, number: float, voltage_V: float
) -> None:
    found = bruce_vincent(
        voltage_V=voltage_V,
        initial_A=computed_initial_current(voltage_V, bulk_ohm + before_ohm),
        steady_A=steady_of(voltage_V, bulk_ohm, after_ohm, number),
        initial_ohm=before_ohm,
        steady_ohm=after_ohm,
    )
    assert found == pytest.approx(number, rel=1e-6)


def test_an_interface_that_takes_all_of_the_voltage_gives_no_number() -> None:
    with pytest.raises(ValueError, match="leave nothing"):
        bruce_vincent(voltage_V=0.01, initial_A=1e-4, steady_A=5e-5, initial_ohm=100.0, steady_ohm=100.0)
    with pytest.raises(ValueError, match="leave nothing"):
        bruce_vincent(voltage_V=0.01, initial_A=-1e-4, steady_A=-5e-5, initial_ohm=1.0, steady_ohm=1.0)


def test_without_a_resistance_there_is_no_initial_current() -> None:
    with pytest.raises(ValueError, match="no initial current"):
        computed_initial_current(0.01, 0.0)


def test_the_initial_current_is_found_before_the_first_sample() -> None:
    """Charging of the electrodes lasts to 0.5 s and would give 1.5 times too much."""
    t_s = np.arange(0.1, 60.0, 0.1)
    current_A = 1e-4 * (1.0 - 0.02 * np.sqrt(t_s)) + 1e-4 * np.exp(-t_s / 0.05)
    assert extrapolated_initial_current(t_s, current_A, 1.0, 30.0) == pytest.approx(1e-4, rel=1e-6)
    with pytest.raises(ValueError, match="three samples"):
        extrapolated_initial_current(t_s, current_A, 100.0, 200.0)


@pytest.mark.parametrize(
    ("number", "material", "says"),
    [
        (0.95, "garnet", ""),
        (0.52, "garnet", "far below"),
        (0.52, "sulfide", "far below"),
        (0.52, "polymer", ""),
        (0.621, "composite", ""),
        (1.2, "polymer", "no transference number"),
        (-0.1, "garnet", "no transference number"),
        (1.02, "garnet", "no transference number"),
    ],
)
def test_a_number_that_the_material_does_not_allow_is_named(number: float, material: str, says: str) -> None:
    warning = transference_warning(number, material)  # type: ignore[arg-type]  # a class of the list above
    assert says in warning
    assert bool(says) == bool(warning)


def test_the_steady_current_is_the_end_and_says_if_it_still_changes() -> None:
    t_s = np.linspace(0.0, 3600.0, 721)
    settled = steady_current(t_s, 1e-5 * (1.0 + np.exp(-t_s / 100.0)))
    assert settled.current_A == pytest.approx(1e-5, rel=1e-6)
    assert settled.warning == ""
    falling = steady_current(t_s, 1e-5 * np.exp(-t_s / 3600.0))
    assert falling.current_A == pytest.approx(1e-5 * math.exp(-0.975), rel=1e-3)
    assert falling.change == pytest.approx(math.exp(-0.25) - 1.0, rel=1e-2)
    assert "-22%" in falling.warning
    with pytest.raises(ValueError, match="7 samples"):
        steady_current(t_s[:7], t_s[:7])


def test_conductivity() -> None:
    # Study E's bare LNI: 400 µm, about 100 Ω at 1.27 cm² are 3.1e-4 S/cm.
    assert conductivity(400e-6, 100.0, 1.27e-4) == pytest.approx(3.1e-2, rel=0.02)
    for wrong in ((0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, 0.0)):
        with pytest.raises(ValueError, match="give no conductivity"):
            conductivity(*wrong)


def test_direct_current_gives_what_is_left_of_the_resistance() -> None:
    cell = {"thickness_m": 1e-3, "area_m2": 1e-4}
    assert dc_conductivity(voltage_V=0.1, steady_A=1e-6, **cell) == pytest.approx(1e-4)
    less = dc_conductivity(voltage_V=0.05, steady_A=1e-4, deducted_ohm=100.0, **cell)
    assert less == pytest.approx(conductivity(1e-3, 400.0, 1e-4))
    with pytest.raises(ValueError, match="leaves nothing"):
        dc_conductivity(voltage_V=0.05, steady_A=1e-3, deducted_ohm=100.0, **cell)
    with pytest.raises(ValueError, match="no current"):
        dc_conductivity(voltage_V=0.05, steady_A=0.0, **cell)


@given(st.floats(0.05, 1.0), st.floats(1e-3, 1e6), st.booleans())
def test_the_activation_energy_comes_back_in_either_form(
    energy_eV: float, factor: float, times_T: bool
) -> None:
    sigma = [
        factor * math.exp(-energy_eV / (BOLTZMANN_EV_PER_K * T)) / (T if times_T else 1.0)
        for T in TEMPERATURES
    ]
    found = arrhenius(TEMPERATURES, sigma, times_T=times_T)
    assert found.activation_eV == pytest.approx(energy_eV, rel=1e-9)
    assert found.prefactor == pytest.approx(factor, rel=1e-6)
    assert found.activation_std_eV == pytest.approx(0.0, abs=1e-9)


def test_the_two_forms_differ_by_about_kT() -> None:
    sigma = [math.exp(-0.4 / (BOLTZMANN_EV_PER_K * T)) for T in TEMPERATURES]
    more = arrhenius(TEMPERATURES, sigma, times_T=True).activation_eV - 0.4
    assert more == pytest.approx(BOLTZMANN_EV_PER_K * 310.0, rel=0.02)


def test_the_standard_error_is_the_scatter_of_many_trials() -> None:
    rng = np.random.default_rng(1)
    exact = np.exp(-0.4 / (BOLTZMANN_EV_PER_K * np.asarray(TEMPERATURES)))
    trials = [
        arrhenius(TEMPERATURES, list(exact * np.exp(0.02 * rng.standard_normal(4)))) for _ in range(500)
    ]
    scatter = float(np.std([trial.activation_eV for trial in trials]))
    errors = [trial.activation_std_eV or 0.0 for trial in trials]
    assert scatter == pytest.approx(float(np.sqrt(np.mean(np.square(errors)))), rel=0.1)


def test_two_temperatures_have_no_error_and_one_has_no_energy() -> None:
    assert arrhenius([293.15, 313.15], [1e-3, 2e-3]).activation_std_eV is None
    with pytest.raises(ValueError, match="two temperatures"):
        arrhenius([293.15, 293.15], [1e-3, 2e-3])
    with pytest.raises(ValueError, match="above zero"):
        arrhenius([293.15, 313.15], [1e-3, 0.0])


# Uncertainties, against the scatter of many trials


def scatter(values: list[float]) -> float:
    return float(np.std(values))


def test_the_uncertainty_of_a_conductivity_is_its_scatter() -> None:
    rng = np.random.default_rng(1)
    of = {"thickness_m": Uncertain(4e-4, 8e-6), "area_m2": Uncertain(1.27e-4, 2e-6)}
    found = conductivity_of(resistance_ohm=Uncertain(100.0, 1.0), method="before the tail", **of)
    trials = [
        conductivity(rng.normal(4e-4, 8e-6), rng.normal(100.0, 1.0), rng.normal(1.27e-4, 2e-6))
        for _ in range(4000)
    ]
    assert found.value == conductivity(4e-4, 100.0, 1.27e-4)
    assert found.std == pytest.approx(scatter(trials), rel=0.05)
    assert (found.unit, found.method, found.without) == ("S/m", "before the tail", ())
    assert found.geometry == "400 µm, 1.27 cm²"


def test_what_has_no_uncertainty_is_named() -> None:
    of = {"thickness_m": Uncertain(4e-4), "area_m2": Uncertain(1.27e-4)}
    found = conductivity_of(resistance_ohm=Uncertain(100.0, 1.0), method="", **of)
    assert found.std == pytest.approx(0.01 * found.value, rel=1e-3)
    assert found.without == ("thickness_m", "area_m2")
    assert conductivity_of(resistance_ohm=Uncertain(100.0), method="", **of).std is None


def test_of_a_difference_that_is_small_the_uncertainty_is_large() -> None:
    of = {
        "voltage_V": Uncertain(0.05, 1e-5),
        "thickness_m": Uncertain(1e-3),
        "area_m2": Uncertain(1e-4),
    }
    found = dc_conductivity_of(steady_A=Uncertain(4e-4, 4e-6), deducted_ohm=Uncertain(100.0, 1.0), **of)
    rng = np.random.default_rng(2)
    left = [rng.normal(0.05, 1e-5) / rng.normal(4e-4, 4e-6) - rng.normal(100.0, 1.0) for _ in range(4000)]
    assert found.std is not None
    assert found.std / found.value == pytest.approx(scatter(left) / 25.0, rel=0.1)
    assert found.method == "direct current less 100 Ω"


@given(ohms, ohms, st.floats(0.1, 1.0))
def test_a_transference_number_from_spectra_is_that_of_bruce_and_vincent(
    bulk_ohm: float, interface_ohm: float, number: float
) -> None:
    found = transference_number(
        voltage_V=Uncertain(0.01),
        steady_A=Uncertain(steady_of(0.01, bulk_ohm, interface_ohm, number)),
        before_ohm=Uncertain(bulk_ohm + 3.0),
        after_ohm=Uncertain(bulk_ohm + interface_ohm),
        bulk_before_ohm=Uncertain(bulk_ohm),
        bulk_after_ohm=Uncertain(bulk_ohm),
    )
    assert found.value == pytest.approx(number, rel=1e-6)
    assert found.std is None
    assert found.unit == "1"


def test_the_uncertainty_of_a_transference_number_is_its_scatter() -> None:
    """Interfaces that take three quarters of ΔV make 1 % of noise to 6 % of t₊."""
    measured = {
        "voltage_V": Uncertain(0.01, 1e-5),
        "steady_A": Uncertain(steady_of(0.01, 20.0, 120.0, 0.4), 3e-7),
        "before_ohm": Uncertain(120.0, 1.2),
        "after_ohm": Uncertain(140.0, 1.4),
        "bulk_before_ohm": Uncertain(20.0, 0.2),
        "bulk_after_ohm": Uncertain(20.0, 0.2),
    }
    found = transference_number(**measured)
    rng = np.random.default_rng(3)
    trials = [
        transference_number(
            **{name: Uncertain(rng.normal(one.value, one.std or 0.0)) for name, one in measured.items()}
        ).value
        for _ in range(3000)
    ]
    assert found.value == pytest.approx(0.4)
    assert found.std == pytest.approx(scatter(trials), rel=0.08)


@pytest.mark.parametrize(
    ("number", "std", "says"),
    [
        (1.02, 0.02, ""),
        (1.02, 0.001, "no transference number"),
        (0.85, 0.04, ""),
        (0.85, 0.01, "far below"),
        (0.5, 0.4, "too uncertain"),
    ],
)
def test_a_number_is_judged_by_its_uncertainty(number: float, std: float, says: str) -> None:
    warning = transference_warning(number, "garnet", std)
    assert says in warning
    assert bool(says) == bool(warning)
    assert f"± {std:.2g}" in warning or not warning


def test_the_uncertainty_of_a_steady_current_is_noise_and_what_is_still_to_come() -> None:
    rng = np.random.default_rng(4)
    t_s = np.linspace(0.0, 3600.0, 7201)
    trials = [steady_current(t_s, 1e-5 + 1e-7 * rng.standard_normal(7201)) for _ in range(200)]
    errors = [trial.std_A for trial in trials]
    assert scatter([trial.current_A for trial in trials]) == pytest.approx(float(np.mean(errors)), rel=0.2)
    falling = steady_current(t_s, 1e-5 * (1.0 + np.exp(-t_s / 1000.0)))
    assert falling.current_A - 1e-5 < 3 * falling.std_A


def test_uncertain_conductivities_weigh_less_and_say_the_error_of_the_slope() -> None:
    """Of an exact line the scatter says nothing; the standard deviations do, for two temperatures too."""
    rng = np.random.default_rng(5)
    for temperatures in (TEMPERATURES, TEMPERATURES[::3]):
        exact = np.exp(-0.4 / (BOLTZMANN_EV_PER_K * np.asarray(temperatures)))
        relative = np.linspace(0.01, 0.05, len(exact))
        stds = list(relative * exact)
        found = arrhenius(temperatures, list(exact), sigma_std_S_per_m=stds)
        trials = [
            arrhenius(
                temperatures,
                list(exact * np.exp(relative * rng.standard_normal(len(exact)))),
                sigma_std_S_per_m=stds,
            )
            for _ in range(2000)
        ]
        assert found.activation_eV == pytest.approx(0.4)
        assert found.activation_std_eV == pytest.approx(
            scatter([trial.activation_eV for trial in trials]), rel=0.06
        )
        assert found.ln_prefactor_std == pytest.approx(
            scatter([math.log(trial.prefactor) for trial in trials]), rel=0.06
        )


def test_a_point_without_uncertainty_lets_all_weigh_the_same() -> None:
    sigma = [1e-3, 2.1e-3, 3.9e-3, 9e-3]
    plain = arrhenius(TEMPERATURES, sigma)
    assert arrhenius(TEMPERATURES, sigma, sigma_std_S_per_m=[1e-5, None, 1e-5, 1e-5]) == plain
    assert arrhenius(TEMPERATURES, sigma, sigma_std_S_per_m=[1e-5, 0.0, 1e-5, 1e-5]) == plain
    scattered = arrhenius(TEMPERATURES, sigma, sigma_std_S_per_m=[1e-9 * s for s in sigma])
    assert scattered.activation_std_eV == pytest.approx(plain.activation_std_eV)


def test_at_an_edge_one_side_says_the_uncertainty() -> None:
    def root(x: float) -> float:
        if x < 0.0:
            raise ValueError("below zero")
        return math.sqrt(x)

    value, std, _ = propagated(root, x=Uncertain(1.0, 1.5))
    assert value == 1.0
    assert std == pytest.approx(math.sqrt(2.5) - 1.0)
    assert propagated(root, x=Uncertain(1.0, 0.0))[1] == 0.0
