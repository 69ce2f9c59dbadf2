"""What every guard is: it is told of steps, samples and spectra, and answers with a verdict or nothing.

A guard is deterministic: its state follows from what it was told, in order. Recovery therefore restores the
last saved state and tells it again what the store holds since then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocols.capabilities import StepKind
from protocols.measurements import SpectrumSummary
from protocols.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What guards are told when a visit of a step begins."""

    step: int
    visit: int
    kind: StepKind
    t_s: float
    """Run time of the step's start."""
    set_current_A: float
    """Signed; > 0 strips (oxidises) the working electrode. 0 for a rest, and where only a voltage is given.
    DC part for a spectrum."""
    planned_charge_C: float | None
    """|charge| of the whole step, if known."""
    until_voltage_V: float | None = None
    """A planned end by voltage: reaching it is no trouble."""


State = dict[str, object]
"""JSON-ready state of a guard."""


class Guard(Protocol):
    """One watcher."""

    name: str

    def enter(self, step: StepFacts) -> None:
        """Take notice that a visit of a step begins."""

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one DC sample. ``charge_C``: signed charge passed in this visit of the step."""

    def live(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Judge what the channel shows right now, where no samples come (during a sweep)."""

    def spectrum(self, summary: SpectrumSummary) -> Verdict | None:
        """Judge the summary of a spectrum."""

    def tripped(self, t_s: float, message: str) -> Verdict | None:
        """Name what made a limit on board open the circuit, after the tail was judged; None: not mine."""

    def state(self) -> State:
        """Return the whole state, JSON-ready."""

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned."""
