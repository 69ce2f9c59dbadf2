"""Hard short circuit: the resistance collapses and stays low.

Rule FUSED-B of the project's survey of short detection (synthetic corpus of 52 000 healthy hours at 1 Hz: no
false alarm with five samples; 3948 hard shorts: none missed). R = E/I is compared with the same phase of an
earlier passage; without one, with the last minute; and always with the cell's own R_HF, below which no
healthy cell can be (Cerny 2022). It holds for Li|Li cells, whose E is an overpotential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from guards import arrhenius
from guards.arrhenius import Warmth
from guards.baseline import Baseline
from guards.courses import Courses
from guards.guard import Calm, Guard, State, StepFacts
from guards.passages import Passages, Timing
from guards.rise import Rise
from protocols.cell import Cell
from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Thresholds(Timing):
    """When it is a short. From the survey of short detection, section 6, unless another source is named."""

    baseline_ratio: float = 0.4
    """R below this × the same phase of an earlier passage (FUSED-B)."""
    local_ratio: float = 0.25
    """R below this × the median of the last minute, where there is no earlier passage (FUSED-B)."""
    ohmic_ratio: float = 0.5
    """R below this × R_HF of the cell's last spectrum (FUSED-B), corrected if the cell is warmer now."""
    confirm_s: float = 1.8
    """Shortest time that R stays low (10 Hz: bursts of outliers last 0.7 s; a little less than 2 s, so that
    three samples with jitter are enough at 1 Hz)."""
    confirm_samples: float = 3.0
    """Samples in that time (1 Hz: three gave one false alarm in 52 000 h, five none; but a look follows)."""
    flat_per_s: float = 0.0015
    """Where nothing compares yet, after a change of current, R of a short rises by less than this part of
    what is expected in a second, with 99.5 % confidence. That of an interface that comes out of its old sign
    rises faster: with τ = 200 s by 0.3 % in a second at ``baseline_ratio``."""
    onset_per_s: float = 0.02
    """The same in the first seconds (``blank_s``) after any change of current, where an earlier passage does
    compare: what is over after 3 s had τ of a second, and rises by 10 % and more in each."""
    sparse_s: float = 5.0
    """With samples further apart than a second, this time and ``sparse_samples`` are enough."""
    sparse_samples: float = 3.0
    gain_min: float = 0.5
    """Slow changes of a healthy cell leave at least this much of R (section 5: down to 0.6 by temperature,
    activation, or a higher current)."""
    gain_max: float = 2.0
    """The same upwards (contact loss before a short: Singh 2022, R about doubles)."""
    course_max: float = 3.0
    """A course is cut at this × its median: a nucleation spike or a run-away is no level to compare with
    (section 5: E falls to a third in 15 s)."""


def defaults(cell: Cell) -> Thresholds:
    """Return the usual thresholds for a cell.

    Garnets as published pass current at 0.47 to 0.58 of the R_HF of their spectra, so that half of R_HF is no
    bound for them; half of that is.
    """
    return Thresholds(ohmic_ratio=0.25) if cell.electrolyte_class == "garnet" else Thresholds()


@dataclass(slots=True)
class _State:
    expected_ohm: float = 0.0
    limit_ohm: float = 0.0
    ohmic_ohm: float = 0.0
    r_hf_ohm: float = 0.0
    r_hf_K: float | None = None
    """Temperature of its spectrum, if that is known."""
    warmth: Warmth = field(default_factory=Warmth)
    since_s: float | None = None
    suspects: int = 0
    rise: Rise = field(default_factory=Rise)
    """Of R since ``since_s``."""
    low_s: float = 0.0
    told: bool = False


_STATE = TypeAdapter(_State)


