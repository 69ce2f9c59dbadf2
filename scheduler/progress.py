"""Where a run is: step, charge in the step, half-cycle. One owner for each run, fed in stream order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import isfinite

from analysis.cycles import HalfCycleMeter
from guards.watch import Watch
from protocols.check import is_check
from protocols.decisions import Findings
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.nodes import ConstantCurrent, Geis, Rest, Step, set_current_A
from protocols.position import Position
from protocols.program import Program
from protocols.records import HalfCycle
from protocols.tree import cycle_number
from protocols.verdicts import Verdict
from scheduler.cell_meter import CellMeter
from scheduler.evidence import placed
from scheduler.findings import Found
from scheduler.reference_spectra import ReferenceSpectra
from scheduler.saved import number, table
from scheduler.stepping import integrated, step_facts, stretches
from scheduler.waiting import Settled, StepEnds, step_ends

NEWS_K = 0.2 - 1e-6
"""Guards are told of a temperature that has changed by so much: R then has by 1 %. The millionth less keeps
a display of tenths whole."""


class Progress:
    """Follows the samples of one run through its program, and lets the guards judge them."""

    def __init__(self, program: Program, settled: Settled = lambda target_K, tolerance_K: False) -> None:
        self.program = program
        self.section = program
        """The steps that are followed: the test's, those after its end, or those of a look at the cell."""
        self.watch = Watch.for_program(program)
        self.meter = HalfCycleMeter()
        self.found = Found(program)
        self.references = ReferenceSpectra()
        self.cell = CellMeter()
        self.closed: list[HalfCycle] = []
        """Half-cycles that have closed and were not yet taken."""
        self.step = -1
        self.visit = -1
        self.judging = True
        """Whether guards see the samples: during the test, and while a suspicion is looked into."""
        self._reports: list[Verdict] = []
        self._closed_C = 0.0
        """|charge| of all half-cycles that have closed."""
        self.compared_s = 0.0
        """Run time at the end of the last spectrum that could be compared with a healthy one."""
        self.begun = False
        """Whether anything was measured yet."""
        self.t_s = 0.0
        self.voltage_V = 0.0
        self.current_A = 0.0
        self._charge_C = 0.0
        self._step_start_s = 0.0
        self._steps: dict[int, Step] = {leaf.index: leaf for leaf, _ in program.walk()}
        self._planned = frozenset(self._steps)
        """The test's own steps."""
        self.fresh = True
        """Nothing of the present segment was measured yet."""
        self._place: Position | None = None
        """Where the run is by word of the engine or the instrument, while no newer sample shows it."""
        self._settled = settled
        self._ends: StepEnds | None = None
        self._rests = False
        self._open_V: float | None = None
        """E at open circuit, until a step drives the cell."""
        self._reference_V: float | None = None
        """E at open circuit when this visit began."""
        self.samples_at_t = 0
        """Samples with exactly the newest ``t_s``: a step's last and the next one's first may share it."""
        self.temperatures = 0
        """How many temperatures the guards were told of."""
        self._known_K: float | None = None

    def use(self, program: Program) -> None:
        """Take the leaves of another program into account (what runs after the test or on a suspicion)."""
        self._steps.update({leaf.index: leaf for leaf, _ in program.walk()})

    def begin_segment(self, t_s: float, section: Program, first: Position) -> None:
        """A segment of a section starts at run time ``t_s``: no current flowed in between."""
        self._reach(t_s)
        self.meter.interrupted(t_s)
        self.current_A = 0.0
        self.fresh = True
        self.section = section
        self.be_at(first)

    def arrive(self, position: Position) -> None:
        """Take the instrument's word on where a segment ended, if that is further than the newest sample."""
        if not position.finished and self._left_s(position) < self._left_s(self.position()):
            self.be_at(position.model_copy(update={"reference_V": self._reference_of(position)}))

    def be_at(self, position: Position) -> None:
        """The run is at this place of its section, whatever the newest sample showed."""
        self.step, self.visit = position.step, self.section.visit(position)
        self._charge_C, self._reference_V = position.charge_C, position.reference_V
        self._step_start_s = self.t_s - position.time_s
        self._place, self._ends = position, None

    def step_is_over(self) -> None:
        """The host has ended this visit of the step, whatever its time and charge."""
        self._place = self.position().model_copy(update={"over": True})
        self._ends = None

    def is_finished(self) -> None:
        """Nothing of the section is left."""
        self._place = self.position().model_copy(update={"finished": True})

    @property
    def step_ended(self) -> str:
        """Why the host ends the step that runs; empty if it does not."""
        return self._ends.why if self._ends is not None else ""

    @property
    def current_step(self) -> Step | None:
        """The step that runs or comes next; None before the first."""
        return self._steps.get(self.step)

    def take(
        self, t: list[float], voltage: list[float], current: list[float], step: list[int], visit: list[int]
    ) -> tuple[list[float], list[int], Verdict | None]:
        """Follow one run's new samples, in time order.

        Returns the charge in the step and the half-cycle of each sample, and the first verdict that stops.
        """
        charges: list[float] = []
        half_cycles: list[int] = []
        verdict: Verdict | None = None
        for a, b in stretches(step, visit):
            entered = self._enter(step[a], visit[a], t[a])
            lists = (t[a:b], voltage[a:b], current[a:b])
            before_C = self._charge_C
            charge = self._integrate(*lists, current[a] if entered else self.current_A)
            charges += charge
            half_cycles += [self.half_cycle] * (b - a)
            self.meter.add(*lists)
            self.cell.samples(step[a], self._rests, *lists)
            if self._rests:
                self._open_V = self.voltage_V
            else:
                self.found.driven(self.voltage_V, self.current_A, self._charge_C - before_C)
            if self._ends is not None:
                self._ends.samples(*lists, charge)
            if self.judging and verdict is None:
                verdict = self._judged(self.watch.samples(*lists, charge), lists[0], charge)
        return charges, half_cycles, verdict

    def live(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Judge what a channel shows during a sweep."""
        return self._judged(self.watch.live(t_s, voltage_V, current_A)) if self.judging else None

    def spectrum(self, spectrum: Spectrum, summary: SpectrumSummary) -> Verdict | None:
        """Take notice of a spectrum in its place of the stream."""
        self._enter(spectrum.step, spectrum.visit, spectrum.t_start_s)
        self._reach(spectrum.t_end_s)
        # Its mean stands for the samples that a sweep does not have: a half-cycle may end with it.
        self.meter.add([spectrum.t_end_s], [spectrum.voltage_V], [spectrum.current_A])
        self._charge_C += spectrum.current_A * (spectrum.t_end_s - spectrum.t_start_s)
        self.voltage_V, self.current_A = spectrum.voltage_V, spectrum.current_A
        if self._is_open():
            self._open_V = self.voltage_V
        self.cell.spectrum(spectrum, summary, self._is_open())
        if not is_check(spectrum.step):
            self.found.spectrum(spectrum, summary)
        return self._judged(self._judge_spectrum(spectrum, summary)) if self.judging else None

    def is_news(self, temperature_K: float) -> bool:
        """Whether a temperature around the cell differs from the one that the guards know."""
        return self._known_K is None or abs(temperature_K - self._known_K) >= NEWS_K

    def temperature(self, t_s: float, temperature_K: float) -> Verdict | None:
        """Tell the guards of the temperature around the cell at run time ``t_s``."""
        self._known_K, self.temperatures = temperature_K, self.temperatures + 1
        return self._judged(self.watch.temperature(t_s, temperature_K))

    def tripped(self, message: str) -> Verdict:
        """Name what made a limit on board open the circuit."""
        return self._placed(self.watch.tripped(self.t_s, message))

    def take_reports(self) -> list[Verdict]:
        """Return the verdicts that do not stop, since the last call."""
        self._judged(None)
        reports, self._reports = self._reports, []
        return reports

    def at_voltage_limit(self) -> bool:
        """Whether the newest sample is at or beyond a safety limit of E, or was the last one before it."""
        limits, margin_V = self.program.limits, self.program.record_dE_V or 0.0
        inside = limits.voltage_min_V + margin_V < self.voltage_V < limits.voltage_max_V - margin_V
        return self.begun and not inside

    def position(self) -> Position:
        """Where in its section the run is, by its newest sample or the end of its last segment."""
        if self._place is not None:
            return self._place
        if self.step < 0:
            first = next(self.section.walk())[0]
            return self.section.position(first.index, 0)
        position = self.section.position(self.step, self.visit, self.time_in_step_s, self._charge_C)
        return position.model_copy(update={"reference_V": self._reference_V})

    def findings(self, place: Position) -> Findings:
        """Return what was found by the time the test is at ``place``; an open half-cycle counts as it is."""
        return self.found.findings(
            t_s=self.t_s,
            voltage_V=self.voltage_V if self.begun else None,
            current_A=self.current_A if self.begun else None,
            cycle=cycle_number(self.program.steps, place.step, place.loops) if self.begun else 0,
            half_cycle=self.meter.peek(),
        )

    @property
    def half_cycle(self) -> int:
        """Number of the half-cycle that is open, else of the last one; 0 before the first."""
        return max(self.meter.number, 0)

    def half_cycle_at(self, t_s: float) -> int:
        """Number of the half-cycle at a time that is not long ago: the open one, or the one before it."""
        began_s = self.meter.began_s
        return max(self.half_cycle - (began_s is not None and t_s <= began_s), 0)

    @property
    def time_in_step_s(self) -> float:
        """Time done in this visit of the step, earlier segments included."""
        return self.t_s - self._step_start_s

    def label(self) -> str:
        """The step for people."""
        leaf = self._steps.get(self.step)
        return leaf.label if leaf else ""

    def close(self, complete: bool) -> None:
        """Close the half-cycle that is open, if any."""
        self._keep(self.meter.close(complete=complete))

    def take_closed(self) -> list[HalfCycle]:
        """Return the half-cycles that have closed since the last call."""
        closed, self.closed = self.closed, []
        return closed

    def state(self) -> dict[str, object]:
        """Return all that recovery needs, JSON-ready; exact at the newest sample."""
        return {
            "watch": self.watch.state(),
            "meter": self.meter.state(),
            "step": self.step,
            "visit": self.visit,
            "judging": self.judging,
            "fresh": self.fresh,
            "begun": self.begun,
            "found": self.found.state(),
            "references": self.references.state(),
            "cell": self.cell.state(),
            "place": None if self._place is None else self._place.model_dump(mode="json"),
            "open_V": self._open_V,
            "reference_V": self._reference_V,
            "samples_at_t": self.samples_at_t,
            "temperatures": self.temperatures,
            "known_K": self._known_K,
            "closed_C": self._closed_C,
            "compared_s": self.compared_s,
            "values": [
                self.t_s,
                self.voltage_V,
                self.current_A,
                self._charge_C,
                self._step_start_s,
            ],
        }

    def restore(self, state: dict[str, object]) -> None:
        """Take over a state that :meth:`state` returned."""
        self.watch.restore(table(state["watch"]))
        self.meter.restore(table(state["meter"]))
        self.step, self.visit, self.samples_at_t, self.temperatures = (
            int(str(state[key])) for key in ("step", "visit", "samples_at_t", "temperatures")
        )
        self._known_K = number(state["known_K"])
        self.judging, self.fresh, self.begun = (bool(state[key]) for key in ("judging", "fresh", "begun"))
        self.found.restore(table(state["found"]))
        self.references.restore(state["references"])
        self.cell.restore(state.get("cell"))
        self._place = None if state["place"] is None else Position.model_validate(state["place"])
        self._open_V, self._reference_V = number(state["open_V"]), number(state["reference_V"])
        self._closed_C, self.compared_s = (float(str(state[key])) for key in ("closed_C", "compared_s"))
        values = state["values"]
        if not isinstance(values, list):
            raise TypeError("values of a saved progress must be a list")
        self.t_s, self.voltage_V, self.current_A, self._charge_C, self._step_start_s = map(float, values)
        if self._place is None and self.step >= 0:
            self._look_at_step()

    def _judge_spectrum(self, spectrum: Spectrum, summary: SpectrumSummary) -> Verdict | None:
        """Let the guards judge a spectrum beside the last healthy one; a healthy one is the next one's."""
        driven = set_current_A(self._steps[spectrum.step]) != 0.0
        change = self.references.compare(spectrum, driven, self._known_K)
        verdict = self.watch.spectrum(summary, change)
        if change is not None:
            self.compared_s = spectrum.t_end_s
        # What compares with nothing is a reference too: a short that grows from there is found.
        healthy = verdict is None and (change is None or not change.may_be_short)
        if healthy and summary.kk_passed:
            self.references.accept(spectrum, driven, self._known_K)
        return verdict

    def _enter(self, step: int, visit: int, t_first_s: float) -> bool:
        """Begin a visit of a step, or go on with it in a new segment; return whether it is either."""
        same_visit = step == self.step and visit == self.visit
        if same_visit and not self.fresh:
            return False
        # After a gap nobody knows how long this step has gone on: at most one interval is taken for granted.
        self._reach(t_first_s - self.program.watch_s)
        begins = not same_visit or (self._place is not None and not self._place.time_s)
        self.step, self.visit, self.fresh, self.begun, self._place = step, visit, False, True, None
        if not same_visit:
            self._charge_C, self._step_start_s = 0.0, self.t_s
        if begins:
            self._reference_V = self._open_V
        leaf = self._look_at_step()
        if not self._is_open():
            self._open_V = None
        facts = step_facts(leaf, visit, self.t_s)
        closed = self.meter.begin(
            step=step,
            visit=visit,
            t_s=self.t_s,
            set_current_A=facts.set_current_A,
            planned_charge_C=facts.planned_charge_C,
            inserted=step not in self._planned,
        )
        self._keep(closed)
        if self.judging or not (isinstance(leaf, ConstantCurrent) or is_check(step)):
            # What a pulse of a look passes, guards see in the charge of the step that goes on after it.
            self.watch.enter(facts)
        return True

    def _reach(self, t_s: float) -> None:
        """Time has gone on to ``t_s`` without a sample."""
        if t_s > self.t_s:
            self.t_s, self.samples_at_t = t_s, 0

    def _left_s(self, position: Position) -> float:
        return self.section.remainder(position).duration_s()

    def _reference_of(self, position: Position) -> float | None:
        here = (position.step, self.section.visit(position)) == (self.step, self.visit)
        return self._reference_V if here else None

    def _look_at_step(self) -> Step:
        leaf = self._steps[self.step]
        self._rests, self._ends = isinstance(leaf, Rest), step_ends(leaf, self._settled)
        return leaf

    def _is_open(self) -> bool:
        """Whether the step leaves the cell at open circuit, as far as its E tells."""
        leaf = self._steps[self.step]
        return isinstance(leaf, Rest) or (isinstance(leaf, Geis) and leaf.current_A == 0.0)

    def _judged(
        self, verdict: Verdict | None, t_s: Sequence[float] = (), charge_C: Sequence[float] = ()
    ) -> Verdict | None:
        """Note in what the guards have found where it fell: among these samples, else at the newest one."""
        self._reports += [self._placed(report, t_s, charge_C) for report in self.watch.take_reports()]
        return None if verdict is None else self._placed(verdict, t_s, charge_C)

    def _placed(self, verdict: Verdict, t_s: Sequence[float] = (), charge_C: Sequence[float] = ()) -> Verdict:
        index = bisect_right(t_s, verdict.time_s) - 1
        return placed(
            verdict,
            self.program,
            self.meter.peek(),
            step=self.label(),
            later_C=self._charge_C - charge_C[index] if index >= 0 else 0.0,
            closed_C=self._closed_C,
            temperature_K=self._known_K,
        )

    def _keep(self, closed: HalfCycle | None) -> None:
        if closed is not None:
            self._closed_C += abs(closed.charge_C)
            self.closed.append(closed)
            self.found.half_cycle(closed)

    def _integrate(
        self, t: list[float], voltage: list[float], current: list[float], before_A: float
    ) -> list[float]:
        """Charge in the step at each sample, by trapezoids from ``before_A`` on."""
        charges, self.current_A = integrated(t, current, self.t_s, before_A, self._charge_C)
        self.samples_at_t = t.count(t[-1]) + (self.samples_at_t if t[0] == t[-1] == self.t_s else 0)
        self.t_s, self._charge_C = t[-1], charges[-1]
        if isfinite(voltage[-1]):
            self.voltage_V = voltage[-1]
        return charges
