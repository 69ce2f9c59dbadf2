"""What a program will do, before anything moves: times, charge, limits, and who holds which limit."""

from __future__ import annotations

from collections.abc import Iterator

from protocols.capabilities import Capabilities
from protocols.frozen import Frozen
from protocols.nodes import (
    ConstantCurrent,
    ConstantVoltage,
    Criterion,
    Decision,
    Jump,
    Measured,
    Node,
    OnPasses,
    Peis,
    Repeat,
    Rest,
    Step,
    VoltageSweep,
    inner,
    set_current_A,
)
from protocols.plan_charge import charge_of, step_charge
from protocols.plan_limits import holders, peak_A
from protocols.plan_warnings import warnings
from protocols.program import Program
from protocols.tree import walk
from protocols.units import KindName, format_amount

_KINDS: dict[Measured, KindName] = {
    "voltage": "voltage",
    "current": "current",
    "charge": "charge",
    "overpotential": "voltage",
    "resistance": "resistance",
    "resistance_hf": "resistance",
    "resistance_interface": "resistance",
    "resistance_change": "fraction",
    "retention": "fraction",
    "coulombic_efficiency": "fraction",
    "time": "time",
    "time_since_spectrum": "time",
    "charge_since_spectrum": "charge",
}


class PlannedStep(Frozen):
    """One step of a plan."""

    step: int
    label: str
    kind: str
    passes: int
    """How often it runs in all; at most, if ``conditional``."""
    conditional: bool = False
    """Whether a decision may leave it out."""
    current_A: float
    current_density_A_per_m2: float
    voltage_V: float | None = None
    """Of a step at constant voltage, or where a sweep ends."""
    vs_open_circuit: bool = False
    """Whether ``voltage_V`` is counted from the open-circuit voltage."""
    temperature_K: float | None = None
    duration_s: float
    """Longest time of one pass; least time of a spectrum."""
    charge_C: float | None
    """Signed charge of one pass; a bound where something else ends the step; None: not known before."""
    ends_by: str


