"""Sweeps of voltage: cyclic voltammetry, and the stability window of an electrolyte.

Samples of one sweep or cycle in the order they were measured: E in V and I in A (or j in A/m²), shape (n,).
They are first averaged in at most :data:`BINS` groups of neighbours, so that noise is not taken for a peak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.lines import Floats, Line, fit_line

BINS = 500
WINDOW_THRESHOLD_A_PER_M2 = 0.1
"""10 µA/cm². There is no agreed value, and none in the studies: results say which one was used."""
TANGENT_SHARE = 0.05
"""Part of a sweep over which its steepest rise is measured."""
BASELINE_SHARE = 0.25
"""First part of a sweep, in which nothing decomposes yet; its very beginning (a tenth of that), in which
the double layer is charged, is left out."""
RISE = 5.0
"""A steepest rise below so many times the slope of the baseline is none."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A peak of current."""

    voltage_V: float
    current_A: float
    """Signed, from zero current, without a baseline deducted."""


@dataclass(frozen=True, slots=True)
class CyclePeaks:
    """The two peaks of one cycle. None: the current has no maximum inside the sweep."""

    anodic: Peak | None
    cathodic: Peak | None

    @property
    def separation_V(self) -> float | None:
        """E of the anodic peak − E of the cathodic one."""
        if self.anodic is None or self.cathodic is None:
            return None
        return self.anodic.voltage_V - self.cathodic.voltage_V


def cycle_peaks(voltage_V: Floats, current_A: Floats) -> CyclePeaks:
    """Return the peaks of one cycle, which begins at either end of its range of E and comes back to it.

    The anodic peak is the largest current of the way up, the cathodic one the most negative of the way
    down. A current that is largest at an end of its way has no peak there: the range is too narrow. So has
    a way that was cut short before its peak was over.
    """
    if len(voltage_V) < 3:
        return CyclePeaks(None, None)
    turn = int(np.argmax(np.abs(voltage_V - voltage_V[0])))
    first = (voltage_V[: turn + 1], current_A[: turn + 1])
    second = (voltage_V[turn:], current_A[turn:])
    up, down = (first, second) if voltage_V[turn] > voltage_V[0] else (second, first)
    return CyclePeaks(_peak(*up, 1.0), _peak(*down, -1.0))


def _peak(voltage_V: Floats, current_A: Floats, sign: float) -> Peak | None:
    """Return the top of sign · I: of the parabola through the highest group of samples and its
    neighbours."""
    volts, amps = _averaged(voltage_V), _averaged(current_A)
    heights = sign * amps
    top = int(np.argmax(heights))
    if not 0 < top < len(heights) - 1 or heights[top] <= 0.0:
        return None
    before, here, after = (float(heights[top + k]) for k in (-1, 0, 1))
    bend = before - 2.0 * here + after
    shift = 0.5 * (before - after) / bend if bend else 0.0
    voltage = float(volts[top]) + shift * float(volts[top + 1] - volts[top - 1]) / 2.0
    return Peak(voltage, sign * (here - 0.25 * (before - after) * shift))


def peak_slope(rates_V_per_s: Sequence[float], peaks_A: Sequence[float]) -> Line:
    """Return the line of I_p against √v; its slope is in A/(V/s)^½.

    A current that diffusion limits is proportional to √v (Randles and Ševčík): the line then goes through
    zero, which its intercept shows. Raises ValueError below two rates.
    """
    return fit_line(np.sqrt(np.asarray(rates_V_per_s)), np.asarray(peaks_A, dtype=np.float64))


# Stability window


def onset_by_threshold(
    voltage_V: Floats, current_A_per_m2: Floats, threshold_A_per_m2: float = WINDOW_THRESHOLD_A_PER_M2
) -> float | None:
    """Return E in V from which on |j| is above a threshold for the rest of a sweep in one direction.

    Only current of the sweep's direction counts: oxidation on the way up, reduction on the way down. With
    "for the rest" a hump that passes (an impurity, the double layer at the start) is no limit; None: |j|
    does not end above it. Linear between the two neighbouring groups of samples.
    """
    volts, heights = _risen(voltage_V, current_A_per_m2)
    below = np.flatnonzero(heights < threshold_A_per_m2)
    if not len(below):
        return float(volts[0])
    last = int(below[-1])
    if last == len(heights) - 1:
        return None
    share = (threshold_A_per_m2 - heights[last]) / (heights[last + 1] - heights[last])
    return float(volts[last] + share * (volts[last + 1] - volts[last]))


def onset_by_tangent(voltage_V: Floats, current_A_per_m2: Floats) -> float | None:
    """Return E in V where the tangent at the steepest rise of j meets the line through the baseline.

    The steepest rise of a current that grows to the end of the sweep is that end, so a wider sweep gives a
    larger E: compare values of equal sweeps. None: nothing rises. Raises ValueError below 40 samples.
    """
    if len(voltage_V) < 40:
        raise ValueError(
            f"{len(voltage_V)} samples of a sweep are too few for a tangent: record more densely"
        )
    volts, heights = _risen(voltage_V, current_A_per_m2)
    wide = max(5, round(TANGENT_SHARE * len(volts)))
    last = max(round(BASELINE_SHARE * len(volts)), 5)
    base = fit_line(volts[last // 10 : last], heights[last // 10 : last])
    direction = math.copysign(1.0, float(volts[-1] - volts[0]))
    tangents = [fit_line(volts[k : k + wide], heights[k : k + wide]) for k in range(len(volts) - wide + 1)]
    steepest = max(tangents, key=lambda line: direction * line.slope)
    scatter = float(
        np.std(heights[last // 10 : last] - base.intercept - base.slope * volts[last // 10 : last])
    )
    rise_V = abs(float(volts[wide - 1] - volts[0]))
    least = RISE * max(abs(base.slope), scatter / rise_V)
    if direction * steepest.slope <= least:
        return None
    return (base.intercept - steepest.intercept) / (steepest.slope - base.slope)


def _risen(voltage_V: Floats, current: Floats) -> tuple[Floats, Floats]:
    """Return E and the current in the direction of the sweep. Raises ValueError if there is no sweep."""
    if len(voltage_V) < 2 or voltage_V[0] == voltage_V[-1]:
        raise ValueError("a sweep in one direction needs samples at two voltages")
    sign = math.copysign(1.0, float(voltage_V[-1] - voltage_V[0]))
    return _averaged(voltage_V), sign * _averaged(current)


def _averaged(values: Floats) -> Floats:
    """Return the means of at most :data:`BINS` groups of neighbours, all of one size within one."""
    groups = min(BINS, len(values))
    starts = (np.arange(groups) * len(values)) // groups
    return np.asarray(np.add.reduceat(values, starts) / np.diff([*starts, len(values)]))
