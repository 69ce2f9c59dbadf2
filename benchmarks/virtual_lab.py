"""A long test on simulated cells through the whole system: protocol → driver → wire → guard → store.

``python -m benchmarks.virtual_lab --hours 10000`` measures the whole of it.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from dataclasses import dataclass

import numpy as np
import psutil

from benchmarks import lab
from benchmarks.figures import Figure, table
from drivers.simulation.presets import describe
from monitor.client import Client
from protocols.records import ENDED

TITLE = "The virtual lab: a long test through the whole system"
WHOLE_H = 10_000.0
REACH_S = 60.0
STRETCH_H = 1_000.0
MODEL_RATE = 1e6
MAX_LAG_S = 14_400.0
"""Some 240 rows a poll: fewer polls make it little faster."""
SPEED = 1e7
"""Asked for; it goes as fast as instrument and host can."""
TIMEOUT_S = 1_800.0

PROTOCOL = """\
sandtime: 1
name: long_test
watch: 60 s
steps:
  - repeat:
      times: {cycles:.0f}
      steps:
        - constant_current: {{current: 0.1 mA/cm², until: {{time: 1 h}}}}
        - constant_current: {{current: -0.1 mA/cm², until: {{time: 1 h}}}}
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one trial took, in s."""

    hours: float
    cells: int
    real_s: float
    daemon_s: float
    box_s: float
    samples: int

    def of_whole(self, seconds: float) -> float:
        """Return the same for a test of 10 000 h on one cell."""
        return seconds * WHOLE_H / (self.hours * self.cells)


def figures(hours: float = STRETCH_H) -> list[Figure]:
    """Measure a stretch on one cell, on 16 cells of one instrument, and on 4 instruments of 4."""
    one, many, boxes = measure(hours), measure(hours / 4, 1, 16), measure(hours / 4, 4, 4)
    what = "a 10 000 h test recorded every 60 s"
    return [
        Figure("samples a second of the cell model", model_rate(), "1/s", MODEL_RATE, at_least=True),
        Figure(f"{what}, from {hours:g} h", one.of_whole(one.real_s), "s", REACH_S),
        Figure(f"{what}: CPU of the daemon", one.of_whole(one.daemon_s), "s"),
        Figure(f"{what}: CPU of the simulated instrument", one.of_whole(one.box_s), "s"),
        Figure(f"{what}, each of 16 cells of one instrument at once", many.of_whole(many.real_s), "s"),
        Figure(f"{what}, each of 16 cells of four instruments at once", boxes.of_whole(boxes.real_s), "s"),
    ]


def model_rate(preset: str = "generic_symmetric", block: int = 600, blocks: int = 400) -> float:
    """Return how many samples of E a cell gives in a second of CPU, at 1 Hz under a current."""
    cell = describe(preset).build()
    cell.drive(1e-4)
    times_s = np.arange(1.0, block + 1)
    began_s = time.process_time()
    for _ in range(blocks):
        cell.voltages(times_s)
        cell.let_pass(float(block))
    return block * blocks / (time.process_time() - began_s)


def measure(hours: float, boxes: int = 1, channels: int = 1, max_lag_s: float = MAX_LAG_S) -> Spent:
    """Run a test of so many hours on every channel of a lab of its own."""
    options = ("--speed", f"{SPEED:g}", "--max-lag", f"{max_lag_s:g}")
    with lab.lab(boxes, channels, options=options) as made:
        made.start_daemon()
        began_s, cpu_s = time.monotonic(), (_cpu_s(made.daemon), _cpu_s(made.box))
        with made.client() as client:
            samples = _run(client, made.stations, PROTOCOL.format(cycles=hours / 2))
        real_s = time.monotonic() - began_s
        daemon_s, box_s = _cpu_s(made.daemon) - cpu_s[0], _cpu_s(made.box) - cpu_s[1]
    return Spent(hours, len(made.stations), real_s, daemon_s, box_s, samples)


def _run(client: Client, stations: list[str], protocol: str) -> int:
    """Run a test on every station to its end; return how many samples there are."""
    runs = [client.submit(lab.submission(protocol, station)).run.run for station in stations]
    lab.wait(
        lambda: all(client.run(run).run.state in ENDED for run in runs), "the end", TIMEOUT_S, check_s=0.2
    )
    return sum(client.run(run).run.samples for run in runs)


def _cpu_s(process: subprocess.Popen[bytes] | None) -> float:
    if process is None:
        return 0.0
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def main() -> None:
    """Measure one case and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.virtual_lab", description=__doc__)
    parser.add_argument("--hours", type=float, default=WHOLE_H, help="length of the test")
    parser.add_argument("--boxes", type=int, default=1, help="simulated instruments")
    parser.add_argument("--channels", type=int, default=1, help="cells of each, up to 16")
    parser.add_argument("--max-lag", type=float, default=MAX_LAG_S, help="s that the host may stay behind")
    arguments = parser.parse_args()
    spent = measure(arguments.hours, arguments.boxes, arguments.channels, arguments.max_lag)
    what = f"{spent.hours:g} h on each of {spent.cells} cells, {spent.samples} samples"
    print(
        table(
            [
                Figure(what, spent.real_s, "s"),
                Figure("CPU of the daemon", spent.daemon_s, "s"),
                Figure("CPU of the simulated instruments", spent.box_s, "s"),
            ]
        )
    )


if __name__ == "__main__":
    main()
