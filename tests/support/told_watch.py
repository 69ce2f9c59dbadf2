"""A watch that is told of whole steps at once, cut as a test wants it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guards.guard import StepFacts
from guards.watch import Watch
from protocols.capabilities import StepKind
from protocols.cell import Cell
from protocols.program import GuardSettings, Limits, Program
from protocols.verdicts import Verdict

Floats = NDArray[np.float64]


@dataclass
class ToldWatch:
    """Keeps the time and all verdicts."""

    cell: Cell
    limits: Limits
    enabled: Sequence[str] = GuardSettings().enabled
    overrides: dict[str, dict[str, float]] = field(default_factory=dict)
    rows: int | None = None
    """Most samples in one stretch; None: a whole step at once."""
    saved_often: bool = False
    """After each stretch the state goes through JSON into a new watch."""
    t_s: float = 0.0
    visit: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = self._new()

    def step(
        self,
        kind: StepKind,
        current: float | Floats,
        since_s: Floats,
        voltage: float | Floats,
        *,
        set_current_A: float | None = None,
        until_V: float | None = None,
        planned_C: float | None = None,
        visit: int | None = None,
        charge_before_C: float = 0.0,
    ) -> Verdict | None:
        """Tell of one step; ``since_s``: times after its start. Returns what stops."""
        currents = np.broadcast_to(np.asarray(current, dtype=float), since_s.shape)
        volts = np.broadcast_to(np.asarray(voltage, dtype=float), since_s.shape)
        self.visit += 1
        constant = float(currents[0]) if set_current_A is None and len(currents) else set_current_A or 0.0
        number = self.visit if visit is None else visit
        self.watch.enter(StepFacts(0, number, kind, self.t_s, constant, planned_C, until_V))
        gaps = np.diff(since_s, prepend=0.0)
        charge = charge_before_C + np.cumsum(currents * gaps)
        columns = [column.tolist() for column in (self.t_s + since_s, volts, currents, charge)]
        found = [
            self._samples([column[a : a + (self.rows or len(since_s))] for column in columns])
            for a in range(0, len(since_s), self.rows or max(len(since_s), 1))
        ]
        self.t_s += float(since_s[-1]) if len(since_s) else 0.0
        return next((verdict for verdict in found if verdict is not None), None)

    def kinds(self) -> list[tuple[str, int]]:
        """Kind and tier of all verdicts so far."""
        return [(verdict.kind, verdict.tier) for verdict in self.verdicts]

    def _samples(self, columns: list[Any]) -> Verdict | None:
        verdict = self.watch.samples(*columns)
        self.verdicts += [*([verdict] if verdict else []), *self.watch.take_reports()]
        if self.saved_often:
            saved = json.loads(json.dumps(self.watch.state(), allow_nan=False))
            self.watch = self._new()
            self.watch.restore(saved)
        return verdict

    def _new(self) -> Watch:
        guards = GuardSettings(enabled=tuple(self.enabled), overrides=self.overrides)
        program = Program(protocol="told", cell=self.cell, steps=(), limits=self.limits, guards=guards)
        return Watch.for_program(program)
