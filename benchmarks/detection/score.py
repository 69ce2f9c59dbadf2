"""What a run's verdicts are worth, and the sums over a class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import beta, chi2

from benchmarks.detection.classes import CorpusClass, Drawn, Seeds, draw
from benchmarks.detection.lab_rules import RULES, LabRules
from benchmarks.detection.plans import HOUR_S
from benchmarks.detection.render import Stretch
from benchmarks.detection.trial import Told, Trial

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Delay:
    """From the event to a verdict."""

    seconds: float
    samples: int
    """Under current."""
    interval_s: float

    @property
    def seconds_driven(self) -> float:
        """Time under current."""
        return self.samples * self.interval_s


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
    """Kind of the final verdict after the event, else of the first one."""
    after_limit: int | None = None
    """Samples under current from E at its limit to the final verdict; < 0: the verdict came first."""
    cleared: int = 0
    """Trips after the event after which the cell was thought healthy."""
    lab_hours: float = 0.0
    lab_false: Counter[str] = field(default_factory=Counter)
    lab_after: dict[str, Delay] = field(default_factory=dict)
    where: str = ""
    lines: list[str] = field(default_factory=list)
    """Verdicts in words."""

    in_time_s: float = 0.0

    @property
    def in_time(self) -> bool:
        """Whether it was suspected within a half-cycle after the event had reached its size."""
        return self.late_s.get("suspicion", math.inf) <= self.in_time_s

    @property
    def missed(self) -> bool:
        """Whether a run with an event ended without a word."""
        return "suspicion" not in self.after


def score(corpus: CorpusClass, number: int, seeds: Seeds, *, lab: bool = True) -> Scored:
    """Render one run, let guards and lab rules judge it, and compare with the truth."""
    drawn = draw(corpus, number, seeds)
    trial, rules, truth = (
        Trial(drawn.run.facts(), drawn.bench, interval_s=drawn.run.dt_s, event_s=drawn.event_s),
        LabRules(),
        Truth(drawn),
    )
    for stretch in drawn.run.stretches(drawn.until_s):
        truth.take(stretch)
        trial.take(stretch)
        if lab:
            rules.take(stretch)
        elif trial.ended:
            break
        if stretch.tripped_s is not None:
            break
    diary = trial.diary
    watched_s = diary.seconds if diary.final is None else diary.final.t_s
    scored = Scored(corpus.name, number, truth.healthy_h(watched_s), diary.samples, diary.guards_s)
    scored.where, scored.in_time_s = drawn.where, drawn.in_time_s
    for told in diary.told:
        _book(scored, told, truth)
    if lab:
        _book_lab(scored, rules, truth)
    return scored


@dataclass(slots=True)
class Truth:
    """What really happens in a run, as far as it was rendered."""

    drawn: Drawn
    driven: int = 0
    """Samples under current."""
    seconds: float = 0.0
    driven_at_event: int = 0
    driven_at_limit: int | None = None
    """When |E| had reached its limit after the event."""

    def take(self, stretch: Stretch) -> None:
        """Take notice of a stretch."""
        self.seconds = stretch.facts.t_s + stretch.planned.duration_s
        if stretch.facts.set_current_A == 0.0:
            return
        event_s = self.drawn.event_s
        if event_s is not None:
            first = int(np.searchsorted(stretch.t_s, event_s))
            self.driven_at_event += first
            if self.driven_at_limit is None and self.drawn.limit_V is not None:
                self._look_for_limit(stretch, first, self.drawn.limit_V)
        self.driven += len(stretch.t_s)

    def _look_for_limit(self, stretch: Stretch, first: int, limit_V: float) -> None:
        beyond = np.flatnonzero(np.abs(stretch.voltage_V[first:]) > limit_V)
        if len(beyond):
            self.driven_at_limit = self.driven + first + int(beyond[0]) + 1
        elif stretch.tripped_s is not None:
            self.driven_at_limit = self.driven + len(stretch.t_s)

    def is_before(self, t_s: float) -> bool:
        """Whether nothing has happened yet."""
        return self.drawn.event_s is None or t_s < self.drawn.event_s

    def healthy_h(self, until_s: float) -> float:
        """Return the healthy hours of a run that was watched until then."""
        event_s = self.drawn.event_s
        return (until_s if event_s is None else min(until_s, event_s)) / HOUR_S

    def delay(self, t_s: float, driven: int) -> Delay:
        """Return the time and the samples since the event."""
        since_s = t_s - (self.drawn.event_s or 0.0)
        return Delay(since_s, driven - self.driven_at_event, self.drawn.run.dt_s)


def _book(scored: Scored, told: Told, truth: Truth) -> None:
    verdict = told.verdict
    mark = "cleared" if told.cleared else f"tier {verdict.tier}"
    event_s = truth.drawn.event_s
    since = "" if event_s is None else f" ({told.t_s - event_s:+.1f} s)"
    scored.lines.append(f"{told.t_s:9.1f} s{since} {mark} {verdict.kind}: {verdict.message}")
    if truth.is_before(told.t_s):
        _book_false(scored, told)
        return
    scored.cleared += told.cleared
    delay = truth.delay(told.t_s, told.driven)
    late_s = told.t_s - (truth.drawn.complete_s or 0.0)
    if verdict.tier <= 2 or told.cleared:
        scored.after.setdefault("suspicion", delay)
        scored.late_s.setdefault("suspicion", late_s)
    if not told.cleared:
        scored.named = scored.named or verdict.kind
    if verdict.stops:
        scored.after.setdefault("stop", delay)
        scored.late_s.setdefault("stop", late_s)
        scored.named = verdict.kind
        if truth.driven_at_limit is not None:
            scored.after_limit = told.driven - truth.driven_at_limit


def _book_false(scored: Scored, told: Told) -> None:
    verdict = told.verdict
    scored.trips += verdict.stops or told.cleared
    scored.finals += verdict.stops
    scored.suspicions += verdict.tier == 2
    if verdict.tier == 3 and not told.cleared:
        scored.reports[verdict.kind] += 1


def _book_lab(scored: Scored, rules: LabRules, truth: Truth) -> None:
    scored.lab_hours = truth.healthy_h(truth.seconds)
    for fired in rules.fired:
        if truth.is_before(fired.t_s):
            scored.lab_false[fired.rule] += 1
        else:
            scored.lab_after.setdefault(fired.rule, truth.delay(fired.t_s, fired.driven))


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
