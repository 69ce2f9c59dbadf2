"""Instruments without a wire: they measure when they are polled, and cost next to nothing themselves."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from drivers.instrument import ChannelLook, OpenCircuit, Poll, SegmentEnd
from protocols.capabilities import Capabilities
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.laboratory import InstrumentIdentity
from protocols.measurements import Block, empty_block
from protocols.position import Position
from protocols.program import Program
from protocols.protocol import parse_protocol
from protocols.records import Ticket

CURRENT_A = 1e-3
HALF_CYCLE_S = 600.0
TOO_HIGH_V = 4.0
STEP_V = 10.0 / 65536
"""Of a 16-bit converter of ±5 V."""
_NOISES = 512
_REFRESH_S = 5.0

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
    current_ranges_A=(1e-4, 1e-3, 1e-2, 0.1),
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
    return np.asarray(np.rint((sign * CURRENT_A * ohms) / STEP_V + 0.5 * noise) * STEP_V)


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
        rng = np.random.default_rng(seed)
        self._noise = STEP_V * np.rint(0.7 * rng.standard_normal((_NOISES, channels)))
        self._shown = empty_block(channels)
        self._shown["channel"] = np.arange(channels)
        self._refresh_at_s = 0.0
        self._epoch_s = epoch_s
        self._phase_s = rng.uniform(0.0, 2 * HALF_CYCLE_S, channels)
        self._running = np.zeros(channels, dtype=bool)
        self._too_high = np.zeros(channels, dtype=bool)
        self._stopped: list[int] = []
        self._polled_s = 0.0

    async def connect(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to close."""

    def identity(self) -> InstrumentIdentity:
        """Return what it is."""
        return InstrumentIdentity(driver="benchmark")

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
        self._refresh_at_s = 0.0

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
        if now_s >= self._refresh_at_s:
            self._refresh(now_s)
        rows: Block = self._shown[self._running]
        rows["t_s"] = now_s
        rows["voltage_V"] += self._noise[len(self.poll_began_s) % _NOISES, : len(rows)]
        end = SegmentEnd("stopped", Position(step=0, loops=(0,)))
        ended, self._stopped = dict.fromkeys(self._stopped, end), []
        return Poll(samples=rows, ended=ended)

    def _refresh(self, now_s: float) -> None:
        """Bring up to date what changes slowly, so that a poll costs little."""
        programme_s = now_s + self._phase_s
        half_cycles = (programme_s // HALF_CYCLE_S).astype(np.int32)
        shown = self._shown
        shown["visit"], shown["step"] = np.divmod(half_cycles, 2)
        sign = 1.0 - 2.0 * shown["step"]
        shown["voltage_V"] = overpotential(programme_s, sign, np.zeros(len(sign)))
        shown["voltage_V"][self._too_high] = TOO_HIGH_V
        shown["current_A"] = sign * CURRENT_A
        to_change_s = float(((half_cycles + 1) * HALF_CYCLE_S - programme_s).min())
        self._refresh_at_s = now_s + min(to_change_s, _REFRESH_S)
