"""The grid of relaxation times of a set of frequencies, and what it makes of a distribution.

Time constants are τ = 1/(2πf), and the grid reaches a decade beyond those of the highest and the lowest
frequency: an arc that the window cuts off has its place, and R_∞ does not swallow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.drt.curvature import bends_to_logs
from analysis.drt.distribution import Floats

BEYOND_DECADES = 1.0
ENTRIES = 3
"""Elements beside the distribution: R_∞, inductance, capacitance in series; they come first."""
NEGLIGIBLE = 3e-5
"""Singular values of the kernel below this part of the largest are left out: no data resolve them."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Ln τ in even steps, and the spectrum of every element on it."""

    tau_s: Floats
    """Shape (m,), ascending."""
    step: float
    """Distance of two neighbouring ln τ."""
    kernel: Floats
    """Real above imaginary parts of Z of each element of value 1, shape (2n, 3 + m).

    The first three: 1 Ω, an inductance of 1 Ω at the highest frequency, a capacitance of 1 Ω at the lowest.
    """
    left: Floats
    """Orthonormal columns, shape (2n, k), with ``left @ right`` = kernel as far as it can be resolved."""
    right: Floats
    """Shape (k, 3 + m)."""
    logs: Floats
    """Matrix that makes ln γ of its value, slope and bends (:mod:`analysis.drt.curvature`), shape (m, m)."""
    window_s: tuple[float, float]


def grid(frequency_Hz: Floats, per_decade: int) -> Grid:
    """Return the grid of frequencies in Hz, shape (n,), ascending; made once for each set of frequencies."""
    return _grid(frequency_Hz.tobytes(), per_decade)


@lru_cache(maxsize=16)
def _grid(frequencies: bytes, per_decade: int) -> Grid:
    omega = 2.0 * np.pi * np.frombuffer(frequencies, dtype=np.float64)
    window_s = 1.0 / float(omega[-1]), 1.0 / float(omega[0])
    decades = np.log10(window_s[1] / window_s[0]) + 2.0 * BEYOND_DECADES
    count = int(np.ceil(per_decade * decades)) + 1
    tau_s = np.geomspace(window_s[0] / 10**BEYOND_DECADES, window_s[1] * 10**BEYOND_DECADES, count)
    step = float(np.log(tau_s[1] / tau_s[0]))
    beside = np.column_stack([np.ones_like(omega), 1j * omega / omega[-1], -1j * omega[0] / omega])
    relaxations = step / (1.0 + 1j * omega[:, None] * tau_s)
    kernel = stacked(np.concatenate([beside, relaxations], axis=1))
    left, singular, right = np.linalg.svd(kernel, full_matrices=False)
    kept = int(np.count_nonzero(singular > NEGLIGIBLE * singular[0]))
    resolved = np.ascontiguousarray(left[:, :kept]), singular[:kept, None] * right[:kept]
    logs = bends_to_logs(count, step)
    for array in (tau_s, kernel, *resolved, logs):
        array.setflags(write=False)
    return Grid(tau_s, step, kernel, *resolved, logs, window_s)


def stacked(values: np.ndarray) -> Floats:
    """Return the real parts above the imaginary parts, shape (2n, …)."""
    return np.concatenate([values.real, values.imag])
