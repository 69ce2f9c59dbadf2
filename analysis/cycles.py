"""Half-cycles: what passed and what it cost, summed while the samples come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from protocols.records import HalfCycle

_MEASURABLE = 1e9
"""|E| in V and |I| in A from here on are no measurement, nor are infinity and NaN (9.9e37 is the overflow of
SCPI-99, volume 1 section 7.2.1)."""


@dataclass(slots=True)
class _Sums:
    """One half-cycle so far."""

    step: int
    visit: int
    t_start_s: float
    set_current_A: float
    planned_charge_C: float | None
    t_end_s: float
    seconds: float = 0.0
    charge_C: float = 0.0
    energy_J: float = 0.0
    voltage_min_V: float | None = None
    voltage_max_V: float | None = None
    voltage_end_V: float = 0.0


@dataclass(slots=True)
class _Point:
    """The last sample, from which the integrals go on."""

    t_s: float
    voltage_V: float
    current_A: float
    interval_s: float
    """Time between it and the sample before."""


@dataclass(slots=True)
class _State:
    number: int = -1
    step: int = -1
    visit: int = -1
    began_s: float = 0.0
    driven: bool = False
    sums: _Sums | None = None
    last: _Point | None = None
    before_C: float | None = 0.0
    """Planned charge of the steps before this one in the open half-cycle."""


_STATE = TypeAdapter(_State)


class HalfCycleMeter:
    """Sums up plating and stripping. A half-cycle ends where the set current changes its sign.

    Rests and spectra do not end one; a spectrum with a DC current underneath counts by its mean E and I, as
    one sample at its end. A look at the cell that is inserted in the middle of a step belongs to that step.
    The integrals are trapezoids, so samples may be unevenly spaced. Where E or I was not measured, its last
    value is held; samples before a first whole one are skipped.
    """

    def __init__(self) -> None:
        self._s = _State()

    @property
    def number(self) -> int:
        """Number of the half-cycle that is open, else of the last one; −1 before the first."""
        return self._s.number

    @property
    def began_s(self) -> float | None:
        """When the open half-cycle began; None if there is none."""
        return None if self._s.sums is None else self._s.sums.t_start_s

    def begin(
        self,
        *,
        step: int,
        visit: int,
        t_s: float,
        set_current_A: float,
        planned_charge_C: float | None,
        inserted: bool = False,
    ) -> HalfCycle | None:
        """Take notice that a visit of a step begins; return the half-cycle that this ends, if any.

        Arguments as in ``guards.guard.StepFacts``; ``inserted``: the program does not plan this step, so that
        it neither ends a half-cycle nor counts as another step of it. What is returned is complete, since a
        program goes on only after a step's planned end.
        """
        s = self._s
        self._hold_until(t_s)
        s.driven = set_current_A != 0.0
        if not s.driven:
            s.last = None
            return None
        turned = s.sums is not None and set_current_A * s.sums.set_current_A < 0.0
        if inserted:
            # A current in the other direction is no part of this half-cycle, and none of its own.
            s.driven, s.began_s = s.sums is not None and not turned, t_s
            s.last = None if turned else s.last
            return None
        closed = self.close(complete=True) if turned else None
        if s.sums is None:
            s.number, s.before_C = s.number + 1, 0.0
            s.sums = _Sums(step, visit, t_s, set_current_A, planned_charge_C, t_end_s=t_s)
        elif (step, visit) != (s.step, s.visit):
            s.before_C = s.sums.planned_charge_C
        # A step that goes on may have been given another end.
        s.sums.planned_charge_C = _total(s.before_C, planned_charge_C)
        s.step, s.visit, s.began_s = step, visit, t_s
        return closed

    def interrupted(self, t_s: float) -> None:
        """Take notice that no current flowed up to ``t_s``: a new segment begins then."""
        self._hold_until(t_s)
        self._s.last = None

    def add(self, t_s: Sequence[float], voltage_V: Sequence[float], current_A: Sequence[float]) -> None:
        """Take in one step's stretch of DC samples, plain floats in order of time. Rests are passed over."""
        s = self._s
        sums = s.sums
        if sums is None or not s.driven:
            return
        if not _all_measured(voltage_V, current_A):
            t_s, voltage_V, current_A = _held(s.last, t_s, voltage_V, current_A)
        if not len(t_s):
            return
        last = s.last or _Point(s.began_s, voltage_V[0], current_A[0], 0.0)
        for t, voltage, current in zip(t_s, voltage_V, current_A, strict=True):
            _integrate(sums, last, t, voltage, current)
        _widen(sums, min(voltage_V), max(voltage_V))
        sums.t_end_s, sums.voltage_end_V = last.t_s, last.voltage_V
        s.last = last

    def peek(self) -> HalfCycle | None:
        """Return the open half-cycle as it would be if it ended now; None if there is none."""
        sums = self._s.sums
        return None if sums is None else _row(self._s.number, sums, complete=True)

    def close(self, *, complete: bool) -> HalfCycle | None:
        """End the open half-cycle and return it; None if there is none or it has no sample."""
        s = self._s
        sums, s.sums, s.last = s.sums, None, None
        if sums is None:
            return None
        row = _row(s.number, sums, complete)
        if row is None:
            s.number -= 1
        return row

    def state(self) -> dict[str, object]:
        """Return the whole state, JSON-ready."""
        dumped: dict[str, object] = _STATE.dump_python(self._s, mode="json")
        return dumped

    def restore(self, state: dict[str, object]) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state)

    def _hold_until(self, t_s: float) -> None:
        """Count the last bit of a step, from its last sample to its end."""
        last, sums = self._s.last, self._s.sums
        if last is None or sums is None:
            return
        # Not more than one interval: after a gap in the data nobody knows how long the current went on.
        t_s = min(t_s, last.t_s + last.interval_s)
        if t_s > last.t_s:
            interval_s = last.interval_s
            _integrate(sums, last, t_s, last.voltage_V, last.current_A)
            last.interval_s, sums.t_end_s = interval_s, t_s


