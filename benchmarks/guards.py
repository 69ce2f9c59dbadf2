"""What the guards and the half-cycle meter cost for each sample of a cycling cell."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np

from analysis.cycles import HalfCycleMeter
from benchmarks.figures import Figure
from benchmarks.instruments import CURRENT_A, HALF_CYCLE_S, cycling, overpotential
from guards.guard import StepFacts
from guards.watch import Watch
from scheduler.progress import Progress

TITLE = "Guards and cycles, one channel"
Lists = tuple[list[float], list[float], list[float], list[float]]


def figures(half_cycles: int = 20) -> list[Figure]:
    """Measure whole half-cycles of ten minutes at 1 Hz and 10 Hz, in polls of one sample and of ten."""
    found = []
    for interval_s, rows in ((1.0, 1), (0.1, 1), (0.1, 10)):
        watch, meter = Watch.for_program(cycling()), HalfCycleMeter()
        of_polls = f"at {1 / interval_s:g} Hz, {rows} a poll"
        us = _cost_us(watch.enter, watch.samples, half_cycles, interval_s, rows)
        found.append(Figure(f"all guards a sample, {of_polls}", us, "µs"))
        us = _cost_us(_begin(meter), _adding(meter), half_cycles, interval_s, rows)
        found.append(Figure(f"half-cycle meter a sample, {of_polls}", us, "µs"))
    return [*found, Figure("saving the state of one run", _snapshot_ms(), "ms")]


def _cost_us(
    enter: Callable[[StepFacts], object],
    take: Callable[[list[float], list[float], list[float], list[float]], object],
    half_cycles: int,
    interval_s: float,
    rows: int,
) -> float:
    spent_s = 0.0
    for number in range(half_cycles):
        facts, polls = _half_cycle(number, interval_s, rows)
        enter(facts)
        began_s = time.process_time()
        for lists in polls:
            take(*lists)
        spent_s += time.process_time() - began_s
    return spent_s / (half_cycles * HALF_CYCLE_S / interval_s) * 1e6


def _half_cycle(number: int, interval_s: float, rows: int) -> tuple[StepFacts, list[Lists]]:
    rng = np.random.default_rng(number)
    sign = 1.0 - 2.0 * (number % 2)
    since_s = np.arange(0.0, HALF_CYCLE_S, interval_s)
    voltage = overpotential(since_s, np.full_like(since_s, sign), rng.standard_normal(len(since_s)))
    current = sign * CURRENT_A + 1e-7 * rng.standard_normal(len(since_s))
    columns = (since_s + number * HALF_CYCLE_S, voltage, current, sign * CURRENT_A * since_s)
    t, e, i, q = (column.tolist() for column in columns)
    cuts = range(0, len(t), rows)
    facts = StepFacts(number % 2, number // 2, "constant_current", t[0], sign * CURRENT_A, CURRENT_A * 600)
    return facts, [(t[a : a + rows], e[a : a + rows], i[a : a + rows], q[a : a + rows]) for a in cuts]


def _begin(meter: HalfCycleMeter) -> Callable[[StepFacts], object]:
    return lambda facts: meter.begin(
        step=facts.step,
        visit=facts.visit,
        t_s=facts.t_s,
        set_current_A=facts.set_current_A,
        planned_charge_C=facts.planned_charge_C,
    )


def _adding(meter: HalfCycleMeter) -> Callable[[list[float], list[float], list[float], list[float]], object]:
    def add(t: list[float], voltage: list[float], current: list[float], charge: list[float]) -> None:
        meter.add(t, voltage, current)

    return add


def _snapshot_ms(times: int = 200) -> float:
    """Return the time to save the whole state of a run after two half-cycles."""
    progress = Progress(cycling())
    for number in range(2):
        facts, polls = _half_cycle(number, 1.0, 600)
        for t, voltage, current, _ in polls:
            progress.take(t, voltage, current, [facts.step] * len(t), [facts.visit] * len(t))
    began_s = time.process_time()
    for _ in range(times):
        json.dumps(progress.state())
    return (time.process_time() - began_s) / times * 1e3
