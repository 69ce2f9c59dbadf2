"""Fits find the circuit that a spectrum was made of, and say what the spectrum does not tell."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from arcs import spectrum_of
from numpy.typing import NDArray
from services import needs

from analysis.circuit.fitting import (
    CircuitFit,
    Weights,
    best_circuit,
    fewest_points,
    fit_circuit,
    fit_series,
    rank_circuits,
)
from analysis.circuit.notation import parse_circuit
from analysis.circuit.stock import STOCK, circuit_named_or_parsed
from drivers.recordings import read_spectra
from protocols.errors import SpectrumError

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

FREQUENCY = np.geomspace(1e6, 1e-2, 81)
NOISE = 0.003
TWO_ARCS = parse_circuit("R0-p(R1,CPE1)-p(R2,CPE2)")
WITH_TAIL = parse_circuit("R0-p(R1,CPE1)-p(R2,CPE2)-W1")
TRUE = np.array([5.0, 40.0, 2e-6, 0.9, 90.0, 3e-4, 0.82, 6.0])


def noisy(impedance: Complexes, seed: int, sigma: float = NOISE) -> Complexes:
    parts = np.random.default_rng(seed).standard_normal((2, len(impedance)))
    return np.asarray(impedance + sigma * np.abs(impedance) * (parts[0] + 1j * parts[1]))


def drawn(rng: np.random.Generator) -> Floats:
    """Values of two arcs that a spectrum can tell apart, and a tail."""
    r1, fast_s = 10 ** rng.uniform(1, 3), 10 ** rng.uniform(-5.5, -3.5)
    r2, slow_s = r1 * 10 ** rng.uniform(-0.7, 0.7), fast_s * 10 ** rng.uniform(1.5, 3)
    alpha1, alpha2 = rng.uniform(0.75, 1.0, 2)
    r0, sigma = 10 ** rng.uniform(0, 2), (r1 + r2) * 10 ** rng.uniform(-1.5, -0.5)
    return np.array([r0, r1, fast_s**alpha1 / r1, alpha1, r2, slow_s**alpha2 / r2, alpha2, sigma])


@pytest.mark.parametrize("seed", range(40))
def test_random_spectra_give_back_their_values(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    values = drawn(rng)
    exact = WITH_TAIL.impedance(FREQUENCY, values)
    measured = noisy(exact, seed)
    fit = fit_circuit(WITH_TAIL, FREQUENCY, measured)
    left = (measured - exact) / np.abs(measured)
    assert fit.converged
    assert fit.rms <= np.sqrt(np.mean(np.abs(left) ** 2) / 2)
    assert fit.values[[1, 4, 7]] == pytest.approx(values[[1, 4, 7]], rel=0.1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("L1-R0", [2e-6, 0.3]),
        ("R0-CPE1", [80.0, 3e-6, 0.93]),
        ("p(R1,CPE1)-CPE2", [900.0, 4e-10, 0.98, 5e-6, 0.9]),
        ("p(R1,R2-CPE1)", [500.0, 20.0, 1e-4, 0.9]),
        ("R0-p(R1,CPE1)-p(R2,CPE2)-p(R3,CPE3)", [8, 50, 1e-7, 0.9, 30, 3e-5, 0.85, 70, 4e-3, 0.9]),
        ("R0-p(R1,CPE1)-p(R2,CPE2)-Ws1", [8.0, 50.0, 1e-7, 0.9, 30.0, 3e-5, 0.85, 60.0, 5.0]),
        ("R0-p(R1,CPE1)-Wo1", [8.0, 50.0, 1e-5, 0.9, 30.0, 2.0]),
        ("R0-p(R1-W1,CPE1)", [8.0, 50.0, 10.0, 1e-5, 0.9]),
        ("R0-p(CPE1,R1-p(R2,CPE2))", [8.0, 1e-6, 0.9, 50.0, 90.0, 1e-3, 0.85]),
        ("R0-p(R1,CPE1)-G1", [8.0, 50.0, 1e-7, 0.9, 30.0, 0.3]),
        ("L1-R0-p(R1,C1)", [1e-6, 8.0, 50.0, 1e-5]),
    ],
)
@pytest.mark.parametrize("sigma", [0.0, NOISE])
def test_circuits_of_every_kind_are_found(text: str, values: list[float], sigma: float) -> None:
    circuit = parse_circuit(text)
    measured = noisy(circuit.impedance(FREQUENCY, values), 5, sigma)
    fit = fit_circuit(circuit, FREQUENCY, measured)
    assert fit.values == pytest.approx(values, rel=0.15 if sigma else 1e-5)
    assert not fit.warnings


def test_the_standard_deviations_cover_the_truth() -> None:
    exact = WITH_TAIL.impedance(FREQUENCY, TRUE)
    fits = [fit_circuit(WITH_TAIL, FREQUENCY, noisy(exact, seed)) for seed in range(60)]
    inside = np.array([np.abs(fit.values - TRUE) < 1.96 * fit.std for fit in fits])
    assert 0.9 < inside.mean() < 0.99
    scatter = np.std([fit.values for fit in fits], axis=0)
    assert np.mean([fit.std for fit in fits], axis=0) == pytest.approx(scatter, rel=0.35)


@pytest.mark.parametrize("order", ["falling", "rising", "shuffled"])
@pytest.mark.parametrize("weights", ["modulus", "unit"])
def test_the_order_of_the_points_does_not_matter(order: str, weights: Weights) -> None:
    measured = noisy(TWO_ARCS.impedance(FREQUENCY, TRUE[:-1]), 3)
    places = {
        "falling": np.arange(81),
        "rising": np.arange(81)[::-1],
        "shuffled": np.random.default_rng(1).permutation(81),
    }[order]
    whole = fit_circuit(TWO_ARCS, FREQUENCY, measured, weights=weights)
    fit = fit_circuit(TWO_ARCS, FREQUENCY[places], measured[places], weights=weights)
    assert fit.values == pytest.approx(whole.values, rel=1e-6)
    expected = (measured - fit.impedance(FREQUENCY)) / np.abs(measured)
    np.testing.assert_allclose(fit.residuals, expected[places], atol=1e-12)


def test_of_alike_arcs_the_fastest_comes_first() -> None:
    slow_first = np.array([5.0, 90.0, 3e-4, 0.82, 40.0, 2e-6, 0.9])
    measured = noisy(TWO_ARCS.impedance(FREQUENCY, slow_first), 4)
    for start in (None, slow_first):
        fit = fit_circuit(TWO_ARCS, FREQUENCY, measured, start=start)
        assert fit.named["R1"] == pytest.approx(40.0, rel=0.05)
        assert fit.named["R2"] == pytest.approx(90.0, rel=0.05)
        assert fit.std[1] < fit.std[4]


def test_known_arcs_are_where_a_fit_begins() -> None:
    exact = TWO_ARCS.impedance(FREQUENCY, TRUE[:-1])
    arcs = [(1e-2, 90.0), (3e-5, 40.0), (3.0, 0.1)]
    fit = fit_circuit(TWO_ARCS, FREQUENCY, noisy(exact, 6), arcs=arcs)
    assert fit.values == pytest.approx(TRUE[:-1], rel=0.1)


@pytest.mark.parametrize("wrong", [{"start": [1.0]}, {"start": [0.0] * 7}, {"arcs": [(-1.0, 2.0)]}])
def test_what_no_fit_can_begin_from_is_refused(wrong: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match=r"parameters|> 0"):
        fit_circuit(TWO_ARCS, FREQUENCY, TWO_ARCS.impedance(FREQUENCY, TRUE[:-1]), **wrong)  # type: ignore[arg-type]  # pytest's table


def test_the_circuit_that_made_the_spectrum_is_the_most_probable() -> None:
    candidates = [parse_circuit("R0-p(R1,CPE1)"), TWO_ARCS, WITH_TAIL]
    candidates.append(parse_circuit("R0-p(R1,CPE1)-p(R2,CPE2)-p(R3,CPE3)"))
    for circuit, values in ((TWO_ARCS, TRUE[:-1]), (WITH_TAIL, TRUE)):
        measured = noisy(circuit.impedance(FREQUENCY, values), 8)
        ranked = rank_circuits(candidates, FREQUENCY, measured)
        assert ranked[0].circuit == circuit
        assert [fit.aicc for fit in ranked] == sorted(fit.aicc for fit in ranked)
        assert best_circuit(candidates, FREQUENCY, measured).circuit == circuit


def test_a_series_is_followed_and_a_jump_in_it_found() -> None:
    values = [TRUE * np.array([1, 1, 1, 1, 0.97**step, 1, 1, 1]) for step in range(12)]
    values += [TRUE * np.array([1, 1, 1, 1, 0.05, 1, 1, 1])]
    spectra = [
        spectrum_of(FREQUENCY, noisy(WITH_TAIL.impedance(FREQUENCY, row), seed))
        for seed, row in enumerate(values)
    ]
    fits = fit_series(WITH_TAIL, spectra)
    assert [fit.named["R2"] for fit in fits] == pytest.approx([row[4] for row in values], rel=0.1)


def test_a_series_says_which_spectrum_is_too_short() -> None:
    exact = WITH_TAIL.impedance(FREQUENCY, TRUE)
    spectra = [spectrum_of(FREQUENCY, exact), spectrum_of(FREQUENCY[:3], exact[:3])]
    with pytest.raises(SpectrumError, match=r"spectrum 1: 3 points are too few for the 8 parameters"):
        fit_series(WITH_TAIL, spectra)


def test_a_few_points_more_than_parameters_are_enough_and_fewer_are_an_error() -> None:
    circuit = parse_circuit("R0-p(R1,CPE1)")
    count = fewest_points(circuit)
    frequency = np.geomspace(1e4, 1e1, count)
    exact = circuit.impedance(frequency, [5.0, 40.0, 2e-5, 0.9])
    assert np.isfinite(fit_circuit(circuit, frequency, exact).aicc)
    with pytest.raises(SpectrumError, match="fewer elements"):
        fit_circuit(circuit, frequency[1:], exact[1:])


@pytest.mark.parametrize(
    ("frequency", "impedance"), [(0.0, 1 - 1j), (-1.0, 1 - 1j), (1.0, 0j), (1.0, np.nan), (np.inf, 1 + 0j)]
)
def test_points_that_are_no_impedance_are_an_error(frequency: float, impedance: complex) -> None:
    f, z = FREQUENCY.copy(), TWO_ARCS.impedance(FREQUENCY, TRUE[:-1])
    f[7], z[7] = frequency, impedance
    with pytest.raises(SpectrumError, match="point 7"):
        fit_circuit(TWO_ARCS, f, z)


def words(fit: CircuitFit) -> str:
    return "\n".join(fit.warnings)


def test_resistors_in_a_row_are_not_determined_one_by_one() -> None:
    measured = noisy(parse_circuit("R0-p(R1,CPE1)").impedance(FREQUENCY, [5.0, 40.0, 2e-6, 0.9]), 1)
    fit = fit_circuit(parse_circuit("R0-R9-p(R1,CPE1)"), FREQUENCY, measured)
    assert "R0 is not determined" in words(fit)
    assert "R9 is not determined" in words(fit)
    assert "R1 is not" not in words(fit)
    assert np.isinf(fit.std[:2]).all()
    assert fit.values[0] + fit.values[1] == pytest.approx(5.0, rel=0.02)


def test_an_arc_that_is_absent_is_not_determined() -> None:
    measured = noisy(parse_circuit("R0-p(R1,CPE1)").impedance(FREQUENCY, [5.0, 40.0, 2e-6, 0.9]), 1)
    assert "not determined" in words(fit_circuit(TWO_ARCS, FREQUENCY, measured))


def test_an_arc_outside_the_window_is_said_to_be_extrapolated() -> None:
    values = np.array([40.0, 1e-10, 0.95, 90.0, 3e-4, 0.82])
    circuit = parse_circuit("p(R1,CPE1)-p(R2,CPE2)")
    fit = fit_circuit(circuit, FREQUENCY, noisy(circuit.impedance(FREQUENCY, values), 2))
    assert "p(R1,CPE1) has its time" in words(fit)
    assert "outside the window" in words(fit)
    assert "p(R2,CPE2)" not in words(fit)


def test_a_circuit_that_does_not_describe_the_spectrum_is_said_so() -> None:
    fit = fit_circuit(parse_circuit("R0-p(R1,C1)"), FREQUENCY, noisy(WITH_TAIL.impedance(FREQUENCY, TRUE), 3))
    assert "does not describe" in words(fit)
    assert fit.lag1 > 0.5


@pytest.mark.parametrize(
    "text", ["p(R1,C1,L1)", "p(W1,CPE1)-Ws1", "p(R1,R2)", "C", "R0-p(L1,R1)-G1-G2-W1-W2"]
)
@pytest.mark.parametrize("scale", [1e-9, 1e9])
@pytest.mark.parametrize("weights", ["modulus", "unit"])
def test_circuits_that_do_not_belong_to_a_spectrum_end_without_a_crash(
    text: str, scale: float, weights: Weights
) -> None:
    measured = noisy(scale * WITH_TAIL.impedance(FREQUENCY, TRUE), 3)
    fit = fit_circuit(parse_circuit(text), FREQUENCY, measured, weights=weights)
    assert np.isfinite(fit.values).all()
    assert fit.warnings


def test_the_unit_of_the_impedance_does_not_matter() -> None:
    measured = noisy(TWO_ARCS.impedance(FREQUENCY, TRUE[:-1]), 3)
    for weights in ("modulus", "unit"):
        small, large = (
            fit_circuit(TWO_ARCS, FREQUENCY, scale * measured, weights=weights) for scale in (1e-6, 1e6)
        )
        assert large.named["R1"] / small.named["R1"] == pytest.approx(1e12, rel=1e-3)
        assert large.rms == pytest.approx(small.rms, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "file", "rms"),
    [
        ("garnet_symmetric", "symmetric/li_llzo_li_peis_and_cycling.mpr", 0.03),
        ("full_cell_solid", "eis/hybrid-drt__PEIS_SSB.mpr", 0.015),
        ("full_cell_solid", "eis/hybrid-drt__Sample1_PEIS_EndOfDischarge.mpr", 0.015),
        ("blocking_grain", "eis/hybrid-drt__PEIS_LPSCl_IonBlocking_-25C.txt", 0.02),
        ("full_cell", "eis/impedance.py__exampleDataBioLogic.mpt", 0.03),
    ],
)
def test_measured_spectra_are_described(recordings: Path, name: str, file: str, rms: float) -> None:
    if file.endswith(".mpr"):
        needs("galvani", importlib.util.find_spec("galvani") is not None)
    spectrum = read_spectra(recordings / file)[0]
    circuit = circuit_named_or_parsed(name)
    fit = fit_circuit(circuit, np.asarray(spectrum.frequency_Hz), spectrum.impedance())
    assert fit.converged
    assert fit.rms < rms


def test_measured_spectra_of_one_cell_are_followed(recordings: Path) -> None:
    needs("galvani", importlib.util.find_spec("galvani") is not None)
    spectra = read_spectra(recordings / "symmetric" / "li_llzo_li_peis_and_cycling.mpr")
    fits = fit_series(circuit_named_or_parsed("garnet_symmetric"), spectra)
    totals = [fit.values[[0, 1, 4]].sum() for fit in fits]
    assert len(fits) == len(spectra)
    assert max(totals) < 1.5 * min(totals)


@pytest.mark.parametrize("name", ["garnet_symmetric", "full_cell", "randles", "polymer_symmetric"])
def test_impedance_py_finds_nothing_better(name: str) -> None:
    needs("impedance.py", importlib.util.find_spec("impedance") is not None)
    circuits = importlib.import_module("impedance.models.circuits")
    circuit = parse_circuit(STOCK[name].text)
    kinds = {"R": 50.0, "CPE": 1e-5, "W": 5.0, "Ws": 30.0}
    values = np.concatenate(
        [
            [kinds[element.kind.letters], *({"CPE": [0.85], "Ws": [3.0]}.get(element.kind.letters, []))]
            for element in circuit.elements
        ]
    )
    if name == "garnet_symmetric" or name == "full_cell":
        values[5] = 1e-3
    measured = noisy(circuit.impedance(FREQUENCY, values), 11)
    ours = fit_circuit(circuit, FREQUENCY, measured)
    judge = circuits.CustomCircuit(STOCK[name].text, initial_guess=values.tolist())
    judge.fit(FREQUENCY, measured, weight_by_modulus=True)
    theirs = (measured - judge.predict(FREQUENCY)) / np.abs(measured)
    assert ours.rms <= 1.0001 * np.sqrt(np.mean(np.abs(theirs) ** 2) / 2)
    assert ours.values == pytest.approx(judge.parameters_, rel=0.02)
    assert ours.std == pytest.approx(judge.conf_, rel=0.2)
