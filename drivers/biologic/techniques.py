"""Turns a program into a list of linked techniques. Pure.

How a program sits on EClib (User's Guide 6.11 §7): a rest is OCV, a constant current CPLIMIT with one step, a
spectrum GEIS without a hold, an innermost repeat LOOP. Outer repeats are written out pass by pass: EClib's
LOOP techniques jump, they do not nest. Every list ends in a short OCV that belongs to no step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.biologic.constants import TICKS_MAX, TIMEBASE_MIN_S, ERange, TechniqueId
from drivers.biologic.parameters import (
    Parameter,
    Settings,
    current_limit_parameters,
    geis_parameters,
    loop_parameters,
    ocv_parameters,
)
from drivers.biologic.ranges import e_range_for
from protocols.capabilities import Capabilities
from protocols.errors import InstrumentError
from protocols.nodes import ConstantCurrent, Geis, Node, Repeat, Rest, Step
from protocols.position import Position, visit_number
from protocols.program import Program
from protocols.tree import parts

STEMS: dict[TechniqueId, str] = {
    TechniqueId.OCV: "ocv",
    TechniqueId.CPLIMIT: "cplimit",
    TechniqueId.GEIS: "geis",
    TechniqueId.LOOP: "loop",
}
"""Names of the technique files, without the board's suffix."""

FINAL_OCV_S = 1.0
FINAL_OCV_INTERVAL_S = 0.1
"""Short, so that the final OCV certainly leaves a row to tell that it was reached."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One passage through a leaf."""

    step: Step
    loops: tuple[int, ...]
    """Absolute pass of each loop around the leaf, outermost first."""
    totals: tuple[int, ...]

    @property
    def number(self) -> int:
        """The column ``visit`` of its samples."""
        return visit_number(self.loops, self.totals)

    def later(self, passes: int) -> Visit:
        """Return the same leaf, ``passes`` passes of the innermost loop later."""
        return Visit(self.step, (*self.loops[:-1], self.loops[-1] + passes), self.totals)

    def position(self, time_s: float = 0.0, charge_C: float = 0.0) -> Position:
        """Return the place after ``time_s`` and ``charge_C`` on the instrument, with what was done before."""
        done_s, done_C = self.step.done_s, self.step.done_C
        return Position(
            step=self.step.index, loops=self.loops, time_s=done_s + time_s, charge_C=done_C + charge_C
        )


@dataclass(frozen=True, slots=True)
class Technique:
    """One linked technique and what it stands for."""

    id: TechniqueId
    parameters: tuple[Parameter, ...]
    visit: Visit | None = None
    """Its first passage; None for LOOP and the final OCV."""
    looped: bool = False
    """Whether a LOOP on board passes it again; the innermost pass then grows."""

    @property
    def stem(self) -> str:
        """Name of its file, without the board's suffix."""
        return STEMS[self.id]


@dataclass(frozen=True, slots=True)
class Load:
    """What is loaded into a channel."""

    techniques: tuple[Technique, ...]
    timebase_s: float
    """One for all techniques, so that rows of one are never timed by the time base of the next."""
    end: Position
    """Where the program stands after the whole list: ``finished``, or what comes next, where the program is
    longer than the instrument's list."""

    first: Visit
    duration_s: float
    """Longest time of all steps (least time of spectra)."""

    def visit(self, index: int, loop: int) -> Visit | None:
        """Return the passage that rows of technique ``index`` in pass ``loop`` of its LOOP belong to.

        None for the final OCV. Raises InstrumentError for an index that was not loaded.
        """
        if not 0 <= index < len(self.techniques):
            raise InstrumentError(
                f"the channel sent data of technique {index}, but {len(self.techniques)} were loaded; "
                "another program may have loaded its own: stop the run and look at the channel"
            )
        technique = self.techniques[index]
        if technique.visit is None or not technique.looped:
            return technique.visit
        return technique.visit.later(loop)


@dataclass(frozen=True, slots=True)
class _Group:
    """Leaves that are loaded together; more than one pass: with a LOOP behind them."""

    visits: tuple[Visit, ...]
    passes: int = 1

    @property
    def size(self) -> int:
        return len(self.visits) + (self.passes > 1)

    @property
    def duration_s(self) -> float:
        return self.passes * sum(visit.step.remaining_s for visit in self.visits)

    @property
    def end(self) -> Position:
        last = self.visits[-1] if self.passes == 1 else self.visits[-1].later(self.passes - 1)
        return last.position(last.step.remaining_s).model_copy(update={"finished": True})


