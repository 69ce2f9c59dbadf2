"""A simulated temperature chamber with a P300 controller: its lines of text, and the air in it.

It keeps what it was told, whoever is connected. Where cells sit in it, its clock is that of their instrument,
which waits for its host; else it never waits, as it has no data to fetch.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from typing import cast

from drivers.chamber import ZERO_CELSIUS_K
from drivers.simulation.config import ChamberConfig
from drivers.simulation.faults import Fault, Faults

END = b"\r\n"
LINE_MAX = 256
RIPPLE_PERIOD_S = 240.0
DOOR_K_PER_S = 10.0
"""Rate at which air goes at most through an open door: only the settling time slows it."""
_SET = re.compile(r"TEMP,S(-?\d+(?:\.\d+)?)")
MODES = ("OFF", "STANDBY", "CONSTANT")


def approach(start: float, target: float, rate: float, tau: float, passed: float) -> float:
    """Return where a value is that goes to ``target`` exponentially with ``tau``, at most at ``rate``."""
    gap = target - start
    linear = max(abs(gap) / rate - tau, 0.0)
    if passed <= linear:
        return start + math.copysign(rate * passed, gap)
    left = math.copysign(min(abs(gap), rate * tau), gap)
    return target - left * math.exp(-(passed - linear) / tau)


class SimulatedChamber:
    """The controller and the air. Times are those of ``clock``, in s of the chamber; temperatures in °C."""

    def __init__(self, config: ChamberConfig, clock: Callable[[], float]) -> None:
        self.hosts = 0
        self.faults = Faults(config.faults)
        self._config = config
        self._clock = clock
        self._mode = "CONSTANT" if config.on else "OFF"
        self._setpoint = config.start_celsius
        self._air = config.start_celsius
        self._doors_open = 0
        self._plugged_s = self._changed_s = clock()

    def answer(self, line: str) -> str:
        """Carry out one command; return the reply."""
        self.advance()
        command = re.sub(r"\s*,\s*", ",", line.strip())
        if command == "TEMP?":
            highest, lowest = self._config.highest_celsius, self._config.lowest_celsius
            return f"{self._shown():.1f},{self._setpoint:.1f},{highest:.1f},{lowest:.1f}"
        if command == "MODE?":
            return self._mode
        refusal = self._carry_out(command)
        return f"NA:{refusal}" if refusal else f"OK:{line.strip()}"

    def _carry_out(self, command: str) -> str:
        """Change something; return why not, or nothing."""
        kind, _, value = command.partition(",")
        if kind == "TEMP":
            return self._set_temperature(command)
        if kind == "POWER" and value in ("ON", "OFF"):
            self._mode = "OFF" if value == "OFF" else "STANDBY" if self._mode == "OFF" else self._mode
            return ""
        if kind == "MODE" and value in MODES:
            if self._mode == "OFF" and value != "OFF":
                return "CHB NOT READY"
            self._mode = value
            return ""
        return "PARA ERR" if kind in ("POWER", "MODE") else "CMD ERR"

    def _set_temperature(self, command: str) -> str:
        found = _SET.fullmatch(command)
        if found is None:
            return "PARA ERR"
        if not self._config.lowest_celsius <= float(found[1]) <= self._config.highest_celsius:
            return "DATA OUT OF RANGE"
        self._setpoint = float(found[1])
        return ""

    def inject(self, fault: Fault) -> None:
        """Let something go wrong from now on."""
        self.faults.add(fault, self._clock() - self._plugged_s)
        self.advance()

    def air_K(self, at_s: float) -> float:
        """Return the temperature of the air, without its ripple, if what is set stays so until then.

        A time before the last command or reading counts as that time.
        """
        self._meet_faults(at_s)
        return self._air_at(at_s) + ZERO_CELSIUS_K

    def advance(self) -> None:
        """Bring the air up to the clock."""
        now_s = self._clock()
        self._meet_faults(now_s)
        self._pass_time(now_s)

    def _meet_faults(self, until_s: float) -> None:
        """Carry out what begins and ends until then, each exactly at its time."""
        for change in self.faults.due(until_s - self._plugged_s):
            self._pass_time(self._plugged_s + change.at_s)
            if change.fault.kind == "door_open":
                self._doors_open += 1 if change.begins else -1
            elif change.fault.kind == "reboot" and change.begins:
                self._mode = "OFF"

    def _air_at(self, at_s: float) -> float:
        target, rate = self._config.start_celsius, self._config.rate_K_per_min / 60.0
        if self._doors_open:
            rate = DOOR_K_PER_S
        elif self._mode == "CONSTANT":
            target = self._setpoint
        passed_s = max(at_s - self._changed_s, 0.0)
        return approach(self._air, target, rate, self._config.settling_s, passed_s)

    def _pass_time(self, now_s: float) -> None:
        """Let the air go on; what is set has not changed since the last time."""
        self._air = self._air_at(now_s)
        self._changed_s = max(now_s, self._changed_s)

    def _shown(self) -> float:
        ripple = self._config.ripple_K if self._mode == "CONSTANT" and not self._doors_open else 0.0
        return self._air + ripple * math.sin(2 * math.pi * self._changed_s / RIPPLE_PERIOD_S)


class ChamberConnection(asyncio.Protocol):
    """One host's connection to a simulated chamber."""

    def __init__(self, chamber: SimulatedChamber) -> None:
        self._chamber = chamber
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the connection."""
        # uvloop's transports do not derive from asyncio's class.
        self._transport = cast("asyncio.Transport", transport)
        self._chamber.hosts += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the host has gone. The chamber keeps its set-point."""
        self._chamber.hosts -= 1

    def data_received(self, data: bytes) -> None:
        """Answer every whole line, in order; hang up on a line without end."""
        self._buffer += data
        while END in self._buffer:
            line, _, rest = self._buffer.partition(END)
            self._buffer = rest
            self._transport.write(self._chamber.answer(line.decode("ascii", "replace")).encode("ascii") + END)
        if len(self._buffer) > LINE_MAX:
            self._transport.close()
