"""A guard that finds what a test wants it to find, beside those that every run has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from guards.guard import Guard, State, StepFacts
from guards.watch import Watch
from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.program import Program
from protocols.verdicts import Verdict, VerdictKind

Judge = Callable[[float, float, float, float], Verdict | None]
"""A verdict from t_s, E, I and the charge passed in the visit."""


@dataclass
class Script:
    """What the guard of every run does, and what it was told."""

    samples: tuple[Judge, ...] = ()
    """What finds something in a visit, one after the other: each once."""
    spectrum: Callable[[SpectrumSummary], Verdict | None] = lambda summary: None
    looked: list[tuple[str, bool]] = field(default_factory=list)
    spectra: list[SpectrumSummary] = field(default_factory=list)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Let every run be watched by such a guard besides."""
        usual = Watch.for_program.__func__  # type: ignore[attr-defined]  # a classmethod

        def watched(cls: type[Watch], of: Program) -> Watch:
            watch: Watch = usual(cls, of)
            return Watch([*watch._guards, ScriptedGuard(self)])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Watch, "for_program", classmethod(watched))
            yield


class ScriptedGuard(Guard):
    """See :class:`Script`."""

    name = "scripted"

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script
        self._driven = False
        self._visit = (-1, -1)
        self._found = 0

    def enter(self, step: StepFacts) -> None:
        self._driven = step.kind == "constant_current"
        if self._driven and (step.step, step.visit) != self._visit:
            self._visit, self._found = (step.step, step.visit), 0

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        if not self._driven or self._found >= len(self._script.samples):
            return None
        verdict = self._script.samples[self._found](t_s, voltage_V, current_A, charge_C)
        self._found += verdict is not None
        return verdict

    def spectrum(self, summary: SpectrumSummary, change: SpectrumChange | None) -> Verdict | None:
        self._script.spectra.append(summary)
        return self._script.spectrum(summary)

    def looked(self, verdict: Verdict, healthy: bool) -> None:
        self._script.looked.append((verdict.kind, healthy))

    def state(self) -> State:
        return {"values": [self._driven, *self._visit, self._found]}

    def restore(self, state: State) -> None:
        driven, step, visit, self._found = cast("list[int]", state["values"])
        self._driven, self._visit = bool(driven), (step, visit)


def found(kind: VerdictKind, tier: int, t_s: float, **evidence: float | str) -> Verdict:
    """Return a verdict."""
    return Verdict(
        kind=kind, tier=tier, time_s=t_s, event_s=t_s, message=f"it is {kind}", evidence={**evidence}
    )
