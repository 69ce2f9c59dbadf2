"""Hard short circuit: the resistance collapses and stays low.

Rule FUSED-B of the project's survey of short detection (synthetic corpus of 52 000 healthy hours at 1 Hz: no
false alarm with five samples; 3948 hard shorts: none missed). R = E/I is compared with the same phase of an
earlier passage; without one, with the last minute; and always with the cell's own R_HF, below which no
healthy cell can be (Cerny 2022). It holds for Li|Li cells, whose E is an overpotential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import TypeAdapter

from guards.baseline import Baseline
from guards.guard import Guard, State, StepFacts
from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.verdicts import Verdict

_FORGOTTEN = 0.05
"""A current before that counts for less leaves E above I × R_HF from the start."""
_TICK_S = 0.9
"""Values are learnt once a second; the tenth less keeps a 1 Hz stream with jitter whole."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When it is a short. From the survey of short detection, section 6, unless another source is named."""

    baseline_ratio: float = 0.4
    """R below this × the same phase of an earlier passage (FUSED-B)."""
    local_ratio: float = 0.25
    """R below this × the median of the last minute, where there is no earlier passage (FUSED-B)."""
    ohmic_ratio: float = 0.5
    """R below this × R_HF of the cell's last spectrum (FUSED-B; same temperature assumed)."""
    confirm_s: float = 3.0
    """Shortest time that R stays low (10 Hz: bursts of outliers last 0.7 s, 3 s gave no false alarm)."""
    confirm_samples: float = 5.0
    """Samples in that time (1 Hz: five gave no false alarm, three 0.019 in 1000 h)."""
    sparse_s: float = 5.0
    """With samples further apart than a second, this time and ``sparse_samples`` are enough."""
    sparse_samples: float = 3.0
    blank_s: float = 3.0
    """Not judged after each change of current."""
    local_after_s: float = 60.0
    """The last minute is compared only once it lies in the present current (FUSED-B)."""
    settle_s: float = 180.0
    """From this time after a reversal on, it is compared also with passages that began at rest: an interface
    of τ = 1 min takes two minutes to come out of its old sign and up to 0.4 of its R."""
    memory_s: float = 60.0
    """Time constant with which a cell forgets the current before during a rest. Not from the survey: as long
    as that of the slowest interface that ``settle_s`` allows for."""
    recent_s: float = 60.0
    """Length of the last minute, in seconds under current."""
    gain_min: float = 0.5
    """Slow changes of a healthy cell leave at least this much of R (section 5: down to 0.6 by temperature,
    activation, or a higher current)."""
    gain_max: float = 2.0
    """The same upwards (contact loss before a short: Singh 2022, R about doubles)."""
    course_max: float = 3.0
    """A course is cut at this × its median: a nucleation spike or a run-away is no level to compare with
    (section 5: E falls to a third in 15 s)."""
    current_fraction: float = 0.5
    """Samples with |I| below this part of the set-point tell nothing of R."""


@dataclass(slots=True)
class _State:
    driven: bool = False
    set_current_A: float = 0.0
    step: int = -1
    visit: int = -1
    judged_from_s: float = 0.0
    changed_s: float = 0.0
    tick_s: float = 0.0
    last_A: float = 0.0
    stopped_s: float = 0.0
    expected_ohm: float = 0.0
    limit_ohm: float = 0.0
    ohmic_ohm: float = 0.0
    r_hf_ohm: float = 0.0
    settles_at_s: float = 0.0
    """Before it, what is under the limit is suspect, but no verdict."""
    ohmic_from_s: float = 0.0
    """The same for R_HF alone."""
    since_s: float | None = None
    suspects: int = 0
    low_s: float = 0.0
    told: bool = False


_STATE = TypeAdapter(_State)


