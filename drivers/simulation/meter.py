"""How a channel measures: ranges, resolution and noise.

Noise belongs to the number of the sample, so that a run repeats exactly with the same seed, however it was
polled.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class MeterErrors:
    """What is wrong with a channel's readings besides noise and resolution."""

    offset_V: float = 0.0
    """Added to every reading of E."""
    glitch_V: float = 0.0
    """Standard deviation of single readings that are far off (a range that switches, a loose contact)."""
    glitch_every: int = 1000
    """One reading in so many is, on average."""
    range_glitch_V: float = 0.0
    """Added to the first reading after another current range was set."""


NO_ERRORS = MeterErrors()


class Meter:
    """Turns true values into readings of one channel."""

    def __init__(self, seed: int, errors: MeterErrors = NO_ERRORS) -> None:
        random = np.random.default_rng(seed)
        self._noise = random.standard_normal(_NOISES)
        self._errors = errors
        self._glitches_V = self._draw_glitches(random)
        self._readings = 0
        self._samples = 0
        self._range_changed = False
        self._i_range = IRange.I_10MA
        self.e_range = ERange.E_5V

    @property
    def i_range(self) -> IRange:
        """The current range that is set."""
        return self._i_range

    @i_range.setter
    def i_range(self, chosen: IRange) -> None:
        self._range_changed = chosen != self._i_range
        self._i_range = chosen

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
        read = np.rint((volts + self._wrong_V(len(volts))) / step_V + 0.5 * noise) * step_V
        return np.minimum(np.maximum(read, -self.full_scale_V), self.full_scale_V)

    def read_current(self, current_A: FloatArray, noise: FloatArray) -> FloatArray:
        """Return I as read. The automatic range is the smallest that holds each value."""
        full_scale_A: FloatArray | float = self.full_scale_A
        if self.i_range == IRange.AUTO:
            held = np.minimum(np.searchsorted(_RANGES_A, np.abs(current_A)), len(_RANGES_A) - 1)
            full_scale_A = _RANGES_A[held]
        return np.asarray(current_A + CURRENT_NOISE * full_scale_A * noise)

    def _draw_glitches(self, random: np.random.Generator) -> FloatArray:
        """Return what is added to readings, by their number; they repeat after very many."""
        if not self._errors.glitch_V:
            return np.zeros(1)
        far_off = random.random(_NOISES) * self._errors.glitch_every < 1
        return np.asarray(far_off * random.normal(0.0, self._errors.glitch_V, _NOISES))

    def _wrong_V(self, count: int) -> FloatArray:
        """Return what is added to the next readings of E, shape (count,)."""
        numbers = (self._readings + np.arange(count)) % len(self._glitches_V)
        self._readings += count
        wrong_V = self._glitches_V[numbers] + self._errors.offset_V
        if self._range_changed and count:
            wrong_V[0] += self._errors.range_glitch_V
            self._range_changed = False
        return np.asarray(wrong_V)
