"""The checks before a run's start in words, from what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.output import local_time
from protocols.check import CheckFinding, CheckOutcome
from storage.run_reader import RunReader

MARKS = {"fine": "ok", "noted": "note", "unknown": "unknown", "asks": "ASKS", "refused": "REFUSED"}
OUTCOMES = {
    "passed": "passed",
    "asks": "a person is asked",
    "refused": "refused",
    "overridden": "overridden",
    "skipped": "not made",
}


def check_outcomes(reader: RunReader, run: int) -> list[tuple[float, CheckOutcome]]:
    """Return when each check of a run was told of, by UTC, and what came of it, the oldest first."""
    events = [stored.event for stored in reader.events_of(run, "check")]
    return [(event.unix_s, CheckOutcome.model_validate(event.data)) for event in events]


def check_lines(outcomes: Sequence[tuple[float, CheckOutcome]]) -> Iterator[str]:
    """Yield what a person wants to know of them; of checks before the last one only the outcome."""
    whole = max((k for k, (_, each) in enumerate(outcomes) if each.findings), default=-1)
    for number, (unix_s, outcome) in enumerate(outcomes):
        yield f"{local_time(unix_s)}: {_headline(outcome)}"
        if number == whole:
            for finding in outcome.findings:
                yield from _lines(finding)


def _headline(outcome: CheckOutcome) -> str:
    words = OUTCOMES[outcome.outcome]
    if outcome.outcome == "overridden":
        words += f" by {outcome.who or 'a person'}"
    because = f": {outcome.reason}" if outcome.reason and not outcome.findings else ""
    return words + because


def _lines(finding: CheckFinding) -> Iterator[str]:
    yield f"  {MARKS[finding.result]}: {finding.text}"
    if finding.advice and finding.result != "fine":
        yield f"    {finding.advice}"
