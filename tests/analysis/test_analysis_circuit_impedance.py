"""Impedances of circuits and their derivatives, beside differences, limits and impedance.py."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services import needs

from analysis.circuit.elements import KINDS, Sweep
from analysis.circuit.notation import parse_circuit
from analysis.circuit.stock import STOCK
from protocols import impedance as z_of

FREQUENCY = np.geomspace(1e6, 1e-2, 41)
NESTED = "R0-p(R1-p(R2-Wo1,CPE1,L1),C1)-p(Ws1,CPE2-G1)-W1"
TEXTS = [*KINDS, NESTED, *(stock.text for stock in STOCK.values())]


@given(text=st.sampled_from(TEXTS), data=st.data())
def test_derivatives_are_those_of_differences(text: str, data: st.DataObject) -> None:
    circuit = parse_circuit(text)
    values = np.array(
        [
            data.draw(st.floats(0.5, 1.0) if parameter.exponent else st.floats(1e-3, 1e2))
            for parameter in circuit.parameters
        ]
    )
    rows = circuit.jacobian(FREQUENCY, values).T
    assert rows.shape == (len(values), len(FREQUENCY))
    for place, value in enumerate(values):
        step = np.zeros_like(values)
        step[place] = 1e-5 * value
        above, below = (circuit.impedance(FREQUENCY, values + sign * step) for sign in (1, -1))
        size = np.abs(circuit.impedance(FREQUENCY, values))
        difference = (above - below) / 2e-5
        np.testing.assert_array_less(np.abs(rows[place] * value - difference), 1e-6 * size + 1e-12)


def test_elements_are_those_of_simulated_cells() -> None:
    for text, values, expected in (
        ("C", [2e-5], z_of.capacitor(FREQUENCY, 2e-5)),
        ("L", [2e-5], z_of.inductor(FREQUENCY, 2e-5)),
        ("CPE", [2e-5, 0.8], z_of.constant_phase(FREQUENCY, 2e-5, 0.8)),
        ("W", [3.0], z_of.warburg(FREQUENCY, 3.0)),
        ("Wo", [3.0, 2.0], z_of.finite_space_diffusion(FREQUENCY, 3.0, 2.0)),
        ("Ws", [3.0, 2.0], z_of.finite_diffusion(FREQUENCY, 3.0, 2.0)),
        ("G", [3.0, 2.0], z_of.gerischer(FREQUENCY, 3.0, 2.0)),
        ("p(R,CPE)", [3.0, 2e-3**0.8 / 3.0, 0.8], z_of.zarc(FREQUENCY, 3.0, 2e-3, 0.8)),
    ):
        np.testing.assert_allclose(parse_circuit(text).impedance(FREQUENCY, values), expected, rtol=1e-12)


@given(text=st.sampled_from(TEXTS), seed=st.integers(0, 99))
def test_the_impedance_that_comes_with_derivatives_is_the_same(text: str, seed: int) -> None:
    circuit = parse_circuit(text)
    values = np.random.default_rng(seed).uniform(0.5, 1.0, len(circuit.parameters))
    z, _ = circuit.derive(Sweep(FREQUENCY), values.tolist())
    np.testing.assert_allclose(z, circuit.impedance(FREQUENCY, values), rtol=1e-10)


def test_branches_share_the_current_and_parts_add_up() -> None:
    assert parse_circuit("p(R1,R2)").impedance(FREQUENCY, [3.0, 6.0]) == pytest.approx(2.0)
    assert parse_circuit("R1-R2").impedance(FREQUENCY, [3.0, 6.0]) == pytest.approx(9.0)


def test_diffusion_ends_in_a_resistance_or_in_a_capacitor() -> None:
    low_Hz = np.array([1e-7])
    assert parse_circuit("Ws").impedance(low_Hz, [50.0, 10.0]) == pytest.approx(50.0, rel=1e-5)
    filled = parse_circuit("Wo").impedance(low_Hz, [50.0, 10.0])[0]
    assert filled.real == pytest.approx(50.0 / 3, rel=1e-3)
    assert -1 / (2 * np.pi * 1e-7 * filled.imag) == pytest.approx(10.0 / 50.0, rel=1e-5)


def test_thick_layers_are_half_spaces() -> None:
    sigma = 50.0 / np.sqrt(2 * 1e9)
    for text in ("Ws", "Wo"):
        thick = parse_circuit(text).impedance(FREQUENCY, [50.0, 1e9])
        np.testing.assert_allclose(thick, parse_circuit("W").impedance(FREQUENCY, [sigma]), rtol=1e-9)


def test_a_number_for_each_parameter_is_needed() -> None:
    with pytest.raises(ValueError, match="3 parameters, not 2"):
        parse_circuit("R0-CPE1").impedance(FREQUENCY, [1.0, 2.0])


@pytest.mark.parametrize("text", [NESTED, *(stock.text for stock in STOCK.values())])
def test_impedances_are_those_of_impedance_py(text: str) -> None:
    needs("impedance.py", importlib.util.find_spec("impedance") is not None)
    circuits = importlib.import_module("impedance.models.circuits")
    circuit = parse_circuit(text)
    values = np.random.default_rng(7).uniform(0.5, 1.0, len(circuit.parameters))
    judge = circuits.CustomCircuit(text, initial_guess=values.tolist())
    with pytest.warns(UserWarning, match="initial parameters"):
        expected = judge.predict(FREQUENCY)
    np.testing.assert_allclose(circuit.impedance(FREQUENCY, values), expected, rtol=1e-9)
