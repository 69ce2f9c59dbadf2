"""How fast the virtual lab is when its host polls as fast as it can: the demonstration's five cells."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figures import Figure
from drivers.instrument import Instrument
from monitor import children
from monitor.daemon import build_instruments, run_loop
from monitor.demo import RUNS, DemoRun, service_toml
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.program import Program
from protocols.protocol import find_protocol, parse_protocol
from protocols.records import Ticket
from scheduler.config import load_config

TITLE = "The virtual lab"
SPEED = 1e6
"""Asked for; the box goes as fast as it and its host can."""


def figures(seconds: float = 8.0) -> list[Figure]:
    """Let the five cells run for ``seconds`` and count the time that passed in them."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "service.toml"
        config.write_text(service_toml(), encoding="utf-8")
        arguments = ["simulate", "--config", str(config), "--speed", f"{SPEED:g}"]
        box = children.start(arguments, Path(folder) / "box.log")
        try:
            children.wait_for_file(Path(folder) / "data" / "simulation.json", box, "the simulated instrument")
            passed_s, host_s, box_s = run_loop(lambda: _run(config, box, seconds))
        finally:
            children.end(box)
    return [
        Figure("cell-seconds a second, five demo cells, driver attached", passed_s / seconds, "s/s"),
        Figure("cell-seconds a second of the box's CPU", passed_s / box_s, "s/s"),
        Figure("cell-seconds a second of the driver's CPU", passed_s / host_s, "s/s"),
    ]


async def _run(config: Path, box: subprocess.Popen[bytes], seconds: float) -> tuple[float, float, float]:
    """Return the time that passed in all cells, and the CPU time of host and box, in s."""
    (instrument,) = build_instruments(load_config(config)).values()
    await instrument.connect()
    for channel, run in enumerate(RUNS):
        program = _program(run, instrument, channel)
        await instrument.start(channel, program, Ticket(run=channel + 1, segment=0, program=program.digest()))
    host_began_s, box_began_s = time.process_time(), _cpu_s(box)
    newest_s = await _poll(instrument, seconds)
    host_s, box_s = time.process_time() - host_began_s, _cpu_s(box) - box_began_s
    await instrument.close()
    return sum(newest_s.values()), host_s, box_s


async def _poll(instrument: Instrument, seconds: float) -> dict[int, float]:
    """Poll without a pause; return the newest time of each channel."""
    newest_s: dict[int, float] = {}
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        poll = await instrument.poll()
        newest_s |= dict(zip(poll.samples["channel"].tolist(), poll.samples["t_s"].tolist(), strict=True))
        await asyncio.sleep(0)
    return newest_s


def _program(run: DemoRun, instrument: Instrument, channel: int) -> Program:
    text = find_protocol(run.protocol).read_text(encoding="utf-8")
    protocol = parse_protocol(text, run.protocol, run.settings)
    return compile_program(protocol, parse_cell(run.cell, run.preset), instrument.capabilities(channel))


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system
