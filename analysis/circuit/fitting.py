"""Fits of circuits to spectra: complex non-linear least squares, after Levenberg and Marquardt.

All parameters are positive and stretch over many decades, so the fit moves their logarithms, and the logit of
exponents, with analytic derivatives. A fit whose residuals look like noise is taken; if neighbouring
frequencies still deviate alike, others follow from other starts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.circuit.descent import Minimum, Problem, descend, rms_of, standard_deviations
from analysis.circuit.order import arc_times, in_order_of_time
from analysis.circuit.starts import grid_starts, random_starts
from analysis.circuit.tree import Circuit
from analysis.spectrum_input import usable
from protocols.errors import SpectrumError
from protocols.measurements import Spectrum

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

Weights = Literal["modulus", "unit"]

RANDOM_STARTS = 4
SAME = 1.001
"""Sums of squares that differ by less than this factor are the same minimum."""
AS_GOOD = 1.2
"""An rms that is at most this many times that of the spectrum before is as good."""
ENOUGH_VISITS = 6
"""A minimum that so many starts have led to is taken for the lowest."""


@dataclass(frozen=True, slots=True, eq=False)
class CircuitFit:
    """A circuit with the values that describe a spectrum best."""

    circuit: Circuit
    values: Floats
    """In the order of ``circuit.parameters``; of alike parts the fastest comes first."""
    std: Floats
    """Standard deviation of each value; infinite where the spectrum says nothing about it."""
    rms: float
    """Root mean square of the residuals, real and imaginary parts together."""
    lag1: float
    """Autocorrelation of the residuals at neighbouring frequencies: noise is below
    :data:`analysis.circuit.descent.GOOD_LAG1`."""
    aicc: float
    """Akaike's criterion for few points; lower is better, among fits to the same spectrum."""
    converged: bool
    residuals: Complexes
    """(Z − fit)/|Z|, shape (n,), in the order given."""
    warnings: tuple[str, ...]
    """What the values don't say, in words."""

    @property
    def named(self) -> dict[str, float]:
        """The values by the names of their parameters."""
        names = (parameter.name for parameter in self.circuit.parameters)
        return dict(zip(names, self.values.tolist(), strict=True))

    def impedance(self, frequency_Hz: Floats) -> Complexes:
        """Return Z of the fitted circuit in Ω."""
        return self.circuit.impedance(frequency_Hz, self.values)


def fit_circuit(
    circuit: Circuit,
    frequency_Hz: Floats,
    impedance_ohm: Complexes,
    *,
    start: Sequence[float] | Floats | None = None,
    arcs: Sequence[tuple[float, float]] | None = None,
    weights: Weights = "modulus",
) -> CircuitFit:
    """Fit a circuit to one spectrum: f in Hz and Z in Ω, shape (n,), in any order.

    ``start``: values to begin from, in the order of the circuit's parameters. ``arcs``: (τ in s, resistance
    in Ω) of arcs that are known, such as the peaks of a distribution of relaxation times. Both are tried
    first, and starts from the data follow if they don't lead to a good fit. ``weights``: each point by 1/|Z|
    (noise in proportion to |Z|), or all alike. Raises SpectrumError if there are too few points for the
    parameters, or if an f is not > 0 or a Z not finite and ≠ 0.
    """
    return _fit(circuit, frequency_Hz, impedance_ohm, start, arcs, weights)


def fit_series(
    circuit: Circuit,
    spectra: Iterable[Spectrum],
    *,
    arcs: Sequence[tuple[float, float]] | None = None,
    weights: Weights = "modulus",
) -> list[CircuitFit]:
    """Fit a circuit to spectra that follow each other, each beginning from the values of the one before.

    A fit about as good as the one before is taken, even where the circuit describes neither well. Raises
    SpectrumError as :func:`fit_circuit`, with the number of the spectrum.
    """
    fits: list[CircuitFit] = []
    for index, spectrum in enumerate(spectra):
        f, z = np.asarray(spectrum.frequency_Hz), spectrum.impedance()
        before = fits[-1] if fits else None
        start, enough = (before.values, before.rms * AS_GOOD) if before else (None, 0.0)
        try:
            fits.append(_fit(circuit, f, z, start, arcs, weights, enough))
        except SpectrumError as error:
            raise SpectrumError(f"spectrum {index}: {error}") from error
    return fits


def rank_circuits(
    candidates: Sequence[Circuit],
    frequency_Hz: Floats,
    impedance_ohm: Complexes,
    *,
    arcs: Sequence[tuple[float, float]] | None = None,
    weights: Weights = "modulus",
) -> list[CircuitFit]:
    """Fit each circuit and return the fits, the most probable first by AICc.

    Raises SpectrumError as :func:`fit_circuit`.
    """
    fits = [
        fit_circuit(circuit, frequency_Hz, impedance_ohm, arcs=arcs, weights=weights)
        for circuit in candidates
    ]
    return sorted(fits, key=lambda fit: fit.aicc)


def best_circuit(
    candidates: Sequence[Circuit],
    frequency_Hz: Floats,
    impedance_ohm: Complexes,
    *,
    arcs: Sequence[tuple[float, float]] | None = None,
    weights: Weights = "modulus",
) -> CircuitFit:
    """Return the fit of the most probable of at least one circuit by AICc. Raises SpectrumError."""
    return rank_circuits(candidates, frequency_Hz, impedance_ohm, arcs=arcs, weights=weights)[0]


