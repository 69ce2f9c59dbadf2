"""``python -m benchmarks [--only GROUP …] [--write docs/benchmarks.md]``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    big_store,
    guards,
    language,
    latency,
    memory,
    sealing,
    simulation,
    storage,
    throughput,
    virtual_lab,
)
from benchmarks.detection import small as detection
from benchmarks.eis import report as impedance
from benchmarks.figures import Figure, machine, page, table
from benchmarks.load import report as load

GROUPS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "throughput": (throughput.TITLE, throughput.figures),
    "guards": (guards.TITLE, guards.figures),
    "language": (language.TITLE, language.figures),
    "latency": (latency.TITLE, latency.figures),
    "memory": (memory.TITLE, memory.figures),
    "storage": (storage.TITLE, storage.figures),
    "sealing": (sealing.TITLE, sealing.figures),
    "sealing_load": (sealing.TITLE_OF_LATENESS, sealing.lateness),
    "big_store": (big_store.TITLE, big_store.figures),
    "simulation": (simulation.TITLE, simulation.figures),
    "impedance": (impedance.TITLE, impedance.figures),
    "detection": (detection.TITLE, detection.figures),
    "virtual_lab": (virtual_lab.TITLE, virtual_lab.figures),
    "load": (load.TITLE, load.figures),
}


def main() -> None:
    """Measure the groups, print the table, and write it if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), help="groups to measure")
    parser.add_argument("--write", type=Path, help="also write the table to this Markdown file")
    arguments = parser.parse_args()
    facts = machine()
    measured = [_measure(name) for name in arguments.only]
    print(table([figure for _, figures in measured for figure in figures]))
    print(facts)
    if arguments.write:
        arguments.write.write_text(page(measured, facts), encoding="utf-8")


def _measure(name: str) -> tuple[str, list[Figure]]:
    title, figures = GROUPS[name]
    print(f"{name} … ", end="", file=sys.stderr, flush=True)
    began_s = time.monotonic()
    found = figures()
    print(f"{time.monotonic() - began_s:.0f} s", file=sys.stderr)
    return title, found


if __name__ == "__main__":
    main()
