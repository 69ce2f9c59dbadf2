"""The coordinates in which a descent moves: those in which the valleys of the sum of squares are straight.

Logarithms of the parameters and logits of the exponents, so that none has a bound; and for a constant-phase
element ln(Qω₀^α) instead of ln Q. Its admittance at a frequency ω₀ where it matters hardly depends on α,
while Q, its admittance at 1 rad/s, runs along a curved valley when α changes.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from analysis.circuit.starts import sites
from analysis.circuit.tree import Circuit

Floats = NDArray[np.float64]

_LARGEST = 80.0
"""Coordinates beyond ±80 are drawn back: no spectrum holds 1e-35 Ω, and nothing may overflow."""
_EXPONENTS = (0.01, 0.995)
"""Where a descent may begin; an exponent of 1 lies at infinity."""
_ABOVE_LOWEST = 10.0
"""ω₀ of an element without a resistor across it: this many times the lowest ω, where it is largest."""


class Coordinates:
    """Coordinates of one circuit, with ω₀ from where a descent begins."""

    def __init__(self, circuit: Circuit, f: Floats, start: Floats) -> None:
        self._straight = np.eye(len(start))
        lowest, highest = 2 * np.pi * float(f.min()), 2 * np.pi * float(f.max())
        self._phases: list[tuple[int, int, float]] = []
        """Places of Q and α, and ln ω₀, of each constant-phase element."""
        for q, resistor in _phases(circuit):
            omega = lowest * _ABOVE_LOWEST
            if resistor is not None:
                log_rq = math.log(start[resistor] * start[q])
                omega = math.exp(_bounded(-log_rq / start[q + 1]))
            self._phases.append((q, q + 1, math.log(min(max(omega, lowest), highest))))

    def values(self, x: Floats) -> list[float]:
        """Return the parameters of a point."""
        logs = x.tolist()
        exponents = [_sigmoid(logs[alpha]) for _, alpha, _ in self._phases]
        for (q, _, log_omega), exponent in zip(self._phases, exponents, strict=True):
            logs[q] -= exponent * log_omega
        values = [math.exp(_bounded(place)) for place in logs]
        for (_, alpha, _), exponent in zip(self._phases, exponents, strict=True):
            values[alpha] = exponent
        return values

    def point(self, values: Floats) -> Floats:
        """Return the coordinates of parameters."""
        x = np.log(values)
        for q, alpha, log_omega in self._phases:
            inside = min(max(float(values[alpha]), _EXPONENTS[0]), _EXPONENTS[1])
            x[q] += inside * log_omega
            x[alpha] = math.log(inside / (1 - inside))
        return x

    def turn(self, x: Floats) -> Floats:
        """Return the matrix that turns derivatives to ln p and α into those to the coordinates.

        Shape (coordinates, parameters).
        """
        matrix = self._straight.copy()
        for q, alpha, log_omega in self._phases:
            # α(1 − α), without losing 1 − α where it is tiny.
            logit = float(x[alpha])
            slope = _sigmoid(logit) * _sigmoid(-logit)
            matrix[alpha, alpha], matrix[alpha, q] = slope, -log_omega * slope
        return matrix


@lru_cache(maxsize=64)
def _phases(circuit: Circuit) -> tuple[tuple[int, int | None], ...]:
    """Return the place of Q of each constant-phase element, and that of the resistor across it, if any."""
    across = {site.partner.name: site.element.name for site in sites(circuit.root) if site.partner}
    return tuple(
        (
            circuit.places[element.name].start,
            circuit.places[across[element.name]].start if element.name in across else None,
        )
        for element in circuit.elements
        if element.kind.letters == "CPE"
    )


def _bounded(place: float) -> float:
    return min(max(place, -_LARGEST), _LARGEST)


def _sigmoid(place: float) -> float:
    return 1 / (1 + math.exp(-_bounded(place)))
