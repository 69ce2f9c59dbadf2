"""Turns a program into a list of linked techniques. Pure.

How a program sits on EClib (User's Guide 6.11 §7): a rest is OCV, a constant current CPLIMIT and a constant
voltage CALIMIT with one step, a voltage sweep VSCANLIMIT, a spectrum GEIS or PEIS without a hold, an
innermost repeat LOOP. A constant current that begins with denser samples is two CPLIMIT of one visit, as a
technique has one interval. Outer repeats are written out pass by pass: EClib's LOOP techniques jump, they do
not nest. Every list ends in a short OCV that belongs to no step.
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
    peis_parameters,
    scan_parameters,
    voltage_limit_parameters,
)
from drivers.biologic.ranges import e_range_for
from protocols.capabilities import Capabilities
from protocols.errors import InstrumentError
from protocols.nodes import (
    ConstantCurrent,
    ConstantVoltage,
    Geis,
    Node,
    Peis,
    Repeat,
    Rest,
    Step,
    VoltageSweep,
)
from protocols.position import Position, visit_number
from protocols.program import Program
from protocols.tree import parts

STEMS: dict[TechniqueId, str] = {
    TechniqueId.OCV: "ocv",
    TechniqueId.CPLIMIT: "cplimit",
    TechniqueId.CALIMIT: "calimit",
    TechniqueId.VSCANLIMIT: "vscanlimit",
    TechniqueId.GEIS: "geis",
    TechniqueId.PEIS: "peis",
    TechniqueId.LOOP: "loop",
}
"""Names of the technique files, without the board's suffix."""

_OF_STEP: dict[type[Step], TechniqueId] = {
    Rest: TechniqueId.OCV,
    ConstantCurrent: TechniqueId.CPLIMIT,
    ConstantVoltage: TechniqueId.CALIMIT,
    VoltageSweep: TechniqueId.VSCANLIMIT,
    Geis: TechniqueId.GEIS,
    Peis: TechniqueId.PEIS,
}

FINAL_OCV_S = 1.0
FINAL_OCV_INTERVAL_S = 0.1
"""Short, so that the final OCV certainly leaves a row to tell that it was reached."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One passage through a leaf, or a part of one."""

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

    def at(self, time_s: float, charge_C: float) -> Visit:
        """Return what is left of the visit once ``time_s`` and ``charge_C`` of the whole step have passed."""
        done = {"done_s": time_s, "done_C": charge_C}
        return Visit(self.step.model_copy(update=done), self.loops, self.totals)

    def continues(self, other: Visit) -> bool:
        """Whether this is another part of the same visit."""
        return (self.step.index, self.loops) == (other.step.index, other.loops)

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
class _Part:
    """What one technique does of a visit; the visit's step lasts as long as the technique."""

    visit: Visit
    interval_s: float | None = None
    """Of its samples; None: the program's."""

    @property
    def duration_s(self) -> float:
        return self.visit.step.remaining_s


def _parts(visit: Visit) -> tuple[_Part, ...]:
    """Return the parts of a visit: two where it begins with denser samples, else one."""
    step = visit.step
    if not isinstance(step, ConstantCurrent) or step.done_s >= step.dense_s:
        return (_Part(visit),)
    if step.dense_s >= step.duration_s:
        return (_Part(visit, step.dense_interval_s),)
    dense = Visit(step.model_copy(update={"duration_s": step.dense_s}), visit.loops, visit.totals)
    done_C = step.done_C + step.current_A * (step.dense_s - step.done_s)
    return _Part(dense, step.dense_interval_s), _Part(visit.at(step.dense_s, done_C))


@dataclass(frozen=True, slots=True)
class _Group:
    """Leaves that are loaded together; more than one pass: with a LOOP behind them."""

    parts: tuple[_Part, ...]
    passes: int = 1

    @property
    def size(self) -> int:
        return len(self.parts) + (self.passes > 1)

    @property
    def duration_s(self) -> float:
        return self.passes * sum(part.duration_s for part in self.parts)

    @property
    def end(self) -> Position:
        visit = self.parts[-1].visit
        last = visit if self.passes == 1 else visit.later(self.passes - 1)
        return last.position(last.step.remaining_s).model_copy(update={"finished": True})


