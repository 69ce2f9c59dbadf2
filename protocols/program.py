"""A protocol compiled for one cell and one station: a tree of steps and loops in A, V, s and Hz.

Everything that interrupts a program (pause, recovery, an inserted spectrum, a step that is too long for an
instrument) goes through :meth:`Program.remainder`, which is pure: it never repeats what has passed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from protocols.cell import Cell
from protocols.measurements import Frozen
from protocols.position import Position, loops_of, visit_number


class Rest(Frozen):
    """Open circuit for a time while E is recorded."""

    kind: Literal["rest"] = "rest"
    index: int
    label: str
    """Where the step stands in the protocol file, for people."""
    duration_s: float = Field(gt=0)
    done_s: float = 0.0
    """Time of this visit that has already passed (set by ``remainder``)."""

    @property
    def remaining_s(self) -> float:
        """Time still to run."""
        return self.duration_s - self.done_s


class ConstantCurrent(Frozen):
    """Constant current until the first of: time, charge, voltage."""

    kind: Literal["constant_current"] = "constant_current"
    index: int
    label: str
    current_A: float
    duration_s: float = Field(gt=0)
    """Always held on board: the exact q/|I| where charge ends the step and no counter does, else the
    protocol's time or 1.05 × the longest that the charge allows (design: Decisions)."""
    charge_C: float | None = None
    """Planned |charge|, if charge ends the step or the time stands for it."""
    until_voltage_V: float | None = None
    """Ends the step when reached: from below if ``current_A`` > 0, from above if < 0."""
    ends_by: Literal["time", "charge", "voltage"] = "time"
    done_s: float = 0.0
    done_C: float = 0.0

    @property
    def remaining_s(self) -> float:
        """Time still to run."""
        return self.duration_s - self.done_s


class Geis(Frozen):
    """One galvanostatic spectrum, with a DC current (0: none) going on underneath."""

    kind: Literal["geis"] = "geis"
    index: int
    label: str
    current_A: float = 0.0
    amplitude_A: float = Field(gt=0)
    """Peak."""
    frequency_start_Hz: float = Field(gt=0)
    frequency_end_Hz: float = Field(gt=0)
    points_per_decade: int = Field(gt=0)
    average: int = Field(default=1, ge=1)
    """Periods averaged at each frequency."""

    def frequencies(self) -> list[float]:
        """The frequencies in Hz, logarithmically spaced, first to last."""
        import math

        decades = math.log10(self.frequency_end_Hz / self.frequency_start_Hz)
        steps = max(1, round(abs(decades) * self.points_per_decade))
        return [self.frequency_start_Hz * 10 ** (decades * k / steps) for k in range(steps + 1)]

    @property
    def remaining_s(self) -> float:
        """Least time: one period a point and average."""
        return sum(self.average / f for f in self.frequencies())


Step = Rest | ConstantCurrent | Geis


class Repeat(Frozen):
    """Passes ``start`` … ``stop`` − 1 of a loop that has ``total`` passes in the whole program."""

    kind: Literal["repeat"] = "repeat"
    total: int = Field(ge=1)
    start: int = Field(default=0, ge=0)
    stop: int
    body: tuple[Node, ...]

    @property
    def passes(self) -> int:
        """Passes still to run."""
        return self.stop - self.start


Node = Annotated[Rest | ConstantCurrent | Geis | Repeat, Field(discriminator="kind")]


class Limits(Frozen):
    """Safety limits: always on, open the circuit."""

    voltage_min_V: float
    voltage_max_V: float
    current_max_A: float


class GuardSettings(Frozen):
    """Which guards watch, and thresholds that a protocol changes."""

    enabled: tuple[str, ...] = ("short_circuit", "depletion", "limits")
    overrides: dict[str, dict[str, float]] = {}
    """Guard → threshold → value; names as in the guard's own ``Thresholds``."""


