"""Elements of circuits whose distribution of relaxation times is known without a computation.

Sources: ZARC from Fuoss and Kirkwood, J. Am. Chem. Soc. 63 (1941) 385; the Warburg elements are the partial
fractions of tanh(x)/x and coth(x)/x; Gerischer from Boukamp, Electrochim. Acta 154 (2015) 35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Span = tuple[float, float]

HARMONICS = 400
"""Lines of a Warburg element that count; the rest is below 0.1 % of its resistance."""


class Element(Protocol):
    """Something in series with the rest of a circuit."""

    @property
    def peak(self) -> Span:
        """Time in s and resistance in Ω of the peak that must be found."""
        ...

    @property
    def optional(self) -> tuple[Span, ...]:
        """Ranges of τ in s where further maxima are part of the element, found or not."""
        ...

    @property
    def smooth(self) -> bool:
        """Whether γ is a function that a grid can hold."""
        ...

    @property
    def blocks(self) -> bool:
        """Whether it lets no direct current through: it then holds a capacitance in series."""
        ...

    def impedance(self, omega: Floats) -> Complexes:
        """Return Z in Ω at ω in 1/s."""
        ...

    def gamma(self, tau_s: Floats) -> Floats:
        """Return γ(ln τ) in Ω; zeros where it is not smooth."""
        ...

    def resistance_between(self, from_s: float, to_s: float) -> float:
        """Return the area of γ between two times, in Ω."""
        ...


@dataclass(frozen=True, slots=True)
class _OnePeak:
    """An element whose resistance makes one peak of γ, at or up to its τ."""

    resistance_ohm: float
    tau_s: float

    @property
    def peak(self) -> Span:
        """Its τ, with all of R."""
        return self.tau_s, self.resistance_ohm

    @property
    def optional(self) -> tuple[Span, ...]:
        """None: it is one peak."""
        return ()

    @property
    def blocks(self) -> bool:
        """It does not."""
        return False


@dataclass(frozen=True, slots=True)
class Zarc(_OnePeak):
    """R/(1 + (jωτ)^φ): a depressed arc; with φ = 1 an RC element, one line."""

    phi: float

    @property
    def smooth(self) -> bool:
        """All but RC."""
        return self.phi < 1.0

    def impedance(self, omega: Floats) -> Complexes:
        """See the class."""
        return np.asarray(self.resistance_ohm / (1.0 + (1j * omega * self.tau_s) ** self.phi))

    def gamma(self, tau_s: Floats) -> Floats:
        """Fuoss and Kirkwood's density."""
        if not self.smooth:
            return np.zeros_like(tau_s)
        angle = (1.0 - self.phi) * np.pi
        away = self.phi * np.log(tau_s / self.tau_s)
        density = np.sin(angle) / (np.cosh(away) - np.cos(angle)) / (2.0 * np.pi)
        return np.asarray(self.resistance_ohm * density)

    def resistance_between(self, from_s: float, to_s: float) -> float:
        """The density's integral, in closed form."""
        if not self.smooth:
            return self.resistance_ohm if from_s <= self.tau_s <= to_s else 0.0
        slope = 1.0 / np.tan((1.0 - self.phi) * np.pi / 2.0)
        ends = np.tanh(self.phi * np.log(np.array([from_s, to_s]) / self.tau_s) / 2.0)
        shares = np.arctan(slope * ends) / (self.phi * np.pi)
        return float(self.resistance_ohm * (shares[1] - shares[0]))


@dataclass(frozen=True, slots=True)
class Warburg:
    """Diffusion over a finite length: transmissive, R·tanh(x)/x, or blocking, R·coth(x)/x; x² = jωT.

    A series of lines. The blocking one holds the capacitance T/R as well.
    """

    resistance_ohm: float
    time_s: float
    blocks: bool

    def _lines(self) -> tuple[Floats, Floats]:
        order = np.arange(1, HARMONICS + 1) - (0.0 if self.blocks else 0.5)
        rates = np.square(order * np.pi)
        return np.asarray(self.time_s / rates), np.asarray(2.0 * self.resistance_ohm / rates)

    @property
    def peak(self) -> Span:
        """The slowest line."""
        tau, resistance = self._lines()
        return float(tau[0]), float(resistance[0])

    @property
    def optional(self) -> tuple[Span, ...]:
        """From 0.3 decade above the second line down to two decades below the first."""
        tau, _ = self._lines()
        return ((float(tau[0]) / 100.0, float(tau[1]) * 2.0),)

    @property
    def smooth(self) -> bool:
        """Never."""
        return False

    def impedance(self, omega: Floats) -> Complexes:
        """See the class."""
        x = np.sqrt(1j * omega * self.time_s)
        bend = 1.0 / np.tanh(x) if self.blocks else np.tanh(x)
        return np.asarray(self.resistance_ohm * bend / x)

    def gamma(self, tau_s: Floats) -> Floats:
        """Lines have no density."""
        return np.zeros_like(tau_s)

    def resistance_between(self, from_s: float, to_s: float) -> float:
        """The sum of the lines between."""
        tau, resistance = self._lines()
        return float(resistance[(tau >= from_s) & (tau <= to_s)].sum())


@dataclass(frozen=True, slots=True)
class Gerischer(_OnePeak):
    """R/√(1 + jωτ): diffusion with a reaction on the way. γ rises to a pole at τ and is zero above it."""

    @property
    def smooth(self) -> bool:
        """No: its square has no integral."""
        return False

    def impedance(self, omega: Floats) -> Complexes:
        """See the class."""
        return np.asarray(self.resistance_ohm / np.sqrt(1.0 + 1j * omega * self.tau_s))

    def gamma(self, tau_s: Floats) -> Floats:
        """The pole has no value on a grid."""
        return np.zeros_like(tau_s)

    def resistance_between(self, from_s: float, to_s: float) -> float:
        """The integral of R/π·√(t/(τ − t)) d ln t, an arcsine."""
        ends = np.clip(np.array([from_s, to_s]) / self.tau_s, 0.0, 1.0)
        shares = 2.0 / np.pi * np.arcsin(np.sqrt(ends))
        return float(self.resistance_ohm * (shares[1] - shares[0]))
