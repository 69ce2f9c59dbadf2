"""What makes a healthy cell look ill: drawn in its kind and size (survey of short detection, section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from benchmarks.detection.cells import ROOM_K, Floats, LithiumCell, log_uniform
from benchmarks.detection.plans import HOUR_S

GRID_S = 10.0
"""Whatever is slow is computed at this interval, and drawn out by straight lines."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of each there is: 0 none, 1 as in any lab, more in the corpora of one kind."""

    nucleation: float = 1.0
    arcing: float = 1.0
    activation: float = 1.0
    temperature: float = 1.0
    glitches: float = 1.0
    ranges: float = 1.0
    missing: float = 1.0
    others: float = 1.0
    """Pore filling, alloying, jumps after rests and spectra, slow drift."""


ORDINARY = Mix()


def only(**kind: float) -> Mix:
    """Return a mix of one kind alone."""
    names = ("nucleation", "arcing", "activation", "temperature", "glitches", "ranges", "missing", "others")
    return Mix(**{name: kind.get(name, 0.0) for name in names})


@dataclass(frozen=True, slots=True)
class Disturbances:
    """All of one run. Ratios are parts of E or R."""

    spike: float
    """Nucleation: the overpotential at the start of plating, as a part of R."""
    spike_s: float
    spike_power: float
    arc: float
    """Rise of R at the end of stripping."""
    arc_power: float
    pores: float
    """R too much until pores are filled."""
    pores_at: float
    alloy: float
    """E more at the start of the first passages, until the interlayer is alloyed."""
    alloy_to: float
    first_hours: float
    """R of the interface at first, relative to later: what is gone after hours."""
    first_s: float
    activation: float
    """The same of what takes days."""
    activation_s: float
    activation_power: float | None
    """Of a power law; None: exponential."""
    unrest: float
    """Standard deviation of ln of spikes and arcs from one half-cycle to the next."""
    sine_K: float
    sine_s: float
    day_K: float
    doors: tuple[tuple[float, float, float], ...]
    """Time, K and time constant of recovery of each opened door."""
    drift: float
    """Logarithm of R gained over 100 h."""
    jump: float
    """Standard deviation of what a rest or a spectrum does to R."""
    wander: float
    wander_s: float
    noise: float
    noise_V: float
    offset_V: float
    glitches_per_h: float
    ranges_per_h: float
    gaps_per_h: float
    jitter: float
    """Spread of the interval between samples, as a part of it."""
    averages: bool
    """The instrument's samples are means of the interval before."""

    def temperature_K(self, t_s: Floats) -> Floats:
        """Return the temperature around the cell."""
        kelvin = ROOM_K + self.sine_K * np.sin(2 * np.pi * t_s / self.sine_s)
        kelvin += self.day_K * np.sin(2 * np.pi * t_s / (24 * HOUR_S) + 1.0)
        for at_s, size_K, back_s in self.doors:
            since = np.maximum(t_s - at_s, 0.0)
            kelvin += size_K * (np.exp(-since / back_s) - np.exp(-since / (0.2 * back_s))) * 1.87
        return np.asarray(kelvin)

    def cell_factors(self, cell: LithiumCell, t_s: Floats) -> tuple[Floats, Floats]:
        """Return what time and temperature make of the bulk and of the interfaces."""
        bulk, interface = cell.heated(self.temperature_K(t_s))
        if self.activation_power is None:
            active = 1.0 + (self.activation - 1.0) * np.exp(-t_s / self.activation_s)
        else:
            active = 1.0 + (self.activation - 1.0) * (1.0 + t_s / self.activation_s) ** -self.activation_power
        active = active * (1.0 + (self.first_hours - 1.0) * np.exp(-t_s / self.first_s))
        drift = np.exp(self.drift * t_s / (100 * HOUR_S))
        return bulk, interface * active * drift

    def shape(self, phase: Floats, half_cycle: int) -> Floats:
        """Return what the charge passed in the half-cycle makes of the interfaces."""
        shape = 1.0 + self.arc * self.varied(half_cycle, 1.0) * phase**self.arc_power
        if self.pores:
            shape += self.pores / (1.0 + np.exp((phase - self.pores_at) / 0.03))
        if self.alloy and half_cycle < 4:
            shape += self.alloy * 0.5**half_cycle / (1.0 + np.exp((phase - self.alloy_to) / 0.02))
        return shape

    def varied(self, half_cycle: int, what: float) -> float:
        """Return a factor that differs from one half-cycle to the next, always the same for a number."""
        turn = math.sin(12.9898 * (half_cycle + 1) + 78.233 * what) * 43758.5453
        even = min(max(turn - math.floor(turn), 1e-3), 1.0 - 1e-3)
        return math.exp(self.unrest * NormalDist().inv_cdf(even))

    def highest(self) -> float:
        """Return about how much larger than the settled E at 25 °C the healthy E may get."""
        cold = 1.0 + 0.08 * (self.sine_K + self.day_K + 6.0 * bool(self.doors))
        charge = 1.0 + self.arc + self.pores + self.alloy
        return (
            (self.activation * self.first_hours * charge + self.spike)
            * (1.0 + self.unrest)
            * cold
            * math.exp(max(self.drift, 0.0))
        )


