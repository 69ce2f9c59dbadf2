"""Absolute limits that the host holds, and the last word on a limit that an instrument held."""

from __future__ import annotations

import math
from dataclasses import dataclass

from guards.guard import Calm, SavedGuard, StepFacts
from protocols.program import Limits
from protocols.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How sure the host wants to be."""

    confirm_samples: float = 2.0
    """Values in a row outside a limit: one alone may be an outlier (survey of short detection, section 5)."""
    current_tolerance: float = 0.01
    """|I| may exceed its limit by this part: a test at the limit itself is measured with noise, and the
    accuracy of an instrument's current is of this order."""


@dataclass(slots=True)
class _State:
    outside: int = 0
    since_s: float = 0.0
    told: bool = False


class LimitGuard(SavedGuard[_State]):
    """Guard of the window of E and of |I|, in samples and in live values."""

    name = "limits"

    def __init__(self, limits: Limits, thresholds: Thresholds | None = None) -> None:
        super().__init__(_State())
        self._th = thresholds or Thresholds()
        self._limits = limits
        self._lowest_V = limits.voltage_min_V
        self._highest_V = limits.voltage_max_V
        self._largest_A = limits.current_max_A * (1.0 + self._th.current_tolerance)
        self._inside = Calm(
            until_s=math.inf,
            low_V=self._lowest_V,
            high_V=self._highest_V,
            low_A=-self._largest_A,
            high_A=self._largest_A,
        )
        self._look_up_calm()

    def enter(self, step: StepFacts) -> None:
        """Forget the count of the step before."""
        self._s.outside = 0
        self._look_up_calm()

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one sample."""
        return None if self.calm.holds(t_s, voltage_V, current_A) else self.live(t_s, voltage_V, current_A)

    def live(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Judge one pair of values."""
        inside = self._lowest_V <= voltage_V <= self._highest_V
        if inside and -self._largest_A <= current_A <= self._largest_A:
            self._s.outside = 0
            self._s.told = False
            self._look_up_calm()
            return None
        return self._outside(t_s, voltage_V, current_A)

    def tripped(self, t_s: float, message: str) -> Verdict | None:
        """Name what nobody else could name."""
        return on_board(t_s, message)

    def _look_up_calm(self) -> None:
        """After a value outside, the next one inside ends the count, and so has to be told."""
        s = self._s
        self.calm = Calm() if s.outside or s.told else self._inside

    def _outside(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        s = self._s
        if s.outside == 0:
            s.since_s = t_s
        s.outside += 1
        self._look_up_calm()
        if s.told or s.outside < self._th.confirm_samples:
            return None
        s.told = True
        return self._verdict(t_s, voltage_V, current_A)

    def _verdict(self, t_s: float, voltage_V: float, current_A: float) -> Verdict:
        criterion, threshold, value, unit = self._which(voltage_V, current_A)
        return Verdict(
            kind="limit",
            tier=1,
            time_s=t_s,
            event_s=self._s.since_s,
            message=f"Safety limit: {value:.4g} {unit} is beyond {threshold:.4g} {unit} ({criterion}).",
            evidence={
                "criterion": criterion,
                "threshold": threshold,
                "value": value,
                "voltage_V": voltage_V,
                "current_A": current_A,
            },
        )

    def _which(self, voltage_V: float, current_A: float) -> tuple[str, float, float, str]:
        if voltage_V > self._highest_V:
            return "E > voltage_max", self._highest_V, voltage_V, "V"
        if voltage_V < self._lowest_V:
            return "E < voltage_min", self._lowest_V, voltage_V, "V"
        return "|I| > current_max", self._limits.current_max_A, abs(current_A), "A"


def on_board(t_s: float, message: str) -> Verdict:
    """Return the verdict on a limit that an instrument held and whose cause nobody knows."""
    text = f"A limit on the instrument opened the circuit: {message or 'no further word from it'}."
    evidence: dict[str, float | str] = {"criterion": "limit on board"}
    return Verdict(kind="limit", tier=0, time_s=t_s, event_s=t_s, message=text, evidence=evidence)
