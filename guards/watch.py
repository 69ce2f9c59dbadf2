"""The guards of one run, together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar, cast

from guards import (
    contact,
    depletion,
    full_cell,
    impedance,
    limits,
    micro_short,
    over_range,
    short_circuit,
    soft_short,
    temperature,
)
from guards.guard import Guard, State, StepFacts
from guards.over_range import MEASURABLE, OverRange
from protocols.cell import Cell
from protocols.errors import InvalidFileError, Problem
from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.program import Program
from protocols.verdicts import Verdict

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    _T = TypeVar("_T", bound=DataclassInstance)

_LOW = -MEASURABLE
_NOT_CALM = (-math.inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, True)
"""Bounds of samples that nobody wants to be told of, as in ``Calm``; last, whether R has none."""


class Watch:
    """Tells each guard of a run what happens and hands back the first verdict that stops.

    Deterministic: two watches that are told the same in the same order say the same, however the samples are
    cut into stretches.
    """

    def __init__(self, guards: Sequence[Guard], unmeasured: OverRange | None = None) -> None:
        """``unmeasured`` is told of what no guard can judge; by default one of usual thresholds."""
        self._guards = tuple(guards)
        self._bounds = _NOT_CALM
        self._skipped: tuple[float, float, float, float] | None = None
        """The newest sample, if nobody was told of it."""
        self._unmeasured = unmeasured or OverRange()
        self._judges = tuple(guard.sample for guard in guards)
        self._told: tuple[Guard | OverRange, ...] = (self._unmeasured, *guards)
        self.stops = True
        """False where no circuit can be opened, as of a recording: every verdict is then a report."""
        self._reports: list[Verdict] = []

    @classmethod
    def for_program(cls, program: Program) -> Watch:
        """Make the guards that the program enables and that its kind of cell allows.

        Raises InvalidFileError if the program names a guard or a threshold that does not exist.
        """
        settings = program.guards
        _require(program, "guard", settings.enabled, tuple(_GUARDS))
        _require(program, "guard", list(settings.overrides), (*_GUARDS, OverRange.name))
        changes = settings.overrides.get(OverRange.name, {})
        return cls(
            [
                make(program, settings.overrides.get(name, {}))
                for name, (make, fits) in _GUARDS.items()
                if name in settings.enabled and fits(program.cell)
            ],
            OverRange(_changed(over_range.Thresholds(), changes, program)),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The guards that watch, without the one that watches in every run: :mod:`guards.over_range`."""
        return tuple(guard.name for guard in self._guards)

    @property
    def thresholds(self) -> dict[str, dict[str, float]]:
        """The thresholds that hold, by guard and name; with those of the guard that watches in every run."""
        own = {self._unmeasured.name: self._unmeasured.thresholds}
        return {guard.name: guard.thresholds for guard in self._guards} | own

    def enter(self, step: StepFacts) -> None:
        """Take notice that a visit of a step begins (also when it goes on after an interruption)."""
        self._tell_skipped()
        self._unmeasured.enter(step)
        for guard in self._guards:
            guard.enter(step)
        self._look_up_calm()

    def samples(
        self,
        t_s: Sequence[float],
        voltage_V: Sequence[float],
        current_A: Sequence[float],
        charge_C: Sequence[float],
    ) -> Verdict | None:
        """Judge one step's stretch of DC samples; return the first verdict that stops, if any.

        All four are lists of plain floats of one length; ``charge_C`` is the signed charge passed in this
        visit. All samples are judged even after a verdict; further verdicts go to :meth:`take_reports`.
        """
        found: list[Verdict] = []
        until_s, low_V, high_V, low_A, high_A, low_ohm, high_ohm, unbound = self._bounds
        for t, voltage, current, charge in zip(t_s, voltage_V, current_A, charge_C, strict=True):
            # Written out, since it is done for each sample. What is no number lies between no bounds.
            if (
                t < until_s
                and low_V < voltage < high_V
                and low_A < current < high_A
                and (unbound or low_ohm < voltage / current < high_ohm)
                and _LOW < charge < MEASURABLE
            ):
                self._skipped = (t, voltage, current, charge)
            else:
                found += self._tell(t, voltage, current, charge)
                until_s, low_V, high_V, low_A, high_A, low_ohm, high_ohm, unbound = self._bounds
        return self._first_stop(found)

    def live(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Judge what the channel shows right now, during a sweep."""
        if not (_LOW < voltage_V < MEASURABLE and _LOW < current_A < MEASURABLE):
            return self._first_stop(self._not_measured(t_s, voltage_V, current_A))
        self._unmeasured.measured()
        return self._ask(lambda guard: guard.live(t_s, voltage_V, current_A))

    def spectrum(self, summary: SpectrumSummary, change: SpectrumChange | None = None) -> Verdict | None:
        """Judge a spectrum: its summary, and how it differs from the last healthy one."""
        return self._ask(lambda guard: guard.spectrum(summary, change))

    def temperature(self, t_s: float, temperature_K: float) -> Verdict | None:
        """Take notice of the temperature around the cell, whenever it has changed by 0.2 K."""
        return self._ask(lambda guard: guard.temperature(t_s, temperature_K))

    def looked(self, verdict: Verdict, healthy: bool) -> None:
        """The cell was looked at because of this verdict: was it found healthy after all?"""
        self._tell_skipped()
        for guard in self._guards:
            guard.looked(verdict, healthy)
        self._look_up_calm()

    def tripped(self, t_s: float, message: str) -> Verdict:
        """Name what made a limit on board open the circuit, once the whole tail has been judged."""
        self._tell_skipped()
        answers = (_signed(guard.name, guard.tripped(t_s, message)) for guard in self._guards)
        named = next((verdict for verdict in answers if verdict is not None), None)
        return named or limits.on_board(t_s, message)

    def take_reports(self) -> list[Verdict]:
        """Return the verdicts that did not stop, and those after the first that did; forget them."""
        reports, self._reports = self._reports, []
        return reports

    def state(self) -> State:
        """Return the state of all guards, JSON-ready. Reports are taken before it is saved."""
        states: State = {guard.name: guard.state() for guard in self._guards}
        states[self._unmeasured.name] = self._unmeasured.state()
        states["skipped"] = None if self._skipped is None else list(self._skipped)
        return states

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned for the same program."""
        self._unmeasured.restore(cast("State", state[self._unmeasured.name]))
        for guard in self._guards:
            guard.restore(cast("State", state[guard.name]))
        skipped = cast("list[float] | None", state["skipped"])
        self._skipped = None if skipped is None else (skipped[0], skipped[1], skipped[2], skipped[3])
        self._look_up_calm()

    def _tell(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> list[Verdict]:
        """Let every guard judge a sample; return what they found."""
        self._skipped = None
        if not (
            _LOW < voltage_V < MEASURABLE and _LOW < current_A < MEASURABLE and _LOW < charge_C < MEASURABLE
        ):
            return self._not_measured(t_s, voltage_V, current_A)
        if self._unmeasured.waiting:
            self._unmeasured.measured()
        found = [judge(t_s, voltage_V, current_A, charge_C) for judge in self._judges]
        self._look_up_calm()
        signed = [_signed(guard.name, verdict) for guard, verdict in zip(self._guards, found, strict=True)]
        return [self._named(verdict) for verdict in signed if verdict is not None]

    def _not_measured(self, t_s: float, voltage_V: float, current_A: float) -> list[Verdict]:
        """Count what is no measurement; the next one that is ends the count, and so has to be told."""
        verdict = self._unmeasured.missed(t_s, voltage_V, current_A)
        self._look_up_calm()
        return _known(_signed(self._unmeasured.name, verdict))

    def _tell_skipped(self) -> None:
        """Tell of the newest sample, which is calm, so that no guard's charge stays behind."""
        if self._skipped is not None:
            self._reports += self._tell(*self._skipped)

    def _look_up_calm(self) -> None:
        """Note which samples nobody wants to be told of."""
        calms = [guard.calm for guard in self._told]
        until_s = min([own.until_s for own in calms])
        if until_s == -math.inf:
            self._bounds = _NOT_CALM
            return
        low_ohm, high_ohm = max([own.low_ohm for own in calms]), min([own.high_ohm for own in calms])
        self._bounds = (
            until_s,
            max([own.low_V for own in calms]),
            min([own.high_V for own in calms]),
            max([own.low_A for own in calms]),
            min([own.high_A for own in calms]),
            low_ohm,
            high_ohm,
            low_ohm == -math.inf and high_ohm == math.inf,
        )

    def _ask(self, question: Callable[[Guard], Verdict | None]) -> Verdict | None:
        self._tell_skipped()
        answers = [_signed(guard.name, question(guard)) for guard in self._guards]
        self._look_up_calm()
        return self._first_stop(_known(*answers))

    def _first_stop(self, verdicts: Iterable[Verdict]) -> Verdict | None:
        first: Verdict | None = None
        for verdict in verdicts:
            if first is None and verdict.stops and self.stops:
                first = verdict
            else:
                self._reports.append(verdict)
        return first

    def _named(self, verdict: Verdict) -> Verdict:
        """Return a better name for a limit that the host found: the cause, if a guard knows it."""
        if verdict.kind != "limit":
            return verdict
        answers = (_signed(g.name, g.tripped(verdict.time_s, verdict.message)) for g in self._guards)
        cause = next((answer for answer in answers if answer is not None and answer.kind != "limit"), None)
        return verdict if cause is None else cause.model_copy(update={"tier": verdict.tier})


def _signed(guard: str, verdict: Verdict | None) -> Verdict | None:
    """Return a verdict with the name of the guard that found it in its evidence."""
    if verdict is None:
        return None
    return verdict.model_copy(update={"evidence": {"guard": guard, **verdict.evidence}})


def _known(*answers: Verdict | None) -> list[Verdict]:
    return [verdict for verdict in answers if verdict is not None]


Make = Callable[[Program, dict[str, float]], Guard]
"""Makes a guard for a program with the thresholds that the program changes."""


def _short_circuit(program: Program, changes: dict[str, float]) -> Guard:
    cell = program.cell
    return short_circuit.ShortCircuit(cell, _changed(short_circuit.defaults(cell), changes, program))


def _soft_short(program: Program, changes: dict[str, float]) -> Guard:
    cell = program.cell
    return soft_short.SoftShort(cell, _changed(soft_short.defaults(cell), changes, program))


def _depletion(program: Program, changes: dict[str, float]) -> Guard:
    chosen = _changed(depletion.defaults(program.cell), changes, program)
    return depletion.Depletion(program.cell, program.limits, chosen)


def _limits(program: Program, changes: dict[str, float]) -> Guard:
    return limits.LimitGuard(program.limits, _changed(limits.Thresholds(), changes, program))


def _impedance(program: Program, changes: dict[str, float]) -> Guard:
    chosen = _changed(impedance.defaults(program.cell), changes, program)
    return impedance.Impedance(program.cell, chosen)


def _temperature(program: Program, changes: dict[str, float]) -> Guard:
    chosen = _changed(temperature.defaults(program.cell), changes, program)
    return temperature.Temperature(program.cell, chosen)


def _micro_short(program: Program, changes: dict[str, float]) -> Guard:
    chosen = _changed(micro_short.defaults(program.cell), changes, program)
    return micro_short.MicroShort(program.cell, chosen)


def _contact(program: Program, changes: dict[str, float]) -> Guard:
    return contact.Contact(program.cell, _changed(contact.defaults(program.cell), changes, program))


def _full_cell(program: Program, changes: dict[str, float]) -> Guard:
    chosen = _changed(full_cell.defaults(program.cell), changes, program)
    return full_cell.FullCell(program.cell, program.limits, chosen)


def _overpotential(cell: Cell) -> bool:
    return cell.shows_overpotential


def _cathode(cell: Cell) -> bool:
    return cell.geometry in ("full", "half")


def _holds_lithium(cell: Cell) -> bool:
    return cell.geometry != "blocking"


def _any_cell(cell: Cell) -> bool:
    return True


_GUARDS: dict[str, tuple[Make, Callable[[Cell], bool]]] = {
    "depletion": (_depletion, _overpotential),
    "short_circuit": (_short_circuit, _overpotential),
    "soft_short": (_soft_short, _overpotential),
    "contact": (_contact, _overpotential),
    "full_cell": (_full_cell, _cathode),
    "micro_short": (_micro_short, _holds_lithium),
    "impedance": (_impedance, _holds_lithium),
    "temperature": (_temperature, _any_cell),
    "limits": (_limits, _any_cell),
}
"""All guards that a program chooses from, with the cells that each fits, in the order in which they are told
of things and asked what made a limit on board fire."""


def _changed(thresholds: _T, changes: dict[str, float], program: Program) -> _T:
    known = [field.name for field in fields(thresholds)]
    _require(program, "threshold", list(changes), known)
    return replace(thresholds, **changes)


def _require(program: Program, what: str, names: Sequence[str], known: Sequence[str]) -> None:
    problems = [
        Problem(program.protocol, 0, 0, f"no {what} is called {name!r}", f"known: {', '.join(known)}")
        for name in names
        if name not in known
    ]
    if problems:
        raise InvalidFileError(problems)
