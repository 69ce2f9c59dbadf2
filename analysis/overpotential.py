"""Overpotential: its mean over half-cycles, and the spike with which plating begins.

A symmetric cell's |E| is its overpotential. Half-cycles bring their mean (``HalfCycle.overpotential_V``,
weighted by charge); a spike is over in seconds and is read from the samples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analysis.lines import Floats
from protocols.records import HalfCycle

DENSE_S, DENSE_V = 0.1, 1e-3
"""Samples show a spike if they come every 0.1 s, or at every 1 mV (recipes §3)."""
LOOSE = 1.5
"""An instrument's interval may be so much longer than what it was asked for."""


def mean_overpotential(
    half_cycles: Iterable[HalfCycle],
    *,
    hours: tuple[float, float] | None = None,
    numbers: range | None = None,
) -> float | None:
    """Return the mean overpotential of complete half-cycles in V, weighted by charge; None if none is
    complete.

    ``hours``: only those that lie within these run times, in h. ``numbers``: only these half-cycles (from
    0; the n-th cycle, from 1, is ``range(2 * n - 2, 2 * n)`` where nothing else was driven).
    """
    energy_J = charge_C = 0.0
    for row in half_cycles:
        if hours is not None and not (hours[0] * 3600 <= row.t_start_s and row.t_end_s <= hours[1] * 3600):
            continue
        if not row.complete or (numbers is not None and row.number not in numbers):
            continue
        energy_J += row.overpotential_V * abs(row.charge_C)
        charge_C += abs(row.charge_C)
    return energy_J / charge_C if charge_C else None


@dataclass(frozen=True, slots=True)
class Nucleation:
    """The start of a plating: a peak of |E|, then a plateau. In V, both ≥ 0."""

    extreme_V: float
    """Largest |E| before the plateau. Where plating is at negative E it is the depth of the dip."""
    plateau_V: float
    """Mean |E| of the plateau."""
    is_resolved: bool
    """Whether the samples lie densely enough around the peak; else it may have been higher."""

    @property
    def height_V(self) -> float:
        """V_sp, the nucleation overpotential: the peak above the plateau; 0 if there is no peak."""
        return max(self.extreme_V - self.plateau_V, 0.0)


def nucleation(t_s: Floats, voltage_V: Floats, plateau: tuple[float, float] = (0.75, 1.0)) -> Nucleation:
    """Return peak and plateau of one plating: samples in order of time while it flows, shape (n,).

    ``plateau``: from which to which part of the time it lies; the peak is looked for before it, as the
    largest median of three neighbours (a single noisy sample is no spike). Recipes §1 (study A, Fig. 2) and
    §3 (study E). Raises ValueError if there are fewer than three samples before the plateau, or none in it.
    """
    share = (t_s - t_s[0]) / max(float(t_s[-1] - t_s[0]), 1e-300) if len(t_s) else t_s
    size = np.abs(voltage_V)
    before, flat = size[share < plateau[0]], size[(share >= plateau[0]) & (share <= plateau[1])]
    if len(before) < 3 or not len(flat):
        raise ValueError(f"{len(t_s)} samples show neither a spike nor a plateau: record the start densely")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(before, 3), axis=1)
    top = int(np.argmax(smooth)) + 1
    return Nucleation(
        extreme_V=float(smooth[top - 1]),
        plateau_V=float(flat.mean()),
        is_resolved=_is_dense(t_s[: top + 2], size[: top + 2]),
    )


def _is_dense(t_s: Floats, size_V: Floats) -> bool:
    quick = np.diff(t_s) <= LOOSE * DENSE_S
    fine = np.abs(np.diff(size_V)) <= LOOSE * DENSE_V
    return bool((quick | fine).all())


def nucleation_length(height_V: float, j_A_per_m2: float, factor_S_per_m: float) -> float:
    """Return l_n = C · V_sp / j in m.

    C is a property of the interlayer that the sources at hand give no value for (recipes §3); with V in V
    and j in A/m² it is a conductivity, in S/m. Raises ValueError at no current.
    """
    if not j_A_per_m2:
        raise ValueError("a nucleation length needs a current")
    return factor_S_per_m * height_V / abs(j_A_per_m2)
