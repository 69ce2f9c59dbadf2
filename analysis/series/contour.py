"""γ(ln τ) of many spectra on one grid: a map of what the processes of a cell do over time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.drt.distribution import Distribution, Floats

ON_THE_EDGE = 1e-9
"""Relative distance at which a time still lies in a window that ends there."""


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """γ over time and time constant: k spectra, m time constants."""

    t_s: Floats
    """When each spectrum was measured, shape (k,), as given."""
    tau_s: Floats
    """Ascending, evenly spaced in ln τ, shape (m,)."""
    gamma_ohm: Floats
    """Shape (k, m); nan outside the window of a spectrum, where nothing was measured."""


def contour(distributions: Sequence[Distribution], times: Sequence[float]) -> Contour:
    """Bring distributions of whatever grids and windows to one grid, for a map over time.

    The grid reaches from the fastest to the slowest time that any spectrum has measured, at least as fine as
    the finest of theirs, so that linear interpolation in ln τ keeps the areas of the peaks. ``times`` in s,
    one a distribution, ascending. Raises ValueError if they do not fit, or without any distribution.
    """
    if not distributions or len(distributions) != len(times):
        raise ValueError(f"{len(distributions)} distributions with {len(times)} times are no map")
    if any(late <= early for early, late in itertools.pairwise(times)):
        raise ValueError("a map needs its spectra in order of time, each later than the one before")
    fastest = np.log(min(resolved.window_s[0] for resolved in distributions))
    slowest = np.log(max(resolved.window_s[1] for resolved in distributions))
    intervals = int(np.ceil((slowest - fastest) / min(resolved.step for resolved in distributions) - 1e-6))
    ln_tau = np.linspace(fastest, slowest, max(intervals, 1) + 1)
    gamma = np.stack([_on(resolved, ln_tau) for resolved in distributions])
    return Contour(np.asarray(times, dtype=np.float64), np.exp(ln_tau), gamma)


def _on(resolved: Distribution, ln_tau: Floats) -> Floats:
    """Return γ at other times, shape of ``ln_tau``; nan where it was not measured."""
    values = np.interp(ln_tau, np.log(resolved.tau_s), resolved.gamma_ohm)
    fast, slow = np.log(resolved.window_s)
    inside = (ln_tau >= fast - ON_THE_EDGE) & (ln_tau <= slow + ON_THE_EDGE)
    return np.where(inside, values, np.nan)
