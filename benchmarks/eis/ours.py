"""Our own methods on the cases of the comparison."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from analysis.drt.distribution import Distribution
from analysis.drt.hierarchical import hierarchical
from analysis.drt.ridge import ridge
from benchmarks.eis.cases import SEEDS, Case, Circuit
from benchmarks.eis.elements import Complexes, Floats
from benchmarks.eis.results import Row
from benchmarks.eis.scores import Answer, score, together

Resolve = Callable[[Floats, Complexes], Distribution]
METHODS: dict[str, Resolve] = {"hierarchical": hierarchical, "ridge": ridge}


def rows(name: str, cases: Sequence[Case], seeds: int = SEEDS) -> list[Row]:
    """Return the scores of one method on each case."""
    return [_row(title(name), METHODS[name], case, seeds) for case in cases]


def title(name: str) -> str:
    """Return what a method is called in the tables."""
    return f"our {name}"


def answer(circuit: Circuit, found: Distribution) -> Answer:
    """Return a distribution on the common grid."""
    place, own = np.log(circuit.tau_s), np.log(found.tau_s)

    def moved(values: Floats | None) -> Floats | None:
        return None if values is None else np.interp(place, own, values, left=0.0, right=0.0)

    gamma = np.interp(place, own, found.gamma_ohm, left=0.0, right=0.0)
    return Answer(gamma, found.r_inf_ohm, moved(found.lower_ohm), moved(found.upper_ohm))


def _row(name: str, resolve: Resolve, case: Case, seeds: int) -> Row:
    spectra = case.spectra(seeds)
    f = case.circuit.frequency_Hz
    resolve(f, spectra[0])  # what is made once for each set of frequencies is no part of the time
    scores, spent_s = [], []
    for spectrum in spectra:
        began_s = time.process_time()
        found = resolve(f, spectrum)
        spent_s.append(time.process_time() - began_s)
        scores.append(score(case.circuit, answer(case.circuit, found)))
    return Row(case.name, name, together(scores), 1e3 * float(np.median(spent_s)))