class Plan(Frozen):
    """A plan. Where voltages, the host or decisions end steps, times and charges are bounds."""

    protocol: str
    cell: str
    duration_s: float
    duration_is: str
    """``exact`` or ``at most``; spectra count with their least time."""
    charge_C: float
    """|charge| that passes in all, both directions added."""
    charge_is: str
    """``exact``, ``at most``, or ``without steps at a given voltage``."""
    net_charge_C: float
    """Largest |net charge| on the way."""
    max_current_A: float
    """Largest |I| that is set, peaks of spectra included."""
    voltage_limit_V: float
    """Largest |E| that the safety limits allow."""
    voltage_min_V: float
    voltage_max_V: float
    current_limit_A: float
    spectra: int
    spectra_s: float
    """Least time of all spectra."""
    spectra_charge_C: float
    """|charge| that passes under them."""
    cycles: int
    """Passes of the loops that count."""
    steps: tuple[PlannedStep, ...]
    decisions: tuple[str, ...] = ()
    """What the host decides, in order, a sentence each."""
    held_on_board: tuple[str, ...]
    """Limits that the instrument itself holds."""
    held_by_host: tuple[str, ...]
    """Limits that hold only as long as the daemon runs, inside the bounded time of a step."""
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What is to be known about the instrument."""


def make_plan(program: Program, capabilities: Capabilities) -> Plan:
    """Return the plan of ``program`` on a channel with ``capabilities``."""
    rows = tuple(_planned(program, program.steps)) + tuple(_planned(program, program.afterwards))
    charge = charge_of(program.steps, program.cell)
    limits = program.limits
    leaves = [
        step for part in (program.steps, program.afterwards, program.on_suspicion) for step, _ in walk(part)
    ]
    on_board, by_host = holders(leaves, limits, capabilities)
    spectra = [row for row in rows if row.kind in ("geis", "peis")]
    return Plan(
        protocol=program.protocol,
        cell=program.cell.name,
        duration_s=program.duration_s() + program.with_steps(program.afterwards).duration_s(),
        duration_is="at most" if any(row.conditional or row.ends_by != "time" for row in rows) else "exact",
        charge_C=charge.from_working + charge.from_counter,
        charge_is=_certainty(rows),
        net_charge_C=max(charge.highest, -charge.lowest),
        max_current_A=max(map(peak_A, leaves), default=0.0),
        voltage_limit_V=max(abs(limits.voltage_min_V), abs(limits.voltage_max_V)),
        voltage_min_V=limits.voltage_min_V,
        voltage_max_V=limits.voltage_max_V,
        current_limit_A=limits.current_max_A,
        spectra=sum(row.passes for row in spectra),
        spectra_s=sum(row.passes * row.duration_s for row in spectra),
        spectra_charge_C=sum(row.passes * abs(row.charge_C or 0.0) for row in spectra),
        cycles=_cycles(program.steps),
        steps=rows,
        decisions=tuple(_decisions(program.steps)),
        held_on_board=on_board,
        held_by_host=by_host,
        warnings=tuple(warnings(program, charge, capabilities)),
        notes=capabilities.notes,
    )


def _certainty(rows: tuple[PlannedStep, ...]) -> str:
    if any(row.charge_C is None for row in rows):
        return "without steps at a given voltage"
    driven = [row for row in rows if row.charge_C]
    return "at most" if any(row.conditional or row.ends_by != "time" for row in driven) else "exact"


def _planned(
    program: Program, nodes: tuple[Node, ...], passes: int = 1, conditional: bool = False
) -> Iterator[PlannedStep]:
    for node in nodes:
        if isinstance(node, Step):
            yield _row(program, node, passes, conditional)
        elif isinstance(node, Repeat):
            early = conditional or _may_leave(node.body)
            for child in node.body:
                times = child.passes_in(node.start, node.stop) if isinstance(child, OnPasses) else node.passes
                yield from _planned(program, (child,), passes * times, early)
        else:
            yield from _planned(program, inner(node), passes, conditional or isinstance(node, Decision))


def _may_leave(nodes: tuple[Node, ...]) -> bool:
    """Whether a decision among these may end passes early: by leaving this loop, or by ending the test."""
    return any(
        (isinstance(node, Decision) and bool(node.then_jump or node.otherwise_jump))
        or (not isinstance(node, Step) and _may_leave(inner(node)))
        for node in nodes
    )


def _row(program: Program, step: Step, passes: int, conditional: bool) -> PlannedStep:
    voltage_V, relative = _voltage(step)
    waits = step.waits if isinstance(step, Rest) else None
    current_A = set_current_A(step) if not isinstance(step, ConstantVoltage) else 0.0
    return PlannedStep(
        step=step.index,
        label=step.label,
        kind=step.kind,
        passes=passes,
        conditional=conditional,
        current_A=current_A,
        current_density_A_per_m2=current_A / program.cell.area_m2,
        voltage_V=voltage_V,
        vs_open_circuit=relative,
        temperature_K=getattr(waits, "target_K", None),
        duration_s=step.remaining_s,
        charge_C=step_charge(step, program.cell),
        ends_by=_ends_by(step),
    )


def _voltage(step: Step) -> tuple[float | None, bool]:
    match step:
        case ConstantVoltage() | Peis():
            return step.voltage_V, step.relative
        case VoltageSweep():
            return step.vertices[-1].voltage_V, step.vertices[-1].relative
        case _:
            return None, False


def _ends_by(step: Step) -> str:
    """Return ``time`` where nothing else can end a step."""
    match step:
        case ConstantCurrent():
            return step.ends_by
        case ConstantVoltage() if step.until_current_A is not None:
            return "current"
        case ConstantVoltage() | Rest() if step.host_ends:
            return step.host_ends[0].kind
        case VoltageSweep() if len({vertex.relative for vertex in step.vertices}) > 1:
            return "voltage"
        case _:
            return "time"


def _decisions(nodes: tuple[Node, ...]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Decision):
            asked = " and ".join(map(_asked, node.criteria))
            ways = [_way(node.then, node.then_jump), _way(node.otherwise, node.otherwise_jump)]
            yield f"{node.label}: if {asked}, {ways[0]}; otherwise {ways[1]}"
        if not isinstance(node, Step):
            yield from _decisions(inner(node))


def _asked(criterion: Criterion) -> str:
    kind = _KINDS.get(criterion.quantity)
    value = format_amount(criterion.value, kind) if kind else f"{criterion.value:g}"
    return f"{criterion.quantity} is {criterion.comparison} {value}"


def _way(steps: tuple[Node, ...], jump: Jump | None) -> str:
    words = {"leave": "leave the loop", "end": "end the test", None: "go on"}
    return f"{len(steps)} steps" if steps else words[jump]


def _cycles(nodes: tuple[Node, ...]) -> int:
    return sum(
        (node.passes if node.counts else node.passes * _cycles(node.body))
        if isinstance(node, Repeat)
        else _cycles(inner(node))
        for node in nodes
    )
