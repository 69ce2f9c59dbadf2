"""What every guard is: it is told of steps, samples and spectra, and answers with a verdict or nothing.

A guard is deterministic: its state follows from what it was told, in order. Recovery therefore restores the
last saved state and tells it again what the store holds since then.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from protocols.capabilities import StepKind
from protocols.measurements import SpectrumChange, SpectrumSummary
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
    demanded_K: float | None = None
    """Temperature that the step waits for, if any: the surroundings are to change."""


@dataclass(slots=True)
class Calm:
    """Samples that a guard need not be told of: those before ``until_s`` that lie between all bounds."""

    until_s: float = -math.inf
    low_V: float = -math.inf
    high_V: float = math.inf
    low_A: float = -math.inf
    high_A: float = math.inf
    low_ohm: float = -math.inf
    """Of R = E/I. Where the current may be zero, leave both infinite."""
    high_ohm: float = math.inf

    def holds(self, t_s: float, voltage_V: float, current_A: float) -> bool:
        """Whether a sample is calm: a guard that is told of it all the same has nothing to do."""
        return (
            t_s < self.until_s
            and self.low_V < voltage_V < self.high_V
            and self.low_A < current_A < self.high_A
            and (
                (self.low_ohm == -math.inf and self.high_ohm == math.inf)
                or self.low_ohm < voltage_V / current_A < self.high_ohm
            )
        )


TICK_S = 10.0
"""What changes slowly is looked at so often, by all guards at the same samples, so that few are told."""


def next_tick(t_s: float) -> float:
    """Return when it is time to look again after this sample."""
    return (t_s // TICK_S + 1.0) * TICK_S


State = dict[str, object]
"""JSON-ready state of a guard."""


class Guard:
    """One watcher. What it does not override says nothing.

    ``calm`` may be changed in any of these calls, and follows from the state alone (``restore`` sets it too).
    A guard that leaves it as it is, is told of every sample; the last one of a visit is told in any case.
    """

    name: str

    def __init__(self) -> None:
        self.calm = Calm()

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds that hold, by name: a guard keeps them as ``_th``."""
        kept = vars(self).get("_th")
        return {} if kept is None else asdict(kept)

    def enter(self, step: StepFacts) -> None:
        """Take notice that a visit of a step begins."""

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Judge one DC sample. ``charge_C``: signed charge passed in this visit of the step."""
        return None

    def live(self, t_s: float, voltage_V: float, current_A: float) -> Verdict | None:
        """Judge what the channel shows right now, where no samples come (during a sweep)."""
        return None

    def spectrum(self, summary: SpectrumSummary, change: SpectrumChange | None) -> Verdict | None:
        """Judge a spectrum by its summary and by how it differs from the last healthy one, if any."""
        return None

    def temperature(self, t_s: float, temperature_K: float) -> Verdict | None:
        """Take notice of the cell's surroundings: told when they have changed by 0.2 K."""
        return None

    def looked(self, verdict: Verdict, healthy: bool) -> None:
        """The cell was looked at because of this verdict: was it found healthy after all?"""

    def tripped(self, t_s: float, message: str) -> Verdict | None:
        """Name what made a limit on board open the circuit, after the tail was judged; None: not mine."""
        return None

    def state(self) -> State:
        """Return the whole state, JSON-ready."""
        raise NotImplementedError

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned."""
        raise NotImplementedError


S = TypeVar("S")


_SAVING: dict[type, TypeAdapter[Any]] = {}


def _saving(state: object) -> TypeAdapter[Any]:
    """Return what saves such a state, made once for each class: that takes a millisecond."""
    kind = type(state)
    if kind not in _SAVING:
        _SAVING[kind] = TypeAdapter(kind)
    return _SAVING[kind]


class SavedGuard(Guard, Generic[S]):
    """A guard whose whole state is one dataclass, from which ``calm`` follows."""

    def __init__(self, state: S) -> None:
        super().__init__()
        self._s = state

    def state(self) -> State:
        """Return the whole state, JSON-ready."""
        state: State = _saving(self._s).dump_python(self._s, mode="json")
        return state

    def restore(self, state: State) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _saving(self._s).validate_python(state)
        self._look_up_calm()

    def _look_up_calm(self) -> None:
        """Set ``calm`` by the state."""
