"""The two leads between a channel and its cell: clipped on as they should be, off, or the wrong way round.

It has the interface of a :class:`~drivers.simulation.cells.Cell` and shows the channel what stands at the end
of its leads. A clip holds both the current lead and the sense lead, so a channel whose clip is off measures
its own output.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

COMPLIANCE_V = 12.0
"""Where the output goes if a current is asked for and none flows; VSP-300: ±12 V (facts: biologic)."""
FLOATING_V = 0.2
"""Standard deviation of E of an open input at open circuit: it picks up what is around."""
OPEN_INPUT_OHM, OPEN_INPUT_F = 1e9, 1e-10
"""What a spectrum finds without a cell: the input's leakage and the cable's capacitance."""
_PICKED_UP_HZ = np.array([0.0031, 0.0173, 0.091, 0.37, 50.013])


class DrivenCell(Protocol):
    """What a channel needs of a cell."""

    @property
    def current_A(self) -> float:
        """Present current."""

    def drive(self, current_A: float) -> None:
        """Set the current (0: open circuit)."""

    def control(self, voltage_V: float, seconds: float, limit_A: float) -> float:
        """Set the one current that brings E to ``voltage_V`` in this time, and return that E."""

    def voltages(self, after_s: FloatArray) -> FloatArray:
        """E in V at the ascending times ``after_s`` from now, if the present current goes on."""

    def let_pass(self, seconds: float) -> None:
        """Let the present current go on for a time."""

    def spectrum(self, frequency_Hz: FloatArray, dc_current_A: float = 0.0) -> NDArray[np.complex128]:
        """Z in Ω in the present state."""


class Wiring:
    """The leads of one channel. ``seed`` decides what an open input picks up."""

    def __init__(self, cell: DrivenCell, seed: int) -> None:
        self._cell = cell
        self._off = 0
        self._swapped = 0
        self._asked_A = 0.0
        self._time_s = 0.0
        self._phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(_PICKED_UP_HZ))

    def unclip(self, off: bool) -> None:
        """Take a lead off, or clip it on again. A voltage is held again from its next interval on."""
        self._off += 1 if off else -1
        self.drive(self._asked_A)

    def swap(self, swapped: bool) -> None:
        """Exchange the leads, or put them right again."""
        self._swapped += 1 if swapped else -1
        self.drive(self._asked_A)

    @property
    def current_A(self) -> float:
        """What flows through the channel."""
        return self._sign * self._cell.current_A

    def drive(self, current_A: float) -> None:
        """Ask for a current (0: open circuit)."""
        self._asked_A = current_A
        self._cell.drive(0.0 if self._off else self._sign * current_A)

    def control(self, voltage_V: float, seconds: float, limit_A: float) -> float:
        """Ask for the current that brings E to ``voltage_V`` in this time, and return that E."""
        self._asked_A = 0.0
        if self._off:
            self._cell.drive(0.0)
            return voltage_V
        reached_V = self._sign * self._cell.control(self._sign * voltage_V, seconds, limit_A)
        self._asked_A = self.current_A
        return reached_V

    def voltages(self, after_s: FloatArray) -> FloatArray:
        """E in V at the ascending times ``after_s`` from now, if all stays as it is."""
        if not self._off:
            volts = self._cell.voltages(after_s)
            return -volts if self._swapped else volts
        if self._asked_A:
            return np.full(len(after_s), np.copysign(COMPLIANCE_V, self._asked_A))
        angles = 2 * np.pi * np.outer(self._time_s + after_s, _PICKED_UP_HZ) + self._phase
        return np.asarray(FLOATING_V * np.sqrt(2 / len(_PICKED_UP_HZ)) * np.sin(angles).sum(axis=1))

    def let_pass(self, seconds: float) -> None:
        """Let time pass for the cell."""
        self._time_s += seconds
        self._cell.let_pass(seconds)

    def spectrum(self, frequency_Hz: FloatArray, dc_current_A: float = 0.0) -> NDArray[np.complex128]:
        """Z in Ω of what is at the leads; ``dc_current_A`` is asked for underneath."""
        if self._off:
            leak = 1 / OPEN_INPUT_OHM + 2j * np.pi * frequency_Hz * OPEN_INPUT_F
            return np.asarray(1 / leak)
        return self._cell.spectrum(frequency_Hz, self._sign * dc_current_A)

    @property
    def _sign(self) -> float:
        return -1.0 if self._swapped else 1.0
