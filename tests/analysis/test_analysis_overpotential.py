"""Means over half-cycles, and the spike at the start of a plating."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.overpotential import mean_overpotential, nucleation, nucleation_length
from protocols.records import HalfCycle

Floats = NDArray[np.float64]
HOUR_s = 3600.0


def half_cycle(
    number: int, overpotential_V: float, charge_C: float = 1.0, *, complete: bool = True
) -> HalfCycle:
    return HalfCycle(
        number=number,
        step=number % 2,
        visit=number // 2,
        t_start_s=number * HOUR_s,
        t_end_s=(number + 1) * HOUR_s,
        set_current_A=1e-4,
        current_A=1e-4,
        charge_C=charge_C,
        planned_charge_C=1.0,
        complete=complete,
        overpotential_V=overpotential_V,
        voltage_min_V=0.0,
        voltage_max_V=overpotential_V,
        voltage_end_V=overpotential_V,
    )


ROWS = [half_cycle(number, 0.01 * (number + 1), (-1.0) ** number) for number in range(6)]


def test_the_mean_of_all_of_some_hours_and_of_some_cycles() -> None:
    assert mean_overpotential(ROWS) == pytest.approx(0.035)
    assert mean_overpotential(ROWS, hours=(1.0, 3.0)) == pytest.approx(0.025)
    assert mean_overpotential(ROWS, numbers=range(4, 6)) == pytest.approx(0.055)
    assert mean_overpotential(ROWS, hours=(10.0, 20.0)) is None


def test_charge_weighs_and_what_is_incomplete_does_not_count() -> None:
    rows = [half_cycle(0, 0.01, 3.0), half_cycle(1, 0.05, -1.0), half_cycle(2, 9.0, complete=False)]
    assert mean_overpotential(rows) == pytest.approx(0.02)


def plating(t_s: Floats, spike_V: float, decay_s: float = 2.0) -> Floats:
    """A plateau of −20 mV; before it a spike that has risen in 0.3 s."""
    return np.asarray(-0.02 - spike_V * (1.0 - np.exp(-t_s / 0.1)) * np.exp(-t_s / decay_s))


DENSE = np.arange(0.0, 60.0, 0.1)


@given(st.floats(0.001, 0.3), st.integers(0, 9))
def test_a_spike_stands_above_its_plateau(spike_V: float, seed: int) -> None:
    noise = 2e-5 * np.random.default_rng(seed).standard_normal(len(DENSE))
    found = nucleation(DENSE, plating(DENSE, spike_V) + noise)
    highest = float(np.abs(plating(DENSE, spike_V)).max()) - 0.02
    assert found.plateau_V == pytest.approx(0.02, abs=1e-5)
    assert found.height_V == pytest.approx(highest, rel=0.03, abs=1e-4)
    assert found.is_resolved


def test_one_wild_sample_is_no_spike() -> None:
    volts = plating(DENSE, 0.0)
    volts[50] = -1.0
    assert nucleation(DENSE, volts).height_V == pytest.approx(0.0, abs=1e-9)


def test_an_overpotential_that_rises_has_no_spike() -> None:
    assert nucleation(DENSE, -0.02 * (1.0 - np.exp(-DENSE / 10.0))).height_V == 0.0


def test_sparse_samples_do_not_show_how_high_it_was() -> None:
    assert not nucleation(DENSE[::20], plating(DENSE, 0.1)[::20]).is_resolved
    slow = np.arange(0.0, 3600.0, 1.0)
    assert nucleation(slow, plating(slow, 0.01, decay_s=60.0)[:]).plateau_V == pytest.approx(0.02, abs=1e-6)


def test_samples_at_every_millivolt_are_dense_enough() -> None:
    t_s = np.arange(0.0, 600.0, 1.0)
    volts = -0.02 - 0.05 * np.exp(-(((t_s - 100.0) / 60.0) ** 2))
    assert nucleation(t_s, volts).is_resolved


def test_too_few_samples_are_named() -> None:
    with pytest.raises(ValueError, match="3 samples show neither"):
        nucleation(DENSE[:3], DENSE[:3])
    with pytest.raises(ValueError, match="0 samples"):
        nucleation(DENSE[:0], DENSE[:0])


def test_nucleation_length() -> None:
    assert nucleation_length(0.01, -10.0, 0.03) == pytest.approx(3e-5)
    with pytest.raises(ValueError, match="needs a current"):
        nucleation_length(0.01, 0.0, 1.0)
