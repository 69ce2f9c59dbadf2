"""Instruments without a wire: they measure when they are polled, and cost next to nothing themselves."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from drivers.instrument import ChannelLook, OpenCircuit, Poll, SegmentEnd
from protocols.capabilities import Capabilities
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.measurements import empty_block
from protocols.position import Position
from protocols.program import Program
from protocols.protocol import parse_protocol
from protocols.records import Ticket

CURRENT_A = 1e-3
HALF_CYCLE_S = 600.0
TOO_HIGH_V = 4.0
_NOISES = 1 << 14

PROTOCOL = """\
sandtime: 1
name: cycling
watch: {watch}
limits: {{voltage: 2 V}}
steps:
  - repeat:
      times: 1000
      steps:
        - constant_current: {{current: 1 mA, until: {{time: 10 min}}}}
        - constant_current: {{current: -1 mA, until: {{time: 10 min}}}}
"""
CELL = """\
sandtime: 1
name: symmetric
geometry: symmetric
area: 0.785 cm²
working: {lithium: 100 µm}
counter: {lithium: 100 µm}
electrolyte: {name: LLZTO, class: garnet, thickness: 600 µm}
"""
ABILITIES = Capabilities(
    model="synthetic",
    current_max_A=0.1,
    voltage_min_V=-10.0,
    voltage_max_V=10.0,
    sample_interval_min_s=0.01,
    at_host_loss="stops",
)


def cycling(watch: str = "1 s") -> Program:
    """Return the program that every synthetic channel runs: half-cycles of ten minutes."""
    protocol = parse_protocol(PROTOCOL.format(watch=watch), "cycling.yaml", {})
    return compile_program(protocol, parse_cell(CELL, "cell.yaml"), ABILITIES)


def overpotential(
    t_s: NDArray[np.float64], sign: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return E in V of a cell of 60 Ω with a nucleation spike, read by a 16-bit converter of ±5 V."""
    phase = t_s % HALF_CYCLE_S
    ohms = 60.0 * (1.0 + 0.2 * np.exp(-phase / 15.0) + 0.1 * phase / HALF_CYCLE_S)
    step_V = 10.0 / 65536
    return np.asarray(np.rint((sign * CURRENT_A * ohms) / step_V + 0.5 * noise) * step_V)


class Synthetic:
    """An instrument with ``channels`` channels, each somewhere else in its cycling. One sample a poll.

    ``t_s`` of a sample is the time of its poll on the monotonic clock, counted from ``epoch_s``.
    """

    simulated = True

    def __init__(self, name: str, channels: int, seed: int, epoch_s: float) -> None:
        self.name = name
        self.poll_began_s: list[float] = []
        self.reactions_s: list[float] = []
        """For each stop: the time since the poll that brought the sample which decided."""
        self._rng = np.random.default_rng(seed)
        self._noise = self._rng.standard_normal(_NOISES)
        self._place = 0
        self._epoch_s = epoch_s
        self._phase_s = self._rng.uniform(0.0, 2 * HALF_CYCLE_S, channels)
        self._running = np.zeros(channels, dtype=bool)
        self._too_high = np.zeros(channels, dtype=bool)
        self._stopped: list[int] = []
        self._polled_s = 0.0

    async def connect(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to close."""

    def capabilities(self, channel: int) -> Capabilities:
        """Return the same for every channel."""
        return ABILITIES

    async def look(self) -> list[ChannelLook]:
        """Show every channel as idle."""
        return [ChannelLook(channel, True, False, "", 0.0, 0.0) for channel in range(len(self._running))]

    async def start(self, channel: int, program: Program, ticket: Ticket) -> None:
        """Let the channel deliver samples."""
        self._running[channel] = True

    async def attach(self, channel: int, program: Program, ticket: Ticket) -> Position | None:
        """Claim that the segment runs, so that a thousand runs begin without a thousand starts."""
        self._running[channel] = True
        return Position(step=0, loops=(0,))

    async def stop(self, channel: int) -> OpenCircuit:
        """Open the circuit, and note how long after the deciding sample that was asked for."""
        self.reactions_s.append(time.monotonic() - self._polled_s)
        self._running[channel] = False
        self._stopped.append(channel)
        return OpenCircuit(confirmed=True, voltage_V=0.0, current_A=0.0)

    def raise_voltage(self, channel: int) -> None:
        """Let a channel show a voltage beyond its limits from now on."""
        self._too_high[channel] = True

    async def poll(self) -> Poll:
        """Return one sample of each running channel, and the ends of those that were stopped."""
        self.poll_began_s.append(time.monotonic())
        poll = self._measure(self.poll_began_s[-1] - self._epoch_s)
        self._polled_s = time.monotonic()
        return poll

    def cost_s(self, polls: int = 500) -> float:
        """Return the CPU time that making up a poll takes.

        Measured apart: to read the clock of the CPU in each poll would cost as much again.
        """
        began_s = time.process_time()
        for _ in range(polls):
            self._measure(0.0)
        return (time.process_time() - began_s) / polls

    def _measure(self, now_s: float) -> Poll:
        channels = np.flatnonzero(self._running)
        rows = empty_block(len(channels))
        rows["channel"], rows["t_s"] = channels, now_s
        programme_s = now_s + self._phase_s[channels]
        half_cycles = (programme_s // HALF_CYCLE_S).astype(np.int32)
        rows["visit"], rows["step"] = np.divmod(half_cycles, 2)
        sign = 1.0 - 2.0 * rows["step"]
        rows["voltage_V"] = overpotential(programme_s, sign, self._take_noise(len(rows)))
        rows["voltage_V"][self._too_high[channels]] = TOO_HIGH_V
        rows["current_A"] = sign * CURRENT_A + 1e-7 * self._take_noise(len(rows))
        end = SegmentEnd("stopped", Position(step=0, loops=(0,)))
        ended, self._stopped = dict.fromkeys(self._stopped, end), []
        return Poll(samples=rows, ended=ended)

    def _take_noise(self, rows: int) -> NDArray[np.float64]:
        if self._place + rows > _NOISES:
            self._place = 0
        self._place += rows
        return self._noise[self._place - rows : self._place]
