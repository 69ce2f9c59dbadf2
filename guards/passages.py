"""Passages of current: when one begins, and from when on its R = E/I tells of the cell.

A passage is one visit of a constant-current step. Both guards against shorts compare a passage with the last
minute and with earlier passages (:mod:`guards.courses`); they differ in what they make of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import TypeAdapter

from guards.courses import Courses
from guards.guard import Calm, StepFacts, next_tick

_FORGOTTEN = 0.05
"""A current before that counts for less leaves E above I × R_HF from the start."""
_JITTER = 0.1
"""Part by which values may come early, so that a stream of 1 Hz with jitter is kept whole."""
_ONSET_S = 0.3
"""A sample so soon after a change of current may have been averaged over both currents."""
_FIRST_S = 30.0
"""So long after a change of current R is looked up every second: nucleation takes 15 s (survey, §5)."""


@dataclass(frozen=True, slots=True)
class Timing:
    """From when on what is compared. From the survey of short detection, unless another reason is given."""

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
    current_fraction: float = 0.5
    """Samples with |I| below this part of the set-point tell nothing of R."""


@dataclass(slots=True)
class _State:
    driven: bool = False
    set_current_A: float = 0.0
    step: int = -1
    visit: int = -1
    began_s: float = 0.0
    judged_from_s: float = 0.0
    changed_s: float = 0.0
    tick_s: float = 0.0
    last_A: float = 0.0
    stopped_s: float = 0.0
    settles_at_s: float = 0.0
    ohmic_from_s: float = 0.0


_STATE = TypeAdapter(_State)


class Passages:
    """Follows the steps of a run."""

    def __init__(self, timing: Timing, courses: Courses) -> None:
        self._timing = timing
        self.courses = courses
        self._s = _State()

    @property
    def driven(self) -> bool:
        """Whether a constant current flows."""
        return self._s.driven

    @property
    def set_current_A(self) -> float:
        """The current that is set, signed."""
        return self._s.set_current_A

    @property
    def begins_at_s(self) -> float:
        """Run time from which on samples are judged in this step."""
        return self._s.judged_from_s

    @property
    def settles_at_s(self) -> float:
        """Run time before which nothing that R is compared with holds."""
        return self._s.settles_at_s

    @property
    def ohmic_from_s(self) -> float:
        """Run time from which on E is above I × R_HF for sure."""
        return self._s.ohmic_from_s

    def is_settled(self, t_s: float) -> bool:
        """Whether the last minute lies in the present current."""
        return t_s - self._s.changed_s >= self._timing.recent_s

    def is_long(self, t_s: float) -> bool:
        """Whether the present current has flowed for so long that it compares with any passage."""
        return t_s - self._s.changed_s >= self._timing.settle_s

    def enter(self, step: StepFacts) -> None:
        """Begin a passage if current flows."""
        s = self._s
        before, s.set_current_A = s.set_current_A, step.set_current_A
        if before != 0.0:
            s.last_A, s.stopped_s = before, step.t_s
        s.driven = step.kind == "constant_current" and step.set_current_A != 0.0
        if s.driven:
            self._begin(step, going_on=before * step.set_current_A > 0.0)

    def flows(self, t_s: float, current_A: float) -> bool:
        """Whether E / I of a sample is a resistance, if perhaps one that has only just begun to show."""
        s = self._s
        if not s.driven or t_s < s.began_s + _ONSET_S:
            return False
        return abs(current_A) >= self._timing.current_fraction * abs(s.set_current_A)

    def tells(self, t_s: float, current_A: float) -> bool:
        """Whether a sample tells of the cell's resistance."""
        return t_s >= self._s.judged_from_s and self.flows(t_s, current_A)

    def is_due(self, t_s: float) -> bool:
        """Whether R is to be looked up and learnt now; the next time is set."""
        s = self._s
        if t_s < s.tick_s:
            return False
        is_first = t_s - s.judged_from_s < _FIRST_S
        s.tick_s = t_s + 1.0 - _JITTER if is_first else next_tick(t_s)
        return True

    def calm(self, low_ohm: float, *, from_onset: bool = False) -> Calm:
        """Return which samples tell nothing new: until R is to be looked up, those above this R.

        ``from_onset``: R is looked up from the passage's onset on, not only once samples are judged.
        """
        s = self._s
        if not s.driven:
            return Calm(until_s=math.inf)
        first_s = s.began_s + _ONSET_S if from_onset else s.judged_from_s
        calm = Calm(until_s=max(s.tick_s, first_s), low_ohm=low_ohm)
        least_A = self._timing.current_fraction * abs(s.set_current_A)
        if s.set_current_A > 0.0:
            calm.low_A = least_A
        else:
            calm.high_A = -least_A
        return calm

    def state(self) -> dict[str, object]:
        """Return the whole state, JSON-ready."""
        return {"passage": _STATE.dump_python(self._s, mode="json"), "courses": self.courses.state()}

    def restore(self, state: dict[str, object]) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state["passage"])
        self.courses.restore(state["courses"])

    def _begin(self, step: StepFacts, *, going_on: bool) -> None:
        """Begin a passage and decide from when on it can be compared."""
        s, timing = self._s, self._timing
        remembered = math.exp((s.stopped_s - step.t_s) / timing.memory_s)
        start = s.last_A / step.set_current_A * remembered
        resumed = (step.step, step.visit) == (s.step, s.visit)
        s.step, s.visit = step.step, step.visit
        s.began_s = s.tick_s = step.t_s
        s.judged_from_s = step.t_s + timing.blank_s
        if not going_on:
            s.changed_s = step.t_s
        if not resumed:
            self.courses.begin(step.step, step.t_s, step.set_current_A, start, step.planned_charge_C)
        comparable = self.courses.comparable and not resumed
        settle_s = timing.settle_s if self.courses.known else timing.local_after_s
        s.settles_at_s = step.t_s if comparable else s.changed_s + settle_s
        s.ohmic_from_s = step.t_s if start > -_FORGOTTEN else s.changed_s + timing.settle_s
