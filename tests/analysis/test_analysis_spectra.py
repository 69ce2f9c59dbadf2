"""Resistances read off spectra whose parts are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.spectra import (
    arcs,
    interfacial_resistance,
    minima,
    resistance_before_tail,
    resistance_between,
)

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

FREQUENCY = np.geomspace(1e7, 1e-2, 91)
OHMIC = 10.0


def impedance(*parts: tuple[float, float], frequency: Floats = FREQUENCY, alpha: float = 1.0) -> Complexes:
    """An ohmic part and arcs, each of a resistance and a time constant."""
    omega = 2.0 * np.pi * frequency
    made = [r / (1.0 + (1j * omega * tau) ** alpha) for r, tau in parts]
    return np.asarray(OHMIC + np.sum(made, axis=0) + 0j * omega)


def capacitor(farad: float, frequency: Floats = FREQUENCY) -> Complexes:
    return np.asarray(1.0 / (2j * np.pi * frequency * farad))


def noisy(z: Complexes, sigma: float, seed: int) -> Complexes:
    parts = np.random.default_rng(seed).standard_normal((2, len(z)))
    return np.asarray(z + sigma * np.abs(z) * (parts[0] + 1j * parts[1]))


TWO = impedance((20.0, 1e-5), (50.0, 1e-2))


@given(st.floats(10.0, 300.0), st.floats(10.0, 300.0), st.integers(0, 9))
def test_arcs_that_are_apart_are_read_in_any_order(first: float, second: float, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(FREQUENCY))
    z = impedance((first, 1e-6), (second, 1.0))
    read = arcs(FREQUENCY[order], z[order])
    assert [arc.resistance_ohm for arc in read] == pytest.approx([first, second], rel=0.03)
    assert read[0].frequency_low_Hz == read[1].frequency_high_Hz
    assert resistance_before_tail(FREQUENCY, z) - OHMIC == pytest.approx(first + second, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_noise_makes_no_arcs(seed: int) -> None:
    read = arcs(FREQUENCY, noisy(TWO, 1e-3, seed))
    assert [arc.resistance_ohm for arc in read] == pytest.approx([20.0, 50.0], rel=0.05)


def test_a_part_is_read_between_two_frequencies() -> None:
    assert resistance_between(FREQUENCY, TWO, 1e6, 500.0) == pytest.approx(20.0, rel=0.02)
    assert resistance_between(FREQUENCY, TWO, 500.0, 1e6) == pytest.approx(20.0, rel=0.02)
    with pytest.raises(ValueError, match="nothing about 1e-05 Hz"):
        resistance_between(FREQUENCY, TWO, 1e6, 1e-5)


def test_the_interface_is_what_neither_the_bulk_nor_the_grain_boundaries_have() -> None:
    assert interfacial_resistance(FREQUENCY, TWO) == pytest.approx(70.0, rel=0.01)
    assert interfacial_resistance(FREQUENCY, TWO, (1e7, 500.0)) == pytest.approx(50.0, rel=0.01)


def test_a_capacitive_tail_adds_nothing() -> None:
    z = impedance((20.0, 1e-5)) + capacitor(1e-2)
    assert resistance_before_tail(FREQUENCY, z) == pytest.approx(30.0, rel=0.01)
    assert [arc.resistance_ohm for arc in arcs(FREQUENCY, z)] == pytest.approx([20.0], rel=0.03)


def test_a_diffusion_tail_adds_nothing() -> None:
    omega = 2.0 * np.pi * FREQUENCY
    z = TWO + 5.0 / np.sqrt(1j * omega)
    assert z[-1].real > 90.0
    assert resistance_before_tail(FREQUENCY, z) == pytest.approx(80.0, rel=0.05)


def test_blocking_electrodes_without_an_arc_leave_the_bulk() -> None:
    assert resistance_before_tail(FREQUENCY, impedance() + capacitor(1e-5)) == pytest.approx(OHMIC, rel=1e-3)


def test_a_cell_that_is_inductive_at_high_frequency_begins_where_it_crosses_zero() -> None:
    z = TWO + 2j * np.pi * FREQUENCY * 1e-6
    assert sum(arc.resistance_ohm for arc in arcs(FREQUENCY, z)) == pytest.approx(70.0, rel=0.02)
    assert minima(FREQUENCY, z)[0] == pytest.approx(minima(FREQUENCY, TWO)[0])


def test_an_arc_without_a_tail_ends_with_the_spectrum() -> None:
    z = impedance((20.0, 1e-5))
    assert minima(FREQUENCY, z) == []
    assert resistance_before_tail(FREQUENCY, z) == pytest.approx(30.0, rel=1e-6)


def test_one_point_and_no_point() -> None:
    assert resistance_before_tail(FREQUENCY[:1], TWO[:1]) == pytest.approx(TWO[0].real)
    assert minima(FREQUENCY[:1], np.conj(TWO[:1])) == []
    with pytest.raises(ValueError, match="without points"):
        resistance_before_tail(FREQUENCY[:0], TWO[:0])