class ShortCircuit(Guard):
    """Guard against hard shorts, tier 1."""

    name = "short_circuit"

    def __init__(self, cell: Cell, thresholds: Thresholds | None = None) -> None:
        super().__init__()
        self._cell = cell
        th = self._th = thresholds or defaults(cell)
        self._courses = Courses(th.course_max, cell)
        self._passages = Passages(th, self._courses)
        self._baseline = Baseline(self._courses, th.gain_min, th.gain_max)
        self._s = _State()

    def enter(self, step: StepFacts) -> None:
        """Reset the count; begin a passage if current flows."""
        self._s.since_s, self._s.suspects = None, 0
        self._passages.enter(step)
        self._be_calm()

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one sample."""
        s, passages = self._s, self._passages
        if not passages.flows(t_s, current_A):
            return None
        resistance = voltage_V / current_A
        due = passages.is_due(t_s)
        if due:
            self._look_up(t_s, charge_C)
        suspect = -s.limit_ohm < resistance < s.limit_ohm
        if due and t_s >= passages.begins_at_s and not (suspect and s.told):
            self._baseline.learn(resistance, charge_C, suspect=suspect)
        if suspect:
            self.calm.until_s = -math.inf
            return self._suspect(t_s, voltage_V, current_A, resistance)
        s.since_s, s.suspects = None, 0
        if s.told and t_s - s.low_s > self._th.confirm_s:
            s.told = False
        self._be_calm()
        return None

    def spectrum(self, summary: SpectrumSummary, change: SpectrumChange | None) -> Verdict | None:
        """Remember R_HF."""
        s = self._s
        if summary.r_hf_ohm > 0.0:
            s.r_hf_ohm, s.r_hf_K = summary.r_hf_ohm, s.warmth.at(summary.t_s)
        return None

    def temperature(self, t_s: float, temperature_K: float) -> Verdict | None:
        """Remember how warm the cell may be."""
        self._s.warmth.tell(t_s, temperature_K)
        return None

    def looked(self, verdict: Verdict, healthy: bool) -> None:
        """After a false alarm count anew."""
        if healthy and verdict.kind == "short_circuit":
            self._s.since_s, self._s.suspects, self._s.told = None, 0, False

    def state(self) -> State:
        """Return the whole state, JSON-ready."""
        own = _STATE.dump_python(self._s, mode="json")
        return {"own": own, "recent_ohm": self._baseline.state(), **self._passages.state()}

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state["own"])
        self._passages.restore(state)
        self._baseline.restore(state["recent_ohm"])
        self._be_calm()

    def _be_calm(self) -> None:
        """Ask for samples again when R is to be looked up, or is low."""
        s, passages = self._s, self._passages
        waits = passages.driven and (s.since_s is not None or s.told)
        self.calm = Calm() if waits else passages.calm(s.limit_ohm, from_onset=True)

    def _look_up(self, t_s: float, charge_C: float) -> None:
        """Bring the limit up to date; once a second or less often."""
        s, th, passages = self._s, self._th, self._passages
        baseline = self._baseline
        warm_K = s.warmth.at(t_s)
        self._courses.be_at(warm_K)
        s.expected_ohm = baseline.expected_ohm(charge_C, settled=passages.is_settled(t_s))
        ratio = th.baseline_ratio if self._courses.known else th.local_ratio
        bulk_ohm = s.r_hf_ohm
        if warm_K is not None and s.r_hf_K is not None and warm_K > s.r_hf_K:
            bulk_ohm *= arrhenius.factor(self._cell, s.r_hf_K, warm_K)
        s.ohmic_ohm = th.ohmic_ratio * bulk_ohm if t_s >= passages.ohmic_from_s else 0.0
        s.limit_ohm = max(ratio * s.expected_ohm if baseline.ready else 0.0, s.ohmic_ohm)

    def _suspect(self, t_s: float, voltage_V: float, current_A: float, resistance: float) -> Verdict | None:
        s, th = self._s, self._th
        if s.since_s is None:
            s.since_s, s.rise = t_s, Rise()
        s.low_s = t_s
        s.rise.add(t_s - s.since_s, resistance)
        s.suspects += 1
        lasted = t_s - s.since_s
        dense = lasted >= th.confirm_s and s.suspects >= th.confirm_samples
        sparse = lasted >= th.sparse_s and s.suspects >= th.sparse_samples
        if s.told or not (dense or sparse) or self._may_settle(t_s, s.since_s, resistance):
            return None
        s.told = True
        return self._verdict(t_s, s.since_s, voltage_V, current_A, resistance)

    def _may_settle(self, t_s: float, since_s: float, resistance: float) -> bool:
        """Whether R may be low because the current has changed: then it rises; that of a short does not."""
        s, th, passages = self._s, self._th, self._passages
        if t_s < passages.settles_at_s and abs(resistance) >= s.ohmic_ohm:
            return s.rise.highest_per_s() > th.flat_per_s * s.expected_ohm
        is_onset = since_s < passages.begins_at_s and t_s < passages.begins_at_s + th.confirm_s
        return is_onset and s.rise.highest_per_s() > th.onset_per_s * s.expected_ohm

    def _verdict(
        self, t_s: float, since_s: float, voltage_V: float, current_A: float, resistance: float
    ) -> Verdict:
        s = self._s
        criterion, words, baseline = self._criterion(t_s)
        message = (
            f"Short circuit: R fell to {resistance:.4g} Ω, under {s.limit_ohm:.4g} Ω "
            f"({words} {baseline:.4g} Ω), and stayed there for {t_s - since_s:.1f} s; "
            f"E = {voltage_V * 1e3:.4g} mV at {current_A * 1e3:.4g} mA."
        )
        evidence: dict[str, float | str] = {
            "criterion": criterion,
            "threshold": s.limit_ohm,
            "value": resistance,
            "baseline": baseline,
            "healthy_ohm": s.expected_ohm,
            "healthy_r_hf_ohm": s.r_hf_ohm,
            "voltage_V": voltage_V,
            "current_A": current_A,
        }
        return Verdict(
            kind="short_circuit", tier=1, time_s=t_s, event_s=since_s, message=message, evidence=evidence
        )

    def _criterion(self, t_s: float) -> tuple[str, str, float]:
        """Return the name of the rule that decided, words for it, and what it compared with in Ω."""
        s, th, passages = self._s, self._th, self._passages
        if t_s < passages.settles_at_s or s.ohmic_ohm == s.limit_ohm:
            return "R < ohmic_ratio × R_HF", f"{th.ohmic_ratio:g} × the spectrum's R_HF of", s.r_hf_ohm
        if self._courses.known:
            words = f"{th.baseline_ratio:g} × the earlier passage's R at this phase, scaled,"
            return "R < baseline_ratio × same phase", words, s.expected_ohm
        return "R < local_ratio × last minute", f"{th.local_ratio:g} × the last minute's", s.expected_ohm
