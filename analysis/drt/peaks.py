"""The processes in a distribution of relaxation times: its peaks, with names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from analysis.drt.distribution import Distribution, Floats
from protocols.cell import ElectrolyteClass

Ranges = Mapping[str, tuple[float, float]]
"""From and to in s, for each process."""

PROCESSES: Mapping[str, Ranges] = MappingProxyType(
    {
        "garnet": MappingProxyType(
            {
                "grain": (0.0, 1e-7),
                "grain boundary": (1e-7, 1e-4),
                "charge transfer": (1e-4, 2e-3),
                "Li|garnet transport": (2e-3, 1e3),
            }
        ),
        "polymer composite": MappingProxyType(
            {
                "contact": (1e-6, 1e-5),
                "electrolyte": (1e-5, 1e-4),
                "SEI|Li": (1e-4, 1e-3),
                "SEI|electrolyte": (1e-2, 1e-1),
            }
        ),
    }
)
"""As two studies of Li-metal cells assign them: C (LLZTO pellets; "about 1e-3 s" and "above 1e-3 s" for the
last two) and A (a composite of polymer and ceramic). They are no law of nature: a cell of another
thickness, temperature or interface has its processes elsewhere."""

_OF_CLASS: Mapping[ElectrolyteClass, str] = MappingProxyType(
    {"garnet": "garnet", "composite": "polymer composite", "polymer": "polymer composite"}
)

SURE = 0.5
"""A peak counts if ln γ falls on both sides by so many of its posterior standard deviations: the prior has
spoken against it already…"""
RELATIVE_HEIGHT = 2e-3
"""… and γ by this part of its highest value in the window; …"""
RELATIVE_HEIGHT_WITHOUT_BAND = 2e-2
"""… by this part where the method says nothing of its uncertainty."""

OVERLAP = 0.5
"""Where two peaks meet, each has a tail under the other: about γ there times a unit of ln τ. This part of it
goes into the standard deviation of both."""


@dataclass(frozen=True, slots=True)
class Peak:
    """One peak of γ(ln τ)."""

    tau_s: float
    """Time at its highest point."""
    resistance_ohm: float
    """Area between the minima on both sides."""
    std_ohm: float | None
    """Standard deviation of the resistance, with what overlaps; None where the method gives none."""
    height_ohm: float
    """γ at its highest point."""
    from_s: float
    """Where the peak begins and ends: the minima on both sides."""
    to_s: float
    inside: bool
    """Whether its time lies inside the measured window; else place and resistance are an extrapolation."""
    name: str = ""
    """The process, by the ranges that were given; empty if it lies in none."""

    @property
    def capacitance_F(self) -> float:
        """τ/R: capacitance of an RC element of this time and resistance."""
        return self.tau_s / self.resistance_ohm if self.resistance_ohm > 0 else float("inf")


def processes_of(material: ElectrolyteClass) -> Ranges | None:
    """Return the ranges of the study whose cells are nearest; None where none is near."""
    return PROCESSES.get(_OF_CLASS.get(material, ""))


def find_peaks(distribution: Distribution, processes: Ranges | None = None) -> list[Peak]:
    """Return the peaks of γ, the fastest first.

    Maxima that do not stand out of the uncertainty are taken for shoulders of their neighbours. A maximum at
    the end of the grid is the flank of an arc that the window cuts off: ``inside`` is false. ``processes``:
    ranges of τ, such as one of :data:`PROCESSES`; the first one that holds a peak names it.
    """
    gamma = distribution.gamma_ohm
    tops, valleys = _extrema(gamma)
    while len(tops) > 1:
        doubts = [
            min(_rise(distribution, tops[k], v), _rise(distribution, tops[k + 1], v))
            for k, v in enumerate(valleys)
        ]
        weakest = int(np.argmin(doubts))
        if doubts[weakest] >= 1.0:
            break
        lower = weakest if gamma[tops[weakest]] < gamma[tops[weakest + 1]] else weakest + 1
        del tops[lower], valleys[weakest]
    ends = [0, *valleys, len(gamma) - 1]
    peaks = [_peak(distribution, top, ends[k], ends[k + 1], processes or {}) for k, top in enumerate(tops)]
    least = RELATIVE_HEIGHT * _highest(distribution)
    return [peak for peak in peaks if peak.height_ohm >= least and peak.resistance_ohm > 0.0]


def _extrema(gamma: Floats) -> tuple[list[int], list[int]]:
    """Return the places of all maxima, and of the lowest points between them."""
    padded = np.concatenate([[-1.0], gamma, [-1.0]])
    tops = np.flatnonzero((padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:])).tolist()
    valleys = [int(a + np.argmin(gamma[a:b])) for a, b in pairwise(tops)]
    return tops, valleys


def _rise(distribution: Distribution, top: int, valley: int) -> float:
    """Return how far a maximum stands above a valley; below 1 it does not count."""
    gamma, covariance = distribution.gamma_ohm, distribution.log_covariance
    rise = float(gamma[top] - gamma[valley]) / max(_highest(distribution), 1e-300)
    if covariance is None:
        return rise / RELATIVE_HEIGHT_WITHOUT_BAND
    variance = covariance[top, top] + covariance[valley, valley] - 2.0 * covariance[top, valley]
    logs = float(np.log(gamma[top] / gamma[valley]))
    return min(rise / RELATIVE_HEIGHT, logs / (SURE * float(np.sqrt(max(variance, 1e-12)))))


def _highest(distribution: Distribution) -> float:
    fast, slow = distribution.window_s
    tau = distribution.tau_s
    return float(distribution.gamma_ohm[(tau >= fast) & (tau <= slow)].max(initial=0.0))


def _peak(distribution: Distribution, top: int, begin: int, end: int, processes: Ranges) -> Peak:
    tau, gamma = distribution.tau_s, distribution.gamma_ohm
    weights = np.full(end + 1 - begin, distribution.step)
    weights[[0, -1]] /= 2.0
    part = weights * gamma[begin : end + 1]
    covariance, std = distribution.log_covariance, None
    if covariance is not None:
        variance = float(part @ covariance[begin : end + 1, begin : end + 1] @ part)
        tails = sum((OVERLAP * float(gamma[valley])) ** 2 for valley in (begin, end))
        std = (max(variance, 0.0) + tails) ** 0.5
    tau_s = _top_s(distribution, top)
    fast, slow = distribution.window_s
    return Peak(
        tau_s=tau_s,
        resistance_ohm=float(part.sum()),
        std_ohm=std,
        height_ohm=float(gamma[top]),
        from_s=float(tau[begin]),
        to_s=float(tau[end]),
        inside=fast <= tau_s <= slow,
        name=next((name for name, (a, b) in processes.items() if a <= tau_s < b), ""),
    )


def _top_s(distribution: Distribution, top: int) -> float:
    """Return τ at the top of the parabola through a maximum of ln γ and its neighbours."""
    tau, gamma = distribution.tau_s, distribution.gamma_ohm
    near = gamma[top - 1 : top + 2]
    if not 0 < top < len(gamma) - 1 or not (near > 0.0).all():
        return float(tau[top])
    before, at, after = np.log(near).tolist()
    bend = before - 2.0 * at + after
    shift = 0.5 * (before - after) / bend if bend < 0.0 else 0.0
    return float(tau[top] * np.exp(shift * distribution.step))
