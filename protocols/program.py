"""A protocol compiled for one cell and one station: a tree of steps and loops in A, V, s and Hz.

Everything that interrupts a program (pause, recovery, an inserted spectrum, a step that is too long for an
instrument) goes through :meth:`Program.remainder`, which is pure: it never repeats what has passed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Literal, get_args

from pydantic import Field

from protocols import tree
from protocols.cell import Cell
from protocols.frozen import Frozen
from protocols.nodes import Decision, Message, Node, OnPasses, Repeat, Step
from protocols.position import Position, loops_of, visit_number


class Limits(Frozen):
    """Safety limits: always on, open the circuit."""

    voltage_min_V: float
    voltage_max_V: float
    current_max_A: float


GuardName = Literal[
    "short_circuit",
    "soft_short",
    "depletion",
    "contact",
    "micro_short",
    "full_cell",
    "impedance",
    "temperature",
    "limits",
]
"""The guards that a protocol may set or switch off."""


class GuardSettings(Frozen):
    """Which guards watch, and thresholds that a protocol changes."""

    enabled: tuple[str, ...] = get_args(GuardName)
    overrides: dict[str, dict[str, float]] = {}
    """Guard → threshold → value; names as in the guard's own ``Thresholds``."""
    look: bool = True
    """After a short circuit has opened the circuit, look at the cell: a false alarm lets the test go on."""
    reverse_pulse: float = Field(default=0.0, ge=0.0, le=0.1)
    """Pulse in the reverse direction after E ran away, as a part of the current before; 0: none."""


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
    record_dI_A: float | None = None
    """A sample is also taken when I has changed by this, at constant voltage."""
    afterwards: tuple[Node, ...] = ()
    """Run at open circuit after the end: rests and small spectra, never DC current."""
    on_suspicion: tuple[Node, ...] = ()
    """Run at open circuit when a guard suspects something (tier 2): rests and small spectra. Empty: the
    engine measures a spectrum under the current that runs, if the channel can."""
    after_suspicion: Literal["go_on", "pause"] = "go_on"
    """What follows a suspicion, once ``on_suspicion`` has run."""
    retention_from: int = Field(default=1, ge=1)
    """Number of the cycle that later ones are compared with."""

    def walk(self) -> Iterator[tuple[Step, tuple[Repeat, ...]]]:
        """Yield each step with the loops around it, outermost first; every way of a decision is walked."""
        yield from tree.walk(self.steps)

    def step(self, index: int) -> Step:
        """Return the step with this number. Raises KeyError if there is none."""
        for leaf, _ in self.walk():
            if leaf.index == index:
                return leaf
        raise KeyError(index)

    def visit(self, position: Position) -> int:
        """Return the visit number of a position in this program."""
        return visit_number(position.loops, self._totals(position.step))

    def position(self, step: int, visit: int, time_s: float = 0.0, charge_C: float = 0.0) -> Position:
        """Return the position that the columns of a sample stand for."""
        loops = loops_of(visit, self._totals(step))
        return Position(step=step, loops=loops, time_s=time_s, charge_C=charge_C)

    def cycle(self, step: int, visit: int) -> int:
        """Return the cycle that a sample belongs to, from 1, by the loops that count; 0 before the first."""
        return tree.cycle_number(self.steps, step, loops_of(visit, self._totals(step)))

    @property
    def counts_cycles(self) -> bool:
        """Whether a loop of this program counts cycles."""
        return any(loop.counts for _, loops in self.walk() for loop in loops)

    def remainder(self, position: Position) -> Program:
        """Return what is still to run from ``position``. Pure; an empty ``steps`` means the end."""
        if position.finished:
            return self.with_steps(())
        rest = tree.remainder(self.steps, position)
        if rest is None:
            raise KeyError(position.step)
        return self.with_steps(rest)

    def with_steps(self, steps: tuple[Node, ...]) -> Program:
        """Return the same program with other steps."""
        return self.model_copy(update={"steps": steps})

    def digest(self) -> str:
        """Return the SHA-256 of the program's canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def duration_s(self) -> float:
        """Longest time the steps can take, in s; of two ways of a decision the longer one."""
        return sum(_duration(node) for node in self.steps)

    def _totals(self, step: int) -> tuple[int, ...]:
        for leaf, loops in self.walk():
            if leaf.index == step:
                return tuple(loop.total for loop in loops)
        raise KeyError(step)


def _duration(node: Node) -> float:
    match node:
        case Repeat():
            return sum(_of_passes(node, child) * _duration(child) for child in node.body)
        case OnPasses():
            return sum(map(_duration, node.body))
        case Decision():
            return max(sum(map(_duration, way)) for way in (node.then, node.otherwise))
        case Message():
            return 0.0
        case _:
            return node.remaining_s


def _of_passes(loop: Repeat, child: Node) -> int:
    """Return in how many of a loop's passes a node of its body runs."""
    return child.passes_in(loop.start, loop.stop) if isinstance(child, OnPasses) else loop.passes
