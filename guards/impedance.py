"""Soft shorts, and what else a spectrum tells of a cell beside its earlier ones.

A soft short carries a part of the current past the ions: all resistances seem to fall, and E with them. So
they do when an interface activates (by 40 % in the first hour of a healthy cell) and when the cell warms up.
What tells them apart is the difference of admittances over all frequencies (``SpectrumChange``, made by the
engine): a resistor in parallel adds the same to each, an interface nothing where only the bulk is left.

Where noise leaves that undecided, the phase at the lowest frequency is asked: the low-frequency end of an arc
turns into a point on the real axis. Phase and R of a short fall by about the same part; those of an arc whose
capacitance stays do too. So the phase has to fall to a half, and R_hf must not say that the bulk was left
alone. −Z″ is not asked: it falls with the square, and an activation by 40 % leaves 0.36 of it.
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
    """R_total or R_int below this × the median of the last four comparable healthy spectra, and besides …"""
    whole_ratio: float = 0.85
    """Besides |Z| at low frequency below this × that before: where R_int is a small part of a cell, it may
    fall to ``resistance_ratio`` by what is no threat."""
    phase_ratio: float = 0.5
    """… where the change of the whole spectrum decides nothing: the phase below this × its own median."""
    phase_min: float = 0.052
    """A healthy phase smaller than this, in rad (3°), can't be seen to fall: it decides nothing."""
    head_ratio: float = 0.7
    """R_hf has to have fallen by this part at least of what a resistor in parallel takes from it, wherever
    that is enough to be seen. Not from the survey: a short takes all of it, an interface nothing."""
    head_min: float = 0.05
    """Part of R_hf that is enough to be seen: R_hf of two spectra of one cell agrees within 2–3 %."""
    drift_max: float = 0.1
    """A spectrum during which |Z| drifted by more than this part decides nothing by itself."""
    whole_cell_ratio: float = 1.25
    """All resistances have changed by this factor or its inverse, beyond what the temperature explains: worth
    a report. As much as the guard of temperature tolerates."""
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
    """The last spectrum, if its R was that of a short and nothing else said so: not yet a reference."""
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

    @property
    def ratio(self) -> float:
        """The lower one of R_total and R_int, relative to what was expected."""
        if self.expected is None:
            return 1.0 if self.change is None else self.change.low_ratio
        pairs = [(self.now.r_total_ohm, self.expected.r_total_ohm)]
        if self.expected.r_int_ohm > 0.1 * self.expected.r_total_ohm:
            pairs.append((self.now.r_int_ohm, self.expected.r_int_ohm))
        return min(now / before if before > 0.0 else 1.0 for now, before in pairs)


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
        kind = None if change is None else change.kind
        if kind == "parallel_resistor":
            return self._parallel(seen)
        if kind in (None, "undecided") and self._lost_phase(seen):
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
        return _Seen(summary, now, change, self._healthy.expected(at), steady)

    def _parallel(self, seen: _Seen) -> Verdict | None:
        """A resistor has come in parallel: a short, if it takes enough. It is never learnt."""
        whole = 1.0 if seen.change is None else seen.change.low_ratio
        if seen.ratio < self._th.resistance_ratio and whole < self._th.whole_ratio:
            return self._short(seen, "R < resistance_ratio × healthy, and a resistor in parallel")
        if self._s.weak_told:
            return None
        self._s.weak_told = True
        return self._verdict(
            "soft_short", 3, seen, "a resistor in parallel", self._th.resistance_ratio, _weak_words(seen)
        )

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
        if min(now.r_total_ohm, expected.r_total_ohm, expected.r_hf_ohm) <= 0.0:
            return True
        conductance_S = 1 / now.r_total_ohm - 1 / expected.r_total_ohm
        taken_ohm = expected.r_hf_ohm - 1 / (1 / expected.r_hf_ohm + conductance_S)
        if taken_ohm < self._th.head_min * expected.r_hf_ohm:
            return True
        return expected.r_hf_ohm - now.r_hf_ohm >= self._th.head_ratio * taken_ohm

    def _report(self, seen: _Seen) -> Verdict | None:
        """Report what has happened to the whole cell or to its contacts."""
        th, change = self._th, seen.change
        if change is None:
            return None
        if change.kind == "contact" and change.head_ratio >= th.contact_ratio:
            words = f"Contact lost: R at high frequencies is {change.head_ratio:.3g} times as high as before."
            return self._verdict("contact_loss", 3, seen, "R_hf, contact", th.contact_ratio, words)
        if change.kind != "whole_cell":
            return None
        explained = self._healthy.temperature_factor(seen.now.at)
        left = change.low_ratio / (explained or 1.0)
        if 1 / th.whole_cell_ratio < left < th.whole_cell_ratio:
            return None
        words = _whole_cell_words(change, explained)
        return self._verdict("temperature_drift", 3, seen, "|Z|, whole cell", th.whole_cell_ratio, words)

    def _remember(self, seen: _Seen) -> None:
        """Let what is healthy be a reference: at once, or after a second look if R was that of a short."""
        s, now = self._s, seen.now
        if not seen.steady:
            return
        pending, s.pending, s.weak_told = s.pending, None, False
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
        words = f"Soft short: {_fallen(seen)}{_because(seen.change)}."
        return self._verdict("soft_short", 1, seen, criterion, self._th.resistance_ratio, words)

    def _verdict(
        self, kind: VerdictKind, tier: int, seen: _Seen, criterion: str, threshold: float, message: str
    ) -> Verdict:
        evidence = {"criterion": criterion, "threshold": threshold, "value": seen.ratio} | _evidence(seen)
        t_s = seen.summary.t_s
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


def _whole_cell_words(change: SpectrumChange, explained: float | None) -> str:
    known = (
        "the temperature is not known"
        if explained is None
        else f"the temperature around it explains {explained:.2f}"
    )
    return (
        f"All resistances of the cell, the bulk's too, are {change.low_ratio:.2f} times those of the "
        f"spectrum before, and {known}: temperature, or pressure on the cell."
    )
