"""What a run's verdicts are worth, and the sums over a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import beta, chi2

from benchmarks.detection.classes import CorpusClass, Drawn, Seeds, draw
from benchmarks.detection.lab_rules import RULES, LabRules
from benchmarks.detection.plans import HOUR_S
from benchmarks.detection.trial import Told, Trial

CONFIDENCE = 0.95
FAMILY = {"short_circuit", "soft_short"}


@dataclass(frozen=True, slots=True)
class Delay:
    """From the event to a verdict."""

    seconds: float
    samples: int
    """Under current."""


@dataclass(slots=True)
class Scored:
    """One run."""

    corpus: str
    number: int
    hours: float
    """Healthy time the guards watched."""
    samples: int
    guards_s: float
    trips: int = 0
    finals: int = 0
    suspicions: int = 0
    reports: Counter[str] = field(default_factory=Counter)
    after: dict[str, Delay] = field(default_factory=dict)
    """First ``suspicion`` (tier 2 or a stop) and first ``stop`` (final) after the event."""
    late_s: dict[str, float] = field(default_factory=dict)
    """The same, from the time when the event had reached its size."""
    named: str = ""
    """Kind of the final verdict after the event."""
    cleared: int = 0
    """Trips after the event after which the cell was thought healthy."""
    lab_hours: float = 0.0
    lab_false: Counter[str] = field(default_factory=Counter)
    lab_after: dict[str, Delay] = field(default_factory=dict)
    where: str = ""
    lines: list[str] = field(default_factory=list)
    """Verdicts in words."""

    @property
    def missed(self) -> bool:
        """Whether a run with an event ended without a word."""
        return "suspicion" not in self.after


def score(corpus: CorpusClass, number: int, seeds: Seeds, *, lab: bool = True) -> Scored:
    """Render one run, let guards and lab rules judge it, and compare with the truth."""
    drawn = draw(corpus, number, seeds)
    trial, rules = Trial(drawn.run, drawn.event_s, eis=drawn.eis), LabRules()
    rendered_s = 0.0
    for stretch in drawn.run.stretches(drawn.until_s):
        trial.take(stretch)
        if lab:
            rules.take(stretch)
        elif trial.ended:
            break
        rendered_s = stretch.facts.t_s + stretch.planned.duration_s
    diary = trial.diary
    ended_h = diary.hours if diary.final is None else diary.final.t_s / HOUR_S
    scored = Scored(corpus.name, number, ended_h, diary.samples, diary.guards_s)
    if drawn.event_s is not None:
        scored.hours = min(scored.hours, drawn.event_s / HOUR_S)
        scored.where = drawn.run.short.where if drawn.run.short else ""
    for told in diary.told:
        _book(scored, told, drawn, trial.driven_before_event)
    if lab:
        _book_lab(scored, rules, drawn, trial.driven_before_event, rendered_s)
    return scored


def _book(scored: Scored, told: Told, drawn: Drawn, driven_before: int) -> None:
    verdict, event_s = told.verdict, drawn.event_s
    before = event_s is None or told.t_s < event_s
    stops = verdict.stops
    mark = "cleared" if told.cleared else f"tier {verdict.tier}"
    since = "" if event_s is None else f" ({told.t_s - event_s:+.1f} s)"
    scored.lines.append(f"{told.t_s:9.1f} s{since} {mark} {verdict.kind}: {verdict.message}")
    if before:
        scored.trips += stops or told.cleared
        scored.finals += stops
        scored.suspicions += verdict.tier == 2
        if verdict.tier == 3 and not told.cleared:
            scored.reports[verdict.kind] += 1
        return
    scored.cleared += told.cleared
    delay = Delay(told.t_s - (event_s or 0.0), told.driven - driven_before)
    late_s = told.t_s - (drawn.complete_s or 0.0)
    if verdict.tier <= 2 or told.cleared:
        scored.after.setdefault("suspicion", delay)
        scored.late_s.setdefault("suspicion", late_s)
    if stops:
        scored.after.setdefault("stop", delay)
        scored.named = scored.named or verdict.kind


def _book_lab(scored: Scored, rules: LabRules, drawn: Drawn, driven_before: int, rendered_s: float) -> None:
    event_s = drawn.event_s
    scored.lab_hours = (rendered_s if event_s is None else event_s) / HOUR_S
    for fired in rules.fired:
        if event_s is None or fired.t_s < event_s:
            scored.lab_false[fired.rule] += 1
        else:
            delay = Delay(fired.t_s - event_s, fired.driven - driven_before)
            scored.lab_after.setdefault(fired.rule, delay)


def rate_bound(count: int, exposure: float) -> float:
    """Return the upper bound of a Poisson rate with one-sided confidence."""
    return float(chi2.ppf(CONFIDENCE, 2 * count + 2)) / 2.0 / exposure if exposure else float("inf")


def recall_bound(found: int, of: int) -> float:
    """Return the lower Clopper–Pearson bound of a share with one-sided confidence."""
    if found == 0:
        return 0.0
    return float(beta.ppf(1.0 - CONFIDENCE, found, of - found + 1))


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99.9; NaN of nothing."""
    if not values:
        return (float("nan"),) * 3
    p50, p95, p999 = np.percentile(np.asarray(values), [50.0, 95.0, 99.9]).tolist()
    return p50, p95, p999


__all__ = ["RULES", "Delay", "Scored", "percentiles", "rate_bound", "recall_bound", "score"]
