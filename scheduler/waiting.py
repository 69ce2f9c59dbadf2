"""Steps that the host ends: each of their samples is judged, and the first end that comes counts.

Nothing here is saved: after a restart or a pause a window fills again, and a soak begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from analysis.steadiness import ChangeJudge, SlopeJudge
from drivers.chamber import celsius
from protocols.nodes import ChargePassed, Drift, HostEnd, Person, Rest, Soak, Steady, Step
from protocols.units import format_amount

Settled = Callable[[float, float], bool]
"""Whether the chamber is at a target within a tolerance, both in K, by a fresh reading."""

_Judge = Callable[[float, float, float, float], bool]
"""Whether a step is over, from t_s, E, I and the signed charge passed in the visit."""


WAITS_FOR_STORAGE = "storage: no step starts before that can be stored"
"""What a run waits for whose next segment can't start, because no intention can be made durable."""


class ClimateOfRun(Protocol):
    """What a run asks of the chamber that its cell is in; see :class:`scheduler.climate.Climate`."""

    @property
    def temperature_K(self) -> float | None:
        """Temperature of the air by a fresh reading, if there is one."""

    def demand(self, run: int, target_K: float) -> None:
        """Hold a temperature for a run. Raises NotAllowedError, BusyError."""

    def release(self, run: int) -> None:
        """The run needs the chamber no longer."""

    def settled(self, target_K: float, tolerance_K: float) -> bool:
        """Whether a fresh reading is at the target."""

    def hurry(self, ratio: float) -> None:
        """The run waits on a clock that is so much faster than ours."""


class StepEnds:
    """The host's ends of one visit of a step."""

    def __init__(self, ends: Sequence[HostEnd], settled: Settled) -> None:
        self.why = ""
        """Why the step is over; empty while it is not."""
        self._judges = [(judge, _words(end)) for end in ends if (judge := _judge(end, settled)) is not None]

    def samples(
        self,
        t_s: Sequence[float],
        voltage_V: Sequence[float],
        current_A: Sequence[float],
        charge_C: Sequence[float],
    ) -> None:
        """Judge samples of the step, in order of time."""
        for sample in zip(t_s, voltage_V, current_A, charge_C, strict=True):
            if self.why:
                return
            # Every judge sees every sample: none may miss a part of its window.
            found = [words for judge, words in self._judges if judge(*sample)]
            self.why = found[0] if found else ""


def step_ends(step: Step, settled: Settled) -> StepEnds | None:
    """Return what judges a step's samples; None if the host has no part in its end."""
    ends = getattr(step, "host_ends", ())
    return StepEnds(ends, settled) if ends else None


def wait_of(step: Step | None) -> Soak | Person | None:
    """Return what a step waits for, if anything."""
    return step.waits if isinstance(step, Rest) else None


def waits_for(wait: Soak | Person, run: int) -> str:
    """Say what a run waits for."""
    if isinstance(wait, Soak):
        return f"the chamber, which is to be at {celsius(wait.target_K)}"
    message = f": {wait.message}" if wait.message else ""
    return f"a person{message}; to go on: sandtime resume {run}"


def waits_after_check(run: int) -> str:
    """Say what a run waits for that its check before the start holds back."""
    return (
        f"a person: once it is mended, sandtime resume {run}; to start all the same, "
        f'sandtime resume {run} --anyway "why"; to give up, sandtime stop {run}'
    )


def in_vain(step: Rest) -> str:
    """Say that what a step waited for did not come in its time."""
    within = f"within {format_amount(step.duration_s, 'time')}"
    if isinstance(step.waits, Soak):
        return f"the chamber did not reach {celsius(step.waits.target_K)} {within}"
    return f"nobody said go on {within}"


def _words(end: HostEnd) -> str:
    match end:
        case Drift():
            over = format_amount(end.over_s, "time")
            return f"E drifts by less than {end.rate_V_per_s * 3.6e6:g} mV/h over {over}"
        case Steady():
            return f"I changes by less than {end.change:.3g} of it over {format_amount(end.over_s, 'time')}"
        case ChargePassed():
            return f"{format_amount(end.charge_C, 'charge')} have passed"
        case Soak():
            return f"the chamber is settled at {celsius(end.target_K)}"
        case Person():
            return "a person said go on"


def _judge(end: HostEnd, settled: Settled) -> _Judge | None:
    """Return what judges samples; None for a person, who says it himself."""
    match end:
        case Drift():
            slope = SlopeJudge(end.rate_V_per_s, end.over_s)
            return lambda t_s, voltage_V, current_A, charge_C: slope.add(t_s, voltage_V)
        case Steady():
            change = ChangeJudge(end.change, end.over_s)
            return lambda t_s, voltage_V, current_A, charge_C: change.add(t_s, current_A)
        case ChargePassed():
            enough_C = end.charge_C
            return lambda t_s, voltage_V, current_A, charge_C: abs(charge_C) >= enough_C
        case Soak():
            return _SoakJudge(end, settled)
        case Person():
            return None


class _SoakJudge:
    """Counts how long the chamber has been settled, by the times of the samples."""

    def __init__(self, soak: Soak, settled: Settled) -> None:
        self._soak = soak
        self._settled = settled
        self._since_s: float | None = None

    def __call__(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> bool:
        """Take in a sample; return whether the soak is over."""
        if not self._settled(self._soak.target_K, self._soak.tolerance_K):
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = t_s
        return t_s - self._since_s >= self._soak.hold_s + self._soak.soak_s
