"""A simulated BioLogic box in a process of its own, and a driver that is connected to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drivers.biologic import create
from drivers.biologic.potentiostat import BioLogicInstrument
from drivers.instrument import SegmentEnd
from drivers.simulation.eclib import simulated_library
from protocols.cell import Cell
from protocols.measurements import Block, Spectrum, empty_block
from protocols.nodes import Node
from protocols.program import Limits, Program
from protocols.records import Ticket

REPOSITORY = Path(__file__).resolve().parents[2]
ADDRESS = "192.168.0.10"
AREA_CM2 = 1.0
CONFIG = f"""
[simulation.box1]
address = "{ADDRESS}"
channels.1 = {{ area_cm2 = {AREA_CM2} }}
channels.2 = {{ area_cm2 = {AREA_CM2} }}
channels.3 = {{ area_cm2 = {AREA_CM2}, preset = "lfp_full", positive_charged = 0.9 }}
"""
DEADLINE_S = 30.0


def ticket(program: Program) -> Ticket:
    return Ticket(run=1, segment=0, program=program.digest())


def program(*steps: Node, limit_V: float = 1.5) -> Program:
    return Program(
        protocol="test",
        cell=Cell(name="cell", area_m2=AREA_CM2 * 1e-4),
        steps=steps,
        limits=Limits(voltage_min_V=-limit_V, voltage_max_V=limit_V, current_max_A=0.01),
    )


class Server:
    """A simulated box as a child process of the test."""

    def __init__(self, folder: Path, speed: float, config: str = CONFIG) -> None:
        self.state_file = folder / "simulation.json"
        self._config = folder / "simulation.toml"
        self._config.write_text(config)
        self._speed = speed
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "drivers.simulation", "--speed", str(self._speed)),
            *("--config", str(self._config), "--state", str(self.state_file)),
            cwd=REPOSITORY,
        )
        async with asyncio.timeout(DEADLINE_S):
            while not self.state_file.exists():
                assert self._process.returncode is None
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    @asynccontextmanager
    async def connected(self, **section: object) -> AsyncIterator[BioLogicInstrument]:
        instrument = create("box1", {"address": ADDRESS, **section}, simulated_library(self.state_file))
        await instrument.connect()
        try:
            yield instrument
        finally:
            await instrument.close()


def visited(samples: Block) -> list[tuple[int, int]]:
    return list(dict.fromkeys(zip(samples["step"].tolist(), samples["visit"].tolist(), strict=True)))


@dataclass
class Collected:
    samples: Block = field(default_factory=empty_block)
    spectra: list[Spectrum] = field(default_factory=list)
    ended: dict[int, SegmentEnd] = field(default_factory=dict)
    lost: int = 0
    swept: bool = False


async def collect(
    box: BioLogicInstrument, until: Callable[[Collected], bool], into: Collected | None = None
) -> Collected:
    got = into or Collected()
    async with asyncio.timeout(DEADLINE_S):
        while not until(got):
            poll = await box.poll()
            got.samples = np.concatenate([got.samples, poll.samples])
            got.spectra += poll.spectra
            got.ended |= poll.ended
            got.lost += sum(poll.lost_samples.values())
            got.swept |= any(values.sweeping for values in poll.values)
            await asyncio.sleep(0)
    return got
