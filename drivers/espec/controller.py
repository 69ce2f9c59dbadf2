"""A chamber with an ESPEC P300 controller, in constant mode."""

from __future__ import annotations

from drivers.chamber import ZERO_CELSIUS_K, ChamberReading
from drivers.espec.line import Line, shown
from drivers.espec.settings import Settings
from protocols.errors import InstrumentError, NotAllowedError

MODES = ("OFF", "STANDBY", "CONSTANT", "RUN")
"""Answers to ``MODE?``; RUN: a program that a person started on the controller."""
IMPOSSIBLE_K = 1000.0
"""No chamber is as hot."""


class EspecChamber:
    """One controller. ``TEMP?`` answers measured, set-point, high and low limit in °C."""

    at_host_loss = "keeps its set-point"

    def __init__(self, name: str, settings: Settings, line: Line, *, simulated: bool) -> None:
        self.name = name
        self.simulated = simulated
        self.temperature_min_K = settings.lowest_celsius + ZERO_CELSIUS_K
        self.temperature_max_K = settings.highest_celsius + ZERO_CELSIUS_K
        self._safe_K = None if settings.safe_celsius is None else settings.safe_celsius + ZERO_CELSIUS_K
        self._line = line

    async def connect(self) -> None:
        """Make contact anew, and see that a P300 answers."""
        await self.close()
        await self.read()

    async def close(self) -> None:
        """Let go of the connection. Switches nothing off: the chamber keeps its set-point."""
        await self._line.close()

    async def read(self) -> ChamberReading:
        """Return what the chamber shows. Raises UnreachableError, InstrumentError."""
        temperature_K, setpoint_K = await self._temperatures()
        mode = await self._ask("MODE?")
        if mode not in MODES:
            raise await self._nonsense("MODE?", mode)
        return ChamberReading(temperature_K, setpoint_K, running=mode == "CONSTANT")

    async def set_temperature(self, kelvin: float) -> None:
        """Set the set-point first, so that the chamber never runs towards an older one; then switch it on.

        Raises NotAllowedError outside the limits of service.toml, InstrumentError if the chamber refuses or
        shows something else afterwards, UnreachableError without contact.
        """
        if not self.temperature_min_K <= kelvin <= self.temperature_max_K:
            raise NotAllowedError(f"{self.name}: {kelvin:.2f} K is outside its limits in service.toml")
        celsius = round(kelvin - ZERO_CELSIUS_K, 1) + 0.0  # never -0.0
        for command in (f"TEMP, S{celsius:.1f}", "POWER,ON", "MODE,CONSTANT"):
            reply = await self._ask(command)
            if not reply.startswith("OK"):
                raise await self._nonsense(command, reply)
        found = await self.read()
        if not found.holds(kelvin):
            shows = f"{found.setpoint_K - ZERO_CELSIUS_K:.1f} °C, {'on' if found.running else 'not running'}"
            raise InstrumentError(
                f"{self.name} took the set-point {celsius:.1f} °C, but shows {shows}; look at its panel"
            )

    async def make_safe(self) -> None:
        """Go to ``safe_celsius``, or switch off where there is none; returns once read back."""
        if self._safe_K is not None:
            await self.set_temperature(self._safe_K)
            return
        reply = await self._ask("POWER,OFF")
        if not reply.startswith("OK"):
            raise await self._nonsense("POWER,OFF", reply)
        mode = await self._ask("MODE?")
        if mode != "OFF":
            raise InstrumentError(f"{self.name} was switched off, but shows {mode!r}; look at its panel")

    async def _temperatures(self) -> tuple[float, float]:
        reply = await self._ask("TEMP?")
        fields = reply.split(",")
        try:
            measured, setpoint = (float(field) + ZERO_CELSIUS_K for field in fields[:2])
        except ValueError:
            raise await self._nonsense("TEMP?", reply) from None
        if len(fields) != 4 or not all(0.0 < kelvin < IMPOSSIBLE_K for kelvin in (measured, setpoint)):
            raise await self._nonsense("TEMP?", reply)
        return measured, setpoint

    async def _ask(self, command: str) -> str:
        return (await self._line.ask(command)).strip()

    async def _nonsense(self, command: str, reply: str) -> InstrumentError:
        """Return the error for a reply that fits no such command, and close: later replies may be shifted."""
        await self._line.close()
        return InstrumentError(f"{self.name} answers {command!r} with {shown(reply)}, which does not fit")
