"""Why a verdict was reached, from what is stored: for people, and as a document for programs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guards.watch import Watch
from monitor.print_style import quantity
from monitor.verdict_words import KINDS, TIERS, name_of, place_words, quantity_of
from protocols.errors import NotFoundError
from protocols.measurements import as_json
from protocols.program import Program
from protocols.protocol import threshold_kind
from protocols.records import RunInfo
from protocols.units import format_amount
from protocols.verdicts import Verdict
from scheduler.windows import FOLDER
from storage.run_reader import RunReader

LOOKED = {
    "open_V": ("E at open circuit", "V"),
    "r_hf_ohm": ("R_hf", "Ω"),
    "r_ohm": ("R", "Ω"),
    "current_A": ("measured with", "A"),
}
"""What a look measures: key → words and unit."""
ALWAYS = ("confirm_s", "confirm_samples")
"""Thresholds that have a part in every verdict of their guard."""


@dataclass(frozen=True, slots=True)
class Explained:
    """All that is known of one verdict."""

    info: RunInfo
    verdicts: Sequence[Verdict]
    number: int
    """Of the verdict, from 1."""
    guard: str
    """Name of the guard that found it; empty: unknown."""
    settings: dict[str, float]
    """The guard's thresholds that had a part, as they held in this run."""
    files: list[Path]
    """The raw data that were kept, in the order of their names."""
    asked: str
    """How the run is named on the command line."""

    @property
    def verdict(self) -> Verdict:
        """What is explained."""
        return self.verdicts[self.number - 1]


def explain(reader: RunReader, run: int, number: int | None, asked: str = "") -> Explained | None:
    """Return what is known of a run's verdict; None if the run has none.

    ``number``: from 1; None: the one that ended the run, else the most serious. Raises NotFoundError.
    """
    info, verdicts = reader.run(run), reader.verdicts(run)
    if number is not None and not 1 <= number <= len(verdicts):
        have = f"it has {len(verdicts)}" if verdicts else "it has none"
        raise NotFoundError(f"run {run} has no verdict {number}: {have}")
    if not verdicts:
        return None
    chosen = _most_serious(verdicts) if number is None else number
    verdict = verdicts[chosen - 1]
    guard = str(verdict.evidence.get("guard", ""))
    settings = _settings(reader.program_at(run, verdict.time_s), guard, verdict)
    files = sorted((reader.folder_of(run) / FOLDER).glob(f"{chosen}-{verdict.kind}[-.]*"))
    return Explained(info, verdicts, chosen, guard, settings, files, asked or str(run))


def _most_serious(verdicts: Sequence[Verdict]) -> int:
    return min(range(len(verdicts)), key=lambda k: (verdicts[k].tier, not verdicts[k].false_alarm, k)) + 1


def _settings(program: Program, guard: str, verdict: Verdict) -> dict[str, float]:
    """Return the thresholds that the criterion names, and those that always have a part."""
    known = Watch.for_program(program).thresholds.get(guard, {})
    named = re.findall(r"\w+", str(verdict.evidence.get("criterion", "")))
    return {name: value for name, value in known.items() if name in named or name in ALWAYS}


def document(found: Explained) -> dict[str, Any]:
    """Return it for programs."""
    words = KINDS[found.verdict.kind]
    return {
        "run": found.info.run,
        "state": found.info.state,
        "number": found.number,
        "verdicts": len(found.verdicts),
        "verdict": as_json(found.verdict),
        "meaning": words.meaning,
        "look_alikes": list(words.look_alikes),
        "advice": words.advice,
        "guard": found.guard,
        "settings": found.settings,
        "files": [str(path) for path in found.files],
        "commands": commands(found),
    }


def text(found: Explained) -> str:
    """Return it for people."""
    words = KINDS[found.verdict.kind]
    parts = [
        _head(found),
        ("What was seen", [found.verdict.message, place_words(found.verdict), words.meaning]),
        ("Which threshold", _threshold(found)),
        ("What the look found", _look(found.verdict)),
        ("What else looks like it", [f"- {each}" for each in words.look_alikes]),
        ("What to do", [words.advice]),
        ("Where the data are", [*map(_near, found.files), *([] if found.files else [_no_files(found)])]),
        ("Commands", commands(found)),
    ]
    lines = []
    for title, body in parts:
        lines += [title, *(f"  {line}" for line in body if line), ""]
    return "\n".join(lines).rstrip()


