"""The guards of one run, together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar, cast

from guards import depletion, limits, over_range, short_circuit
from guards.guard import Guard, State, StepFacts
from guards.over_range import MEASURABLE, OverRange
from protocols.errors import InvalidFileError, Problem
from protocols.measurements import SpectrumSummary
from protocols.program import Program
from protocols.verdicts import Verdict

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    _T = TypeVar("_T", bound=DataclassInstance)

_NAMES = ("depletion", "short_circuit", "limits")
"""All guards that a program chooses from, in the order in which they are asked what made a limit on board
fire."""
_LOW = -MEASURABLE


class Watch:
    """Tells each guard of a run what happens and hands back the first verdict that stops.

    Deterministic: two watches that are told the same in the same order say the same, however the samples are
    cut into stretches.
    """

    def __init__(self, guards: Sequence[Guard], unmeasured: OverRange | None = None) -> None:
        """``unmeasured`` is told of what no guard can judge; by default one of usual thresholds."""
        self._guards = tuple(guards)
        self._unmeasured = unmeasured or OverRange()
        self._judges = tuple(guard.sample for guard in guards)
        self._reports: list[Verdict] = []

    @classmethod
    def for_program(cls, program: Program) -> Watch:
        """Make the guards that the program enables and that its kind of cell allows.

        Raises InvalidFileError if the program names a guard or a threshold that does not exist.
        """
        settings = program.guards
        _require(program, "guard", settings.enabled, _NAMES)
        _require(program, "guard", list(settings.overrides), (*_NAMES, OverRange.name))
        changes = settings.overrides.get(OverRange.name, {})
        return cls(
            [_make(name, program) for name in _NAMES if name in settings.enabled and _fits(name, program)],
            OverRange(_changed(over_range.Thresholds(), changes, program)),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The guards that watch, without the one that watches in every run: :mod:`guards.over_range`."""
        return tuple(guard.name for guard in self._guards)

    def enter(self, step: StepFacts) -> None:
        """Take notice that a visit of a step begins (also when it goes on after an interruption)."""
        self._unmeasured.enter(step)
        for guard in self._guards:
            guard.enter(step)

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
        judges, unmeasured = self._judges, self._unmeasured
        for t, voltage, current, charge in zip(t_s, voltage_V, current_A, charge_C, strict=True):
            # Written out, since it is done for each sample. NaN is in no interval.
            if not (
                _LOW < voltage < MEASURABLE and _LOW < current < MEASURABLE and _LOW < charge < MEASURABLE
            ):
                found += _known(unmeasured.missed(t, voltage, current))
                continue
            if unmeasured.waiting:
                unmeasured.measured()
            for judge in judges:
                verdict = judge(t, voltage, current, charge)
                if verdict is not None:
                    found.append(self._named(verdict))
        return self._first_stop(found)

    def live(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Judge what the channel shows right now, during a sweep."""
        if not (_LOW < voltage_V < MEASURABLE and _LOW < current_A < MEASURABLE):
            return self._first_stop(_known(self._unmeasured.missed(t_s, voltage_V, current_A)))
        self._unmeasured.measured()
        return self._ask(lambda guard: guard.live(t_s, voltage_V, current_A))

    def spectrum(self, summary: SpectrumSummary) -> Verdict | None:
        """Judge the summary of a spectrum."""
        return self._ask(lambda guard: guard.spectrum(summary))

    def tripped(self, t_s: float, message: str) -> Verdict:
        """Name what made a limit on board open the circuit, once the whole tail has been judged."""
        answers = (guard.tripped(t_s, message) for guard in self._guards)
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
        return states

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned for the same program."""
        self._unmeasured.restore(cast("State", state[self._unmeasured.name]))
        for guard in self._guards:
            guard.restore(cast("State", state[guard.name]))

    def _ask(self, question: Callable[[Guard], Verdict | None]) -> Verdict | None:
        answers = [question(guard) for guard in self._guards]
        return self._first_stop(_known(*answers))

    def _first_stop(self, verdicts: Iterable[Verdict]) -> Verdict | None:
        first: Verdict | None = None
        for verdict in verdicts:
            if first is None and verdict.stops:
                first = verdict
            else:
                self._reports.append(verdict)
        return first

    def _named(self, verdict: Verdict) -> Verdict:
        """Return a better name for a limit that the host found: the cause, if a guard knows it."""
        if verdict.kind != "limit":
            return verdict
        answers = (guard.tripped(verdict.time_s, verdict.message) for guard in self._guards)
        cause = next((answer for answer in answers if answer is not None and answer.kind != "limit"), None)
        return verdict if cause is None else cause.model_copy(update={"tier": verdict.tier})


def _known(*answers: Verdict | None) -> list[Verdict]:
    return [verdict for verdict in answers if verdict is not None]


def _fits(name: str, program: Program) -> bool:
    return name == "limits" or program.cell.shows_overpotential


def _make(name: str, program: Program) -> Guard:
    changes = program.guards.overrides.get(name, {})
    if name == "short_circuit":
        return short_circuit.ShortCircuit(_changed(short_circuit.Thresholds(), changes, program))
    if name == "depletion":
        chosen = _changed(depletion.Thresholds(), changes, program)
        return depletion.Depletion(program.cell, program.limits, chosen)
    return limits.LimitGuard(program.limits, _changed(limits.Thresholds(), changes, program))


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
