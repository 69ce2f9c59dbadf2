"""A list of linked techniques that runs on a cell and fills the channel's memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.biologic.constants import ExitCondition, TechniqueId
from drivers.simulation.memory import WORD, Memory, Origin
from drivers.simulation.meter import AMPLITUDE_NOISE_V, IMPEDANCE_NOISE, Meter
from drivers.simulation.phases import Phase, Potential, Scan, Steady, Sweep, tripped
from drivers.simulation.potential import HeldPotential
from drivers.simulation.potentiostat import Course, Potentiostat
from drivers.simulation.records import due_times, layout
from drivers.simulation.techniques import Technique
from drivers.simulation.wiring import DrivenCell

FloatArray = NDArray[np.float64]

WATCH_S = 0.01
"""A limit on board, and a change of E that makes a record, are seen within this time."""

SETTLING_S = 10.0
"""Time after a change of current in which E may go to and fro between two records."""

LOOKS = 32
"""How many times are looked at together for a change of E."""

_SPECTRUM_COLUMNS = 14
_SPECTRUM_TIME = 13


class Run:
    """One execution, from the channel's start. ``now_s`` is on the instrument's clock."""

    def __init__(
        self,
        techniques: Sequence[Technique],
        cell: DrivenCell,
        meter: Meter,
        memory: Memory,
        started_s: float,
    ) -> None:
        self.started_s = self.now_s = started_s
        self.finished = False
        self._techniques = techniques
        self._cell, self._meter, self._memory = cell, meter, memory
        self._passes: dict[int, int] = {}
        self._controlled_A = 0.0
        self._potentiostat: Potentiostat | None = None
        self._shown_V: float | None = None
        self._enter_technique(0)

    @property
    def technique(self) -> Technique:
        """The technique that runs."""
        return self._techniques[self._index]

    @property
    def frequency_Hz(self) -> float:
        """Frequency that is being measured, 0 outside a sweep."""
        if self.finished or not isinstance(self._phase, Sweep):
            return 0.0
        return float(self._phase.frequency_Hz[self._rows])

    @property
    def voltage_V(self) -> float:
        """True E at present."""
        if self._shown_V is None and self._potentiostat is not None:
            self._shown_V = self._potentiostat.voltage_V
        if self._shown_V is None:
            self._shown_V = float(self._cell.voltages(np.zeros(1))[0])
        return self._shown_V

    @property
    def overflow(self) -> bool:
        """Whether the current has reached the end of its range at a controlled voltage."""
        return self._potentiostat is not None and self._potentiostat.overflow

    def advance_to(self, now_s: float) -> None:
        """Run until ``now_s`` or the list's end."""
        while not self.finished and self.now_s < now_s:
            if isinstance(self._phase, Sweep):
                leave = self._sweep(self._phase, now_s)
            elif isinstance(self._phase, Potential | Scan):
                leave = self._hold_voltage(self._phase, now_s)
            else:
                leave = self._hold(self._phase, now_s)
            if leave is None:
                # Rounding may leave now_s a hair before: nothing more can pass.
                return
            self._leave_phase(leave)

    def stop(self) -> None:
        """Open the circuit."""
        self.finished = True
        self._potentiostat = None
        self._cell.drive(0.0)

    def look_again(self) -> None:
        """Measure E anew: something has changed at the leads."""
        self._shown_V = None

    def step_clock(self, by_s: float) -> None:
        """Let all times shown from now on be later by ``by_s``, but none before its technique's start."""
        self.started_s -= by_s
        self._technique_s -= by_s

    def _enter_technique(self, index: int) -> None:
        index = self._follow_loops(index)
        if index >= len(self._techniques):
            self.stop()
            return
        self._index = index
        self._technique_s = self.now_s
        self._meter.e_range, self._meter.i_range = self.technique.e_range, self.technique.i_range
        self._phases: Iterator[Phase] = self.technique.phases(self._controlled_A, self.voltage_V)
        self._enter_phase()

    def _follow_loops(self, index: int) -> int:
        """Return the first technique at or after ``index`` that is no LOOP, jumping as the LOOPs say."""
        while index < len(self._techniques) and self._techniques[index].id == TechniqueId.LOOP:
            loop = self._techniques[index]
            times, done = loop.integer("loop_N_times"), self._passes.get(index, 0)
            if times == -1 or done < times:
                self._passes[index] = done + 1
                index = loop.integer("protocol_number")
            else:
                self._passes[index] = 0
                index += 1
        return index

    def _loop_count(self) -> int:
        """Return the passes done of the innermost LOOP around the present technique."""
        around = [
            (at - loop.integer("protocol_number"), at)
            for at, loop in enumerate(self._techniques)
            if loop.id == TechniqueId.LOOP and loop.integer("protocol_number") <= self._index < at
        ]
        return self._passes.get(min(around)[1], 0) if around else 0

    def _enter_phase(self) -> None:
        phase = next(self._phases, None)
        if phase is None:
            self._enter_technique(self._index + 1)
            return
        self._phase: Phase = phase
        self._phase_s = self.now_s
        self._elapsed_s = 0.0
        self._rows = 0
        self._recorded_V: float | None = None
        self._shown_V = None
        self._control(phase)
        self._origin = self._make_origin()

    def _control(self, phase: Phase) -> None:
        """Set the current, or put the cell in the potentiostat's hands."""
        self._potentiostat, self._controlled_A = None, 0.0
        limit_A = self._meter.full_scale_A
        if isinstance(phase, Potential | Scan):
            self._held = HeldPotential(phase, self._cell, limit_A, self.technique.time_base_s)
            self._potentiostat = self._held.potentiostat
        elif isinstance(phase, Sweep) and phase.of_voltage:
            course = Course.constant(phase.level, float(phase.ends_s[-1]))
            self._potentiostat = Potentiostat(self._cell, course, limit_A)
        else:
            self._controlled_A = phase.current_A or 0.0
            self._cell.drive(self._controlled_A)

    def _make_origin(self) -> Origin:
        sweep = isinstance(self._phase, Sweep)
        return Origin(
            technique_index=self._index,
            technique_id=self.technique.id,
            process=int(sweep),
            loop=self._loop_count(),
            columns=_SPECTRUM_COLUMNS if sweep else layout(self.technique.id).itemsize // WORD,
            time_base_s=self.technique.time_base_s,
            start_s=self._technique_s - self.started_s,
        )

    def _leave_phase(self, how: ExitCondition) -> None:
        if how == ExitCondition.STOP_EXPERIMENT:
            self.stop()
        elif how == ExitCondition.NEXT_TECHNIQUE:
            self._enter_technique(self._index + 1)
        else:
            self._enter_phase()

    def _pass_until(self, elapsed_s: float) -> None:
        """Let the cell live until this time in the phase."""
        if self._potentiostat is not None:
            self._potentiostat.run_until(elapsed_s)
            self._potentiostat.forget_before(elapsed_s)
        else:
            self._cell.let_pass(elapsed_s - self._elapsed_s)
        self._elapsed_s = elapsed_s
        self.now_s = self._phase_s + elapsed_s

    def _volts(self, elapsed_s: FloatArray) -> FloatArray:
        """Return the true E at times in the phase (none before the present one)."""
        return self._cell.voltages(elapsed_s - self._elapsed_s)

    def _hold(self, phase: Steady, now_s: float) -> ExitCondition | None:
        """Hold the current until ``now_s``; return how the phase was left, None if it goes on."""
        end_s = min(now_s - self._phase_s, phase.duration_s)
        due_s = due_times(self._rows, self.technique.time_base_s, phase.record_dT_s, end_s)
        leave = ExitCondition.NEXT_STEP if end_s >= phase.duration_s else None
        times_s = self._watched(due_s, end_s, leave is not None)
        # The last one is for show: a limit is seen on the grid, wherever the time is cut.
        all_volts = self._volts(np.append(times_s, end_s))
        volts, shown_V = all_volts[:-1], float(all_volts[-1])
        trip = self._trip_index(phase, volts)
        if trip is not None:
            end_s = self._refine_trip(phase, times_s, trip)
            due_s = due_s[due_s < end_s]
            times_s = np.append(due_s, end_s)
            volts = self._volts(times_s)
            shown_V, leave = float(volts[-1]), phase.exit_condition
        rows_s = due_s if leave is None else times_s
        self._rows += len(due_s)
        if len(times_s):
            row_times_s, row_volts = self._with_changes(phase, times_s, volts, len(rows_s))
            self._record(phase.cycle, row_times_s, row_volts, np.full(len(row_volts), self._cell.current_A))
        self._pass_until(end_s)
        self._shown_V = shown_V
        return leave

    def _watched(self, due_s: FloatArray, end_s: float, ends: bool) -> FloatArray:
        """Return the times of records that are due, and after them the newest one at which E is watched."""
        newest_s = end_s if ends else min(_grid_down(end_s) * WATCH_S, end_s)
        latest_s = float(due_s[-1]) if len(due_s) else self._elapsed_s
        return np.append(due_s, newest_s) if newest_s > latest_s else due_s

    def _hold_voltage(self, phase: Potential | Scan, now_s: float) -> ExitCondition | None:
        """Control the voltage until ``now_s``; return how the phase was left, None if it goes on."""
        rows, leave = self._held.advance(now_s - self._phase_s)
        self._record(phase.cycle, *rows)
        self._elapsed_s = self._held.potentiostat.elapsed_s
        self.now_s = self._phase_s + self._elapsed_s
        self._shown_V = None
        return leave

    def _trip_index(self, phase: Steady, volts: FloatArray) -> int | None:
        if not phase.tests:
            return None
        trips = tripped(phase.tests, volts, self._cell.current_A)
        return int(trips.argmax()) if trips.any() else None

    def _refine_trip(self, phase: Steady, times_s: FloatArray, trip: int) -> float:
        """Return when the limit was passed, on a grid of :data:`WATCH_S`."""
        before_s = times_s[trip - 1] if trip else self._elapsed_s
        low, high = _grid_down(before_s), _grid_up(times_s[trip])
        while high - low > 1:
            middle = (low + high) // 2
            volts = self._volts(np.full(1, max(middle * WATCH_S, self._elapsed_s)))
            low, high = (low, middle) if self._trip_index(phase, volts) is not None else (middle, high)
        return float(min(high * WATCH_S, times_s[trip]))

    def _with_changes(
        self, phase: Steady, times_s: FloatArray, volts: FloatArray, rows: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return the first ``rows`` times and E, and between them where E has changed by dE."""
        if phase.record_dE_V <= 0:
            return times_s[:rows], volts[:rows]
        last_V = float(volts[0]) if self._recorded_V is None else self._recorded_V
        before_V = np.append(last_V, volts[:-1])
        starts_s = np.append(self._elapsed_s, times_s[:-1])
        # E may come back to where it was soon after a change of current; later on it goes one way.
        looked = (np.abs(volts - before_V) >= phase.record_dE_V) | (starts_s < SETTLING_S)
        found: list[tuple[float, float]] = []
        for at in np.flatnonzero(looked).tolist():
            # A row is there anyway; the newest time that is watched may be none.
            until = _grid_up(times_s[at]) + int(at >= rows)
            found += self._changes(starts_s[at], until, float(before_V[at]), phase.record_dE_V)
        if not found:
            return times_s[:rows], volts[:rows]
        found_s, found_V = np.array(found).T
        order = np.argsort(np.append(times_s[:rows], found_s), kind="stable")
        return np.append(times_s[:rows], found_s)[order], np.append(volts[:rows], found_V)[order]

    def _changes(self, from_s: float, stop: int, last_V: float, change_V: float) -> list[tuple[float, float]]:
        """Return the times, on the grid and before its point ``stop``, at which E has changed by dE, and E.

        Looked for ever wider apart, as a cell's response slows down, and then closer.
        """
        first = _grid_down(from_s) + 1
        found: list[tuple[float, float]] = []
        low, points = first - 1, _spread(stop - first) + first
        while len(points):
            volts = self._volts(points.astype(np.float64) * WATCH_S)
            over = np.abs(volts - last_V) >= change_V
            if not over.any():
                break
            at = int(over.argmax())
            low = int(points[at - 1]) if at else low
            if points[at] - low > 1:
                points = np.unique(np.linspace(low + 1, points[at], LOOKS).astype(np.int64))
                continue
            last_V = float(volts[at])
            low = int(points[at])
            found.append((low * WATCH_S, last_V))
            points = _spread(stop - low - 1) + low + 1
        return found

    def _record(self, cycle: int, times_s: FloatArray, volts: FloatArray, currents_A: FloatArray) -> None:
        """Write one record for each of these times in the phase."""
        if not len(times_s):
            return
        self._recorded_V = float(volts[-1])
        taken_s = self._phase_s + times_s
        rows = np.empty(len(times_s), dtype=layout(self.technique.id))
        shown_s = np.maximum(taken_s - self._technique_s, 0.0)
        ticks = np.rint(shown_s / self._origin.time_base_s).astype(np.uint64)
        noise = self._meter.take_noise(2, len(times_s))
        rows["high"], rows["low"] = ticks >> np.uint64(32), ticks & np.uint64(0xFFFFFFFF)
        rows["E"] = self._meter.read_voltage(volts, noise[0])
        columns = layout(self.technique.id).names or ()
        if "I" in columns:
            rows["I"] = self._meter.read_current(currents_A, noise[1])
        if "cycle" in columns:
            rows["cycle"] = cycle
        self._memory.store(self._origin, rows.tobytes(), taken_s)

    def _sweep(self, phase: Sweep, now_s: float) -> ExitCondition | None:
        """Measure the points whose periods have passed by ``now_s``."""
        end_s = now_s - self._phase_s
        while self._rows < len(phase.ends_s) and phase.ends_s[self._rows] <= end_s:
            self._pass_until(float(phase.ends_s[self._rows]))
            self._shown_V = None
            self._record_point(phase, float(phase.frequency_Hz[self._rows]))
            self._rows += 1
        if self._rows == len(phase.ends_s):
            return ExitCondition.NEXT_STEP
        self._pass_until(end_s)
        self._shown_V = None
        return None

    def _record_point(self, phase: Sweep, frequency_Hz: float) -> None:
        current_A = self._cell.current_A
        impedance = self._cell.spectrum(np.full(1, frequency_Hz), current_A)[0]
        noise = self._meter.take_noise(4, 1)[:, 0]
        factor = 1 + IMPEDANCE_NOISE * noise[0]
        row = np.zeros(_SPECTRUM_COLUMNS, dtype="<f4")
        row[0] = frequency_Hz
        if phase.of_voltage:
            row[1], row[2] = phase.amplitude, phase.amplitude / abs(impedance) * factor
        else:
            # Its output drives a current only as far as its range of E reaches.
            row[2] = min(phase.amplitude, self._meter.full_scale_V / abs(impedance))
            row[1] = abs(abs(impedance) * row[2] * factor + AMPLITUDE_NOISE_V * noise[1])
        row[3] = np.angle(impedance) + IMPEDANCE_NOISE * noise[2]
        row[4] = self._meter.read_voltage(np.full(1, self.voltage_V), noise[3:])[0]
        row[5] = current_A
        row[_SPECTRUM_TIME] = max(self.now_s - self._technique_s, 0.0)
        self._memory.store(self._origin, row.tobytes(), np.full(1, self.now_s))


def _grid_down(time_s: float) -> int:
    """Return the last point of the grid until then, whatever the rounding of times."""
    return math.floor(time_s / WATCH_S + 1e-6)


def _grid_up(time_s: float) -> int:
    """Return the first point of the grid from then on."""
    return math.ceil(time_s / WATCH_S - 1e-6)


def _spread(count: int) -> NDArray[np.int64]:
    """Return some of the numbers 0 … count − 1, first and last among them, ever wider apart."""
    if count <= 0:
        return np.empty(0, dtype=np.int64)
    return np.unique(np.geomspace(1, count, LOOKS).astype(np.int64)) - 1