class Program(Frozen):
    """What the engine runs."""

    protocol: str
    """Name of the protocol."""
    kind: Literal["test", "playback"] = "test"
    """``playback``: a recording plays; its steps were found in the data, and nothing is commanded."""
    cell: Cell
    steps: tuple[Node, ...]
    limits: Limits
    guards: GuardSettings = GuardSettings()
    watch_s: float = 1.0
    """Interval of samples for guards and journal."""
    record_s: float | None = None
    """Interval of samples that sealing keeps (min and max are kept besides); None: all."""
    record_dE_V: float | None = 0.005
    """A sample is also taken when E has changed by this."""
    ends_on: tuple[str, ...] = ()
    """Verdict kinds that are a planned end: the run is *finished*."""
    afterwards: tuple[Node, ...] = ()
    """Run at open circuit after the end: rests and small spectra, never DC current."""

    def walk(self) -> Iterator[tuple[Step, tuple[Repeat, ...]]]:
        """Yield each leaf once, with the loops around it, outermost first."""
        yield from _walk(self.steps, ())

    def step(self, index: int) -> Step:
        """Return the leaf with this number. Raises KeyError if there is none."""
        for leaf, _ in self.walk():
            if leaf.index == index:
                return leaf
        raise KeyError(index)

    def visit(self, position: Position) -> int:
        """Return the visit number of a position in this program."""
        return visit_number(position.loops, self._totals(position.step))

    def position(self, step: int, visit: int, time_s: float = 0.0, charge_C: float = 0.0) -> Position:
        """Return the position that the columns of a sample stand for."""
        return Position(
            step=step, loops=loops_of(visit, self._totals(step)), time_s=time_s, charge_C=charge_C
        )

    def remainder(self, position: Position) -> Program:
        """Return what is still to run from ``position``. Pure; an empty ``steps`` means the end."""
        if position.finished:
            return self.model_copy(update={"steps": ()})
        rest = _remainder(self.steps, position, position.loops)
        if rest is None:
            raise KeyError(position.step)
        return self.model_copy(update={"steps": rest})

    def digest(self) -> str:
        """Return the SHA-256 of the program's canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def duration_s(self) -> float:
        """Longest time the steps can take, in s."""
        return sum(_duration(node) for node in self.steps)

    def _totals(self, step: int) -> tuple[int, ...]:
        for leaf, loops in self.walk():
            if leaf.index == step:
                return tuple(loop.total for loop in loops)
        raise KeyError(step)


def _walk(nodes: tuple[Node, ...], loops: tuple[Repeat, ...]) -> Iterator[tuple[Step, tuple[Repeat, ...]]]:
    for node in nodes:
        if isinstance(node, Repeat):
            yield from _walk(node.body, (*loops, node))
        else:
            yield node, loops


def _duration(node: Node) -> float:
    if isinstance(node, Repeat):
        return node.passes * sum(_duration(child) for child in node.body)
    return node.remaining_s


def _remainder(
    nodes: tuple[Node, ...], position: Position, loops: tuple[int, ...]
) -> tuple[Node, ...] | None:
    """Return the nodes from the position on, or None if the position's leaf is not among ``nodes``."""
    for place, node in enumerate(nodes):
        head: tuple[Node, ...] | None
        if isinstance(node, Repeat):
            head = _rest_of_loop(node, position, loops)
        elif node.index == position.step and not loops:
            head = _rest_of_step(node, position)
        else:
            head = None
        if head is not None:
            return (*head, *nodes[place + 1 :])
    return None


def _rest_of_loop(loop: Repeat, position: Position, loops: tuple[int, ...]) -> tuple[Node, ...] | None:
    if not loops or not loop.start <= loops[0] < loop.stop:
        return None
    done = loops[0]
    inner = _remainder(loop.body, position, loops[1:])
    if inner is None:
        return None
    parts: list[Node] = []
    if inner:
        parts.append(loop.model_copy(update={"start": done, "stop": done + 1, "body": inner}))
    if done + 1 < loop.stop:
        parts.append(loop.model_copy(update={"start": done + 1}))
    return tuple(parts)


def _rest_of_step(step: Step, position: Position) -> tuple[Node, ...]:
    if isinstance(step, Geis):
        # A broken sweep has no use: it is measured again if it was not complete.
        return () if position.time_s >= step.remaining_s else (step,)
    left = step.duration_s - position.time_s
    if isinstance(step, ConstantCurrent):
        charge_left = None if step.charge_C is None else step.charge_C - abs(position.charge_C)
        if left <= 0 or (step.ends_by == "charge" and charge_left is not None and charge_left <= 0):
            return ()
        return (step.model_copy(update={"done_s": position.time_s, "done_C": position.charge_C}),)
    return (step.model_copy(update={"done_s": position.time_s}),) if left > 0 else ()


Repeat.model_rebuild()
