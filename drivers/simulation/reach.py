"""Which current brings a cell's E to a voltage: E after a short time as a function of the ions' current."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from drivers.simulation.circuit import Part
from drivers.simulation.decomposition import Decomposition
from drivers.simulation.electrode import ElectrodeState, PositiveElectrode
from drivers.simulation.overpotential import (
    charge_transfer,
    charge_transfer_slope,
    concentration,
    concentration_slope,
)

_ITERATIONS = 200
_TOLERANCE = 1e-13

Line = tuple[float, float]
"""Value without current, and its slope."""


@dataclass(frozen=True, slots=True)
class Electrode:
    """A positive electrode on its way: x at its surface for either sign of the current."""

    positive: PositiveElectrode
    charging: Line
    discharging: Line

    @classmethod
    def after(cls, positive: PositiveElectrode, state: ElectrodeState, seconds: float) -> Electrode:
        """Return it as it will be after a constant current for a time."""
        return cls(positive, positive.line(state, seconds, 1), positive.line(state, seconds, -1))

    def voltage(self, current_A: float) -> Line:
        """Return U and dU/dI."""
        base, per_A = self.charging if current_A >= 0 else self.discharging
        surface = base + per_A * current_A
        open_V, slope_V = self.positive.curve.at(surface)
        return open_V, slope_V * per_A


@dataclass(frozen=True, slots=True)
class Leak:
    """What flows beside the ions: through an electronic path, and into the electrolyte's decomposition."""

    path_S: float
    decomposition: Decomposition | None
    area_m2: float

    def current(self, voltage_V: float) -> Line:
        """Return I and dI/dE."""
        current_A, slope_S = self.path_S * voltage_V, self.path_S
        if self.decomposition is not None:
            lost_A, lost_S = self.decomposition.current(voltage_V, self.area_m2)
            return current_A + lost_A, slope_S + lost_S
        return current_A, slope_S


@dataclass(frozen=True, slots=True)
class Reach:
    """E(I) = factor·(R·I + overpotentials of each part) + U; it rises with I everywhere."""

    ohmic_ohm: float
    part_ohm: list[float]
    part_V: list[float]
    factor: float
    temperature_K: float
    limiting_V: float | None
    electrode: Electrode | None

    def voltage(self, current_A: float) -> Line:
        """Return E and dE/dI."""
        linear_V = [ohm * current_A + rest for ohm, rest in zip(self.part_ohm, self.part_V, strict=True)]
        slopes = [1.0] * len(Part)
        transfer_V, diffusion_V = linear_V[Part.TRANSFER], linear_V[Part.DIFFUSION]
        if transfer_V:
            linear_V[Part.TRANSFER] = float(charge_transfer(transfer_V, self.temperature_K))
            slopes[Part.TRANSFER] = float(charge_transfer_slope(transfer_V, self.temperature_K))
        if diffusion_V and self.limiting_V is not None:
            linear_V[Part.DIFFUSION] = float(concentration(diffusion_V, self.limiting_V))
            slopes[Part.DIFFUSION] = float(concentration_slope(diffusion_V, self.limiting_V))
        volt = self.factor * (self.ohmic_ohm * current_A + sum(linear_V))
        rise = sum(slope * ohm for slope, ohm in zip(slopes, self.part_ohm, strict=True))
        slope = self.factor * (self.ohmic_ohm + rise)
        if self.electrode is None:
            return volt, slope
        open_V, open_slope = self.electrode.voltage(current_A)
        return volt + open_V, slope + open_slope

    def current_at(self, voltage_V: float, guess_A: float) -> float:
        """Return the ions' current with which E is reached."""

        def excess(current_A: float) -> Line:
            volt, slope = self.voltage(current_A)
            return volt - voltage_V, slope

        return increasing_root(excess, guess_A)

    def share_of(self, current_A: float, leak: Leak) -> float:
        """Return the ions' share of a current beside what leaks."""

        def excess(ions_A: float) -> Line:
            volt, slope = self.voltage(ions_A)
            leak_A, leak_S = leak.current(volt)
            return ions_A + leak_A - current_A, 1 + leak_S * slope

        return increasing_root(excess, current_A / (1 + leak.path_S * self.voltage(0.0)[1]))


def increasing_root(function: Callable[[float], Line], guess: float) -> float:
    """Return where an increasing function is 0; it gives its value and slope.

    Newton's method; where it would leave what is known to hold the root, or gets no nearer fast enough (the
    foot of an exponential), it bisects, or strides on as long as one side is not known.
    """
    low, high = -math.inf, math.inf
    at, stride, before = guess, 0.0, math.inf
    for _ in range(_ITERATIONS):
        value, slope = function(at)
        low, high = (low, at) if value > 0 else (at, high)
        step = -value / slope
        if abs(value) > before / 2:
            step = _detour(at, math.copysign(stride, step), low, high)
        following = at + step
        if not low <= following <= high:
            following = (low + high) / 2
        if abs(following - at) <= _TOLERANCE * abs(at):
            return following
        at, stride, before = following, following - at, abs(value)
    return at


def _detour(at: float, stride: float, low: float, high: float) -> float:
    """Return what to take instead of a step of Newton's that gets no nearer fast enough."""
    if math.isfinite(low) and math.isfinite(high):
        return (low + high) / 2 - at
    return 2 * stride
