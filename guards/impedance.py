"""Soft shorts, and what else a spectrum tells of a cell beside its earlier ones.

A soft short carries a part of the current past the ions: all resistances seem to fall, and E with them. So
they do when an interface activates (by 40 % in the first hour of a healthy cell) and when the cell warms up.
What tells them apart is the difference of admittances over all frequencies (``SpectrumChange``, made by the
engine): a resistor in parallel adds the same to each, an interface nothing where only the bulk is left. It
has to explain the whole change, and R_total has to have fallen to 0.7. What noise leaves undecided stays so.

The phase at the lowest frequency is asked only where there is no whole spectrum to compare with: it falls
with R in a short, but no less in an arc whose capacitance stays. So it has to fall to a half, and R_hf by
what a resistor in parallel takes from it. −Z″ is not asked: it falls with the square of R, and an activation
by 40 % leaves 0.36 of it. Nor is R_int, which an activation takes first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import TypeAdapter

from guards.guard import Guard, State, StepFacts
from guards.healthy_spectra import Condition, Healthy, HealthySpectra
from protocols.cell import Cell
from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.verdicts import Verdict, VerdictKind

_CERTAIN = 3.0
"""A phase counts as fallen only if it does beyond so many standard deviations of the noise."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a spectrum is that of a shorted cell.

    From the survey of short detection, section 7, unless another reason is given.
    """

    resistance_ratio: float = 0.7
    """R_total below this × the median of the last four comparable healthy spectra, and besides a resistor in
    parallel, or …"""
    phase_ratio: float = 0.5
    """… where there is no whole spectrum to compare with: the phase below this × its own median, and R_hf."""
    bulk_ratio: float = 0.6
    """R_total below this × the R_hf of healthy spectra: no healthy cell has less than its bulk had (section
    2), so that a resistor in parallel need not explain all that is left."""
    weak_ratio: float = 0.9
    """A resistor in parallel that leaves R_total below this is worth a report. Not from the survey."""
    phase_min: float = 0.052
    """A healthy phase smaller than this, in rad (3°), can't be seen to fall: it decides nothing."""
    head_part: float = 0.3
    """R_hf has to have fallen by what a resistor in parallel takes from it, within this part of that. Not
    from the survey: a short takes all of it, an interface nothing, warmth mostly more."""
    head_min: float = 0.05
    """Part of R_hf that has to be taken to be seen: R_hf of two spectra of one cell agrees within 2–3 %."""
    drift_max: float = 0.1
    """A spectrum during which |Z| drifted by more than this part decides nothing by itself."""
    whole_cell_ratio: float = 1.25
    """R of the bulk has changed by this factor or its inverse, and the rest with it, beyond what the
    temperature explains: worth a report. As much as the guard of temperature tolerates."""
    contact_ratio: float = 1.25
    """R where only the bulk is left has grown by this factor: worth a report."""
    near_K: float = 10.0
    """Spectra further apart in temperature are not compared: without a measurement E_a is known to 0.15 eV,
    which is 2 % of R for each K that is corrected."""


def defaults(cell: Cell) -> Thresholds:
    """Return the thresholds for a cell: a polymer's E_a changes with temperature itself."""
    return Thresholds(near_K=5.0) if cell.electrolyte_class == "polymer" else Thresholds()


@dataclass(slots=True)
class _State:
    set_current_A: float = 0.0
    temperature_K: float | None = None
    pending: Healthy | None = None
    """The last spectrum, if it may be that of a short: not yet a reference."""
    weak_told: bool = False
    """A resistor in parallel that leaves more than ``resistance_ratio`` was reported."""


_STATE = TypeAdapter(_State)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A spectrum beside what was expected of it."""

    summary: SpectrumSummary
    now: Healthy
    change: SpectrumChange | None
    expected: Healthy | None
    steady: bool
    """Passed the Kramers–Kronig test and did not drift."""
    temperature_factor: float | None
    """R to be expected relative to the last spectrum, by the temperatures; None: not known."""

    @property
    def ratio(self) -> float:
        """R_total relative to what was expected, else |Z| relative to the last healthy spectrum."""
        if self.expected is not None and self.expected.r_total_ohm > 0.0:
            return self.now.r_total_ohm / self.expected.r_total_ohm
        return self.left

    @property
    def left(self) -> float:
        """|Z| relative to the last healthy spectrum, without what the temperature explains."""
        return 1.0 if self.change is None else self.change.low_ratio / (self.temperature_factor or 1.0)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What decided."""

    criterion: str
    threshold: float
    value: float


