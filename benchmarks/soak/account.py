"""Is every run accounted for? What is stored is compared with what was done, and with the boxes' books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from drivers.simulation.control import Books
from protocols.records import ENDED, RunInfo
from storage.held import HeldReader

TAKEN_OVER = "taken over"
INSTRUMENT_FAILS = ("no longer holds", "could not start", "host lost", "not seen running", "its data failed")
"""Words of the reasons for which a run ends *failed*: what an instrument or a killed daemon has done."""


@dataclass(slots=True)
class Account:
    """What became of all runs."""

    states: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    taken_over: int = 0
    gaps: int = 0
    expected: int = 0
    found: int = 0
    in_gaps: int = 0
    of_failed: int = 0
    unaccounted: list[str] = field(default_factory=list)


def account(data: Path, books: list[Books], by_person: set[int]) -> Account:
    """Look at every run that is stored. ``by_person``: those that a person has stopped."""
    made = _made(books)
    result = Account()
    with closing(HeldReader(data)) as reader:
        for info in reader.runs():
            wrong = [*_state(result, info, by_person), *_samples(result, reader, info, made.get(info.run, 0))]
            result.unaccounted += [f"run {info.run} on {info.station}: {text}" for text in wrong]
            states = [stored.event.data for stored in reader.events_of(info.run, "state")]
            result.taken_over += sum(str(data["reason"]).startswith(TAKEN_OVER) for data in states)
            ends = sum(data["state"] in ENDED for data in states)
            if ends != 1:
                result.unaccounted.append(f"run {info.run} has {ends} endings")
    return result


def _made(books: list[Books]) -> Counter[int]:
    """Return how many records were made for each run; a list's last technique is the driver's own rest."""
    made: Counter[int] = Counter()
    for each in books:
        for marker, rows in each.made:
            made[int(marker.split("/")[2])] += sum(rows[:-1])
    return made


def _state(result: Account, info: RunInfo, by_person: set[int]) -> Iterator[str]:
    """Count how a run has ended; yield what can't be."""
    result.states[info.state] += 1
    if info.state not in ENDED:
        yield f"it is {info.state}, and nothing moves it: {info.reason}"
    elif info.state == "protected":
        kind = "" if info.verdict is None else info.verdict.kind
        result.verdicts[kind] += 1
        if not kind:
            yield "it was protected without a verdict"
    elif info.state == "stopped" and info.run not in by_person:
        yield f"nobody stopped it: {info.reason}"
    elif info.state == "failed":
        known = next((words for words in INSTRUMENT_FAILS if words in info.reason), "")
        result.failures[known or "something else"] += 1
        if not known:
            yield f"it failed for a reason that is none: {info.reason}"
    if info.state in ENDED and info.started_unix_s is not None and not info.open_circuit_confirmed:
        yield "its circuit is not confirmed open"


def _samples(result: Account, reader: HeldReader, info: RunInfo, made: int) -> Iterator[str]:
    """Compare a run's samples with its box's books; yield what is missing without a word, or there twice."""
    found, gaps = reader.count(info.run), reader.gaps(info.run)
    result.expected, result.found, result.gaps = (
        result.expected + made,
        result.found + found,
        result.gaps + len(gaps),
    )
    missing = made - found
    if missing < 0:
        yield f"{found} samples are stored, but its box made {made}"
    elif missing and info.state == "failed":
        result.of_failed += missing
    elif missing and gaps:
        result.in_gaps += missing
    elif missing:
        yield f"{missing} of {made} samples are missing without a gap row"
    yield from reader.verify(info.run)
