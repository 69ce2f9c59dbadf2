"""``python -m benchmarks.detection [--only CLASS …] [--share 0.01] [--write PAGE.md]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.detection import corpus, cost, report, show
from benchmarks.detection.classes import CLASSES, SEEDS
from benchmarks.detection.score import Scored
from benchmarks.figures import machine


def main() -> None:
    """Score the runs that are asked for, print the tables, and write them if asked to."""
    arguments = _arguments()
    if arguments.show:
        name, number = arguments.show
        print("\n".join(show.show(name, int(number), arguments.seeds, arguments.output)))
        return
    names = [name for name in CLASSES if any(name.startswith(wanted) for wanted in arguments.only)]
    results: list[Scored] = []
    for result in corpus.run(
        names,
        arguments.share,
        arguments.seeds,
        arguments.jobs,
        lab_share=arguments.lab_share,
        keep=arguments.keep,
    ):
        results.append(result)
        if arguments.misses:
            _tell_misses(result)
    costs = cost.figures() if arguments.cost else []
    samples = sum(r.samples for r in results)
    guards_us = 1e6 * sum(r.guards_s for r in results) / max(samples, 1)
    print(report.text(results, costs))
    part = f"{100 * arguments.share:g} % of the corpus"
    facts = f"{part}: {samples:.3g} samples; guards {guards_us:.2f} µs a sample. {machine()}"
    print(facts)
    if arguments.write:
        page = report.page(results, costs, facts, arguments.seeds)
        arguments.write.write_text(page, encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="classes, by the beginning of their names")
    parser.add_argument("--share", type=float, default=1.0, help="part of the full number of runs")
    parser.add_argument("--seeds", choices=SEEDS, default="development")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--lab-share", type=float, default=1.0, help="part judged by the lab rules as well")
    parser.add_argument("--misses", action="store_true", help="tell each miss and false alarm")
    parser.add_argument("--show", nargs=2, metavar=("CLASS", "NUMBER"), help="draw one run instead")
    parser.add_argument("-o", "--output", type=Path, default=Path("run.png"), help="where --show draws")
    parser.add_argument("--cost", action="store_true", help="also measure what a sample costs")
    parser.add_argument("--keep", type=Path, help="a folder of scored runs: go on where the last try ended")
    parser.add_argument("--write", type=Path, help="also write the tables to this Markdown file")
    return parser.parse_args()


def _tell_misses(result: Scored) -> None:
    healthy = CLASSES[result.corpus].healthy
    if not (result.trips or result.suspicions or (not healthy and result.missed)):
        return
    print(f"{result.corpus} {result.number} {result.where}", file=sys.stderr)
    for line in result.lines or ["nothing was said"]:
        print(f"    {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
