"""What a cell with a cathode has taken and given back, and what it can still take.

Charge is conserved: at the E and the current at which a charge ended last time, a cell holds what it held
then, however it was discharged since. So what was taken out since is all that can go in again, and what goes
in beyond it flows somewhere else. That holds for partial cycles, pulses and any rate of discharge, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from guards.guard import StepFacts
from guards.lithium import LithiumBooks

_SAME_CURRENT = 0.9
"""A current from this part of another one on is no smaller one."""
_SAME_K = 5.0
"""Temperatures that differ by more let a cell take another charge: up to 7 % a K (recipes, section 9)."""
_SAME_V = 0.005
_NEAR_V = 0.3
"""E may change by so much between the last sample and the end of a step by voltage: it is steep there."""
_PLAN_PASSED = 0.98
"""From this part of its planned charge on, a step may have ended by its charge."""


@dataclass(slots=True)
class Top:
    """The end of the last charge that was ended by its voltage."""

    charge_C: float
    voltage_V: float
    current_A: float
    temperature_K: float


@dataclass(slots=True)
class HalfCycle:
    """A charge or discharge that is over."""

    charge_C: float
    """Passed in it, > 0."""
    current_A: float
    """|I| that was set."""
    by_voltage: bool
    temperature_K: float


@dataclass(slots=True)
class Balance:
    """Follows charge and discharge of a run; call :meth:`enter` before the guard looks at a step."""

    temperature_K: float
    books: LithiumBooks = field(default_factory=LithiumBooks)
    direction: int = 0
    """Of the half-cycle that is open or was the last: 1 charges, −1 discharges."""
    start_C: float = 0.0
    """Net charge when it began."""
    set_A: float = 0.0
    """Largest |I| that was set in it."""
    step: StepFacts | None = None
    """The step that drives the cell, until the next one begins."""
    by_voltage: bool = False
    """Whether the last step that drove the cell ended at its voltage."""
    newest_V: float = 0.0
    newest_A: float = 0.0
    top: Top | None = None
    reached: Top | None = None
    """The top that this half-cycle has reached, to be compared with from the next one on."""
    largest_C: float = 0.0
    """Largest charge of a discharge so far."""

    def enter(self, step: StepFacts) -> HalfCycle | None:
        """Begin a step; return the half-cycle that this ends, if any."""
        self._leave()
        self.books.enter(step)
        self.step = step if step.set_current_A else None
        direction = (step.set_current_A > 0.0) - (step.set_current_A < 0.0)
        if direction in (0, self.direction):
            self.set_A = max(self.set_A, abs(step.set_current_A))
            return None
        ended = self._half_cycle() if self.direction else None
        self.direction, self.start_C, self.set_A = direction, self.net_C, abs(step.set_current_A)
        self.top, self.reached = self.reached or self.top, None
        return ended

    def add(self, voltage_V: float, current_A: float, charge_C: float) -> None:
        """Take in a sample."""
        self.books.visit_C = charge_C
        self.newest_V, self.newest_A = voltage_V, current_A

    @property
    def net_C(self) -> float:
        """Charge that the cell has taken up in all, less what it gave."""
        return self.books.stripped_C("working")[0]

    @property
    def charged_C(self) -> float:
        """Charge taken up in this half-cycle."""
        return self.net_C - self.start_C

    @property
    def room_C(self) -> float | None:
        """What the cell could take at the start of this half-cycle; None: not known yet."""
        return None if self.top is None else self.top.charge_C - self.start_C

    def comparable(self, voltage_V: float, current_A: float) -> bool:
        """Whether a cell that charges holds at most what it held at the end of the last full charge."""
        top = self.top
        return (
            top is not None
            and self.below_top(voltage_V)
            and abs(current_A) >= _SAME_CURRENT * top.current_A
            and abs(self.temperature_K - top.temperature_K) <= _SAME_K
        )

    def below_top(self, voltage_V: float) -> bool:
        """Whether E is not beyond the end of the last full charge, if there was one."""
        return self.top is None or voltage_V <= self.top.voltage_V + _SAME_V

    def _leave(self) -> None:
        """End the step that drove the cell, if one did."""
        step = self.step
        if step is None:
            return
        self.by_voltage = self._ended_by_voltage(step)
        if self.by_voltage and step.set_current_A > 0.0:
            self.reached = Top(self.net_C, self.newest_V, abs(self.newest_A), self.temperature_K)

    def _ended_by_voltage(self, step: StepFacts) -> bool:
        if step.kind == "constant_voltage":
            return True
        if step.until_voltage_V is None or abs(self.newest_V - step.until_voltage_V) > _NEAR_V:
            return False
        plan = step.planned_charge_C
        return plan is None or abs(self.books.visit_C) < _PLAN_PASSED * plan

    def _half_cycle(self) -> HalfCycle:
        passed_C = abs(self.charged_C)
        if self.direction < 0:
            self.largest_C = max(self.largest_C, passed_C)
        return HalfCycle(passed_C, self.set_A, self.by_voltage, self.temperature_K)


def alike(one: HalfCycle, other: HalfCycle) -> bool:
    """Whether two half-cycles ran at the same current and temperature."""
    smaller, larger = sorted((one.current_A, other.current_A))
    return smaller >= _SAME_CURRENT * larger and abs(one.temperature_K - other.temperature_K) <= _SAME_K
