"""``python -m benchmarks.eis [--ours] [--seeds N]``."""

from __future__ import annotations

import argparse

from benchmarks.eis import ours
from benchmarks.eis.cases import HELD_OUT_CASES, SEEDS, TUNED_CASES
from benchmarks.eis.results import HEADINGS, table

METHODS = ("ridge", "hierarchical")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eis", description=__doc__)
    parser.add_argument("--ours", nargs="*", choices=METHODS, help="only our own methods, in a few seconds")
    parser.add_argument("--tuned", action="store_true", help="only the cases that may be tuned on")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="spectra of each case")
    arguments = parser.parse_args()
    cases = TUNED_CASES if arguments.tuned else TUNED_CASES + HELD_OUT_CASES
    for name in arguments.ours or METHODS:
        rows = ours.rows(name, cases, arguments.seeds)
        print(table(HEADINGS, [row.cells() for row in rows]) if rows else f"{name}: not there")


if __name__ == "__main__":
    main()