def compile_load(
    program: Program, capabilities: Capabilities, max_techniques: int = 250, bandwidth: int = 5
) -> Load:
    """Compile as many leading nodes of ``program.steps`` as ``max_techniques`` (≥ 3) hold.

    Raises InstrumentError where the channel cannot do a step: current, amplitude, frequency, voltage,
    vertices of a sweep.
    """
    if not program.steps:
        raise InstrumentError("there is nothing to run: the program's steps are empty")
    groups, end = _leading(program.steps, max_techniques)
    timebase_s = _timebase_s(groups)
    settings = Settings(
        limits=program.limits,
        interval_s=program.watch_s,
        record_dE_V=program.record_dE_V or 0.0,
        record_dI_A=program.record_dI_A or 0.0,
        e_range=_e_range(program),
        bandwidth=bandwidth,
        timebase_s=timebase_s,
    )
    techniques: list[Technique] = []
    for group in groups:
        first, looped = len(techniques), group.passes > 1
        techniques.extend(_technique(part, looped, settings, capabilities) for part in group.parts)
        if looped:
            techniques.append(Technique(TechniqueId.LOOP, loop_parameters(first, group.passes)))
    techniques.append(Technique(TechniqueId.OCV, ocv_parameters(FINAL_OCV_S, settings, FINAL_OCV_INTERVAL_S)))
    duration_s = sum(group.duration_s for group in groups)
    return Load(tuple(techniques), timebase_s, end, groups[0].parts[0].visit, duration_s)


def _leading(nodes: tuple[Node, ...], max_techniques: int) -> tuple[list[_Group], Position]:
    """Return the groups that fit, and where the program stands behind them."""
    taken: list[_Group] = []
    room = max_techniques - 1
    for group in _groups(nodes, (), (), room):
        room -= group.size
        if room < 0:
            return taken, group.parts[0].visit.position()
        taken.append(group)
    return taken, taken[-1].end


def _groups(
    nodes: tuple[Node, ...], loops: tuple[int, ...], totals: tuple[int, ...], room: int
) -> Iterator[_Group]:
    for node in parts(nodes):
        if not isinstance(node, Repeat):
            yield _Group(_parts(Visit(node, loops, totals)))
        elif (body := _loopable(node, (*loops, node.start), (*totals, node.total), room)) is not None:
            yield _Group(body, node.passes)
        else:
            for done in range(node.start, node.stop):
                yield from _groups(node.body, (*loops, done), (*totals, node.total), room)


def _loopable(
    repeat: Repeat, loops: tuple[int, ...], totals: tuple[int, ...], room: int
) -> tuple[_Part, ...] | None:
    """Return the body of a repeat that a LOOP can stand for, else None."""
    steps = [node for node in parts(repeat.body) if not isinstance(node, Repeat)]
    if repeat.passes == 1 or len(steps) < len(repeat.body):
        return None
    body = tuple(part for step in steps for part in _parts(Visit(step, loops, totals)))
    return body if len(body) + 1 <= room else None


def _timebase_s(groups: list[_Group]) -> float:
    """Return the smallest time base, in whole µs, that all techniques accept and the longest part fits."""
    loaded = [part for group in groups for part in group.parts]
    # The final OCV and LOOP take any.
    least_s = max(TIMEBASE_MIN_S[_OF_STEP[type(part.visit.step)]] for part in loaded)
    microseconds = math.ceil(max(part.duration_s for part in loaded) / TICKS_MAX * 1e6 * (1 + 1e-6))
    return max(least_s, microseconds / 1e6)


def _e_range(program: Program) -> ERange:
    """Return the range of the limits and of all set voltages; relative ones are within the limits."""
    voltages = [program.limits.voltage_min_V, program.limits.voltage_max_V]
    for step, _ in program.walk():
        voltages += _set_voltages(step)
    return e_range_for(max(map(abs, voltages)))


def _set_voltages(step: Step) -> list[float]:
    match step:
        case ConstantCurrent(until_voltage_V=float(end_V)):
            return [end_V]
        case ConstantVoltage(relative=False):
            return [step.voltage_V]
        case VoltageSweep():
            return [vertex.voltage_V for vertex in step.vertices if not vertex.relative]
        case Peis(relative=False):
            return [abs(step.voltage_V) + step.amplitude_V]
        case _:
            return []


def _technique(part: _Part, looped: bool, settings: Settings, capabilities: Capabilities) -> Technique:
    parameters = _parameters(part.visit.step, part.interval_s, settings, capabilities)
    return Technique(_OF_STEP[type(part.visit.step)], parameters, part.visit, looped)


def _parameters(
    step: Step, interval_s: float | None, settings: Settings, capabilities: Capabilities
) -> tuple[Parameter, ...]:
    match step:
        case Rest():
            return ocv_parameters(step.remaining_s, settings)
        case ConstantCurrent():
            return current_limit_parameters(step, settings, capabilities, interval_s)
        case ConstantVoltage():
            return voltage_limit_parameters(step, settings)
        case VoltageSweep():
            return scan_parameters(step, settings)
        case Geis():
            return geis_parameters(step, settings, capabilities)
        case Peis():
            return peis_parameters(step, settings, capabilities)
