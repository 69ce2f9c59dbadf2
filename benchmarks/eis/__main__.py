"""``python -m benchmarks.eis [--ours [METHOD …] | --no-peers] [--seeds N] [--write PAGE]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.eis import ours
from benchmarks.eis.cases import HELD_OUT_CASES, SEEDS, TUNED_CASES
from benchmarks.eis.report import NOTE, measure
from benchmarks.eis.results import HEADINGS, table
from benchmarks.figures import machine


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eis", description=__doc__)
    parser.add_argument("--ours", nargs="*", choices=ours.METHODS, help="only our methods, every measure")
    parser.add_argument("--tuned", action="store_true", help="only the cases that may be tuned on")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="spectra of each case")
    parser.add_argument("--no-peers", action="store_true", help="leave the other libraries out")
    parser.add_argument("--recordings", type=Path, help="folder of spectra that came with pyDRTtools")
    parser.add_argument("--write", type=Path, help="also write the page to this Markdown file")
    arguments = parser.parse_args()
    cases = TUNED_CASES if arguments.tuned else TUNED_CASES + HELD_OUT_CASES
    if arguments.ours is not None:
        for name in arguments.ours or ours.METHODS:
            lines = table(HEADINGS, [row.cells() for row in ours.rows(name, cases, arguments.seeds)])
            print(f"{ours.title(name)}\n{lines}\n")
        return
    facts = machine()
    text = measure(
        cases, arguments.seeds, with_peers=not arguments.no_peers, recordings=arguments.recordings
    ).text()
    print(text)
    if arguments.write:
        page = f"# Impedance libraries side by side\n\n{NOTE}\nMachine: {facts}\n\n{text}"
        arguments.write.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