class Impedance(Guard):
    """Guard of spectra: soft shorts (tier 1), weak ones, temperature and contacts (tier 3)."""

    name = "impedance"

    def __init__(self, cell: Cell, thresholds: Thresholds | None = None) -> None:
        super().__init__()
        self._th = thresholds or defaults(cell)
        self._cell = cell
        self._healthy = HealthySpectra(cell, self._th.near_K)
        self._s = _State()
        self.calm.until_s = math.inf

    def enter(self, step: StepFacts) -> None:
        """Note the DC current under which a spectrum is measured."""
        self._s.set_current_A = step.set_current_A

    def temperature(self, t_s: float, temperature_K: float) -> Verdict | None:
        """Note the temperature at which a spectrum is measured."""
        self._s.temperature_K = temperature_K
        return None

    def spectrum(self, summary: SpectrumSummary, change: SpectrumChange | None) -> Verdict | None:
        """Judge a spectrum; remember it if it is healthy."""
        seen = self._seen(summary, change)
        if change is not None and change.kind == "parallel_resistor" and self._is_short(seen, change):
            return self._parallel(seen)
        if change is None and self._lost_phase(seen):
            return self._short(seen, "phase at the lowest frequency < phase_ratio × healthy")
        verdict = self._report(seen) if seen.steady else None
        self._remember(seen)
        return verdict

    def looked(self, verdict: Verdict, healthy: bool) -> None:
        """Accept the last spectrum as the cell's new level if it was found healthy."""
        pending, self._s.pending = self._s.pending, None
        if healthy and pending is not None:
            self._healthy.begin_anew(pending)

    def state(self) -> State:
        """Return the whole state, JSON-ready."""
        return {"own": _STATE.dump_python(self._s, mode="json"), "healthy": self._healthy.state()}

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state["own"])
        self._healthy.restore(state["healthy"])

    def _seen(self, summary: SpectrumSummary, change: SpectrumChange | None) -> _Seen:
        at = Condition(self._s.set_current_A, summary.f_low_Hz, self._s.temperature_K)
        now = Healthy(at, summary.r_total_ohm, summary.r_hf_ohm, summary.r_int_ohm, -summary.phase_low_rad)
        steady = summary.kk_passed and abs(summary.drift) <= self._th.drift_max
        expected, factor = self._healthy.expected(at), self._healthy.temperature_factor(at)
        return _Seen(summary, now, change, expected, steady, factor)

    def _is_short(self, seen: _Seen, change: SpectrumChange) -> bool:
        """Whether a resistor in parallel is all that has come, or less is left than the bulk had."""
        bulk_ohm = 0.0 if seen.expected is None else seen.expected.r_hf_ohm
        return change.is_resistor_alone or seen.now.r_total_ohm < self._th.bulk_ratio * bulk_ohm

    def _parallel(self, seen: _Seen) -> Verdict | None:
        """A resistor has come in parallel: a short, if it takes enough. It is never learnt."""
        # By the median alone a cell that activates from one spectrum to the next would lag behind itself.
        if max(seen.ratio, seen.left) < self._th.resistance_ratio:
            return self._short(seen, "R < resistance_ratio × healthy, and a resistor in parallel")
        if self._s.weak_told or seen.ratio >= self._th.weak_ratio:
            return None
        self._s.weak_told = True
        rule = _Rule("R < weak_ratio × healthy, and a resistor in parallel", self._th.weak_ratio, seen.ratio)
        return _verdict("soft_short", 3, seen, rule, _weak_words(seen))

    def _lost_phase(self, seen: _Seen) -> bool:
        """Whether R and phase have fallen as those of a short do, and R_hf does not contradict."""
        th, expected = self._th, seen.expected
        if expected is None or not seen.steady or not self._cell.shows_overpotential:
            return False
        if seen.ratio >= th.resistance_ratio or expected.phase_rad < th.phase_min:
            return False
        uncertain_rad = _CERTAIN * seen.summary.noise
        has_fallen = seen.now.phase_rad + uncertain_rad < th.phase_ratio * expected.phase_rad
        return has_fallen and self._head_agrees(seen.now, expected)

    def _head_agrees(self, now: Healthy, expected: Healthy) -> bool:
        """Whether R_hf has fallen by what a resistor in parallel takes from it, and that can be seen."""
        if min(now.r_total_ohm, expected.r_total_ohm, expected.r_hf_ohm) <= 0.0:
            return False
        conductance_S = 1 / now.r_total_ohm - 1 / expected.r_total_ohm
        taken_ohm = expected.r_hf_ohm - 1 / (1 / expected.r_hf_ohm + conductance_S)
        off_ohm = abs(expected.r_hf_ohm - now.r_hf_ohm - taken_ohm)
        return taken_ohm > self._th.head_min * expected.r_hf_ohm and off_ohm < self._th.head_part * taken_ohm

    def _report(self, seen: _Seen) -> Verdict | None:
        """Report what has happened to the whole cell or to its contacts."""
        th, change = self._th, seen.change
        if change is None:
            return None
        grown = change.head_ratio
        if change.kind == "contact" and grown >= th.contact_ratio:
            words = f"Contact lost: R at high frequencies is {grown:.3g} times as high as before."
            rule = _Rule("R_hf ≥ contact_ratio × before", th.contact_ratio, grown)
            return _verdict("contact_loss", 3, seen, rule, words)
        left = grown / (seen.temperature_factor or 1.0)
        if change.kind != "whole_cell" or 1 / th.whole_cell_ratio < left < th.whole_cell_ratio:
            return None
        rule = _Rule("R_hf changed by whole_cell_ratio with all else", th.whole_cell_ratio, left)
        return _verdict("temperature_drift", 3, seen, rule, _whole_cell_words(change, seen))

    def _remember(self, seen: _Seen) -> None:
        """Let what is healthy be a reference: at once, or once it was found healthy if it may be a short."""
        s, now = self._s, seen.now
        if not seen.steady:
            return
        pending, s.pending = s.pending, None
        if seen.change is not None and seen.change.may_be_short:
            s.pending = now
            return
        s.weak_told = False
        kind = None if seen.change is None else seen.change.kind
        if kind in ("interface", "whole_cell", "contact") and seen.ratio < self._th.resistance_ratio:
            self._healthy.begin_anew(now)
        elif seen.expected is None or seen.ratio >= self._th.resistance_ratio:
            self._healthy.add(now)
        elif pending is not None and now.r_total_ohm >= self._th.resistance_ratio * pending.r_total_ohm:
            self._healthy.begin_anew(now)
        else:
            s.pending = now

    def _short(self, seen: _Seen, criterion: str) -> Verdict:
        rule = _Rule(criterion, self._th.resistance_ratio, seen.ratio)
        return _verdict("soft_short", 1, seen, rule, f"Soft short: {_fallen(seen)}{_because(seen.change)}.")