def fewest_points(circuit: Circuit) -> int:
    """Return with how many points a fit has something left over to judge it by."""
    return (len(circuit.parameters) + 4) // 2


def _fit(
    circuit: Circuit,
    frequency_Hz: Floats,
    impedance_ohm: Complexes,
    start: Sequence[float] | Floats | None,
    arcs: Sequence[tuple[float, float]] | None,
    weights: Weights,
    enough: float = 0.0,
) -> CircuitFit:
    """Fit as :func:`fit_circuit`; an rms of ``enough`` is good even if what is left is not noise."""
    _check(circuit, frequency_Hz, impedance_ohm)
    order = np.argsort(frequency_Hz)
    f, z = np.asarray(frequency_Hz, dtype=float)[order], np.asarray(impedance_ohm)[order]
    size = np.abs(z)
    problem = Problem(circuit, f, z, size if weights == "modulus" else np.full(len(f), size.mean()))
    best = _best(problem, _starts(problem, start, arcs), enough)
    return _report(problem, best, order)


def _check(circuit: Circuit, f: Floats, z: Complexes) -> None:
    """Raise SpectrumError if a spectrum can't be fitted."""
    if len(f) != len(z):
        raise SpectrumError(f"{len(f)} frequencies, but {len(z)} impedances")
    if len(f) < fewest_points(circuit):
        raise SpectrumError(
            f"{len(f)} points are too few for the {len(circuit.parameters)} parameters of {circuit.text}: "
            f"measure {fewest_points(circuit)} at least, or take a circuit of fewer elements"
        )
    wrong = np.flatnonzero(~usable(f, z))
    if len(wrong):
        place = int(wrong[0])
        raise SpectrumError(
            f"point {place} of the spectrum, {f[place]:g} Hz with {z[place]:g} Ω, is no impedance: "
            "leave it out"
        )


def _starts(
    problem: Problem,
    start: Sequence[float] | Floats | None,
    arcs: Sequence[tuple[float, float]] | None,
) -> Iterator[Floats]:
    """Yield starts, the most promising first; each is made when it is asked for."""
    circuit, f, z = problem.circuit, problem.f, problem.z
    if start is not None:
        values = np.asarray(start, dtype=float)
        circuit.by_element(values)
        if not np.all(values > 0):
            raise ValueError(f"every value of a start has to be > 0: {values}")
        yield values
    if arcs and not all(tau_s > 0 and resistance_ohm > 0 for tau_s, resistance_ohm in arcs):
        raise ValueError(f"every time and resistance of an arc has to be > 0: {list(arcs)}")
    yield from grid_starts(circuit, f, z, arcs)
    yield from random_starts(circuit, f, z, RANDOM_STARTS)


def _best(problem: Problem, starts: Iterator[Floats], enough: float) -> Minimum:
    """Return the first good minimum, else the best of all starts, or one that several have led to."""
    best, visits = descend(problem, next(starts)), 1
    while not problem.good(best, enough) and visits < ENOUGH_VISITS:
        start = next(starts, None)
        if start is None:
            break
        other = descend(problem, start)
        if other.squares * SAME < best.squares:
            best, visits = other, 1
        elif other.squares < best.squares * SAME:
            visits += 1
    return best


def _report(problem: Problem, best: Minimum, order: NDArray[np.intp]) -> CircuitFit:
    """Return a minimum as a result, points in the order given, alike parts in the order of time."""
    circuit, count = problem.circuit, len(best.residuals)
    places = in_order_of_time(circuit, best.values)
    values, std = best.values[places], standard_deviations(best, circuit.exponents)[places]
    left = problem.relative(best)
    residuals = np.empty_like(left)
    residuals[order] = left
    return CircuitFit(
        circuit=circuit,
        values=values,
        std=std,
        rms=rms_of(left),
        lag1=best.lag1,
        aicc=_aicc(best.squares, count, len(values) + 1),
        converged=best.converged,
        residuals=residuals,
        warnings=tuple(_warnings(problem, best, values, std)),
    )


def _aicc(squares: float, count: int, free: int) -> float:
    """Return Akaike's criterion, corrected for few points; ``free`` counts the variance too."""
    likelihood = count * math.log(max(squares / count, 1e-300))
    return likelihood + 2 * free + 2 * free * (free + 1) / (count - free - 1)


def _warnings(problem: Problem, best: Minimum, values: Floats, std: Floats) -> Iterator[str]:
    """Yield in words what the values don't say."""
    if not best.converged:
        yield "the fit has not come to its end: these values are not the best ones"
    elif not problem.good(best):
        yield (
            f"neighbouring frequencies deviate alike (lag-1 {best.lag1:.2f}): the circuit does not describe "
            "this spectrum, or the cell changed while it was measured"
        )
    for parameter, value, scatter in zip(
        problem.circuit.parameters, values.tolist(), std.tolist(), strict=True
    ):
        if not scatter <= (0.5 if parameter.exponent else value):
            known = "nothing" if math.isinf(scatter) else f"a standard deviation of {scatter:.3g}"
            yield f"{parameter.name} is not determined: {value:.3g} {parameter.unit}".rstrip() + f", {known}"
    slow_s, fast_s = (1 / (2 * np.pi * problem.f[edge]) for edge in (0, -1))
    for text, tau_s in arc_times(problem.circuit, values).items():
        if not fast_s <= tau_s <= slow_s:
            yield (
                f"{text} has its time {tau_s:.2g} s outside the window of {fast_s:.2g} to {slow_s:.2g} s: "
                "its values are an extrapolation"
            )
