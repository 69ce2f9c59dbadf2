"""ln γ as a value, a slope and its bends: the quantities in which relaxation processes are simple.

Beside its peak ln γ of an arc is a straight line in ln τ (slope ±α for a Cole–Cole arc), so that a
distribution of a few arcs has a few strong bends, and none between them. With x = ln τ in m even steps h,

    u_i = w_0 + w_1 (x_i − x_mid) + Σ_j w_j h |x_i − x_j|  over the bends j between i and the middle,

w = (value at the middle, slope there, second derivative at each inner point): shape (m,), one to one with u.
"""

from __future__ import annotations

import numpy as np

from analysis.drt.distribution import Floats


def bends_of(u: Floats, step: float) -> Floats:
    """Return w of u, shape (m,)."""
    mid = _middle(len(u))
    w = np.empty_like(u)
    w[0], w[1] = u[mid], (u[mid] - u[mid - 1]) / step
    w[2:] = (u[2:] - 2.0 * u[1:-1] + u[:-2]) / step**2
    return w


def bends_to_logs(count: int, step: float) -> Floats:
    """Return the matrix A of u = A w, shape (m, m)."""
    place = np.arange(count)
    mid = _middle(count)
    matrix = np.empty((count, count))
    matrix[:, 0], matrix[:, 1] = 1.0, step * (place - mid)
    inner = place[1:-1]
    beyond = np.where(inner >= mid, place[:, None] - inner, inner - place[:, None])
    matrix[:, 2:] = step**2 * np.maximum(beyond, 0)
    return matrix


def _middle(count: int) -> int:
    """Return the place in the grid from which slopes are summed up, towards both ends."""
    return count // 2
