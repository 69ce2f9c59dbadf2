"""One run told to a watch as the engine does it: samples in polls, looks, spectra, temperature."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from dataclasses import dataclass, field, replace

from analysis.admittance_change import compare_spectra
from analysis.kramers_kronig import summarize
from benchmarks.detection.bench import LOOK_S, LOOKING_STEP, Bench
from benchmarks.detection.plans import SWEEP_S
from benchmarks.detection.render import Stretch
from guards.guard import StepFacts
from guards.look import judge_look
from guards.watch import Watch
from protocols.cell import Cell
from protocols.limits import DEFAULT_LIMIT_V
from protocols.measurements import Spectrum
from protocols.program import Limits, Program
from protocols.verdicts import Verdict

POLL = 16
"""Samples of one poll: what a guard sees before the engine can act. Larger than an engine's at 1 Hz, to save
time, except around an event."""
BEFORE_S = 300.0


@dataclass(frozen=True, slots=True)
class Told:
    """A verdict as it came, on the clock of the rendered run."""

    verdict: Verdict
    t_s: float
    driven: int
    """Samples under current told so far, this one included."""
    cleared: bool = False
    """A trip after which the cell was found healthy."""


@dataclass(slots=True)
class Diary:
    """What came of a run."""

    seconds: float = 0.0
    samples: int = 0
    guards_s: float = 0.0
    """CPU time spent in the watch."""
    told: list[Told] = field(default_factory=list)
    final: Told | None = None


def program_of(cell: Cell) -> Program:
    """Return what the guards are made from."""
    limit_V = DEFAULT_LIMIT_V[cell.electrolyte_class]
    low_V, high_V = cell.voltage_min_V, cell.voltage_max_V
    limits = Limits(
        voltage_min_V=-limit_V if low_V is None else low_V,
        voltage_max_V=limit_V if high_V is None else high_V,
        current_max_A=1.0,
    )
    return Program(protocol="benchmark", cell=cell, steps=(), limits=limits)


class Trial:
    """Tells a watch of a run and acts on its verdicts."""

    def __init__(self, cell: Cell, bench: Bench, *, interval_s: float, event_s: float | None = None) -> None:
        """``event_s``: from shortly before it on polls are those of an engine, one each second."""
        self._fine_from_s = math.inf if event_s is None else event_s - BEFORE_S
        self._fine = max(round(1.0 / interval_s), 1)
        self.diary = Diary()
        self._watch = Watch.for_program(program_of(cell))
        self._bench = bench
        self._shift_s = 0.0
        """By how much the guards' clock is later than the run's, for the looks that were taken."""
        self._healthy: dict[bool, Spectrum] = {}
        self._decided = False
        """Whether a spectrum of the present look could be compared with a healthy one."""
        self._looked_in: set[int] = set()
        self._suspected_in: set[int] = set()
        self._driven = 0
        self._skip_to_s = -math.inf
        self._relax_from_s: float | None = None
        self._late_look: Verdict | None = None

    @property
    def ended(self) -> bool:
        """Whether the circuit was opened for good."""
        return self.diary.final is not None

    def take(self, stretch: Stretch) -> None:
        """Tell of one step's visit, unless the run has ended."""
        if self.ended:
            return
        self._enter(stretch.facts)
        self._skip_to_s = -math.inf
        if stretch.spectrum is not None:
            self._tell_temperature(stretch, -1.0, stretch.spectrum.t_end_s)
            self._judge_spectrum(stretch.spectrum)
        else:
            self._samples(stretch)
            if stretch.tripped_s is not None and not self.ended:
                self._tripped(stretch, stretch.tripped_s)
        if self._late_look is not None and not self.ended:
            self._look_late(stretch)
        self.diary.seconds = stretch.facts.t_s + stretch.planned.duration_s

    def _enter(self, facts: StepFacts) -> None:
        self._watch.enter(replace(facts, t_s=facts.t_s + self._shift_s))

    def _samples(self, stretch: Stretch) -> None:
        driven = stretch.facts.set_current_A != 0.0
        columns = [c.tolist() for c in (stretch.t_s, stretch.voltage_V, stretch.current_A, stretch.charge_C)]
        times = columns[0]
        first, last_s = 0, stretch.facts.t_s
        while first < len(times) and not self.ended:
            rows = self._fine if last_s >= self._fine_from_s else POLL
            poll = [column[first : first + rows] for column in columns]
            now_s = poll[0][-1]
            self._tell_temperature(stretch, last_s, now_s)
            last_s = now_s
            self._driven += len(poll[0]) * driven
            if self._shift_s:
                poll[0] = [t + self._shift_s for t in poll[0]]
            self._poll(stretch, poll, now_s)
            first += rows
            if self._skip_to_s > now_s:
                skipped = bisect_left(times, self._skip_to_s) - first
                self._driven, first = self._driven + skipped, first + skipped
            if self._relax_from_s is not None:
                self._relax(stretch, self._relax_from_s, columns[1], first)
        self.diary.samples += min(first, len(times))

    def _relax(self, stretch: Stretch, now_s: float, voltage: list[float], first: int) -> None:
        """Take off E what the cell has relaxed in a look."""
        self._relax_from_s = None
        later = stretch.t_s[first:]
        lost_V = self._bench.relaxed_V(stretch, now_s, later)
        voltage[first:] = (stretch.voltage_V[first:] - lost_V).tolist()

    def _poll(self, stretch: Stretch, poll: list[list[float]], now_s: float) -> None:
        began_ns = time.process_time_ns()
        verdict = self._watch.samples(*poll)
        self.diary.guards_s += (time.process_time_ns() - began_ns) * 1e-9
        reports = [self._told(report, poll[0], stretch) for report in self._watch.take_reports()]
        stop = None if verdict is None else self._told(verdict, poll[0], stretch)
        for told in reports:
            if stop is None or told.verdict.time_s < stop.verdict.time_s:
                self._report(stretch, told, now_s)
        if stop is not None and not self.ended:
            self._stop(stretch, stop, now_s)

    def _tripped(self, stretch: Stretch, t_s: float) -> None:
        """A limit on board has opened the circuit: ask the guards for the cause."""
        now_s = t_s + self._shift_s
        verdict = self._watch.tripped(now_s, "the limit of E")
        self._end(self._told(verdict, []))

    def _stop(self, stretch: Stretch, told: Told, now_s: float) -> None:
        verdict, half_cycle = told.verdict, stretch.planned.half_cycle
        if verdict.kind != "short_circuit" or half_cycle in self._looked_in:
            self._end(told)
            return
        self._looked_in.add(half_cycle)
        judged = judge_look(verdict, self._bench.look(stretch, now_s))
        if judged.stops:
            self._end(replace(told, verdict=judged))
            return
        self.diary.told.append(replace(told, verdict=judged, cleared=True))
        self._watch.looked(verdict, healthy=True)
        # The clock has run on, and no charge has passed.
        self._relax_from_s = now_s
        self._shift_s += LOOK_S
        self._enter(replace(stretch.facts, t_s=now_s))

    def _report(self, stretch: Stretch, told: Told, now_s: float) -> None:
        verdict = told.verdict
        self.diary.told.append(told)
        half_cycle, current_A = stretch.planned.half_cycle, stretch.facts.set_current_A
        wanted = verdict.tier == 2 and self._bench.eis and current_A != 0.0 and not self.ended
        if not wanted or half_cycle in self._suspected_in:
            return
        self._suspected_in.add(half_cycle)
        if now_s + SWEEP_S >= stretch.facts.t_s + stretch.planned.duration_s:
            self._late_look = verdict
            return
        self._enter(StepFacts(LOOKING_STEP, half_cycle, "geis", now_s, current_A, None))
        self._decided = False
        self._skip_to_s = now_s + SWEEP_S
        if self._judge_spectrum(self._bench.under_current(stretch, now_s)):
            return
        if not self._decided and False in self._healthy:
            self._look_at_rest(half_cycle, self._skip_to_s)
        self._looked(verdict)
        if not self.ended:
            self._enter(replace(stretch.facts, t_s=self._skip_to_s))

    def _look_at_rest(self, half_cycle: int, now_s: float) -> None:
        """Measure a spectrum at open circuit; no charge passes, and the clock runs on."""
        self._enter(StepFacts(LOOKING_STEP, half_cycle, "geis", now_s, 0.0, None))
        self._judge_spectrum(self._bench.at_open_circuit(now_s))
        self._relax_from_s = now_s
        self._shift_s += SWEEP_S

    def _looked(self, verdict: Verdict) -> None:
        if self._decided and not self.ended:
            self._watch.looked(verdict, healthy=True)

    def _look_late(self, stretch: Stretch) -> None:
        """Measure the spectrum of a suspicion at open circuit, since the step was too short for it."""
        verdict, self._late_look = self._late_look, None
        self._decided = False
        self._look_at_rest(stretch.planned.half_cycle, stretch.facts.t_s + stretch.planned.duration_s)
        if verdict is not None:
            self._looked(verdict)

    def _judge_spectrum(self, spectrum: Spectrum) -> bool:
        """Tell of a spectrum; return whether that ended the run."""
        shifted = spectrum.model_copy(
            update={
                "t_start_s": spectrum.t_start_s + self._shift_s,
                "t_end_s": spectrum.t_end_s + self._shift_s,
            }
        )
        driven = spectrum.current_A != 0.0
        reference = self._healthy.get(driven)
        change = None if reference is None else compare_spectra(reference, shifted).summary()
        self._decided = self._decided or change is not None
        summary = summarize(shifted)
        verdict = self._watch.spectrum(summary, change)
        reports = self._watch.take_reports()
        self.diary.told += [self._told(report, [shifted.t_end_s]) for report in reports]
        if verdict is not None:
            self._end(self._told(verdict, [shifted.t_end_s]))
        elif summary.kk_passed and not (change is not None and change.kind == "parallel_resistor"):
            self._healthy[driven] = shifted
        return verdict is not None

    def _tell_temperature(self, stretch: Stretch, after_s: float, until_s: float) -> None:
        for at_s, kelvin in stretch.temperatures:
            if after_s < at_s <= until_s or (after_s == stretch.facts.t_s == at_s):
                self._watch.temperature(at_s + self._shift_s, kelvin)

    def _told(self, verdict: Verdict, poll_t: list[float], stretch: Stretch | None = None) -> Told:
        driven = stretch is not None and stretch.facts.set_current_A != 0.0
        later = sum(t > verdict.time_s for t in poll_t) if driven else 0
        return Told(verdict, verdict.time_s - self._shift_s, self._driven - later)

    def _end(self, told: Told) -> None:
        self.diary.told.append(told)
        self.diary.final = told
