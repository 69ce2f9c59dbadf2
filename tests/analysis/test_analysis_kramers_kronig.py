"""Noise passes the Kramers-Kronig test, drift and steps do not; real recordings of steady cells pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from arcs import noisy, spectrum_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.kramers_kronig import FEWEST_POINTS, SIGNIFICANT, kramers_kronig, summarize, valid_range
from protocols.errors import SpectrumError
from protocols.measurements import Spectrum

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

FREQUENCY = np.geomspace(1e6, 1e-2, 81)
OHMIC = 10.0
ARCS = ((20.0, 1e-5, 0.95), (50.0, 1e-3, 0.9), (30.0, 0.5, 0.85))


def three_arcs(frequency: Floats) -> Complexes:
    omega = 2.0 * np.pi * frequency
    arcs = [resistance / (1.0 + (1j * omega * tau) ** alpha) for resistance, tau, alpha in ARCS]
    return np.asarray(OHMIC + np.sum(arcs, axis=0))


def measured(frequency: Floats, impedance: Complexes) -> Spectrum:
    return spectrum_of(frequency, impedance, 100.0, 200.0, current_A=1e-3)


def test_an_exact_spectrum_leaves_next_to_nothing() -> None:
    outcome = kramers_kronig(FREQUENCY, three_arcs(FREQUENCY))
    assert outcome.passed
    assert outcome.rms < 2e-4


@given(sigma=st.sampled_from([1e-3, 1e-2, 3e-2]), seed=st.integers(0, 10**6), every=st.sampled_from([1, 2]))
def test_noise_passes_and_is_estimated(sigma: float, seed: int, every: int) -> None:
    frequency = FREQUENCY[::every]
    outcome = kramers_kronig(frequency, noisy(three_arcs(frequency), sigma, seed))
    assert outcome.passed
    assert outcome.noise == pytest.approx(sigma, rel=0.5)


@pytest.mark.parametrize("drift", [0.2, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_drift_during_the_sweep_fails(drift: float, seed: int) -> None:
    elapsed = np.cumsum(1.0 / FREQUENCY)
    for share in (elapsed / elapsed[-1], np.linspace(0.0, 1.0, len(FREQUENCY))):
        assert not kramers_kronig(
            FREQUENCY, noisy(three_arcs(FREQUENCY) * (1.0 + drift * share), 1e-3, seed)
        ).passed


@pytest.mark.parametrize("at", [20, 40, 60])
def test_a_soft_short_in_the_middle_of_the_sweep_fails(at: int) -> None:
    impedance = noisy(three_arcs(FREQUENCY), 1e-3)
    impedance[at:] *= 0.6
    assert not kramers_kronig(FREQUENCY, impedance).passed


def test_noise_of_any_grid_is_never_taken_for_drift() -> None:
    rng = np.random.default_rng(7)
    for seed in range(300):
        frequency = np.geomspace(
            10.0 ** rng.uniform(4, 6.8), 10.0 ** rng.uniform(-2, 0), rng.integers(10, 120)
        )
        outcome = kramers_kronig(frequency, noisy(three_arcs(frequency), 10.0 ** rng.uniform(-4, -1.7), seed))
        assert outcome.passed
        assert outcome.significance < SIGNIFICANT


def test_drift_is_measured_and_noise_has_none() -> None:
    share = np.linspace(0.0, 1.0, len(FREQUENCY))
    drifted = kramers_kronig(FREQUENCY, noisy(three_arcs(FREQUENCY) * (1.0 + 0.2 * share), 1e-3))
    assert drifted.drift == pytest.approx(0.2, abs=0.06)
    steady = kramers_kronig(FREQUENCY, noisy(three_arcs(FREQUENCY), 1e-3))
    assert abs(steady.drift) < 4.0 * steady.drift_std < 0.05


def test_drift_goes_by_the_time_of_each_point() -> None:
    elapsed = np.cumsum(1.0 / FREQUENCY)
    drifting = noisy(three_arcs(FREQUENCY) * (1.0 + 0.2 * elapsed / elapsed[-1]), 1e-3)
    assert kramers_kronig(FREQUENCY, drifting, elapsed).drift == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("at", [20, 40, 60])
def test_the_valid_range_is_the_part_before_or_after_a_step(at: int) -> None:
    impedance = noisy(three_arcs(FREQUENCY), 1e-3)
    impedance[at:] *= 0.6
    valid = valid_range(FREQUENCY, impedance)
    assert valid is not None
    lowest, highest = valid
    kept = (lowest <= FREQUENCY) & (highest >= FREQUENCY)
    before, after = int(kept[:at].sum()), int(kept[at:].sum())
    assert min(before, after) <= 4
    assert max(before, after) >= max(at, len(FREQUENCY) - at) - 4


def test_a_spectrum_without_a_valid_part_has_no_valid_range() -> None:
    impedance = three_arcs(FREQUENCY) * np.exp(0.5 * np.sin(np.arange(len(FREQUENCY)) / 1.5))
    assert valid_range(FREQUENCY, impedance) is None


def test_the_order_of_the_points_does_not_matter() -> None:
    impedance = noisy(three_arcs(FREQUENCY), 1e-2)
    order = np.random.default_rng(1).permutation(len(FREQUENCY))
    whole, shuffled = kramers_kronig(FREQUENCY, impedance), kramers_kronig(FREQUENCY[order], impedance[order])
    np.testing.assert_allclose(shuffled.residuals, whole.residuals[order], atol=1e-12)
    assert shuffled.lag1 == pytest.approx(whole.lag1)


def test_too_few_points_prove_nothing() -> None:
    frequency = FREQUENCY[: FEWEST_POINTS - 1]
    assert not kramers_kronig(frequency, three_arcs(frequency)).passed


@pytest.mark.parametrize(
    ("name", "first_row", "columns"),
    [
        ("impedance.py__exampleData.csv", 0, (0, 1, 2)),
        ("pyDRTtools__1ZARC.csv", 1, (1, 2, 3)),
        ("pyDRTtools__2ZARC0.csv", 1, (1, 2, 3)),
    ],
)
def test_published_spectra_of_steady_cells_pass(
    recordings: Path, name: str, first_row: int, columns: tuple[int, int, int]
) -> None:
    data = np.loadtxt(recordings / "eis" / name, delimiter=",", skiprows=first_row, usecols=columns)
    assert kramers_kronig(data[:, 0], data[:, 1] + 1j * data[:, 2]).passed


def test_the_summary_holds_the_resistances_of_the_circuit() -> None:
    frequency = np.geomspace(1e7, 1e-3, 101)
    summary = summarize(measured(frequency, three_arcs(frequency)))
    total = OHMIC + sum(arc[0] for arc in ARCS)
    assert summary.r_hf_ohm == pytest.approx(OHMIC, rel=0.01)
    assert summary.r_total_ohm == pytest.approx(total, rel=0.01)
    assert summary.r_int_ohm == pytest.approx(total - OHMIC, rel=0.01)
    assert summary.conductance_low_S == pytest.approx(1.0 / total, rel=0.01)
    assert summary.phase_low_rad < 0.0 < summary.z_imag_low_ohm
    assert (summary.t_s, summary.current_A, summary.kk_passed) == (200.0, 1e-3, True)
    assert summary.f_low_Hz == frequency[-1]


def test_r_hf_is_where_the_inductive_branch_ends() -> None:
    frequency = np.geomspace(1e6, 1e-1, 71)
    inductive = three_arcs(frequency) + 2j * np.pi * frequency * 2e-6
    crossing = summarize(measured(frequency, inductive)).r_hf_ohm
    dense = np.geomspace(1e6, 1e-1, 200_001)
    fine = three_arcs(dense) + 2j * np.pi * dense * 2e-6
    assert crossing == pytest.approx(fine.real[np.argmax(fine.imag <= 0.0)], rel=0.02)


def test_a_wire_has_its_own_resistance() -> None:
    frequency = np.geomspace(1e5, 1.0, 20)
    wire = np.asarray(0.05 + 2j * np.pi * frequency * 1e-7, dtype=np.complex128)
    summary = summarize(measured(frequency, wire))
    assert summary.r_hf_ohm == pytest.approx(0.05)


def test_a_spectrum_of_one_point_has_a_summary() -> None:
    summary = summarize(measured(np.array([1.0]), np.array([30.0 - 4.0j])))
    assert (summary.r_total_ohm, summary.z_imag_low_ohm, summary.kk_passed) == (30.0, 4.0, False)


def test_the_summary_leaves_out_points_that_were_not_measured() -> None:
    impedance = noisy(three_arcs(FREQUENCY), 1e-3)
    whole = summarize(measured(FREQUENCY[1:-1], impedance[1:-1]))
    impedance[0], impedance[-1] = 0.0, 0.0
    spoilt = summarize(measured(FREQUENCY, impedance))
    assert (spoilt.r_hf_ohm, spoilt.r_total_ohm, spoilt.f_low_Hz) == (
        whole.r_hf_ohm,
        whole.r_total_ohm,
        whole.f_low_Hz,
    )


def test_a_spectrum_without_a_measured_point_has_no_summary() -> None:
    with pytest.raises(SpectrumError, match="none of the 81 points"):
        summarize(measured(FREQUENCY, np.zeros(len(FREQUENCY), dtype=np.complex128)))


def test_the_summary_says_where_the_spectrum_is_valid() -> None:
    whole = summarize(measured(FREQUENCY, noisy(three_arcs(FREQUENCY), 1e-3)))
    assert (whole.valid_from_Hz, whole.valid_to_Hz) == (FREQUENCY[-1], FREQUENCY[0])
    impedance = noisy(three_arcs(FREQUENCY), 1e-3)
    impedance[60:] *= 0.6
    trimmed = summarize(measured(FREQUENCY, impedance))
    assert trimmed.valid_to_Hz == FREQUENCY[0]
    assert trimmed.valid_from_Hz == pytest.approx(FREQUENCY[59], rel=1.0)
