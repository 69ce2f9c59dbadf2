"""How often a circuit is fitted right, and how fast: random spectra of R-(RQ)-(RQ)-W with 0.3 % noise."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from analysis.circuit.fitting import CircuitFit, fit_circuit
from analysis.circuit.notation import parse_circuit
from benchmarks.figures import Figure

TITLE = "Equivalent circuits: R-(RQ)-(RQ)-W, 81 points from 1 MHz to 10 mHz, 0.3 % noise"
CIRCUIT = parse_circuit("R0-p(R1,CPE1)-p(R2,CPE2)-W1")
FREQUENCY = np.geomspace(1e6, 1e-2, 81)
NOISE = 0.003
NEAR = 0.1
"""How near R1, R2 and σ have to come to the truth."""
GOOD_RMS = 1.15
"""Largest rms of what is left, in σ of the noise."""
JUDGED = [1, 4, 7]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def figures(spectra: int = 1000) -> list[Figure]:
    """Fit each spectrum once, cold. Run with one BLAS thread: ``OPENBLAS_NUM_THREADS=1``."""
    rng = np.random.default_rng(0)
    right, spent_ms = 0, []
    _timed(*_measured(drawn(rng), rng))  # what is made once for all spectra of these frequencies
    for _ in range(spectra):
        values = drawn(rng)
        fit, ms = _timed(*_measured(values, rng))
        spent_ms.append(ms)
        right += is_right(fit, values)
    return [
        Figure(
            f"{spectra} random spectra fitted right", 100 * right / spectra, "%", 99, "98 %", at_least=True
        ),
        Figure("CPU of a fit, median", float(np.median(spent_ms)), "ms", 2, "168 ms"),
        Figure("CPU of a fit, 90th percentile", float(np.percentile(spent_ms, 90)), "ms", peer="339 ms"),
    ]


def drawn(rng: np.random.Generator) -> Floats:
    """Return values whose arcs are 1.5 to 3 decades apart and of like size, above a tail."""
    r1, fast_s = 10 ** rng.uniform(1, 3), 10 ** rng.uniform(-5.5, -3.5)
    r2, slow_s = r1 * 10 ** rng.uniform(-0.7, 0.7), fast_s * 10 ** rng.uniform(1.5, 3)
    alpha1, alpha2 = rng.uniform(0.75, 1.0, 2)
    r0, sigma = 10 ** rng.uniform(0, 2), (r1 + r2) * 10 ** rng.uniform(-2.0, -0.5)
    return np.array([r0, r1, fast_s**alpha1 / r1, alpha1, r2, slow_s**alpha2 / r2, alpha2, sigma])


def is_right(fit: CircuitFit, values: Floats) -> bool:
    """Whether what is left is noise, and the resistances and σ are near the truth."""
    off = np.abs(fit.values[JUDGED] / values[JUDGED] - 1)
    return bool(fit.rms < GOOD_RMS * NOISE and off.max() < NEAR)


def _measured(values: Floats, rng: np.random.Generator) -> tuple[Floats, Complexes]:
    z = CIRCUIT.impedance(FREQUENCY, values)
    noise = rng.standard_normal(len(z)) + 1j * rng.standard_normal(len(z))
    return FREQUENCY, np.asarray(z + NOISE * np.abs(z) * noise)


def _timed(f: Floats, z: Complexes) -> tuple[CircuitFit, float]:
    began_s = time.process_time()
    fit = fit_circuit(CIRCUIT, f, z)
    return fit, 1e3 * (time.process_time() - began_s)
