"""What our own methods cost: CPU times of one core."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from analysis.circuit.fitting import fit_circuit
from analysis.circuit.notation import parse_circuit
from analysis.drt.hierarchical import hierarchical
from analysis.drt.peaks import find_peaks
from analysis.drt.ridge import ridge, ridge_batch
from analysis.kramers_kronig import kramers_kronig
from benchmarks.eis.cases import F_81, F_89, Circuit, sweep, with_noise
from benchmarks.eis.elements import Complexes, Floats, Zarc
from benchmarks.figures import Figure

T = TypeVar("T")

BATCHES = 5
"""The fastest counts: CPU times of long work grow when other programs use the same core."""

NOISE = 3e-3
CIRCUIT = parse_circuit("R0-p(R1,CPE1)-p(R2,CPE2)-p(R3,CPE3)")
IMPORTED = "analysis.kramers_kronig, analysis.drt.ridge, analysis.drt.hierarchical, analysis.circuit.fitting"


def figures(spectra: int = 1000) -> list[Figure]:
    """Measure on spectra of a cell whose interface grows and then collapses."""
    f, series = F_89, collapsing(F_89, spectra)
    return [*_ridge(f, series), *_one_by_one(f, series[:: max(spectra // 100, 1)]), *_imports()]


def collapsing(frequency_Hz: Floats, count: int) -> Complexes:
    """Return spectra that follow each other, shape (count, n): R of the interface doubles, then falls."""
    passed = np.linspace(0.0, 1.0, count)
    factors = np.where(passed < 0.7, 1.0 + passed / 0.7, 0.4)
    return np.array([_spectrum(frequency_Hz, float(factor), i) for i, factor in enumerate(factors)])


def _spectrum(frequency_Hz: Floats, factor: float, seed: int) -> Complexes:
    arcs = (Zarc(250.0, 1e-7, 0.95), Zarc(120.0, 1e-5, 0.85), Zarc(130.0 * factor, 1e-2 * factor, 0.8))
    return with_noise(Circuit("", "", frequency_Hz, 5.0, arcs).impedance(), NOISE, seed)


def _ridge(f: Floats, series: Complexes) -> list[Figure]:
    ridge_batch(f, series[:2])
    batches = [_cpu_s(lambda: ridge_batch(f, series)) for _ in range(BATCHES)]
    together_s, (_, gammas) = min(spent for spent, _ in batches), batches[0][1]
    some = np.arange(0, len(series), max(len(series) // 100, 1))
    alone_ms = _median_ms(partial(ridge, f), series[some])
    exact = np.array([ridge(f, series[i]).gamma_ohm for i in some])
    away = np.linalg.norm(gammas[some] - exact, axis=1) / np.linalg.norm(exact, axis=1)
    new_s = [_cpu_s(partial(ridge, grid, series[0]))[0] for grid in _new_grids(len(f))]
    of = f"of {len(series)}"
    return [
        Figure("ridge, one by one", 1e3 / alone_ms, "spectra/s", 1500, "pyDRTtools 7", at_least=True),
        Figure(f"ridge, batch {of}", len(series) / together_s, "spectra/s", 10_000, at_least=True),
        Figure(f"ridge, batch {of}: γ from the exact one, median", 100 * float(np.median(away)), "%", 0.5),
        Figure(f"ridge, batch {of}: γ from the exact one, worst", 100 * float(away.max()), "%"),
        Figure("ridge, first spectrum of new frequencies", 1e3 * float(np.median(new_s)), "ms", 20),
    ]


def _new_grids(points: int) -> list[Floats]:
    return [sweep(7e6 * (1.0 + 1e-3 * k), 1e-2, points) for k in range(1, 6)]


def _one_by_one(f: Floats, series: Complexes) -> list[Figure]:
    found = [Figure("Kramers–Kronig test", _median_ms(lambda z: kramers_kronig(f, z), series), "ms", 1.0)]
    at_81 = collapsing(F_81, len(series))
    for spectra, points in ((at_81, F_81), (series, F_89)):
        ms = _median_ms(partial(hierarchical, points), spectra)
        what = f"hierarchical distribution, {len(points)} points"
        found.append(Figure(what, ms, "ms", 8.0, "hybrid-drt 220 to 250 ms"))
    ms = _median_ms(partial(_chain, f), series)
    return [*found, Figure("test, distribution, peaks and circuit", ms, "ms", 25.0)]


def _chain(f: Floats, spectrum: Complexes) -> None:
    kramers_kronig(f, spectrum)
    arcs = [(peak.tau_s, peak.resistance_ohm) for peak in find_peaks(hierarchical(f, spectrum))]
    fit_circuit(CIRCUIT, f, spectrum, arcs=arcs)


def _imports(times: int = 5) -> list[Figure]:
    text = f"import time; t = time.process_time(); import {IMPORTED}; print(time.process_time() - t)"
    command = [sys.executable, "-c", text]
    spent_s = [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(times)]
    return [
        Figure("import of all this, fresh process", float(np.median(spent_s)), "s", 0.4, "hybrid-drt 2.9 s")
    ]


def _cpu_s(work: Callable[[], T]) -> tuple[float, T]:
    began_s = time.process_time()
    found = work()
    return time.process_time() - began_s, found


def _median_ms(work: Callable[[Complexes], object], spectra: Complexes) -> float:
    work(spectra[0])
    spent_s = []
    for spectrum in spectra:
        began_s = time.process_time()
        work(spectrum)
        spent_s.append(time.process_time() - began_s)
    return 1e3 * float(np.median(spent_s))
