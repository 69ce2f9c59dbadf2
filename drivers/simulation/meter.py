"""How a channel measures: ranges, resolution and noise.

Noise belongs to the number of the sample, so that a run repeats exactly with the same seed, however it was
polled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.biologic.constants import E_RANGE_FULL_SCALE_V, I_RANGE_FULL_SCALE_A, ERange, IRange

FloatArray = NDArray[np.float64]

_NOISES = 1 << 16
VOLTAGE_BITS = 16
CURRENT_NOISE = 1e-5
"""Standard deviation relative to the range; a quarter of the 0.004 % that yadg states for VMP-3 boards."""
IMPEDANCE_NOISE = 5e-4
"""Standard deviation of |Z|, relative, and of the phase, in rad."""
AMPLITUDE_NOISE_V = 1e-6
"""Least standard deviation of the amplitude of E in a sweep."""

_RANGES_A = np.array([full_scale_A for full_scale_A in I_RANGE_FULL_SCALE_A.values() if full_scale_A >= 1e-9])
"""The ranges of a board without the option for the lowest currents."""


class Meter:
    """Turns true values into readings of one channel."""

    def __init__(self, seed: int) -> None:
        self._noise = np.random.default_rng(seed).standard_normal(_NOISES)
        self._samples = 0
        self.e_range = ERange.E_5V
        self.i_range = IRange.I_10MA

    @property
    def full_scale_V(self) -> float:
        """Largest |E| that can be read. The automatic range goes up to the widest one."""
        return E_RANGE_FULL_SCALE_V.get(self.e_range, 10.0)

    @property
    def full_scale_A(self) -> float:
        """Nominal full scale of the current range. The automatic one goes up to the widest."""
        return I_RANGE_FULL_SCALE_A.get(self.i_range, 1.0)

    def take_noise(self, columns: int, samples: int) -> FloatArray:
        """Return unit noise for the next samples, shape (columns, samples)."""
        start = self._samples
        self._samples += columns * samples
        picked = np.arange(start, self._samples) & (_NOISES - 1)
        return np.asarray(self._noise[picked].reshape(samples, columns).T)

    def read_voltage(self, volts: FloatArray, noise: FloatArray) -> FloatArray:
        """Return E as read: within the range, with half a step of noise, in steps of the converter."""
        step_V = 2 * self.full_scale_V / (1 << VOLTAGE_BITS)
        read = np.rint(volts / step_V + 0.5 * noise) * step_V
        return np.minimum(np.maximum(read, -self.full_scale_V), self.full_scale_V)

    def read_current(self, current_A: FloatArray, noise: FloatArray) -> FloatArray:
        """Return I as read. The automatic range is the smallest that holds each value."""
        full_scale_A: FloatArray | float = self.full_scale_A
        if self.i_range == IRange.AUTO:
            held = np.minimum(np.searchsorted(_RANGES_A, np.abs(current_A)), len(_RANGES_A) - 1)
            full_scale_A = _RANGES_A[held]
        return np.asarray(current_A + CURRENT_NOISE * full_scale_A * noise)
