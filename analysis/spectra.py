"""Resistances that are read off one measured spectrum, without a model and without a fit.

The parts of a cell show as arcs in −Z″ against Z′, one after the other towards low frequencies; between two
of them −Z″ has a minimum, and the width of an arc along Z′ is its resistance. This is right as far as the
arcs are apart: where they overlap, the minimum lies inside both, and the part that is read is too small on
one side by what it is too large on the other. A distribution of relaxation times or a fit says more; this
is the plain reading that every lab does by eye (recipes §4, §5, §6).

Everywhere: f in Hz, > 0; Z in Ω, capacitive Z″ < 0; arrays of shape (n,), n ≥ 1, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.kramers_kronig import high_frequency_resistance
from analysis.spectrum_input import Complexes, Floats

DEPTH = 0.005
"""A minimum of −Z″ counts if −Z″ is higher on both sides by this part of |Z| there: above the noise."""
CAPACITIVE_RAD = np.radians(-60.0)
"""A spectrum without an arc that ends in a phase below this ends in a capacitor (blocking electrodes)."""


@dataclass(frozen=True, slots=True)
class ArcReading:
    """One arc, between two neighbouring minima of −Z″."""

    frequency_high_Hz: float
    frequency_low_Hz: float
    resistance_ohm: float


def resistance_between(frequency_Hz: Floats, impedance_ohm: Complexes, from_Hz: float, to_Hz: float) -> float:
    """Return the resistance between two frequencies, in either order: Z′(lower) − Z′(higher), in Ω.

    Z′ is linear in log f between two points. Raises ValueError where a frequency was not measured: nothing
    is extrapolated.
    """
    f, z = _falling(frequency_Hz, impedance_ohm)
    for wanted in (from_Hz, to_Hz):
        if not f[-1] * (1 - 1e-9) <= wanted <= f[0] * (1 + 1e-9):
            raise ValueError(
                f"the spectrum goes from {f[0]:g} to {f[-1]:g} Hz: it says nothing about {wanted:g} Hz"
            )
    high, low = max(from_Hz, to_Hz), min(from_Hz, to_Hz)
    at = np.interp(np.log([low, high]), np.log(f[::-1]), z.real[::-1])
    return float(at[0] - at[1])


def minima(frequency_Hz: Floats, impedance_ohm: Complexes) -> list[float]:
    """Return the frequencies in Hz at which −Z″ has a minimum between two parts of a spectrum, highest
    first.

    Only where the spectrum is capacitive, and only minima as deep as :data:`DEPTH`.
    """
    f, z = _falling(frequency_Hz, impedance_ohm)
    return [float(f[place]) for place in _minima(z)]


def resistance_before_tail(frequency_Hz: Floats, impedance_ohm: Complexes) -> float:
    """Return the resistance of a cell without what a tail at low frequency adds to it, in Ω.

    A tail is a −Z″ that rises to the lowest frequency: blocking electrodes, or diffusion that has not come
    to its end. It has its own Z′, so that Z′ at the lowest frequency says too much; Z′ at the last minimum
    of −Z″ before it is taken. A spectrum that is one capacitive tail gives its resistance at high
    frequency, one without a tail Z′ at its lowest frequency. An arc that the lowest frequency cuts off is
    taken for a tail.
    """
    f, z = _falling(frequency_Hz, impedance_ohm)
    found = _minima(z)
    if found and _ends_in_tail(z, found[-1]):
        return float(z[found[-1]].real)
    rises = int(np.argmax(-z.imag)) == len(z) - 1
    if not found and rises and float(np.angle(z[-1])) < CAPACITIVE_RAD:
        return high_frequency_resistance(f[::-1], z[::-1])
    return float(z[-1].real)


def arcs(frequency_Hz: Floats, impedance_ohm: Complexes) -> list[ArcReading]:
    """Return the arcs between the minima of −Z″, from the highest frequency to the lowest, without a tail.

    The first begins at the resistance at high frequency, so that they add up to
    :func:`resistance_before_tail` less that.
    """
    f, z = _falling(frequency_Hz, impedance_ohm)
    found = _minima(z)
    has_tail = bool(found) and _ends_in_tail(z, found[-1])
    edges = found if has_tail else [*found, len(z) - 1]
    begin_Hz, begin_ohm = float(f[0]), high_frequency_resistance(f[::-1], z[::-1])
    read = []
    for place in edges:
        end_Hz, end_ohm = float(f[place]), float(z[place].real)
        read.append(ArcReading(begin_Hz, end_Hz, end_ohm - begin_ohm))
        begin_Hz, begin_ohm = end_Hz, end_ohm
    return read


def interfacial_resistance(
    frequency_Hz: Floats, impedance_ohm: Complexes, grain_boundary_Hz: tuple[float, float] | None = None
) -> float:
    """Return the resistance of the interfaces, in Ω: all before a tail − R_hf − grain boundaries.

    ``grain_boundary_Hz``: the range of frequencies whose resistance belongs to the grain boundaries (a peak
    of τ lies at f = 1/(2πτ): 1e-7–1e-4 s in study C); None: they are not apart, or there are none. Raises
    ValueError if the range was not measured.
    """
    f, z = _falling(frequency_Hz, impedance_ohm)
    boundaries = 0.0 if grain_boundary_Hz is None else resistance_between(f, z, *grain_boundary_Hz)
    return resistance_before_tail(f, z) - high_frequency_resistance(f[::-1], z[::-1]) - boundaries


def _falling(frequency_Hz: Floats, impedance_ohm: Complexes) -> tuple[Floats, Complexes]:
    """Return a spectrum from its highest frequency to its lowest. Raises ValueError if there is none."""
    if not len(frequency_Hz):
        raise ValueError("a spectrum without points says nothing")
    order = np.argsort(-np.asarray(frequency_Hz))
    return np.asarray(frequency_Hz)[order], np.asarray(impedance_ohm)[order]


def _minima(z: Complexes) -> list[int]:
    """Return the places of the minima of −Z″; z from the highest frequency on."""
    height = -z.imag
    capacitive = np.flatnonzero(height > 0.0)
    if not len(capacitive):
        return []
    first = int(capacitive[0])
    return [
        place
        for place in range(first + 1, len(z) - 1)
        if height[place] <= height[place - 1]
        and height[place] < height[place + 1]
        and _depth(height, first, place) >= DEPTH * abs(z[place])
    ]


def _depth(height: Floats, first: int, place: int) -> float:
    """Return how far −Z″ rises on the lower side of a minimum before it falls below it."""
    before, after = height[first:place][::-1], height[place + 1 :]
    return float(min(_rise(before, height[place]), _rise(after, height[place])))


def _rise(side: Floats, bottom: float) -> float:
    below = np.flatnonzero(side < bottom)
    reach = side[: int(below[0])] if len(below) else side
    return float(reach.max() - bottom) if len(reach) else 0.0


def _ends_in_tail(z: Complexes, last_minimum: int) -> bool:
    """Whether −Z″ is at its highest, within the noise, where the spectrum ends."""
    after = -z.imag[last_minimum:]
    return bool(after[-1] >= after.max() - DEPTH * abs(z[-1]))
