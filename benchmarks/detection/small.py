"""A small part of the detection benchmark, for ``make bench``."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.detection import corpus, cost
from benchmarks.detection.classes import CLASSES
from benchmarks.detection.score import Scored, percentiles
from benchmarks.figures import Figure

TITLE = "Detection, a small part; whole: [the detection benchmark](detection_benchmark.md)"
RUNS = {"healthy-1Hz": 24, "hard-1Hz": 40, "soft-0.5": 20, "gradual": 12, "depletion": 24, "open": 24}


def figures(part: float = 1.0, jobs: int = 2) -> list[Figure]:
    """Score a few runs of the most telling classes."""
    found: dict[str, list[Scored]] = {}
    for name, runs in RUNS.items():
        share = max(part * runs, 1.0) / CLASSES[name].runs
        found[name] = list(corpus.run([name], share, "development", jobs, lab_share=0.0))
    healthy = found["healthy-1Hz"]
    hours = sum(r.hours for r in healthy)
    return [
        Figure("healthy cells watched", hours, "h"),
        Figure("trips of healthy cells", sum(r.trips for r in healthy), "", 0.0),
        Figure("final false stops", sum(r.finals for r in healthy), "", 0.0),
        Figure("suspicions of healthy cells", _per_1000_h(healthy, hours), "in 1000 h", 3.0),
        _found("hard shorts stopped", found["hard-1Hz"], "stop", 100.0),
        Figure("hard short to verdict, p50", _samples(found["hard-1Hz"]), "samples", 4.0),
        _found("soft shorts to 0.5 E suspected", found["soft-0.5"], "suspicion", 98.0),
        _found("gradual shorts suspected", found["gradual"], "suspicion", 97.0),
        _named("depletions named", found["depletion"]),
        _named("open circuits named", found["open"]),
        *cost.figures(runs=max(round(3 * part), 1), hours=max(8.0 * part, 2.0)),
    ]


def _per_1000_h(results: Sequence[Scored], hours: float) -> float:
    return sum(r.suspicions for r in results) / hours * 1000.0


def _found(what: str, results: Sequence[Scored], event: str, reach: float) -> Figure:
    share = 100.0 * sum(event in r.after for r in results) / len(results)
    return Figure(what, share, "%", reach, at_least=True)


def _named(what: str, results: Sequence[Scored]) -> Figure:
    right = sum(r.named in CLASSES[r.corpus].called for r in results)
    return Figure(what, 100.0 * right / len(results), "%", 97.0, at_least=True)


def _samples(results: Sequence[Scored]) -> float:
    delays = [float(r.after["stop"].samples) for r in results if "stop" in r.after]
    return percentiles(delays)[0] if delays else 0.0
