"""The benchmarks run, with tiny parameters; how fast anything is, is no test."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

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
from benchmarks.figures import Figure, table
from benchmarks.load import report as load
from benchmarks.load.campaign import Load

TINY: dict[str, Callable[[], list[Figure]]] = {
    "big_store": lambda: big_store.figures(samples=6000, channels=3, size_GB=2e-3, commits=5),
    "detection": lambda: detection.figures(part=0.01, jobs=1),
    "guards": lambda: guards.figures(half_cycles=2),
    "language": lambda: language.figures(repeats=1),
    "latency": lambda: latency.figures(channels=1, repeats=1),
    "load": lambda: load.figures((Load(0.5, boxes=2, seconds=8.0, processes=1, together=2),)),
    "memory": lambda: memory.figures(channels=1),
    "sealing": lambda: sealing.figures(days=3, rate_Hz=1),
    "sealing_load": lambda: sealing.lateness(
        throughput.Load(0.1, instruments=2, channels=2, seconds=2.0, settle_s=0.3), runs=1
    ),
    "simulation": lambda: simulation.figures(seconds=0.3),
    "storage": lambda: storage.figures(runs=3, commits=5, live_h=2, long_h=2),
    "throughput": lambda: throughput.figures(
        (throughput.Load(0.1, instruments=2, channels=2, seconds=2.0, settle_s=0.3),)
    ),
    "virtual_lab": lambda: virtual_lab.figures(hours=8.0),
}


@pytest.mark.parametrize("group", TINY)
def test_each_group_measures_something(group: str) -> None:
    figures = TINY[group]()
    assert len({figure.what for figure in figures}) == len(figures) > 0
    assert all(math.isfinite(figure.value) and figure.value >= 0 for figure in figures), figures
    assert all(figure.what in table(figures) for figure in figures)


@pytest.mark.parametrize(
    ("figure", "mark"),
    [
        (Figure("a", 1.0, "s", 2.0), "reached"),
        (Figure("a", 3.0, "s", 2.0), "MISSED"),
        (Figure("a", 3.0, "s", 2.0, at_least=True), "reached"),
        (Figure("a", 3.0, "s"), ""),
    ],
)
def test_a_figure_says_whether_it_is_good_enough(figure: Figure, mark: str) -> None:
    assert figure.cells()[3] == mark
