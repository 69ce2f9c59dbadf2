"""What a program is made of: steps that an instrument runs, loops, and what the host does in between.

All values are in A, V, s and Hz for one cell. A step's ``index`` is its number in the program and ``label``
its place in the protocol file, for people. ``done_s`` and ``done_C`` are what has already passed of this
visit (set by ``Program.remainder``).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from protocols.frozen import Frozen

# What ends a step early, judged by the host while the instrument holds the step's longest time.


class Drift(Frozen):
    """E has become steady: it changes more slowly than a rate, as a trend over a time."""

    kind: Literal["drift"] = "drift"
    rate_V_per_s: float = Field(gt=0)
    over_s: float = Field(gt=0)


class Steady(Frozen):
    """I has become steady: its mean has changed by less than a part of it over a time."""

    kind: Literal["steady"] = "steady"
    change: float = Field(gt=0)
    over_s: float = Field(gt=0)


class ChargePassed(Frozen):
    """So much charge has passed in the step, in either direction."""

    kind: Literal["charge"] = "charge"
    charge_C: float = Field(gt=0)


class Soak(Frozen):
    """The chamber has been within ``tolerance_K`` of the target for ``hold_s``, and then for ``soak_s``."""

    kind: Literal["temperature"] = "temperature"
    target_K: float = Field(gt=0)
    tolerance_K: float = Field(gt=0)
    hold_s: float = Field(ge=0)
    soak_s: float = Field(default=0.0, ge=0)


class Person(Frozen):
    """A person has said that it may go on."""

    kind: Literal["person"] = "person"
    message: str = ""


HostEnd = Annotated[Drift | Steady | ChargePassed | Soak | Person, Field(discriminator="kind")]


class _Timed(Frozen):
    """A step with a longest time, which the instrument holds."""

    index: int
    label: str
    duration_s: float = Field(gt=0)
    done_s: float = 0.0
    done_C: float = 0.0

    @property
    def remaining_s(self) -> float:
        """Time still to run."""
        return self.duration_s - self.done_s


class Rest(_Timed):
    """Open circuit for a time while E is recorded."""

    kind: Literal["rest"] = "rest"
    host_ends: tuple[HostEnd, ...] = ()
    """The first that comes ends the rest. If a temperature or a person is waited for and the time runs out,
    the run fails."""

    @property
    def waits(self) -> Soak | Person | None:
        """What has to come before the program may go on, if anything."""
        return next((end for end in self.host_ends if isinstance(end, Soak | Person)), None)


class ConstantCurrent(_Timed):
    """Constant current until the first of: time, charge, voltage.

    ``duration_s`` is always held on board: the exact q/|I| where charge ends the step and no counter does,
    else the protocol's time or 1.05 × the longest that the charge allows (design: Decisions).
    """

    kind: Literal["constant_current"] = "constant_current"
    current_A: float
    charge_C: float | None = None
    """Planned |charge|, if charge ends the step or the time stands for it."""
    until_voltage_V: float | None = None
    """Ends the step when reached: from below if ``current_A`` > 0, from above if < 0."""
    ends_by: Literal["time", "charge", "voltage"] = "time"
    range_A: float | None = None
    """Current range to use if it holds the current, so that a ramp keeps to one; None: the smallest."""
    dense_s: float = Field(default=0.0, ge=0)
    """For so long from its start the step is sampled every ``dense_interval_s``."""
    dense_interval_s: float = Field(default=0.1, gt=0)


class ConstantVoltage(_Timed):
    """Constant voltage until the first of: time, |I| below a current, and what the host judges."""

    kind: Literal["constant_voltage"] = "constant_voltage"
    voltage_V: float
    relative: bool = False
    """Whether ``voltage_V`` is meant from the open-circuit voltage at the step's start."""
    until_current_A: float | None = Field(default=None, gt=0)
    """Ends the step when |I| has fallen to it."""
    host_ends: tuple[HostEnd, ...] = ()
    set_current_A: float = 0.0
    """Signed current of the step that this one continues (CC-CV): both are one half-cycle. 0: none."""


class Vertex(Frozen):
    """A voltage at which a sweep begins, turns or ends."""

    voltage_V: float
    relative: bool = False
    """Whether it is meant from the open-circuit voltage at the sweep's start."""

    def at(self, reference_V: float) -> float:
        """Return the voltage for an open-circuit voltage."""
        return self.voltage_V + (reference_V if self.relative else 0.0)


class VoltageSweep(_Timed):
    """E changes at one rate from the first vertex over the others to the last.

    ``duration_s`` is the longest time, where it depends on an open-circuit voltage that is not known yet.
    """

    kind: Literal["voltage_sweep"] = "voltage_sweep"
    vertices: tuple[Vertex, ...] = Field(min_length=2)
    rate_V_per_s: float = Field(gt=0)

    def after(self, seconds: float, reference_V: float) -> tuple[Vertex, ...]:
        """Return the vertices still to come ``seconds`` after the first, from the voltage reached on."""
        path = [vertex.at(reference_V) for vertex in self.vertices]
        way_V = seconds * self.rate_V_per_s
        for place in range(1, len(path)):
            leg_V = path[place] - path[place - 1]
            if way_V < abs(leg_V):
                reached = path[place - 1] + math.copysign(way_V, leg_V)
                return tuple(Vertex(voltage_V=voltage) for voltage in (reached, *path[place:]))
            way_V -= abs(leg_V)
        return ()