def compile_load(
    program: Program, capabilities: Capabilities, max_techniques: int = 250, bandwidth: int = 5
) -> Load:
    """Compile as many leading nodes of ``program.steps`` as ``max_techniques`` (≥ 2) hold.

    Raises InstrumentError where the channel cannot do a step: current, amplitude, frequency, voltage limit.
    """
    if not program.steps:
        raise InstrumentError("there is nothing to run: the program's steps are empty")
    groups, end = _leading(program.steps, max_techniques)
    timebase_s = _timebase_s(groups)
    settings = Settings(
        program.limits, program.watch_s, program.record_dE_V or 0.0, _e_range(program), bandwidth, timebase_s
    )
    techniques: list[Technique] = []
    for group in groups:
        first = len(techniques)
        techniques.extend(
            _technique(visit, group.passes > 1, settings, capabilities) for visit in group.visits
        )
        if group.passes > 1:
            techniques.append(Technique(TechniqueId.LOOP, loop_parameters(first, group.passes)))
    techniques.append(Technique(TechniqueId.OCV, ocv_parameters(FINAL_OCV_S, settings, FINAL_OCV_INTERVAL_S)))
    return Load(
        tuple(techniques), timebase_s, end, groups[0].visits[0], sum(group.duration_s for group in groups)
    )


def _leading(nodes: tuple[Node, ...], max_techniques: int) -> tuple[list[_Group], Position]:
    """Return the groups that fit, and where the program stands behind them."""
    taken: list[_Group] = []
    room = max_techniques - 1
    for group in _groups(nodes, (), (), room):
        room -= group.size
        if room < 0:
            return taken, group.visits[0].position()
        taken.append(group)
    return taken, taken[-1].end


def _groups(
    nodes: tuple[Node, ...], loops: tuple[int, ...], totals: tuple[int, ...], room: int
) -> Iterator[_Group]:
    for node in parts(nodes):
        if not isinstance(node, Repeat):
            yield _Group((Visit(node, loops, totals),))
        elif (body := _loopable(node, room)) is not None:
            inside = (*loops, node.start), (*totals, node.total)
            yield _Group(tuple(Visit(leaf, *inside) for leaf in body), node.passes)
        else:
            for done in range(node.start, node.stop):
                yield from _groups(node.body, (*loops, done), (*totals, node.total), room)


def _loopable(repeat: Repeat, room: int) -> list[Step] | None:
    """Return the body of a repeat that a LOOP can stand for, else None."""
    body = [node for node in parts(repeat.body) if not isinstance(node, Repeat)]
    fits = len(body) + 1 <= room
    return body if fits and repeat.passes > 1 and len(body) == len(repeat.body) else None


def _timebase_s(groups: list[_Group]) -> float:
    """Return the smallest time base, in whole µs, that all techniques accept and the longest step fits."""
    longest_s = max(visit.step.remaining_s for group in groups for visit in group.visits)
    least_s = max(TIMEBASE_MIN_S[identity] for identity in STEMS)
    microseconds = math.ceil(longest_s / TICKS_MAX * 1e6 * (1 + 1e-6))
    return max(least_s, microseconds / 1e6)


def _e_range(program: Program) -> ERange:
    ends = [
        leaf.until_voltage_V
        for leaf, _ in program.walk()
        if isinstance(leaf, ConstantCurrent) and leaf.until_voltage_V is not None
    ]
    return e_range_for(max(map(abs, [program.limits.voltage_min_V, program.limits.voltage_max_V, *ends])))


def _technique(visit: Visit, looped: bool, settings: Settings, capabilities: Capabilities) -> Technique:
    step = visit.step
    if isinstance(step, Rest):
        identity, parameters = TechniqueId.OCV, ocv_parameters(step.remaining_s, settings)
    elif isinstance(step, ConstantCurrent):
        identity, parameters = TechniqueId.CPLIMIT, current_limit_parameters(step, settings, capabilities)
    elif isinstance(step, Geis):
        identity, parameters = TechniqueId.GEIS, geis_parameters(step, settings, capabilities)
    else:
        raise InstrumentError(f"step {step.label!r}: this driver can't run a {step.kind!r} yet")
    return Technique(identity, parameters, visit, looped)
