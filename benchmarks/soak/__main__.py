"""``python -m benchmarks.soak [--days D] [--seed N] [--keep FOLDER] [--write docs/soak.md]``.

Ctrl-C ends it early: what has happened so far is then accounted for all the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import machine
from benchmarks.soak.account import Account, account
from benchmarks.soak.chaos import Chaos
from benchmarks.soak.lab import DAY_S, Size, SoakLab
from drivers.simulation.faults import ScriptedFault

TELL_S = 60.0
END_TIMEOUT_S = 600.0
HEADING = "## Months of a lab"


def trial(size: Size, folder: Path) -> tuple[Chaos, Account]:
    """Live through the days of ``size``; return what happened and what became of the runs."""
    lab = SoakLab(folder, size)
    chaos = Chaos(lab)
    try:
        lab.start_boxes()
        lab.start_daemon()
        try:
            _live(chaos)
        except KeyboardInterrupt:
            sys.stderr.write(f"ended early, on day {chaos.day:.1f}\n")
        chaos.finish(END_TIMEOUT_S)
        books = [lab.books(box) for box in lab.boxes]
    finally:
        lab.end()
    chaos.done.update(_scripted(lab, chaos.day))
    return chaos, account(lab.data, books, chaos.by_person)


def _live(chaos: Chaos) -> None:
    told_s = 0.0
    while chaos.day < chaos.lab.size.days:
        chaos.turn()
        if time.monotonic() - told_s >= TELL_S:
            told_s = time.monotonic()
            happened = ", ".join(f"{what}: {count}" for what, count in sorted(chaos.done.items()))
            sys.stderr.write(
                f"day {chaos.day:.1f} of {chaos.lab.size.days:g}, {chaos.runs} runs; {happened}\n"
            )
            sys.stderr.flush()


def _scripted(lab: SoakLab, days: float) -> Counter[str]:
    """Return how often each fault of the instruments' scripts has begun."""
    found: Counter[str] = Counter()
    for number in range(len(lab.boxes)):
        for place, (kind, every_d, more) in enumerate(lab.script()):
            words = dict(part.strip().split(" = ") for part in [more] if part)
            given = {key: value.strip('"') if '"' in value else int(value) for key, value in words.items()}
            fault = ScriptedFault.model_validate(
                {
                    "kind": kind,
                    "every": f"{every_d * 24:.1f} h",
                    "seed": lab.fault_seed(number, place),
                    **given,
                }
            )
            for at_s in fault.times_s():
                if at_s > days * DAY_S:
                    break
                found[f"instrument: {kind}"] += 1
    return found


def table(size: Size, chaos: Chaos, result: Account) -> str:
    """Return the table in Markdown."""
    total = sum(result.states.values())
    rows = [
        (
            "simulated time",
            f"{chaos.day:.1f} days of {size.boxes * size.channels} channels, seed {size.seed}",
        ),
        ("runs", f"{total}: " + _listed(result.states)),
        ("what protected them", _listed(result.verdicts)),
        ("why runs failed", _listed(result.failures)),
        ("what happened", _listed(chaos.done)),
        ("taken over by a new daemon, or after a lost link", f"{result.taken_over} times"),
        ("samples that the instruments made", f"{result.expected}"),
        ("samples found", f"{result.found}"),
        ("missing, with a gap row", f"{result.in_gaps} ({result.gaps} gap rows)"),
        ("missing with the memory of a rebooted instrument", f"{result.of_failed}"),
        ("unaccounted for", f"{len(result.unaccounted)}"),
    ]
    lines = ["| what | figure |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)]
    return "\n".join([*lines, "", *(f"UNACCOUNTED: {text}" for text in result.unaccounted[:30])])


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "none"


def main() -> None:
    """Run the trial and print its table; exits with 1 if a run is not accounted for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--days", type=float, help="simulated days")
    parser.add_argument("--boxes", type=int, help="instruments of 16 channels")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--keep", type=Path, help="a new folder to keep everything in")
    parser.add_argument("--write", type=Path, help="also write the table into this Markdown file")
    given = parser.parse_args()
    changes = {key: value for key in ("days", "boxes", "seed") if (value := getattr(given, key)) is not None}
    size = replace(Size(), **changes)
    facts, began_s = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sandtime-soak-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        chaos, result = trial(size, folder)
    text = table(size, chaos, result)
    sys.stdout.write(text + "\n")
    if given.write:
        took = f"\nTook {(time.monotonic() - began_s) / 60:.0f} min; {facts}\n"
        _write(given.write, text + took)
    if result.unaccounted:
        sys.exit(1)


def _write(page: Path, text: str) -> None:
    """Put the table at the end of a page, in place of an earlier one."""
    before = page.read_text(encoding="utf-8").partition(HEADING)[0].rstrip()
    page.write_text(f"{before}\n\n{HEADING}\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
