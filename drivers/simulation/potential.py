"""A phase of controlled voltage: the records it gives and what ends it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.biologic.constants import ExitCondition
from drivers.simulation.phases import Potential, Scan, tripped
from drivers.simulation.potentiostat import Course, Potentiostat
from drivers.simulation.records import changed, due_times
from drivers.simulation.wiring import DrivenCell

FloatArray = NDArray[np.float64]
Rows = tuple[FloatArray, FloatArray, FloatArray]
"""Times in the phase, E and I of records, each of shape (n,)."""

_ROUNDING = 1e-9
"""Part of an interval between records by which sums of it may be off."""


class HeldPotential:
    """One phase on one cell. Limit tests are judged at the points of the potentiostat's grid."""

    def __init__(self, phase: Potential | Scan, cell: DrivenCell, limit_A: float, first_s: float) -> None:
        if isinstance(phase, Scan):
            course = Course.linear(phase.start_V, phase.end_V, phase.duration_s, phase.record_s)
        else:
            course = Course.constant(phase.voltage_V, phase.duration_s, phase.record_dT_s)
        self.potentiostat = Potentiostat(cell, course, limit_A)
        self._phase = phase
        self._first_s = first_s
        self._taken = 0
        self._recorded_A: float | None = None

    def advance(self, until_s: float) -> tuple[Rows, ExitCondition | None]:
        """Go on until then; return the new records and how the phase was left, None if it goes on."""
        phase, potentiostat = self._phase, self.potentiostat
        before_s = potentiostat.elapsed_s
        stop = self._stop if phase.tests else None
        leave: ExitCondition | None = None
        if potentiostat.run_until(min(until_s, phase.duration_s), stop):
            leave = phase.exit_condition
        elif potentiostat.elapsed_s >= phase.duration_s:
            leave = ExitCondition.NEXT_STEP
        if isinstance(phase, Scan):
            return self._scanned(phase, leave is not None), leave
        return self._held(phase, before_s, leave is not None), leave

    def _stop(self, voltage_V: float, current_A: float) -> bool:
        return bool(tripped(self._phase.tests, np.full(1, voltage_V), current_A)[0])

    def _held(self, phase: Potential, before_s: float, ended: bool) -> Rows:
        """Return the records by dT and dI since ``before_s``, and one at the end."""
        potentiostat = self.potentiostat
        now_s = potentiostat.elapsed_s
        times_s = due_times(self._taken, self._first_s, phase.record_dT_s, now_s)
        self._taken += len(times_s)
        if ended:
            times_s = np.union1d(times_s, now_s)
        if phase.record_dI_A > 0:
            candidates_s = np.union1d(times_s, potentiostat.points(before_s))
            times_s = candidates_s[self._chosen(candidates_s, times_s, phase.record_dI_A)]
        rows = times_s, potentiostat.voltages(times_s), potentiostat.currents(times_s)
        if len(times_s):
            self._recorded_A = float(rows[2][-1])
        potentiostat.forget_before(now_s)
        return rows

    def _chosen(self, candidates_s: FloatArray, kept_s: FloatArray, change_A: float) -> NDArray[np.bool_]:
        currents_A = self.potentiostat.currents(candidates_s)
        if self._recorded_A is None and len(currents_A):
            self._recorded_A = float(currents_A[0])
        return changed(currents_A, np.isin(candidates_s, kept_s), self._recorded_A or 0.0, change_A)

    def _scanned(self, phase: Scan, ended: bool) -> Rows:
        """Return one record for each dE that has passed, and one for the part of a dE at the end."""
        now_s, record_s = self.potentiostat.elapsed_s, phase.record_s
        due = math.floor(now_s / record_s + _ROUNDING)
        edges_s = np.minimum(np.arange(self._taken, due + 1) * record_s, now_s)
        if ended and now_s - due * record_s > _ROUNDING * record_s:
            edges_s = np.append(edges_s, now_s)
        self._taken = due
        begin, end = phase.measuring
        starts_s, lengths_s = edges_s[:-1], np.diff(edges_s)
        from_s, to_s = starts_s + begin * lengths_s, starts_s + end * lengths_s
        volts = self.potentiostat.voltages((from_s + to_s) / 2)
        currents_A = self.potentiostat.mean_currents(from_s, to_s)
        self.potentiostat.forget_before(due * record_s)
        return edges_s[1:], volts, currents_A