def _all_measured(voltage_V: Sequence[float], current_A: Sequence[float]) -> bool:
    """Whether no value is too large or NaN, at the speed of ``sum``; False is not sure."""
    return sum(map(abs, voltage_V)) + sum(map(abs, current_A)) < _MEASURABLE


def _held(
    last: _Point | None, t_s: Sequence[float], voltage_V: Sequence[float], current_A: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """Return the samples from a whole one on, with the last value in place of what was not measured."""
    held: tuple[list[float], list[float], list[float]] = ([], [], [])
    values = (last.voltage_V, last.current_A) if last else None
    for t, voltage, current in zip(t_s, voltage_V, current_A, strict=True):
        whole = abs(voltage) < _MEASURABLE and abs(current) < _MEASURABLE
        if values is None and not whole:
            continue
        last_V, last_A = values or (voltage, current)
        values = (
            voltage if abs(voltage) < _MEASURABLE else last_V,
            current if abs(current) < _MEASURABLE else last_A,
        )
        for column, value in zip(held, (t, *values), strict=True):
            column.append(value)
    return held


def _integrate(sums: _Sums, last: _Point, t_s: float, voltage_V: float, current_A: float) -> None:
    """Add one trapezoid, from the last sample to this one, which becomes the last."""
    # Plain floats: numpy takes 20 µs for the one sample that most polls bring.
    interval_s = t_s - last.t_s
    half_s = 0.5 * interval_s
    sums.seconds += interval_s
    sums.charge_C += half_s * (last.current_A + current_A)
    sums.energy_J += half_s * (last.voltage_V * last.current_A + voltage_V * current_A)
    last.t_s, last.voltage_V, last.current_A, last.interval_s = t_s, voltage_V, current_A, interval_s


def _widen(sums: _Sums, lowest_V: float, highest_V: float) -> None:
    sums.voltage_min_V = lowest_V if sums.voltage_min_V is None else min(sums.voltage_min_V, lowest_V)
    sums.voltage_max_V = highest_V if sums.voltage_max_V is None else max(sums.voltage_max_V, highest_V)


def _total(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _row(number: int, sums: _Sums, complete: bool) -> HalfCycle | None:
    if sums.voltage_min_V is None or sums.voltage_max_V is None:
        return None
    return HalfCycle(
        number=number,
        step=sums.step,
        visit=sums.visit,
        t_start_s=sums.t_start_s,
        t_end_s=sums.t_end_s,
        set_current_A=sums.set_current_A,
        current_A=sums.charge_C / sums.seconds if sums.seconds else sums.set_current_A,
        charge_C=sums.charge_C,
        planned_charge_C=sums.planned_charge_C,
        complete=complete,
        overpotential_V=abs(sums.energy_J / sums.charge_C) if sums.charge_C else 0.0,
        voltage_min_V=sums.voltage_min_V,
        voltage_max_V=sums.voltage_max_V,
        voltage_end_V=sums.voltage_end_V,
    )
