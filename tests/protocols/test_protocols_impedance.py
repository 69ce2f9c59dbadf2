"""Z(f) of circuit elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.impedance import inductor, rc_chain, zarc, zarc_as_rc_chain

FREQUENCY_HZ = np.geomspace(1e-3, 1e6, 91)


def test_an_rc_passes_its_resistance_at_low_and_nothing_at_high_frequency() -> None:
    impedance = rc_chain([1e-9, 1e9], [30.0], [1e-3])
    assert impedance[0] == pytest.approx(30.0)
    assert abs(impedance[1]) < 1e-3


def test_an_rc_is_at_45_degrees_at_its_own_frequency() -> None:
    (impedance,) = rc_chain([1 / (2 * np.pi * 0.01)], [8.0], [0.01])
    assert impedance == pytest.approx(4 - 4j)


def test_a_zarc_with_exponent_1_is_an_rc() -> None:
    np.testing.assert_allclose(zarc(FREQUENCY_HZ, 12.0, 1e-2, 1.0), rc_chain(FREQUENCY_HZ, [12.0], [1e-2]))


def test_an_inductance_lies_on_the_positive_imaginary_axis() -> None:
    assert inductor([1e6], 1e-6)[0] == pytest.approx(2j * np.pi)


@given(resistance=st.floats(1e-3, 1e4), tau=st.floats(1e-6, 1e2), alpha=st.floats(0.75, 1.0))
def test_the_chain_of_a_zarc_has_its_resistance(resistance: float, tau: float, alpha: float) -> None:
    resistances, taus = zarc_as_rc_chain(resistance, tau, alpha)
    assert resistances.sum() == pytest.approx(resistance)
    assert len(resistances) == len(taus)
    assert (resistances > 0).all()


@given(alpha=st.floats(0.8, 1.0))
def test_the_chain_follows_the_arc_of_its_zarc(alpha: float) -> None:
    chain = rc_chain(FREQUENCY_HZ, *zarc_as_rc_chain(100.0, 1e-2, alpha))
    assert np.abs(chain - zarc(FREQUENCY_HZ, 100.0, 1e-2, alpha)).max() < 5.0
