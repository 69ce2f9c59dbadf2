"""The interface of every temperature chamber. The engine knows this and nothing else of a chamber's driver.

A chamber is not switched off by itself: not at the end of a run, not when the daemon ends or dies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

ZERO_CELSIUS_K = 273.15

SETPOINT_TOLERANCE_K = 0.06
"""Set-points that differ by no more are the same: chambers round them to 0.1 °C."""


@dataclass(frozen=True, slots=True)
class ChamberReading:
    """What a chamber shows right now."""

    temperature_K: float
    """Measured, of its air; a cell in it follows later."""
    setpoint_K: float
    running: bool
    """Whether it holds this set-point by itself: switched on, and no program of its own is under way."""

    def holds(self, target_K: float) -> bool:
        """Whether the chamber works towards this temperature, there or not."""
        return self.running and abs(self.setpoint_K - target_K) <= SETPOINT_TOLERANCE_K


def celsius(kelvin: float) -> str:
    """Return a temperature for people."""
    return f"{kelvin - ZERO_CELSIUS_K:.1f} °C"


class Chamber(Protocol):
    """One temperature chamber. Safe for one task at a time."""

    name: str
    simulated: bool
    temperature_min_K: float
    """Lowest set-point that service.toml allows."""
    temperature_max_K: float
    at_host_loss: str
    """What the chamber does when the host dies, in words."""

    async def connect(self) -> None:
        """Make contact. Changes nothing. Raises UnreachableError, InstrumentError."""

    async def close(self) -> None:
        """Let go of the connection. Switches nothing off: the chamber keeps its set-point."""

    async def read(self) -> ChamberReading:
        """Return what the chamber shows. Raises UnreachableError, InstrumentError."""

    async def set_temperature(self, kelvin: float) -> None:
        """Hold ``kelvin`` from now on, switched on if need be; returns once it is read back.

        Raises NotAllowedError outside the limits of service.toml, InstrumentError if the chamber refuses or
        shows something else afterwards, UnreachableError without contact.
        """

    async def make_safe(self) -> None:
        """Go to service.toml's safe set-point, or switch off where there is none; returns once read back.

        Only a person asks for it. Raises InstrumentError, UnreachableError.
        """
