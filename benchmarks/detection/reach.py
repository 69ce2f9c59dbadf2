"""What the guards are to reach, beside what they and the rules of a lab reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.detection.classes import CLASSES, PURE
from benchmarks.detection.lab_rules import RULES
from benchmarks.detection.score import Scored, percentiles, rate_bound
from benchmarks.figures import Figure

IN_TIME_SAMPLES = 3
SOFT = ("soft-0.6", "soft-0.5", "soft-0.4", "soft-0.3")
By = dict[str, list[Scored]]


def figures(results: Sequence[Scored]) -> list[Figure]:
    """Return one row for each thing that is to be reached and that these results tell of."""
    by: By = {}
    for result in results:
        by.setdefault(result.corpus, []).append(result)
    found: list[Figure] = []
    for name in ("healthy-1Hz", "healthy-10Hz"):
        if name in by:
            found += _false_alarms(name, by[name])
    pure = [result for name in PURE for result in by.get(name, [])]
    if pure:
        found.append(Figure("final stops in all corpora of one kind", sum(r.finals for r in pure), "", 0.0))
    for make in (_hard, _soft, _gradual, _runaways):
        found += make(by)
    return found


def _false_alarms(name: str, results: Sequence[Scored]) -> list[Figure]:
    hours = sum(r.hours for r in results)
    lab_h = sum(r.lab_hours for r in results)
    rows = []
    for what, count, reach, per_h in (
        ("trips", sum(r.trips for r in results), 0.5, 1e4),
        ("final false stops", sum(r.finals for r in results), 0.05, 1e4),
        ("suspicions", sum(r.suspicions for r in results), 3.0, 1e3),
    ):
        bound = rate_bound(count, hours) * per_h
        lab = ""
        if lab_h and what == "trips":
            lab = ", ".join(
                f"{rule} {sum(r.lab_false[rule] for r in results) / lab_h * 1e4:.3g}" for rule in RULES
            )
        label = f"{name}: {what} in {hours:.0f} h (95 %: ≤ {bound:.2g})"
        rows.append(Figure(label, count / hours * per_h, f"in {per_h:.0f} h", reach, lab))
    return rows


def _hard(by: By) -> list[Figure]:
    rows = []
    if "hard-1Hz" in by:
        valid = _watched(by["hard-1Hz"])
        missed = sum("stop" not in r.after for r in valid)
        p50, _, p999 = percentiles([r.after["stop"].samples for r in valid if "stop" in r.after])
        rows.append(Figure(f"hard shorts missed, of {len(valid)}", missed, "", 0.0, _lab(valid, _lab_missed)))
        rows.append(Figure("hard short to verdict at 1 Hz, p50", p50, "samples", 4.0, _lab(valid, _lab_p50)))
        rows.append(Figure("the same, p99.9", p999, "samples", 8.0))
    if "hard-10Hz" in by:
        valid = _watched(by["hard-10Hz"])
        _, p95, _ = percentiles([r.after["stop"].seconds_driven for r in valid if "stop" in r.after])
        rows.append(Figure("hard short to verdict at 10 Hz, p95 under current", p95, "s", 4.5))
    return rows


def _soft(by: By) -> list[Figure]:
    rows = []
    for name in SOFT:
        if name in by:
            valid = _watched(by[name])
            rows.append(_share(f"{name}: suspected", valid, lambda r: "suspicion" in r.after, 98.0))
            p50, _, _ = percentiles([r.after["suspicion"].seconds for r in valid if "suspicion" in r.after])
            rows.append(Figure(f"{name}: to the suspicion, p50", p50, "s", 45.0))
    return rows


def _gradual(by: By) -> list[Figure]:
    if "gradual" not in by:
        return []
    what = "gradual: suspected within a half-cycle after the fall"
    return [_share(what, _watched(by["gradual"]), lambda r: r.in_time, 97.0)]


def _runaways(by: By) -> list[Figure]:
    rows = []
    if "depletion" in by:
        valid = _watched(by["depletion"])
        rows += [
            _share("depletion: verdict before the limit or ≤ 3 samples after", valid, _by_limit, 100.0),
            _share("depletion: told from an open circuit", valid, lambda r: r.named != "open_circuit", 99.5),
            _share("depletion: told from a loss of contact", valid, _is_right, 97.0),
        ]
    for name, reach in (("contact", 97.0), ("contact-symmetric", 97.0), ("open", 99.5), ("full-short", 97.0)):
        if name in by:
            rows.append(_share(f"{name}: named", _watched(by[name]), _is_right, reach))
    return rows


def _by_limit(result: Scored) -> bool:
    return result.after_limit is not None and result.after_limit <= IN_TIME_SAMPLES


def _is_right(result: Scored) -> bool:
    return result.named in CLASSES[result.corpus].called


def _share(what: str, results: Sequence[Scored], is_so: Callable[[Scored], bool], reach: float) -> Figure:
    share = 100.0 * sum(map(is_so, results)) / max(len(results), 1)
    return Figure(what, share, "%", reach, at_least=True)


def _watched(results: Sequence[Scored]) -> list[Scored]:
    """Return the runs that had not been stopped before their event."""
    return [result for result in results if not result.finals]


def _lab(results: Sequence[Scored], what: Callable[[Sequence[Scored], str], str]) -> str:
    judged = [result for result in results if result.lab_hours]
    return ", ".join(f"{rule} {what(judged, rule)}" for rule in RULES) if judged else ""


def _lab_missed(results: Sequence[Scored], rule: str) -> str:
    return f"{100.0 * sum(rule not in r.lab_after for r in results) / len(results):.3g} %"


def _lab_p50(results: Sequence[Scored], rule: str) -> str:
    return f"{percentiles([r.lab_after[rule].samples for r in results if rule in r.lab_after])[0]:.3g}"
