"""What the instrument does to samples: outliers, bursts, changes of range, gaps."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.detection.cells import Floats
from benchmarks.detection.disturbances import Disturbances
from benchmarks.detection.plans import HOUR_S

BURST_SHARE = 0.2
BURST_S = 0.7
SWITCH_S = 0.4
"""Longest change of range."""
UNMEASURED = (float("nan"), 9.91e37)


RANGE_V = 10.0


def spoil(
    rng: np.random.Generator, dist: Disturbances, dt_s: float, voltage: Floats, current: Floats
) -> None:
    """Put glitches, bursts and changes of range into samples, in place."""
    hours = len(voltage) * dt_s / HOUR_S
    for _ in range(int(rng.poisson(dist.glitches_per_h * hours))):
        at = int(rng.integers(len(voltage)))
        if rng.random() < BURST_SHARE:
            lasts_s = float(rng.uniform(0.1, BURST_S))
            count = max(int(lasts_s / dt_s), int(rng.random() < lasts_s / dt_s))
        else:
            count = 1
        voltage[at : at + count] = _outliers(rng, voltage[at : at + count])
        in_range = np.clip(voltage[at : at + count], -RANGE_V, RANGE_V)
        voltage[at : at + count] = np.where(
            voltage[at : at + count] > 1e9, voltage[at : at + count], in_range
        )
    for _ in range(int(rng.poisson(dist.ranges_per_h * hours))):
        at, count = int(rng.integers(len(voltage))), max(int(rng.uniform(0.05, SWITCH_S) / dt_s), 1)
        wrong = float(rng.uniform(0.2, 1.6))
        voltage[at : at + count] *= wrong if rng.random() < 0.6 else 1.0
        current[at : at + count] *= 1.0 if rng.random() < 0.6 else wrong
        voltage[at:] *= 1.0 + float(rng.normal(0.0, 1e-3))


def gaps(rng: np.random.Generator, dist: Disturbances, t_s: Floats) -> Floats | None:
    """Return which samples arrive (a mask), None if all do."""
    if not len(t_s):
        return None
    count = int(rng.poisson(dist.gaps_per_h * (t_s[-1] - t_s[0]) / HOUR_S))
    if not count:
        return None
    arrive = np.ones(len(t_s), dtype=bool)
    for _ in range(count):
        at = int(rng.integers(len(t_s)))
        lasts_s = min(math.exp(rng.normal(math.log(8.0), 1.2)), 300.0)
        arrive[at : int(np.searchsorted(t_s, t_s[at] + lasts_s))] = False
    return arrive


def _outliers(rng: np.random.Generator, true: Floats) -> Floats:
    """Return wrong values with heavy tails: any factor, nothing, the wrong sign, or no number."""
    kind = rng.random()
    if kind < 0.6:
        return np.asarray(true * (1.0 + rng.standard_t(1.5, len(true))))
    if kind < 0.8:
        return np.asarray(rng.normal(0.0, 1e-4, len(true)))
    if kind < 0.95:
        return -true
    return np.full(len(true), UNMEASURED[int(rng.integers(2))])
