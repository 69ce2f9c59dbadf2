"""The tables: what was found, what was alarmed for nothing, and how soon."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from benchmarks.detection import reach
from benchmarks.detection.classes import CLASSES, CorpusClass
from benchmarks.detection.events import PLACES
from benchmarks.detection.lab_rules import RULES
from benchmarks.detection.score import Scored, percentiles, rate_bound, recall_bound
from benchmarks.figures import Figure
from benchmarks.figures import table as figures_table

PER_H = 10_000.0
NOTE = """\
`make bench-detection` writes this page in about three hours; `python -m benchmarks.detection --only hard
--share 0.05 --misses` looks at a part, `--show CLASS NUMBER -o run.png` at one run. Cells, tests and events
are drawn from ranges that the literature gives; the cells share no code with the simulated ones of
`sandtime demo`, and no threshold of a guard is known to them. Every sample of every run is rendered, at 10
Hz too. Guards were tuned on the development seeds, and after a first look at those the generator's
activation, doors, jumps and range switches were brought to the ranges of the survey of short detection; the
figures of this page are those of the held-out seeds if it says so below.

*Trip*: a guard opened the circuit; *final*: the look that follows did not clear it. *Suspicion*: tier 2,
which costs a spectrum. Bounds are one-sided, of 95 % (Poisson, Clopper–Pearson). Delays count from the
event's first instant, also in samples under current, since a short at rest can't be seen before current
flows. In brackets: what the rules do that a lab would write, on the same samples; they only count and stop
nothing, so that one that fires in every half-cycle counts in every half-cycle.