def draw_disturbances(rng: np.random.Generator, mix: Mix, hours: float) -> Disturbances:
    """Draw the disturbances of one run of about so many hours."""
    nucleates, arcs = _share(rng, 0.6, mix.nucleation), _share(rng, 0.5, mix.arcing)
    activates = _share(rng, 0.6, mix.activation)
    warms, other = _share(rng, 0.7, mix.temperature), mix.others
    strong = 1.0 if mix.temperature <= 1.0 else 1.5
    return Disturbances(
        spike=nucleates * min(float(rng.uniform(0.1, 1.5) * math.exp(0.4 * rng.standard_normal())), 4.0),
        spike_s=log_uniform(rng, 2.0, 60.0),
        spike_power=float(rng.uniform(1.0, 3.0)),
        arc=arcs * float(rng.uniform(0.1, 1.5)),
        arc_power=log_uniform(rng, 3.0, 40.0),
        pores=_share(rng, 0.15, other) * float(rng.uniform(0.1, 0.8)),
        pores_at=float(rng.uniform(0.02, 0.4)),
        alloy=_share(rng, 0.1, other) * float(rng.uniform(0.2, 2.0)),
        alloy_to=float(rng.uniform(0.05, 0.5)),
        first_hours=1.0 + activates * float(rng.choice([0.0, rng.uniform(0.05, 0.7)])),
        first_s=log_uniform(rng, 0.3, 3.0) * HOUR_S,
        activation=1.0 + activates * float(rng.uniform(0.0, 2.0)),
        activation_s=log_uniform(rng, 8.0, 60.0) * HOUR_S,
        activation_power=float(rng.uniform(0.4, 1.5)) if rng.random() < 0.4 else None,
        unrest=float(rng.uniform(0.0, 0.2)),
        sine_K=warms * strong * float(rng.uniform(0.1, 2.0)),
        sine_s=log_uniform(rng, 600.0, 4 * HOUR_S),
        day_K=warms * strong * float(rng.uniform(0.0, 1.0)),
        doors=_draw_doors(rng, warms * (6.0 if strong > 1.0 else 1.0), hours),
        drift=float(bool(other)) * float(rng.uniform(-0.3, 0.6)),
        jump=_share(rng, 0.5, other) * float(rng.uniform(0.005, 0.04)),
        wander=log_uniform(rng, 2e-4, 1e-2),
        wander_s=log_uniform(rng, 20.0, 2000.0),
        noise=log_uniform(rng, 2e-4, 8e-3),
        noise_V=log_uniform(rng, 5e-6, 3e-4),
        offset_V=float(rng.normal(0.0, 5e-5)),
        glitches_per_h=mix.glitches * log_uniform(rng, 0.005, 0.05),
        ranges_per_h=mix.ranges * float(rng.choice([0.0, 0.0, 0.1] if mix.ranges <= 1.0 else [0.05, 0.2])),
        gaps_per_h=mix.missing * float(rng.choice([0.0, 0.02, 0.2] if mix.missing <= 1.0 else [0.05, 0.5])),
        jitter=float(rng.choice([0.0, 0.002, 0.05])) if mix.missing else 0.0,
        averages=bool(rng.random() < 0.3),
    )


def _share(rng: np.random.Generator, usual: float, amount: float) -> float:
    """Return 1 in the usual share of runs, in all where the kind is what the corpus is about, else 0."""
    drawn = rng.random()
    return float(amount > 1.0 or (amount > 0.0 and drawn < usual))


def _draw_doors(
    rng: np.random.Generator, per_ten_hours: float, hours: float
) -> tuple[tuple[float, float, float], ...]:
    count = int(rng.poisson(0.1 * per_ten_hours * hours))
    return tuple(
        (
            float(rng.uniform(0.0, hours * HOUR_S)),
            float(rng.uniform(-6.0, 3.0)),
            log_uniform(rng, 120.0, 1800.0),
        )
        for _ in range(count)
    )
