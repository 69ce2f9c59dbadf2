"""The comparison of impedance libraries runs, and its measures know a good answer from a bad one."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.eis.cases import HELD_OUT, TUNED, TUNED_CASES, Case, Circuit
from benchmarks.eis.disturbed import KINDS, Kind
from benchmarks.eis.elements import Element, Gerischer, Warburg, Zarc
from benchmarks.eis.report import measure
from benchmarks.eis.scores import Answer, score, together

SMOOTH = [circuit for circuit in TUNED + HELD_OUT if circuit.smooth]
ELEMENTS = [
    Zarc(100.0, 1e-3, 0.8),
    Zarc(100.0, 1e-3, 1.0),
    Warburg(60.0, 0.1, blocks=False),
    Gerischer(120.0, 0.3),
]


@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_the_distribution_of_an_element_has_its_resistance(element: Element) -> None:
    at_rest = element.impedance(np.array([1e-12])).real[0]
    assert element.resistance_between(1e-12, 1e12) == pytest.approx(at_rest, rel=2e-3)


@pytest.mark.parametrize("circuit", SMOOTH, ids=lambda circuit: circuit.name)
def test_the_known_distribution_makes_the_spectrum(circuit: Circuit) -> None:
    omega = 2.0 * np.pi * circuit.frequency_Hz[:, None]
    tau = np.geomspace(1e-14, 1e7, 8001)
    gamma = np.sum([element.gamma(tau) for element in circuit.elements], axis=0)
    relaxing = np.trapezoid(gamma / (1.0 + 1j * omega * tau), np.log(tau), axis=1)
    z = circuit.r_inf_ohm + 1j * omega[:, 0] * circuit.inductance_H + relaxing
    np.testing.assert_allclose(z, circuit.impedance(), rtol=1e-4)


@pytest.mark.parametrize("circuit", SMOOTH, ids=lambda circuit: circuit.name)
def test_the_truth_scores_best(circuit: Circuit) -> None:
    truth = circuit.gamma_ohm
    best = score(circuit, Answer(truth, circuit.r_inf_ohm, 0.9 * truth, 1.1 * truth))
    assert (best.rel_l2, best.exact, best.r_inf_ohm, best.coverage) == (0.0, 1.0, 0.0, 1.0)
    assert best.maxima == len(circuit.peaks)
    assert best.r_p < 2e-3
    assert best.area < 0.025
    assert best.place < 0.015


def test_a_wrong_answer_scores_worse() -> None:
    circuit = SMOOTH[0]
    place = np.log(circuit.tau_s)
    bump = 30.0 * np.exp(-((place - np.log(1e-6)) ** 2))
    scored = score(circuit, Answer(circuit.gamma_ohm + bump, 12.0))
    assert (scored.maxima, scored.exact, scored.r_inf_ohm) == (2, 0.0, 2.0)
    assert scored.r_p == pytest.approx(30.0 * math.sqrt(math.pi) / circuit.r_p_ohm, rel=0.01)
    shifted = np.interp(place - 0.2 * np.log(10.0), place, circuit.gamma_ohm)
    moved = score(circuit, Answer(shifted, 10.0))
    assert moved.exact == 0.0
    assert moved.place == pytest.approx(0.2, abs=0.01)


def test_seeds_are_taken_together_without_what_is_not_there() -> None:
    circuit = SMOOTH[0]
    one = score(circuit, Answer(circuit.gamma_ohm, 10.0))
    other = dataclasses.replace(one, rel_l2=0.2, exact=0.0)
    both = together([one, other, other])
    assert both.rel_l2 == 0.2
    assert both.exact == pytest.approx(1 / 3)
    assert math.isnan(both.coverage)


def test_spectra_are_the_same_at_each_call() -> None:
    np.testing.assert_array_equal(TUNED_CASES[0].spectra(2), TUNED_CASES[0].spectra(2))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_disturbed_spectra_are_disturbed(kind: Kind) -> None:
    for spectrum, circuit in zip(kind.spectra(3), TUNED, strict=False):
        away = np.abs(spectrum.impedance_ohm / circuit.impedance() - 1.0).max()
        assert (away > 0.05) == (not kind.fine)


def test_the_comparison_runs_without_the_other_libraries() -> None:
    report = measure([Case(TUNED[0], 1e-3)], 1, with_peers=False, spectra=2)
    text = report.text()
    assert len(report.verdicts) == len(KINDS)
    assert all(figure.what in text for figure in report.figures)