What these figures can't say: real cells do what nobody has drawn. A rate of false alarms holds for cells
that are as restless as these.
"""
Table = tuple[Sequence[str], list[list[str]]]


def page(results: Sequence[Scored], costs: Sequence[Figure], facts: str, seeds: str) -> str:
    """Return the page for the documentation."""
    return f"# The detection benchmark\n\n{NOTE}\nSeeds: {seeds}. {facts}\n\n{text(results, costs)}"


def text(results: Sequence[Scored], costs: Sequence[Figure] = ()) -> str:
    """Return all tables in Markdown, which a terminal shows as well."""
    by_class = {name: [r for r in results if r.corpus == name] for name in CLASSES}
    present = [(CLASSES[name], found) for name, found in by_class.items() if found]
    healthy = [(corpus, found) for corpus, found in present if corpus.healthy]
    events = [(corpus, found) for corpus, found in present if not corpus.healthy]
    reached = [*reach.figures(results), *costs]
    head = f"## What is reached\n\n{figures_table(reached)}\n\n"
    parts = []
    if present:
        parts.append(("False alarms of the guards", _false_alarms(present)))
    if any(r.lab_hours for _, found in healthy for r in found):
        parts.append(("False alarms of the rules a lab would write", _lab_false(healthy)))
    if events:
        parts.append(("What was found", _recall(events)))
        parts.append(("How soon", _delays(events)))
        parts.append(("Hard shorts by where they come", _by_place(events)))
        parts.append(("The rules a lab would write", _lab_recall(events)))
        parts.append(("Run-aways: the verdict in samples after E had reached its limit", _limits(events)))
        parts.append(("What it was called", _confusion(events)))
    return head + "\n".join(f"## {title}\n\n{_markdown(*table)}\n" for title, table in parts)


def _false_alarms(present: Sequence[tuple[CorpusClass, list[Scored]]]) -> Table:
    heads = ("class", "runs", "h", "trips", "a 10⁴ h", "final", "a 10⁴ h", "suspicions", "a 10³ h", "reports")
    rows = []
    for corpus, found in present:
        hours = sum(r.hours for r in found)
        trips, finals = sum(r.trips for r in found), sum(r.finals for r in found)
        suspicions = sum(r.suspicions for r in found)
        reports: Counter[str] = sum((r.reports for r in found), Counter())
        rows.append(
            [
                corpus.name,
                str(len(found)),
                f"{hours:.0f}",
                str(trips),
                _rate(trips, hours, PER_H),
                str(finals),
                _rate(finals, hours, PER_H),
                str(suspicions),
                _rate(suspicions, hours, PER_H / 10),
                ", ".join(f"{kind} {count}" for kind, count in sorted(reports.items())),
            ]
        )
    return heads, rows


def _lab_false(healthy: Sequence[tuple[CorpusClass, list[Scored]]]) -> Table:
    rows = []
    for corpus, found in healthy:
        hours = sum(r.lab_hours for r in found)
        counts = [sum(r.lab_false[rule] for r in found) for rule in RULES]
        rows.append([corpus.name, f"{hours:.0f}", *(_rate(count, hours, PER_H) for count in counts)])
    return ("class", "h", *(f"{rule}, a 10⁴ h" for rule in RULES)), rows


def _recall(events: Sequence[tuple[CorpusClass, list[Scored]]]) -> Table:
    heads = ("class", "events", "suspected or stopped", "≥", "stopped for good", "≥", "thought healthy")
    rows = []
    for corpus, found in events:
        valid = _valid(found)
        suspected = sum("suspicion" in r.after for r in valid)
        stopped = sum("stop" in r.after for r in valid)
        rows.append(
            [
                corpus.name,
                str(len(valid)),
                _percent(suspected, len(valid)),
                f"{100 * recall_bound(suspected, len(valid)):.2f} %",
                _percent(stopped, len(valid)),
                f"{100 * recall_bound(stopped, len(valid)):.2f} %",
                str(sum(r.cleared > 0 for r in valid)),
            ]
        )
    return heads, rows


def _delays(events: Sequence[tuple[CorpusClass, list[Scored]]]) -> Table:
    heads = ("class", "to", "p50 / p95 / p99.9, s", "in samples under current", "after its full size, s")
    rows = []
    for corpus, found in events:
        for what in ("suspicion", "stop"):
            delays = [r.after[what] for r in found if what in r.after]
            rows.append(
                [
                    corpus.name,
                    what,
                    _three([delay.seconds for delay in delays]),
                    _three([delay.samples for delay in delays]),
                    _three([r.late_s[what] for r in found if what in r.late_s]),
                ]
            )
    return heads, rows


def _by_place(events: Sequence[tuple[CorpusClass, list[Scored]]]) -> Table:
    rows = []
    for corpus, found in events:
        for place in PLACES if corpus.name.startswith("hard") else ():
            here = [r for r in _valid(found) if r.where == place]
            delays = [r.after["stop"] for r in here if "stop" in r.after]
            rows.append(
                [
                    corpus.name,
                    place,
                    f"{len(delays)} of {len(here)}",
                    _three([delay.seconds for delay in delays]),
                    _three([delay.samples for delay in delays]),
                ]
            )
    return ("class", "where", "stopped", "p50 / p95 / p99.9, s", "in samples under current"), rows


def _lab_recall(events: Sequence[tuple[CorpusClass, list[Scored]]]) -> Table:
    rows = []
    for corpus, found in events:
        with_lab = [r for r in found if r.lab_hours]
        cells = []
        for rule in RULES:
            delays = [r.lab_after[rule].seconds for r in with_lab if rule in r.lab_after]
            p50, p95, _ = percentiles(delays)
            share = _percent(len(delays), len(with_lab))
            cells.append(f"{share}; {p50:.3g} / {p95:.3g} s" if delays else share)
        rows.append([corpus.name, *cells])
    return ("class", *(f"{rule}: found; p50 / p95" for rule in RULES)), rows


def _limits(events: Sequence[tuple[CorpusClass, list[Scored]]]) -> Table:
    rows = []
    for corpus, found in events:
        late = [r.after_limit for r in found if r.after_limit is not None]
        if late:
            in_time = sum(samples <= 3 for samples in late)
            rows.append([corpus.name, str(len(late)), _percent(in_time, len(late)), _three(late)])
    return ("class", "runs", "before it or ≤ 3 samples", "p50 / p95 / p99.9"), rows


def _confusion(events: Sequence[tuple[CorpusClass, list[Scored]]]) -> Table:
    kinds = sorted({r.named for _, found in events for r in found if r.named})
    rows = []
    for corpus, found in events:
        valid = _valid(found)
        named = Counter(r.named for r in valid)
        cells = [_percent(named[kind], len(valid)) if named[kind] else "" for kind in kinds]
        right = sum(named[kind] for kind in corpus.called)
        rows.append([corpus.name, _percent(right, len(valid)), *cells, _percent(named[""], len(valid))])
    return ("class", "right", *kinds, "nothing"), rows


def _valid(found: Sequence[Scored]) -> list[Scored]:
    """Return the runs that were still watched when the event came."""
    return [r for r in found if not r.finals]


def _rate(count: int, hours: float, per_h: float) -> str:
    if not hours:
        return ""
    return f"{count / hours * per_h:.3g} (≤ {rate_bound(count, hours) * per_h:.2g})"


def _percent(part: int, of: int) -> str:
    return f"{100 * part / of:.2f} %" if of else ""


def _three(values: Sequence[float]) -> str:
    p50, p95, p999 = percentiles(values)
    return "" if math.isnan(p50) else f"{p50:.3g} / {p95:.3g} / {p999:.3g}"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in [heads, *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
