"""Micro shorts: E dips for a moment, recovers, and does so again and again. A warning.

A filament touches and burns off. Dips of 20 to 30 mV that last a few samples and come back come before a
short (transient soft shorts, arXiv 2505.14283). Single samples are outliers, and what rises as often as it
falls is noise. In a full cell it is the charge that tells: there nothing healthy makes E fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from guards.guard import TICK_S, Calm, SavedGuard, StepFacts, next_tick
from protocols.cell import Cell
from protocols.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a dip is, and how many are worth a word. Of Li|Li cells; see :func:`defaults`."""

    depth_V: float = 0.002
    """Least depth: some times the noise and offset of an instrument (5 to 300 µV, survey section 6)."""
    depth_fraction: float = 0.15
    """And this part of E. Not from the survey: above noise, wander and steps of a change of range (8 %)."""
    noise_factor: float = 8.0
    """And this × the mean deviation of E from its level: a Gaussian is there once in 1e10 samples."""
    shortest_s: float = 0.1
    """From the first low sample to the last; with ``least_samples``, so that outliers are none."""
    least_samples: float = 2.0
    longest_s: float = 30.0
    """What lasts longer is a soft short or a new level, and no dip."""
    recovered_fraction: float = 0.5
    """It is over when E is back by this part of the least depth."""
    dips: float = 3.0
    """So many are worth a warning, once in a half-cycle (each single dip: 2.6 warnings in 1000 h, survey)."""
    window_s: float = 3600.0
    """They have to come within this time,"""
    rises_fraction: float = 0.5
    """with at most this part of them as rises of that height: arcs and a loose clip go up as often."""
    level_s: float = 30.0
    """Time constant of the level."""
    current_tolerance: float = 0.1
    """Samples with a current further from the set-point than this part of it tell nothing of E."""
    blank_s: float = 30.0
    """Not judged after each change of current: a nucleation spike falls fastest there."""


def defaults(cell: Cell) -> Thresholds:
    """Return the thresholds for a kind of cell: E of a full cell is no overpotential, so a part of it means
    nothing. There nothing healthy lowers it on charge, so shallow and slow dips count, too."""
    if cell.shows_overpotential:
        return Thresholds()
    return Thresholds(depth_V=0.01, depth_fraction=0.0, longest_s=120.0)


@dataclass(slots=True)
class _Excursion:
    """E away from its level, up or down."""

    since_s: float
    last_s: float
    down: bool
    samples: int = 1
    furthest_V: float = 0.0


@dataclass(slots=True)
class _State:
    judging: bool = False
    direction: int = 0
    set_current_A: float = 0.0
    judged_from_s: float = 0.0
    tick_s: float = 0.0
    level_V: float | None = None
    noise_V: float = 0.0
    away: _Excursion | None = None
    dips_s: list[float] = field(default_factory=list)
    """When the newest dips began."""
    deepest_V: float = 0.0
    count: int = 0
    """Dips in this half-cycle."""
    rises_s: list[float] = field(default_factory=list)
    told: bool = False


