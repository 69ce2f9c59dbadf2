"""``python -m benchmarks.load [--small] [--seconds S] [--write docs/load.md]``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import table
from benchmarks.load.report import FULL, SMALL, of, page, run, words


def main() -> None:
    """Measure, print the tables, and write the page if asked to. Exits with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--small", action="store_true", help="few channels, 20 s")
    parser.add_argument("--seconds", type=float, help="how long each load lasts")
    parser.add_argument("--boxes", type=int, help="how many boxes of eight channels")
    parser.add_argument("--write", type=Path, help="also write the page to this Markdown file")
    arguments = parser.parse_args()
    loads = SMALL if arguments.small else FULL
    changes = {key: value for key in ("seconds", "boxes") if (value := getattr(arguments, key)) is not None}
    results, facts = run([replace(load, **changes) for load in loads])
    for load, found in results:
        print(table(of(load, found)))
        print(words(load, found))
    print(facts)
    if arguments.write:
        arguments.write.write_text(page(results, facts), encoding="utf-8")
    if any(found.wrong or found.unexplained for _, found in results):
        sys.exit(1)


if __name__ == "__main__":
    main()
