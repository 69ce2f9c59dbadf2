"""Nothing to judge by: E or I is not measured while current flows.

Values that are no measurement are kept from every other guard, since one of them would spoil a baseline. A
cell that is driven while nothing else comes is watched by nobody; hence this guard, which is in every run.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from guards.guard import Calm, State, StepFacts
from protocols.verdicts import Verdict

MEASURABLE = 1e9
"""|E| in V, |I| in A and |charge| in C from here on are no measurement: instruments send infinity, NaN or, by
SCPI-99 volume 1 section 7.2.1, 9.9e37 and 9.91e37 for what they could not measure. R = E/I stays finite."""

_MEASURED = Calm(until_s=math.inf, low_V=-MEASURABLE, high_V=MEASURABLE, low_A=-MEASURABLE, high_A=MEASURABLE)
_WAITING = Calm()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How long current may flow unwatched. Those of the short's sparse samples: a short that forms meanwhile
    waits no longer than one that is seen, and bursts of outliers (0.7 s, survey of short detection) pass."""

    confirm_s: float = 5.0
    """Shortest time without a measurement."""
    confirm_samples: float = 3.0
    """Samples in a row without one: a single one is an outlier, however far apart samples are."""


@dataclass(slots=True)
class _State:
    driven: bool = False
    since_s: float | None = None
    samples: int = 0
    told: bool = False


_STATE = TypeAdapter(_State)


class OverRange:
    """Guard of what could not be measured, tier 1; told of such values, and when one is measured again."""

    name = "over_range"

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._th = thresholds or Thresholds()
        self._s = _State()
        self.waiting = False
        """Whether the last value was no measurement, so that :meth:`measured` is due."""

    @property
    def calm(self) -> Calm:
        """Samples that it need not be told of: what is measured, unless that ends a time without."""
        return _WAITING if self.waiting else _MEASURED

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds that hold, by name."""
        return asdict(self._th)

    def enter(self, step: StepFacts) -> None:
        """Count anew; at rest nothing is counted."""
        self.measured()
        self._s.driven = step.set_current_A != 0.0

    def measured(self) -> None:
        """Take notice that E and I were measured."""
        s = self._s
        s.since_s, s.samples, s.told = None, 0, False
        self.waiting = False

    def missed(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Count one sample that is no measurement."""
        s, th = self._s, self._th
        if not s.driven:
            return None
        if s.since_s is None:
            s.since_s = t_s
        s.samples += 1
        self.waiting = True
        if s.told or s.samples < th.confirm_samples or t_s - s.since_s < th.confirm_s:
            return None
        s.told = True
        return self._verdict(t_s, s.since_s, _missing(voltage_V, current_A))

    def state(self) -> State:
        """Return the whole state, JSON-ready."""
        state: State = _STATE.dump_python(self._s, mode="json")
        return state

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state)
        self.waiting = self._s.since_s is not None

    def _verdict(self, t_s: float, since_s: float, missing: str) -> Verdict:
        lasted = t_s - since_s
        message = (
            f"{missing} could not be measured for {lasted:.3g} s while current flowed: {self._s.samples} "
            "samples in a row held no valid value, so that no guard could judge the cell. "
            "Check the leads and the ranges."
        )
        evidence: dict[str, float | str] = {
            "criterion": "time without a measurement ≥ confirm_s",
            "threshold": self._th.confirm_s,
            "value": lasted,
            "samples": float(self._s.samples),
            "missing": missing,
        }
        return Verdict(
            kind="over_range", tier=1, time_s=t_s, event_s=since_s, message=message, evidence=evidence
        )


def _missing(voltage_V: float, current_A: float) -> str:
    """Return which quantity is no measurement; the charge, if it is neither E nor I."""
    values = {"E": voltage_V, "I": current_A}
    missing = [name for name, value in values.items() if not abs(value) < MEASURABLE]
    return " and ".join(missing) or "The charge"
