"""What the guards cost for each sample of drawn healthy cells."""

from __future__ import annotations

import time

from benchmarks.detection.classes import CLASSES, draw
from benchmarks.detection.render import Stretch
from benchmarks.detection.trial import program_of
from benchmarks.figures import Figure
from guards.watch import Watch

REACH_US = {1: 8.0, 60: 1.0}
"""Samples a poll, and the most that a sample may cost."""


def figures(runs: int = 6, hours: float = 12.0) -> list[Figure]:
    """Measure samples told one by one and in blocks of an instrument."""
    found = []
    for name in ("healthy-1Hz", "healthy-10Hz"):
        for rows, reach in REACH_US.items():
            what = f"guards, {name}, {rows} samples a poll" if rows > 1 else f"guards, {name}, one by one"
            found.append(Figure(what, _cost_us(name, rows, runs, hours), "µs a sample", reach))
    return found


def _cost_us(name: str, rows: int, runs: int, hours: float) -> float:
    spent_ns = samples = 0
    for number in range(runs):
        run = draw(CLASSES[name], number, "development").run
        watch = Watch.for_program(program_of(run.facts()))
        for stretch in run.stretches(hours * 3600.0):
            watch.enter(stretch.facts)
            spent_ns += _tell_ns(watch, stretch, rows)
            samples += len(stretch.t_s)
    return spent_ns / max(samples, 1) * 1e-3


def _tell_ns(watch: Watch, stretch: Stretch, rows: int) -> int:
    columns = [c.tolist() for c in (stretch.t_s, stretch.voltage_V, stretch.current_A, stretch.charge_C)]
    polls = [[c[k : k + rows] for c in columns] for k in range(0, len(columns[0]), rows)]
    began_ns = time.process_time_ns()
    for poll in polls:
        watch.samples(*poll)
    return time.process_time_ns() - began_ns