def _head(found: Explained) -> tuple[str, list[str]]:
    info, verdict = found.info, found.verdict
    simulated = " [simulated]" if info.simulated else ""
    others = [
        f"{k}: {name_of(each)} at {each.time_s / 3600:.3f} h (tier {each.tier})"
        for k, each in enumerate(found.verdicts, 1)
        if k != found.number
    ]
    return (
        f"run {info.run} {info.name}: {info.state.upper()} after {info.t_s / 3600:.2f} h{simulated}",
        [
            f"verdict {found.number} of {len(found.verdicts)}: {name_of(verdict)}, tier {verdict.tier} "
            f"({TIERS[verdict.tier]}), at {verdict.time_s / 3600:.3f} h",
            f"it began {format_amount(verdict.time_s - verdict.event_s, 'time')} earlier",
            *(f"another one is {line}" for line in others),
        ],
    )


def _threshold(found: Explained) -> list[str]:
    evidence, measured = found.verdict.evidence, quantity_of(found.verdict)
    lines = [f"guard {found.guard or 'unknown'}: {evidence.get('criterion', 'no criterion was noted')}"]
    value, threshold = evidence.get("value"), evidence.get("threshold")
    if isinstance(value, float) and isinstance(threshold, float):
        unit = measured[1] if measured else ""
        lines.append(f"it was {_amount(value, unit)}, the threshold {_amount(threshold, unit)}")
    healthy = evidence.get("healthy_ohm")
    if isinstance(healthy, float) and healthy > 0.0:
        lines.append(f"expected of the healthy cell: {quantity(healthy, 'Ω')}")
    if found.settings:
        lines.append("what it was set to; to change it, write in the protocol other values of")
        lines += ["  guards:", f"    {found.guard}: {{{_as_written(found.settings)}}}"]
    return lines


def _amount(value: float, unit: str) -> str:
    return quantity(value, unit) if unit else f"{value:.4g}"


def _as_written(settings: dict[str, float]) -> str:
    """Return thresholds as a protocol has them."""
    return ", ".join(f"{name}: {written(name, value)}" for name, value in settings.items())


def written(name: str, value: float) -> str:
    """Return a threshold with its unit, as a protocol has it."""
    kind = threshold_kind(name)
    return f"{value:.6g}" if kind == "fraction" else format_amount(value, kind)


def _look(verdict: Verdict) -> list[str]:
    if not verdict.look and verdict.tier == 2:
        return ["a suspicion is looked into by a spectrum; what that confirms is a verdict of its own"]
    if not verdict.look:
        return ["the cell was not looked at"]
    result = "as healthy as before: a false alarm, the test went on" if verdict.false_alarm else "it stands"
    found = verdict.look.get("found")
    shown = [f"{name} {quantity(value, unit)}" for name, value, unit in _measured(verdict.look)]
    return [f"{result}: {found}" if isinstance(found, str) else result, ", ".join(shown)]


def _measured(look: dict[str, float | str]) -> Iterator[tuple[str, float, str]]:
    """Yield name, value and unit of what a look has measured."""
    for key, (name, unit) in LOOKED.items():
        value = look.get(key)
        if isinstance(value, float):
            yield name, value, unit


def _no_files(found: Explained) -> str:
    return (
        "no files yet: they are written ten minutes after the verdict, or when the run has ended"
        if found.verdict.tier <= 2
        else "none are kept of what was only reported; all samples of the run are in the store"
    )


def _near(path: Path) -> str:
    """Return a path as one would write it in the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def commands(found: Explained) -> list[str]:
    """Return the commands that show and export the data."""
    run, number = shlex.quote(found.asked), found.number
    windows = [path for path in found.files if path.name == f"{number}-{found.verdict.kind}.csv"]
    return [
        f"sandtime why {run} --verdict {number} --plot verdict.png",
        *(f"sandtime replay {shlex.quote(_near(path))}" for path in windows),
        f"sandtime export {run} --format bdf-csv -o run{found.info.run}.bdf.csv",
    ]