class _Sweep(Frozen):
    """The frequencies of a spectrum, logarithmically spaced."""

    index: int
    label: str
    frequency_start_Hz: float = Field(gt=0)
    frequency_end_Hz: float = Field(gt=0)
    points_per_decade: int = Field(gt=0)
    average: int = Field(default=1, ge=1)
    """Periods averaged at each frequency."""

    def frequencies(self) -> list[float]:
        """The frequencies in Hz, first to last."""
        decades = math.log10(self.frequency_end_Hz / self.frequency_start_Hz)
        steps = max(1, round(abs(decades) * self.points_per_decade))
        return [self.frequency_start_Hz * 10 ** (decades * k / steps) for k in range(steps + 1)]

    @property
    def done_s(self) -> float:
        """A broken sweep is measured anew: nothing of it is ever done before."""
        return 0.0

    @property
    def done_C(self) -> float:
        """As for ``done_s``."""
        return 0.0

    @property
    def remaining_s(self) -> float:
        """Least time: one period a point and average."""
        return sum(self.average / f for f in self.frequencies())


class Geis(_Sweep):
    """One galvanostatic spectrum, with a DC current (0: none) going on underneath."""

    kind: Literal["geis"] = "geis"
    current_A: float = 0.0
    amplitude_A: float = Field(gt=0)
    """Peak. With ``response_V``: the largest that may be used."""
    response_V: float | None = Field(default=None, gt=0)
    """Wanted peak of E: the host chooses the amplitude from the last |Z|."""


class Peis(_Sweep):
    """One potentiostatic spectrum around a DC voltage."""

    kind: Literal["peis"] = "peis"
    voltage_V: float = 0.0
    relative: bool = True
    """Whether ``voltage_V`` is meant from the open-circuit voltage at the step's start."""
    amplitude_V: float = Field(gt=0)
    """Peak."""


Step = Rest | ConstantCurrent | ConstantVoltage | VoltageSweep | Geis | Peis
"""What an instrument runs."""

# What the host does between two segments.


class Message(Frozen):
    """Tell people something."""

    kind: Literal["message"] = "message"
    index: int
    label: str
    text: str


Measured = Literal[
    "voltage",
    "current",
    "charge",
    "overpotential",
    "resistance",
    "resistance_hf",
    "resistance_interface",
    "resistance_change",
    "retention",
    "coulombic_efficiency",
    "cycle",
    "time",
    "time_since_spectrum",
    "charge_since_spectrum",
]
"""What a decision may ask for; see :class:`protocols.decisions.Findings`."""


class Criterion(Frozen):
    """One comparison with a measured quantity, in SI."""

    quantity: Measured
    comparison: Literal["above", "below"]
    value: float


Jump = Literal["leave", "end"]
"""``leave``: go on after the innermost loop. ``end``: go on after the last step."""


class Decision(Frozen):
    """One of two ways on. A way is steps, or a jump."""

    kind: Literal["decision"] = "decision"
    index: int
    label: str
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    """All have to hold. One whose quantity was not measured yet does not."""
    then: tuple[Node, ...] = ()
    then_jump: Jump | None = None
    otherwise: tuple[Node, ...] = ()
    otherwise_jump: Jump | None = None

    def way(self, answer: bool) -> tuple[tuple[Node, ...], Jump | None]:
        """Return the steps and the jump of an answer."""
        return (self.then, self.then_jump) if answer else (self.otherwise, self.otherwise_jump)


# Loops.


class OnPasses(Frozen):
    """Nodes of a loop's body that run in some of its passes only. Stands in no other place than a body."""

    kind: Literal["on_passes"] = "on_passes"
    every: int | None = Field(default=None, ge=1)
    """In each ``every``-th pass."""
    first: int | None = Field(default=None, ge=0)
    """With ``every``: passes that come before the first of these; None: ``every`` − 1."""
    listed: tuple[int, ...] = ()
    """In these passes, counted from 1, ascending."""
    body: tuple[Node, ...]

    def runs_in(self, done: int) -> bool:
        """Whether it runs in the pass before which ``done`` passes were done."""
        return self.next_change(done) == done

    @property
    def _first(self) -> int:
        return (self.every or 1) - 1 if self.first is None else self.first

    def passes_in(self, start: int, stop: int) -> int:
        """Return in how many of the passes ``start`` … ``stop`` − 1 it runs."""
        if self.every:
            before = [-(-max(0, done - self._first) // self.every) for done in (start, stop)]
            return before[1] - before[0]
        return sum(start < number <= stop for number in self.listed)

    def next_change(self, done: int) -> int | None:
        """Return the first pass from ``done`` on (from 0) in which it runs; None: in none any more."""
        if self.every:
            return self._first + max(0, -(-(done - self._first) // self.every)) * self.every
        return next((number - 1 for number in self.listed if number > done), None)


class Repeat(Frozen):
    """Passes ``start`` … ``stop`` − 1 of a loop that has ``total`` passes in the whole program."""

    kind: Literal["repeat"] = "repeat"
    total: int = Field(ge=1)
    start: int = Field(default=0, ge=0)
    stop: int
    body: tuple[Node, ...]
    counts: bool = False
    """Whether its passes are the cycles of the test."""

    @property
    def passes(self) -> int:
        """Passes still to run."""
        return self.stop - self.start


Node = Annotated[
    Rest
    | ConstantCurrent
    | ConstantVoltage
    | VoltageSweep
    | Geis
    | Peis
    | Message
    | Decision
    | OnPasses
    | Repeat,
    Field(discriminator="kind"),
]


def set_current_A(step: Step) -> float:
    """Return the current that a step is to have: 0 for rests, and where only the voltage is given."""
    match step:
        case ConstantCurrent() | Geis():
            return step.current_A
        case ConstantVoltage():
            return step.set_current_A
        case _:
            return 0.0


def inner(node: Node) -> tuple[Node, ...]:
    """Return the nodes inside a node, every way of a decision; empty for steps and messages."""
    match node:
        case Repeat() | OnPasses():
            return node.body
        case Decision():
            return node.then + node.otherwise
        case _:
            return ()
