"""Spectra on other frequencies than their own, and in parts: what every comparison of two spectra needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.spectrum_input import Complexes, Floats, measured_points
from protocols.measurements import Spectrum


def measured(spectrum: Spectrum) -> tuple[Floats, Complexes]:
    """Return f and Z of the points that are measured impedances, each f once, from the lowest on."""
    f, z, _ = measured_points(spectrum)
    once, first = np.unique(f, return_index=True)
    return once, z[first]


def interpolated(at_Hz: Floats, f: Floats, z: Complexes) -> Complexes:
    """Return Z at other frequencies within the range of f, which ascends: cubic in ln f."""
    return cubic(np.log(at_Hz), np.log(f), z)


def cubic(at: Floats, x: Floats, z: Complexes) -> Complexes:
    """Return z at other places, between neighbours, with the slopes of parabolas through three points.

    Outside of x, which ascends (two places at least), the value at its end.
    """
    slope = np.gradient(z, x, edge_order=2 if len(x) > 2 else 1)
    place = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    width = x[place + 1] - x[place]
    part = np.clip((at - x[place]) / width, 0.0, 1.0)
    rest = 1 - part
    ends = z[place] * (1 + 2 * part) * rest**2 + z[place + 1] * (1 + 2 * rest) * part**2
    return np.asarray(ends + width * part * rest * (slope[place] * rest - slope[place + 1] * part))


def decades(f: Floats) -> list[NDArray[np.bool_]]:
    """Return the points of each decade, from the lowest on; equal parts of the range, of about a decade."""
    count = max(round(float(np.log10(f[-1] / f[0]))), 1)
    share = np.log(f / f[0]) / np.log(f[-1] / f[0])
    number = np.minimum((share * count).astype(int), count - 1)
    return [number == part for part in range(count)]