def _verdict(kind: VerdictKind, tier: int, seen: _Seen, rule: _Rule, message: str) -> Verdict:
    t_s = seen.summary.t_s
    evidence: dict[str, float | str] = {
        "criterion": rule.criterion,
        "threshold": rule.threshold,
        "value": rule.value,
        **_evidence(seen),
    }
    return Verdict(kind=kind, tier=tier, time_s=t_s, event_s=t_s, message=message, evidence=evidence)


def _evidence(seen: _Seen) -> dict[str, float | str]:
    """Return the numbers of a spectrum, and those of the healthy ones as far as there are any."""
    now, expected, change = seen.now, seen.expected, seen.change
    found: dict[str, float | str] = {
        "healthy_ohm": 0.0 if expected is None else expected.r_total_ohm,
        "healthy_r_hf_ohm": 0.0 if expected is None else expected.r_hf_ohm,
        "healthy_r_int_ohm": 0.0 if expected is None else expected.r_int_ohm,
        "healthy_phase_rad": 0.0 if expected is None else expected.phase_rad,
        "r_total_ohm": now.r_total_ohm,
        "r_hf_ohm": now.r_hf_ohm,
        "r_int_ohm": now.r_int_ohm,
        "phase_rad": now.phase_rad,
        "frequency_Hz": seen.summary.f_low_Hz,
        "current_A": now.at.current_A,
        "kramers_kronig": "passed" if seen.summary.kk_passed else "failed",
    }
    if change is not None:
        found |= {"change": change.kind, "reason": change.reason, "head_ratio": change.head_ratio}
        found["low_ratio"] = change.low_ratio
        if change.parallel_ohm is not None:
            found["parallel_ohm"] = change.parallel_ohm
    return found


def _fallen(seen: _Seen) -> str:
    now = f"R is {seen.now.r_total_ohm:.4g} Ω at {seen.summary.f_low_Hz:.3g} Hz"
    if seen.expected is None:
        return f"{now}, {seen.ratio:.2f} of what the last healthy spectrum showed"
    return f"{now} where healthy spectra showed {seen.expected.r_total_ohm:.4g} Ω"


def _because(change: SpectrumChange | None) -> str:
    if change is None or change.kind != "parallel_resistor" or change.parallel_ohm is None:
        return ", and the phase at that frequency with it"
    return f": {change.parallel_ohm:.4g} Ω have come in parallel ({change.reason})"


def _weak_words(seen: _Seen) -> str:
    ohm = None if seen.change is None else seen.change.parallel_ohm
    resistor = "A resistor" if ohm is None else f"A resistor of {ohm:.4g} Ω"
    return f"{resistor} has come in parallel to the cell: a weak soft short, not enough to stop."


def _whole_cell_words(change: SpectrumChange, seen: _Seen) -> str:
    explained = seen.temperature_factor
    known = (
        "the temperature is not known"
        if explained is None
        else f"the temperature around it explains {explained:.2f}"
    )
    return (
        f"The resistance of the cell's bulk is {change.head_ratio:.2f} times that of the spectrum before, "
        f"that of the whole {change.low_ratio:.2f} times, and {known}: temperature, or pressure on the cell."
    )
