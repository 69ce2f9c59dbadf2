"""Where a run is: step, charge in the step, half-cycle. One owner for each run, fed in stream order."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from analysis.cycles import HalfCycleMeter
from guards.guard import StepFacts
from guards.watch import Watch
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.nodes import ConstantCurrent, Step, set_current_A
from protocols.position import Position
from protocols.program import Program
from protocols.records import HalfCycle
from protocols.verdicts import Verdict


class Progress:
    """Follows the samples of one run through its program, and lets the guards judge them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.watch = Watch.for_program(program)
        self.meter = HalfCycleMeter()
        self.closed: list[HalfCycle] = []
        """Half-cycles that have closed and were not yet taken."""
        self.step = -1
        self.visit = -1
        self.judging = True
        """Whether guards see the samples (not during ``afterwards``)."""
        self.t_s = 0.0
        self.voltage_V = 0.0
        self.current_A = 0.0
        self._charge_C = 0.0
        self._step_start_s = 0.0
        self._steps: dict[int, Step] = {leaf.index: leaf for leaf, _ in program.walk()}
        self._fresh = True
        self.samples_at_t = 0
        """Samples with exactly the newest ``t_s``: a step's last and the next one's first may share it."""

    def use(self, program: Program) -> None:
        """Take the leaves of another program into account (``afterwards``)."""
        self._steps.update({leaf.index: leaf for leaf, _ in program.walk()})

    def begin_segment(self, t_s: float) -> None:
        """A segment starts at run time ``t_s``: no current flowed in between."""
        self._step_start_s += t_s - self.t_s
        self._reach(t_s)
        self.current_A = 0.0
        self._fresh = True

    def arrive(self, position: Position) -> None:
        """Take the instrument's word on where a segment ended, if that is further than the newest sample."""
        if position.finished or self._left_s(position) >= self._left_s(self.position()):
            return
        self.step, self.visit = position.step, self.program.visit(position)
        self._charge_C = position.charge_C
        self._step_start_s = self.t_s - position.time_s

    def take(
        self, t: list[float], voltage: list[float], current: list[float], step: list[int], visit: list[int]
    ) -> tuple[list[float], list[int], Verdict | None]:
        """Follow one run's new samples, in time order.

        Returns the charge in the step and the half-cycle of each sample, and the first verdict that stops.
        """
        charges: list[float] = []
        half_cycles: list[int] = []
        verdict: Verdict | None = None
        for a, b in _stretches(step, visit):
            entered = self._enter(step[a], visit[a], t[a])
            lists = (t[a:b], voltage[a:b], current[a:b])
            charge = self._integrate(*lists, current[a] if entered else self.current_A)
            charges += charge
            half_cycles += [self.half_cycle] * (b - a)
            self.meter.add(*lists)
            if self.judging and verdict is None:
                verdict = self.watch.samples(*lists, charge)
        return charges, half_cycles, verdict

    def live(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Judge what a channel shows during a sweep."""
        return self.watch.live(t_s, voltage_V, current_A) if self.judging else None

    def spectrum(self, spectrum: Spectrum, summary: SpectrumSummary) -> Verdict | None:
        """Take notice of a spectrum in its place of the stream."""
        self._enter(spectrum.step, spectrum.visit, spectrum.t_start_s)
        self._reach(spectrum.t_end_s)
        self.voltage_V, self.current_A = spectrum.voltage_V, spectrum.current_A
        return self.watch.spectrum(summary) if self.judging else None

    def tripped(self, message: str) -> Verdict:
        """Name what made a limit on board open the circuit."""
        return self.watch.tripped(self.t_s, message)

    def at_voltage_limit(self) -> bool:
        """Whether the newest sample is at or beyond a safety limit of E, or was the last one before it."""
        limits, margin_V = self.program.limits, self.program.record_dE_V or 0.0
        inside = limits.voltage_min_V + margin_V < self.voltage_V < limits.voltage_max_V - margin_V
        return self.step >= 0 and not inside

    def position(self) -> Position:
        """Where the run is, from its newest sample or the end of its last segment."""
        if not self.judging:
            return Position(step=self.step, finished=True)
        if self.step < 0:
            first = next(self.program.walk())[0]
            return self.program.position(first.index, 0)
        return self.program.position(self.step, self.visit, self.time_in_step_s, self._charge_C)

    @property
    def half_cycle(self) -> int:
        """Number of the half-cycle that is open, else of the last one; 0 before the first."""
        return max(self.meter.number, 0)

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
            "fresh": self._fresh,
            "samples_at_t": self.samples_at_t,
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
        self.watch.restore(_table(state["watch"]))
        self.meter.restore(_table(state["meter"]))
        self.step, self.visit, self.samples_at_t = (
            int(str(state[key])) for key in ("step", "visit", "samples_at_t")
        )
        self.judging, self._fresh = bool(state["judging"]), bool(state["fresh"])
        values = state["values"]
        if not isinstance(values, list):
            raise TypeError("values of a saved progress must be a list")
        self.t_s, self.voltage_V, self.current_A, self._charge_C, self._step_start_s = map(float, values)

    def _enter(self, step: int, visit: int, t_first_s: float) -> bool:
        """Begin a visit of a step, or go on with it in a new segment; return whether it is either."""
        same_visit = step == self.step and visit == self.visit
        if same_visit and not self._fresh:
            return False
        # After a gap nobody knows how long this step has gone on: at most one interval is taken for granted.
        self._reach(t_first_s - self.program.watch_s)
        self.step, self.visit, self._fresh = step, visit, False
        if not same_visit:
            self._charge_C, self._step_start_s = 0.0, self.t_s
        facts = step_facts(self._steps[step], visit, self.t_s)
        closed = self.meter.begin(
            step=step,
            visit=visit,
            t_s=self.t_s,
            set_current_A=facts.set_current_A,
            planned_charge_C=facts.planned_charge_C,
        )
        self._keep(closed)
        self.watch.enter(facts)
        return True

    def _reach(self, t_s: float) -> None:
        """Time has gone on to ``t_s`` without a sample."""
        if t_s > self.t_s:
            self.t_s, self.samples_at_t = t_s, 0

    def _left_s(self, position: Position) -> float:
        return self.program.remainder(position).duration_s()

    def _keep(self, closed: HalfCycle | None) -> None:
        if closed is not None:
            self.closed.append(closed)

    def _integrate(
        self, t: list[float], voltage: list[float], current: list[float], before_A: float
    ) -> list[float]:
        """Charge in the step at each sample, by trapezoids from ``before_A`` on."""
        charges = []
        t_last, i_last, charge = self.t_s, before_A if isfinite(before_A) else 0.0, self._charge_C
        for t_s, current_A in zip(t, current, strict=True):
            if not isfinite(current_A):
                # What was not measured is held; guards.over_range opens the circuit if that lasts.
                current_A = i_last
            charge += 0.5 * (i_last + current_A) * (t_s - t_last)
            t_last, i_last = t_s, current_A
            charges.append(charge)
        self.samples_at_t = t.count(t_last) + (self.samples_at_t if t[0] == t_last == self.t_s else 0)
        self.t_s, self.current_A, self._charge_C = t_last, i_last, charge
        if isfinite(voltage[-1]):
            self.voltage_V = voltage[-1]
        return charges


def step_facts(leaf: Step, visit: int, t_s: float) -> StepFacts:
    """What the guards are told of a step."""
    current = set_current_A(leaf)
    return StepFacts(
        step=leaf.index,
        visit=visit,
        kind=leaf.kind,
        t_s=t_s,
        set_current_A=current,
        planned_charge_C=leaf.charge_C if isinstance(leaf, ConstantCurrent) else None,
        until_voltage_V=leaf.until_voltage_V if isinstance(leaf, ConstantCurrent) else None,
    )


def _stretches(step: list[int], visit: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, past-the-last) of each stretch that stays in one visit of one step."""
    first = 0
    for k in range(1, len(step)):
        if step[k] != step[first] or visit[k] != visit[first]:
            yield first, k
            first = k
    if step:
        yield first, len(step)


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError("a saved state must be a table")
    return value
