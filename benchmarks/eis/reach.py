"""What is to be reached, and whether it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.eis.cases import HELD_OUT_CASES, TUNED_CASES
from benchmarks.eis.disturbed import CLEAN, DRIFT_20, DRIFT_IN_TIME, NOISY, STEP
from benchmarks.eis.kk import Verdicts
from benchmarks.eis.results import Row
from benchmarks.eis.scores import Score
from benchmarks.figures import Figure

LARGEST_L2 = {
    "a 0.1%": 0.04,
    "a 1%": 0.115,
    "b 0.1%": 0.03,
    "b 1%": 0.13,
    "c81 0.1%": 0.09,
    "c89 0.1%": 0.23,
    "c89 1%": 0.37,
}
EXACT = ("a 0.1%", "a 1%", "b 0.1%", "c89 0.1%", "c89 1%", "d89 0.1%", "d89 1%")
AT_89 = ("c89 0.1%", "c89 1%", "d89 0.1%", "d89 1%")


def of_distributions(ours: Sequence[Row], peer: Sequence[Row]) -> list[Figure]:
    """Return the figures of our hierarchical method, and of how it compares with the best peer."""
    scores = {row.case: row.score for row in ours}
    found = [
        Figure(f"rel. L2 of γ, {case}", scores[case].rel_l2, "", limit, _of(peer, case))
        for case, limit in LARGEST_L2.items()
        if case in scores
    ]
    if exact := [scores[case].exact for case in EXACT if case in scores]:
        what = f"peak set exact: the worst of {', '.join(EXACT)}"
        found.append(Figure(what, 100.0 * min(exact), "%", 100.0, at_least=True))
    if at_89 := [scores[case] for case in AT_89 if case in scores]:
        found += _at_89(at_89)
    if coverage := [s.coverage for s in scores.values() if not np.isnan(s.coverage)]:
        mean = 100.0 * float(np.mean(coverage))
        found.append(Figure("95 % band holds the truth, mean of all", mean, "%", 90.0, at_least=True))
        found.append(Figure("95 % band is no wider than it must be: the same", mean, "%", 98.0))
    return found + (_against(scores, peer) if scores and peer else [])


def of_verdicts(verdicts: Sequence[Verdicts], noise_deviation: float) -> list[Figure]:
    """Return the figures of our Kramers–Kronig test."""
    share = {verdict.kind: 100.0 * verdict.share for verdict in verdicts}
    return [
        Figure("KK: false alarms without noise", share[CLEAN], "%", 0.0),
        Figure("KK: false alarms with noise", share[NOISY], "%", 0.0),
        Figure("KK: drift of 20 % over points found", share[DRIFT_20], "%", 99.0, at_least=True),
        Figure("KK: drift of 20 % in time found", share[DRIFT_IN_TIME], "%", 99.0, at_least=True),
        Figure("KK: step of −40 % found", share[STEP], "%", 99.0, at_least=True),
        Figure("KK: σ of the noise off by, median", 100.0 * noise_deviation, "%", 10.0),
    ]


def _at_89(scores: Sequence[Score]) -> list[Figure]:
    return [
        Figure("R_p off by, worst of c89 and d89", 100.0 * max(s.r_p for s in scores), "%", 0.3),
        Figure("areas of peaks off by, the same", 100.0 * max(s.area for s in scores), "%", 1.3),
        Figure("R_∞ off by, the same", max(s.r_inf_ohm for s in scores), "Ω", 1.0),
        Figure("places of peaks off by, the same", max(s.place for s in scores), "decades", 0.03),
    ]


def _against(scores: dict[str, Score], peer: Sequence[Row]) -> list[Figure]:
    """Return in how many cases we are at least as good as the peer."""
    theirs = {row.case: row.score for row in peer}
    tuned, held_out = ([c.name for c in cases if c.name in theirs] for cases in (TUNED_CASES, HELD_OUT_CASES))
    smooth = [case for case in held_out if not np.isnan(theirs[case].rel_l2)]
    name = peer[0].method

    def no_worse(cases: Sequence[str]) -> int:
        return sum(scores[case].rel_l2 <= theirs[case].rel_l2 for case in cases)

    exact = sum(scores[case].exact >= theirs[case].exact for case in held_out)
    return [
        Figure(f"rel. L2 ≤ {name}: of {len(tuned)} cases", no_worse(tuned), "", 8, at_least=True),
        Figure(f"rel. L2 ≤ {name}: of {len(smooth)} held out", no_worse(smooth), ""),
        Figure(f"exact as often as {name}: of {len(held_out)} held out", exact, ""),
    ]


def _of(peer: Sequence[Row], case: str) -> str:
    return "".join(f"{row.method} {row.score.rel_l2:.3f}" for row in peer if row.case == case)