class ShortCircuit(Guard):
    """Guard against hard shorts, tier 1."""

    name = "short_circuit"

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        super().__init__()
        th = self._th = thresholds or Thresholds()
        self._baseline = Baseline(int(th.recent_s), th.gain_min, th.gain_max, th.course_max)
        self._s = _State()

    def enter(self, step: StepFacts) -> None:
        """Reset the count; begin a passage if current flows."""
        s = self._s
        s.since_s, s.suspects = None, 0
        before, s.set_current_A = s.set_current_A, step.set_current_A
        if before != 0.0:
            s.last_A, s.stopped_s = before, step.t_s
        s.driven = step.kind == "constant_current" and step.set_current_A != 0.0
        if s.driven:
            self._begin(step, going_on=before * step.set_current_A > 0.0)

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one sample."""
        s = self._s
        if not s.driven or t_s < s.judged_from_s:
            return None
        if abs(current_A) < self._th.current_fraction * abs(s.set_current_A):
            return None
        resistance = voltage_V / current_A
        due = t_s >= s.tick_s
        if due:
            self._look_up(t_s, charge_C)
        suspect = -s.limit_ohm < resistance < s.limit_ohm
        if due and not (suspect and s.told):
            self._baseline.learn(resistance, charge_C, suspect=suspect)
        if suspect:
            return self._suspect(t_s, voltage_V, current_A, resistance)
        s.since_s, s.suspects = None, 0
        if s.told and t_s - s.low_s > self._th.confirm_s:
            s.told = False
        return None

    def spectrum(self, summary: SpectrumSummary, change: SpectrumChange | None) -> Verdict | None:
        """Remember R_HF."""
        if summary.r_hf_ohm > 0.0:
            self._s.r_hf_ohm = summary.r_hf_ohm
        return None

    def state(self) -> State:
        """Return the whole state, JSON-ready."""
        return {"own": _STATE.dump_python(self._s, mode="json"), "baseline": self._baseline.state()}

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state["own"])
        self._baseline.restore(state["baseline"])

    def _begin(self, step: StepFacts, *, going_on: bool) -> None:
        """Begin a passage and decide from when on it can be compared."""
        s, th = self._s, self._th
        remembered = math.exp((s.stopped_s - step.t_s) / th.memory_s)
        start = s.last_A / step.set_current_A * remembered
        resumed = (step.step, step.visit) == (s.step, s.visit)
        s.step, s.visit = step.step, step.visit
        s.judged_from_s = s.tick_s = step.t_s + th.blank_s
        if not going_on:
            s.changed_s = step.t_s
        if not resumed:
            self._baseline.begin(step.set_current_A, start, step.planned_charge_C)
        comparable = self._baseline.comparable and not resumed
        settle_s = th.settle_s if self._baseline.has_course else th.local_after_s
        s.settles_at_s = step.t_s if comparable else s.changed_s + settle_s
        s.ohmic_from_s = step.t_s if start > -_FORGOTTEN else s.changed_s + th.settle_s

    def _look_up(self, t_s: float, charge_C: float) -> None:
        """Bring the limit up to date; once a second."""
        s, th, baseline = self._s, self._th, self._baseline
        s.tick_s = t_s + _TICK_S
        s.expected_ohm = baseline.expected_ohm(charge_C, settled=t_s - s.changed_s >= th.recent_s)
        ratio = th.baseline_ratio if baseline.has_course else th.local_ratio
        s.ohmic_ohm = th.ohmic_ratio * s.r_hf_ohm if t_s >= s.ohmic_from_s else 0.0
        s.limit_ohm = max(ratio * s.expected_ohm if baseline.ready else 0.0, s.ohmic_ohm)

    def _suspect(self, t_s: float, voltage_V: float, current_A: float, resistance: float) -> Verdict | None:
        s, th = self._s, self._th
        if s.since_s is None:
            s.since_s = t_s
        s.low_s = t_s
        s.suspects += 1
        lasted = t_s - s.since_s
        dense = lasted >= th.confirm_s and s.suspects >= th.confirm_samples
        sparse = lasted >= th.sparse_s and s.suspects >= th.sparse_samples
        waits = t_s < s.settles_at_s and abs(resistance) >= s.ohmic_ohm
        if s.told or waits or not (dense or sparse):
            return None
        s.told = True
        return self._verdict(t_s, s.since_s, voltage_V, current_A, resistance)

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
            "voltage_V": voltage_V,
            "current_A": current_A,
        }
        return Verdict(
            kind="short_circuit", tier=1, time_s=t_s, event_s=since_s, message=message, evidence=evidence
        )

    def _criterion(self, t_s: float) -> tuple[str, str, float]:
        """Return the name of the rule that decided, words for it, and what it compared with in Ω."""
        s, th = self._s, self._th
        if t_s < s.settles_at_s or s.ohmic_ohm == s.limit_ohm:
            return "R < ohmic_ratio × R_HF", f"{th.ohmic_ratio:g} × the spectrum's R_HF of", s.r_hf_ohm
        if self._baseline.has_course:
            words = f"{th.baseline_ratio:g} × the earlier passage's R at this phase, scaled,"
            return "R < baseline_ratio × same phase", words, s.expected_ohm
        return "R < local_ratio × last minute", f"{th.local_ratio:g} × the last minute's", s.expected_ohm