class MicroShort(SavedGuard[_State]):
    """Guard that counts dips of E, tier 3."""

    name = "micro_short"

    def __init__(self, cell: Cell, thresholds: Thresholds | None = None) -> None:
        super().__init__(_State())
        self._th = thresholds or defaults(cell)
        self._both_ways = cell.shows_overpotential
        """Whether a dip tells in both directions of the current."""
        self.calm = Calm(until_s=math.inf)

    def enter(self, step: StepFacts) -> None:
        """Look out anew; count anew in a new half-cycle."""
        s, current = self._s, step.set_current_A
        s.judging = step.kind == "constant_current" and (current > 0.0 or (self._both_ways and current < 0.0))
        s.set_current_A, s.away, s.level_V, s.noise_V = current, None, None, 0.0
        s.judged_from_s = s.tick_s = step.t_s + self._th.blank_s
        direction = (current > 0.0) - (current < 0.0)
        if direction and direction != s.direction:
            s.direction, s.dips_s, s.rises_s = direction, [], []
            s.deepest_V, s.count, s.told = 0.0, 0, False
        self._look_up_calm()

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one sample."""
        s = self._s
        if self.calm.holds(t_s, voltage_V, current_A):
            return None
        off_A = abs(current_A - s.set_current_A)
        if off_A > self._th.current_tolerance * abs(s.set_current_A):
            return None
        verdict = self._judge(t_s, voltage_V * s.direction)
        self._look_up_calm()
        return verdict

    def _judge(self, t_s: float, size_V: float) -> Verdict | None:
        """Judge E in the direction of the current."""
        s = self._s
        if s.level_V is None:
            s.level_V = size_V
        off_V = size_V - s.level_V
        depth_V = self._depth_V()
        if s.away is not None:
            return self._follow(t_s, size_V, off_V, depth_V)
        if abs(off_V) >= depth_V:
            s.away = _Excursion(t_s, t_s, off_V < 0.0, furthest_V=abs(off_V))
        elif t_s >= s.tick_s:
            self._learn(t_s, size_V, off_V)
        return None

    def _depth_V(self) -> float:
        s, th = self._s, self._th
        level_V = s.level_V or 0.0
        return max(th.depth_V, th.depth_fraction * abs(level_V), th.noise_factor * s.noise_V)

    def _learn(self, t_s: float, size_V: float, off_V: float) -> None:
        s, th = self._s, self._th
        part = min((t_s - s.tick_s + TICK_S) / th.level_s, 1.0)
        s.tick_s = next_tick(t_s)
        s.level_V = (s.level_V or 0.0) + part * off_V
        s.noise_V += min(part, 0.2) * (abs(off_V) - s.noise_V)

    def _follow(self, t_s: float, size_V: float, off_V: float, depth_V: float) -> Verdict | None:
        """Follow an excursion until it is over or too long to be one."""
        s, th = self._s, self._th
        away = s.away
        if away is None:
            return None
        if t_s - away.since_s > th.longest_s:
            s.away, s.level_V = None, size_V
            return None
        if (off_V < 0.0) == away.down and abs(off_V) >= (1.0 - th.recovered_fraction) * depth_V:
            away.last_s = t_s
            away.samples += 1
            away.furthest_V = max(away.furthest_V, abs(off_V))
            return None
        s.away = None
        return self._count(t_s, away)

    def _count(self, t_s: float, away: _Excursion) -> Verdict | None:
        """Count an excursion that is over, unless it was an outlier; return a verdict if that is enough."""
        s, th = self._s, self._th
        outlier = away.samples < th.least_samples or away.last_s - away.since_s < 0.999 * th.shortest_s
        if not away.down:
            s.rises_s = _recent([*s.rises_s, away.since_s], t_s - th.window_s, int(th.dips))
            return None
        if outlier:
            return None
        s.count += 1
        s.deepest_V = max(s.deepest_V, away.furthest_V)
        s.dips_s = _recent([*s.dips_s, away.since_s], t_s - th.window_s, int(th.dips))
        s.rises_s = _recent(s.rises_s, t_s - th.window_s, int(th.dips))
        enough = len(s.dips_s) >= th.dips and len(s.rises_s) <= th.rises_fraction * len(s.dips_s)
        if s.told or not enough:
            return None
        s.told = True
        return self._verdict(t_s)

    def _look_up_calm(self) -> None:
        """Samples near the level need not be told, but for those that are learnt from."""
        s = self._s
        if not s.judging:
            self.calm = Calm(until_s=math.inf)
        elif s.level_V is None:
            self.calm = Calm(until_s=s.judged_from_s)
        elif s.away is not None:
            self.calm = Calm()
        else:
            depth_V = self._depth_V()
            low_V, high_V = s.level_V - depth_V, s.level_V + depth_V
            if s.direction < 0:
                low_V, high_V = -high_V, -low_V
            self.calm = Calm(until_s=s.tick_s, low_V=low_V, high_V=high_V)

    def _verdict(self, t_s: float) -> Verdict:
        s, th = self._s, self._th
        first_s = s.dips_s[0]
        per_hour = len(s.dips_s) / max(t_s - first_s, 1.0) * 3600.0
        message = (
            f"Micro shorts: E dipped {s.count} times in this half-cycle and recovered each time, by up to "
            f"{s.deepest_V * 1e3:.3g} mV; the last {len(s.dips_s)} in {(t_s - first_s) / 60:.3g} min. "
            "A short may follow."
        )
        evidence: dict[str, float | str] = {
            "criterion": "dips that recover ≥ dips within window_s",
            "threshold": th.dips,
            "value": float(len(s.dips_s)),
            "baseline": s.level_V or 0.0,
            "depth_V": self._depth_V(),
            "deepest_V": s.deepest_V,
            "dips_in_half_cycle": float(s.count),
            "rises": float(len(s.rises_s)),
            "dips_per_hour": per_hour,
            "current_A": s.set_current_A,
        }
        return Verdict(
            kind="micro_short", tier=3, time_s=t_s, event_s=first_s, message=message, evidence=evidence
        )


def _recent(times_s: list[float], from_s: float, most: int) -> list[float]:
    """Return the newest of these times, not older than ``from_s`` and at most ``most``."""
    return [t for t in times_s if t >= from_s][-most:]
