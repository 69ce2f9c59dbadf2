"""Distributions of relaxation times find the processes that a spectrum is made of, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from arcs import SULFIDE, USUAL, WIDE, Arc, arcs, noisy, true_gamma
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import nnls

from analysis.drt.curvature import bends_of, bends_to_logs
from analysis.drt.distribution import Distribution
from analysis.drt.grid import stacked
from analysis.drt.hierarchical import FEWEST_POINTS, hierarchical
from analysis.drt.non_negative import non_negative
from analysis.drt.peaks import PROCESSES, find_peaks
from analysis.drt.ridge import ridge, ridge_batch, ridge_grid
from protocols.errors import SpectrumError

Floats = NDArray[np.float64]
METHODS = (ridge, hierarchical)
ONE: tuple[Arc, ...] = ((500.0, 1e-3, 0.85),)
TWO: tuple[Arc, ...] = ((200.0, 1e-3, 0.8), (300.0, 1e-2, 0.8))


def error(found: Distribution, parts: tuple[Arc, ...]) -> float:
    """Return ‖γ − truth‖/‖truth‖ within the window."""
    fast, slow = found.window_s
    inside = (found.tau_s >= fast) & (found.tau_s <= slow)
    truth = true_gamma(found.tau_s[inside], parts)
    return float(np.linalg.norm(found.gamma_ohm[inside] - truth) / np.linalg.norm(truth))


def places(found: Distribution) -> list[float]:
    return [np.log10(peak.tau_s) for peak in find_peaks(found) if peak.inside]


# Hierarchical


@pytest.mark.parametrize(
    ("frequency", "parts"), [(USUAL, ONE), (USUAL, TWO), (USUAL, SULFIDE), (WIDE, SULFIDE)]
)
@pytest.mark.parametrize("inductance", [0.0, 1e-6])
@pytest.mark.parametrize("noise", [1e-3, 1e-2])
def test_the_number_of_peaks_is_right_without_any_setting(
    frequency: Floats, parts: tuple[Arc, ...], inductance: float, noise: float
) -> None:
    fast, slow = 1.0 / (2.0 * np.pi * frequency[[0, -1]])
    true = [np.log10(tau) for _, tau, _ in parts if fast <= tau <= slow]
    for seed in range(3):
        z = noisy(arcs(frequency, parts, inductance=inductance), noise, seed)
        assert places(hierarchical(frequency, z)) == pytest.approx(true, abs=0.12)


@pytest.mark.parametrize(("parts", "most"), [(ONE, 0.08), (TWO, 0.08), (SULFIDE, 0.3)])
def test_the_distribution_comes_near_the_truth(parts: tuple[Arc, ...], most: float) -> None:
    assert error(hierarchical(WIDE, noisy(arcs(WIDE, parts), 1e-3)), parts) < most


def test_resistances_come_with_standard_deviations_that_hold() -> None:
    far = []
    for seed in range(20):
        resolved = hierarchical(WIDE, noisy(arcs(WIDE, SULFIDE), 3e-3, seed))
        found = [peak for peak in find_peaks(resolved) if peak.inside]
        for peak, (resistance, _, _) in zip(found, SULFIDE, strict=True):
            assert peak.resistance_ohm == pytest.approx(resistance, rel=0.06)
            assert peak.std_ohm is not None
            far.append(abs(peak.resistance_ohm - resistance) / peak.std_ohm)
    assert np.mean(np.array(far) < 3.0) > 0.95


def test_the_band_holds_the_truth() -> None:
    held = []
    for seed in range(10):
        found = hierarchical(WIDE, noisy(arcs(WIDE, SULFIDE), 1e-3, seed))
        assert found.lower_ohm is not None
        assert found.upper_ohm is not None
        inside = (found.tau_s >= found.window_s[0]) & (found.tau_s <= found.window_s[1])
        truth = true_gamma(found.tau_s, SULFIDE)
        held += ((found.lower_ohm <= truth) & (truth <= found.upper_ohm))[inside].tolist()
    assert np.mean(held) > 0.9


def test_an_arc_beyond_the_window_is_said_to_be_outside() -> None:
    found = find_peaks(hierarchical(USUAL, noisy(arcs(USUAL, SULFIDE), 1e-3)))
    assert [peak.inside for peak in found] == [False, True, True]
    assert found[0].resistance_ohm == pytest.approx(250.0, rel=0.1)


def test_an_inductance_is_found_and_none_is_invented() -> None:
    wired = hierarchical(WIDE, noisy(arcs(WIDE, SULFIDE, inductance=1e-6), 1e-3))
    assert wired.inductance_H == pytest.approx(1e-6, rel=0.05)
    assert hierarchical(WIDE, noisy(arcs(WIDE, SULFIDE), 1e-3)).inductance_H < 1e-8


def test_a_blocking_end_is_a_capacitance_and_no_peak() -> None:
    blocking = noisy(arcs(USUAL, ONE, capacitance=1e-3), 1e-3)
    found = hierarchical(USUAL, blocking)
    assert found.capacitance_F == pytest.approx(1e-3, rel=0.05)
    assert places(found) == pytest.approx([-3.0], abs=0.05)
    assert hierarchical(USUAL, noisy(arcs(USUAL, ONE), 1e-3)).capacitance_F is None


@pytest.mark.parametrize("scale", [1e-6, 1e3, 1e9])
def test_the_scale_of_the_impedance_does_not_matter(scale: float) -> None:
    z = noisy(arcs(WIDE, SULFIDE), 1e-3)
    small, large = hierarchical(WIDE, z), hierarchical(WIDE, scale * z)
    np.testing.assert_allclose(large.gamma_ohm, scale * small.gamma_ohm, rtol=1e-3)


def test_the_noise_is_measured() -> None:
    found = hierarchical(WIDE, noisy(arcs(WIDE, SULFIDE), 5e-3))
    assert found.noise == pytest.approx(5e-3, rel=0.25)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 4),
    noise=st.sampled_from([0.0, 1e-4, 1e-3, 1e-2, 5e-2]),
    points=st.integers(FEWEST_POINTS, 120),
)
def test_any_cell_gives_finite_numbers_and_the_fit_stays_with_the_data(
    seed: int, count: int, noise: float, points: int
) -> None:
    rng = np.random.default_rng(seed)
    parts = [
        (10.0 ** rng.uniform(-1, 4), 10.0 ** rng.uniform(-8, 2), rng.uniform(0.6, 1.0)) for _ in range(count)
    ]
    frequency = np.geomspace(10.0 ** rng.uniform(4, 7), 10.0 ** rng.uniform(-3, 1), points)
    z = noisy(arcs(frequency, parts, r_inf=10.0 ** rng.uniform(-2, 2)), noise, seed)
    for method in METHODS:
        found = method(frequency, z)
        assert np.isfinite(found.gamma_ohm).all()
        assert (found.gamma_ohm >= 0.0).all()
        for peak in find_peaks(found):
            assert peak.from_s <= peak.tau_s <= peak.to_s
    left = hierarchical(frequency, z).residuals
    assert np.sqrt(np.mean(np.abs(left) ** 2)) < 3.0 * noise + (0.02 if points > 40 else 0.1)


# Ridge


def test_the_ridge_solves_its_problem_exactly() -> None:
    z = noisy(arcs(WIDE, SULFIDE), 1e-3)[::-1]
    made = ridge_grid(WIDE[::-1].copy(), penalty=1e-3, inductance=True)
    root = np.linalg.cholesky(made.hessian)
    pull = stacked(z) @ made.columns
    reference, _ = nnls(root.T, np.linalg.solve(root, pull))
    found = non_negative(made.hessian, pull, np.zeros(len(pull), dtype=bool))
    np.testing.assert_allclose(found, reference, rtol=1e-6, atol=1e-8 * reference.max())
    assert ridge(WIDE[::-1], z).r_inf_ohm == pytest.approx(reference[0], rel=1e-6, abs=1e-8)


def test_many_spectra_at_once_are_nearly_those_one_by_one() -> None:
    parts = [[(250.0 - k, 1e-7, 0.95), (120.0, 1e-5, 0.85), (130.0 + k, 1e-2, 0.8)] for k in range(150)]
    spectra = np.array([noisy(arcs(WIDE, part), 3e-3, k) for k, part in enumerate(parts)])
    tau, gammas = ridge_batch(WIDE, spectra)
    for z, gamma in zip(spectra, gammas, strict=True):
        exact = ridge(WIDE, z)
        np.testing.assert_array_equal(exact.tau_s, tau)
        assert np.linalg.norm(gamma - exact.gamma_ohm) < 0.02 * np.linalg.norm(exact.gamma_ohm)


def test_the_ridge_has_the_right_area_with_and_without_inductance() -> None:
    for inductance in (True, False):
        found = ridge(WIDE, arcs(WIDE, SULFIDE), inductance=inductance)
        assert found.r_p_ohm == pytest.approx(490.0, rel=0.04)


def test_a_grid_of_the_user_is_kept() -> None:
    tau = 1.0 / WIDE
    found = ridge(WIDE, arcs(WIDE, SULFIDE), inductance=False, tau_s=tau)
    assert (found.tau_s[0], found.tau_s[-1]) == pytest.approx((tau[0], tau[-1]))


# Peaks


def test_peaks_are_named_by_ranges_that_a_user_may_set() -> None:
    found = hierarchical(WIDE, noisy(arcs(WIDE, SULFIDE), 1e-3))
    names = [peak.name for peak in find_peaks(found, PROCESSES["garnet"])]
    assert names[0] in ("grain", "grain boundary")
    assert names[1:] == ["grain boundary", "Li|garnet transport"]
    mine = find_peaks(found, {"slow": (1e-3, 1.0)})
    assert [peak.name for peak in mine] == ["", "", "slow"]


def test_a_peak_has_the_capacitance_of_its_process() -> None:
    peak = find_peaks(hierarchical(WIDE, noisy(arcs(WIDE, ONE), 1e-3)))[0]
    assert peak.capacitance_F == pytest.approx(1e-3 / 500.0, rel=0.1)


# Input


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_points_does_not_matter(method: object) -> None:
    assert callable(method)
    z = noisy(arcs(WIDE, SULFIDE), 1e-3)
    order = np.random.default_rng(3).permutation(len(WIDE))
    whole, shuffled = method(WIDE, z), method(WIDE[order], z[order])
    np.testing.assert_allclose(shuffled.gamma_ohm, whole.gamma_ohm)
    np.testing.assert_allclose(shuffled.residuals, whole.residuals[order])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f, z: (f, np.where(f < 1.0, np.nan, z)), "no measured impedance, and"),
        (lambda f, z: (np.append(f, f[5]), np.append(z, z[5])), "comes twice"),
        (lambda f, z: (f[:3], z[:3]), "3 points are too few"),
        (lambda f, z: (-f, z), "no measured impedance"),
        (lambda f, z: (f, z[:-1]), "make no spectrum"),
        (lambda f, z: (f, 0.0 * z), "no measured impedance"),
    ],
)
def test_what_is_no_spectrum_is_refused_in_words(method: object, change: object, said: str) -> None:
    assert callable(method)
    assert callable(change)
    f, z = change(WIDE, arcs(WIDE, SULFIDE))
    with pytest.raises(SpectrumError, match=said):
        method(f, z)


@given(st.integers(5, 40), st.integers(0, 1000))
def test_bends_and_logs_are_one_to_one(count: int, seed: int) -> None:
    logs = np.random.default_rng(seed).standard_normal(count)
    np.testing.assert_allclose(bends_to_logs(count, 0.13) @ bends_of(logs, 0.13), logs, atol=1e-9)
