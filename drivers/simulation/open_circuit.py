"""Open-circuit voltages of positive electrodes against lithium.

U(x) = T(x) + e·ln(x/(1 − x)), x being the part of the usable lithium that is out. T is a table made from a
published fit; the logarithm is that of an ideal solution of lithium and vacancies. It makes U rise everywhere
and run off at both ends, so that a charge ends at any upper and a discharge at any lower limit of voltage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_INTERVALS = 4000
"""Of the table: linear in between, within 0.1 mV of the fits."""
_END = 1e-6
"""Part of the capacity, at either end, in which U goes on along its tangent: steep, but never infinite."""
_END_V = 0.0257
"""RT/F at 25 °C."""
_END_WIDTH = 0.01
"""Part of the capacity, at either end, in which the logarithm is felt beside a published fit."""


class OpenCircuit:
    """U(x) and dU/dx, for arrays and, fast, for one number."""

    def __init__(self, table_V: FloatArray, end_V: float) -> None:
        self._table_V = table_V
        self._grid = np.linspace(0.0, 1.0, len(table_V))
        self._steps_V = np.diff(table_V)
        self._volts: list[float] = table_V.tolist()
        self._intervals = len(table_V) - 1
        self._end_V = end_V

    def volts(self, charged: ArrayLike) -> FloatArray:
        """Return U at x in V, shape of ``charged``."""
        x = np.asarray(charged, dtype=float)
        inner = np.minimum(np.maximum(x, _END), 1 - _END)
        volts = np.interp(inner, self._grid, self._table_V) + self._end_V * np.log(inner / (1 - inner))
        if (inner == x).all():
            return np.asarray(volts)
        return np.asarray(volts + self.slopes(inner) * (x - inner))

    def slopes(self, charged: ArrayLike) -> FloatArray:
        """Return dU/dx at x in V, shape of ``charged``."""
        inner = np.minimum(np.maximum(np.asarray(charged, dtype=float), _END), 1 - _END)
        number = (inner * self._intervals).astype(np.intp)
        return np.asarray(self._steps_V[number] * self._intervals + self._end_V / (inner * (1 - inner)))

    def at(self, charged: float) -> tuple[float, float]:
        """Return U in V and dU/dx in V at one x."""
        inner = min(max(charged, _END), 1 - _END)
        position = inner * self._intervals
        number = int(position)
        below_V = self._volts[number]
        step_V = self._volts[number + 1] - below_V
        slope_V = step_V * self._intervals + self._end_V / (inner * (1 - inner))
        volt = below_V + step_V * (position - number) + self._end_V * math.log(inner / (1 - inner))
        return volt + slope_V * (charged - inner), slope_V


def plateau(plateau_V: float, slope_V: float, end_V: float) -> OpenCircuit:
    """Return U(x) = plateau + slope·(x − ½) + end·ln(x/(1 − x))."""
    return OpenCircuit(plateau_V + slope_V * np.linspace(-0.5, 0.5, _INTERVALS + 1), end_V)


def _published(fit: Callable[[FloatArray], FloatArray], full: float, empty: float) -> OpenCircuit:
    """Return U of a fit over the lithium content, from ``full`` at x = 0 to ``empty`` at x = 1.

    The logarithms are felt at the ends alone: with w for ``_END_WIDTH``, U is the fit plus
    e·ln(x/(x + w)) − e·ln((1 − x)/(1 − x + w)).
    """
    charged = np.linspace(0.0, 1.0, _INTERVALS + 1)
    elsewhere_V = _END_V * np.log((charged + _END_WIDTH) / (1 - charged + _END_WIDTH))
    return OpenCircuit(fit(full + charged * (empty - full)) - elsewhere_V, _END_V)


def lfp_fit(lithium: FloatArray) -> FloatArray:
    """Return U in V of LiₓFePO₄: Afshar, Morris and Khajepour, arXiv:1709.03970 (2017)."""
    rich_V, poor_V = 0.9 * np.exp(-30 * (1 - lithium)), 0.5 * np.exp(-150 * lithium)
    return np.asarray(3.4077 - 0.020269 * lithium + poor_V - rich_V)


def ncm811_fit(lithium: FloatArray) -> FloatArray:
    """Return U in V of LiₓNi₀.₈Mn₀.₁Co₀.₁O₂: Chen et al., J. Electrochem. Soc. 167 (2020) 080534."""
    steps = (
        -0.0428 * np.tanh(18.5138 * (lithium - 0.5542)),
        -17.7326 * np.tanh(15.789 * (lithium - 0.3117)),
        17.5842 * np.tanh(15.9308 * (lithium - 0.312)),
    )
    return np.asarray(4.4875 - 0.809 * lithium + sum(steps))


def lco_fit(lithium: FloatArray) -> FloatArray:
    """Return U in V of LiₓCoO₂: the fit that comes with Newman's program dualfoil (1998).

    Its data reach below x = 0.4 (Doyle's thesis, Berkeley 1995), that is up to 4.5 V. The fit of Ramadass et
    al. (J. Electrochem. Soc. 151 (2004) A196) has a pole there and can't be used for a window beyond 4.3 V.
    """
    steps = (
        0.07645 * np.tanh(30.834 - 54.4806 * lithium),
        2.1581 * np.tanh(52.294 - 50.296 * lithium),
        -0.14169 * np.tanh(11.0923 - 19.8543 * lithium),
        0.2051 * np.tanh(1.4684 - 5.4888 * lithium),
        0.2531 * np.tanh((0.56478 - lithium) / 0.1316),
        -0.02167 * np.tanh((lithium - 0.525) / 0.006),
    )
    return np.asarray(2.16216 + sum(steps))


CURVES: Mapping[str, OpenCircuit] = {
    "lfp": _published(lfp_fit, 1.0, 0.0),
    "ncm811": _published(ncm811_fit, 0.9084, 0.262),
    "lco": _published(lco_fit, 0.99, 0.296),
}
"""What is between the limits of voltage with which the studies cycle (facts/recipes.md, 8): LFP between 2.5
and 3.65 to 4.0 V gives all its lithium; NCM811 between 2.7 and 4.3 V goes from the content that Chen et al.
give for the discharged cell to that with 4.3 V; LCO between 3.0 and 4.5 V ends at 0.296 of lithium left.
At a vanishing current x runs from 0 to 1 within 1 %.
"""
