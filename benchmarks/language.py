"""Protocol files: how soon a person hears of a mistake, and how large a long test becomes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial

from benchmarks.figures import Figure
from drivers.biologic import capabilities
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.nodes import Node, inner
from protocols.protocol import library_protocols, load_protocol

TITLE = "Protocol files"
CYCLES = 10_000
CHECKED, CYCLED = "ccd_constant_capacity", "symmetric_cycling"
CELL = "sandtime: 1\nname: pellet\ngeometry: symmetric\narea: 0.785 cm²\nelectrolyte: {class: garnet}\n"
COMMAND = (sys.executable, "-c", "from monitor.entry import main; main()", "check", CHECKED)


def figures(repeats: int = 9) -> list[Figure]:
    """Measure the command, reading in a process that has read before, and compiling."""
    command_s = _median_s(lambda: subprocess.run(COMMAND, check=True, capture_output=True), repeats)
    names = library_protocols()
    load_protocol(names[0])
    read_ms = [1e3 * _median_s(partial(load_protocol, name), repeats) for name in names]
    long_test = load_protocol(CYCLED, {"cycles": str(CYCLES)})
    cell, channel = parse_cell(CELL, "cell.yaml"), capabilities("VSP-300")
    program = compile_program(long_test, cell, channel)
    compile_s = _median_s(lambda: compile_program(long_test, cell, channel), repeats)
    return [
        Figure(f"sandtime check {CHECKED}, median", command_s, "s", 0.6),
        Figure("reading and checking a file of the library, median", statistics.median(read_ms), "ms", 20.0),
        Figure("the same, the slowest file", max(read_ms), "ms"),
        Figure(f"compiling a test of {CYCLES} cycles", compile_s, "s", 0.2),
        Figure("nodes that it compiles to", float(_count(program.steps)), "nodes"),
    ]


def _count(nodes: Iterable[Node]) -> int:
    return sum(1 + _count(inner(node)) for node in nodes)


def _median_s(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
