"""What a program will do, before anything moves: times, charge, limits, and who holds which limit."""

from __future__ import annotations

from collections.abc import Iterator

from protocols.capabilities import Capabilities, Quantity
from protocols.measurements import Frozen, Side
from protocols.nodes import ConstantCurrent, Geis, Node, Repeat, Step, inner
from protocols.program import Program
from protocols.units import format_amount


class PlannedStep(Frozen):
    """One step of a plan."""

    step: int
    label: str
    kind: str
    passes: int
    """How often it runs in all."""
    current_A: float
    duration_s: float
    """Longest time of one pass; least time of a spectrum."""
    charge_C: float
    """Signed charge of one pass; a bound where a voltage ends the step."""
    ends_by: str


class Plan(Frozen):
    """A plan. Where a voltage ends steps, times and charges are bounds."""

    protocol: str
    cell: str
    duration_s: float
    charge_C: float
    """|charge| that passes in all, both directions added."""
    net_charge_C: float
    """Largest |net charge| on the way."""
    max_current_A: float
    """Largest |I|, peaks of spectra included."""
    voltage_limit_V: float
    """Largest |E| that the safety limits allow."""
    voltage_min_V: float
    voltage_max_V: float
    steps: tuple[PlannedStep, ...]
    held_on_board: tuple[str, ...]
    """Limits that the instrument itself holds."""
    held_by_host: tuple[str, ...]
    """Limits that hold only as long as the daemon runs, inside the bounded time of a step."""
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What is to be known about the instrument."""


class _Charge(Frozen):
    """The signed charge that a stretch of a program passes, in C."""

    net: float = 0.0
    highest: float = 0.0
    """Largest net charge on the way (≥ 0): taken from the working electrode."""
    lowest: float = 0.0
    from_working: float = 0.0
    """All that the working electrode gives, returns not counted."""
    from_counter: float = 0.0
    """All that the counter electrode gives (≥ 0)."""

    def then(self, other: _Charge) -> _Charge:
        return _Charge(
            net=self.net + other.net,
            highest=max(self.highest, self.net + other.highest),
            lowest=min(self.lowest, self.net + other.lowest),
            from_working=self.from_working + other.from_working,
            from_counter=self.from_counter + other.from_counter,
        )

    def times(self, passes: int) -> _Charge:
        drift = (passes - 1) * self.net
        return _Charge(
            net=passes * self.net,
            highest=self.highest + max(0.0, drift),
            lowest=self.lowest + min(0.0, drift),
            from_working=passes * self.from_working,
            from_counter=passes * self.from_counter,
        )


def make_plan(program: Program, capabilities: Capabilities) -> Plan:
    """Return the plan of ``program`` on a channel with ``capabilities``."""
    steps = tuple(_planned(program.steps)) + tuple(_planned(program.afterwards))
    charge = _charge(program.steps)
    limits = program.limits
    on_board, by_host = _holders(program, capabilities)
    return Plan(
        protocol=program.protocol,
        cell=program.cell.name,
        duration_s=sum(step.passes * step.duration_s for step in steps),
        charge_C=charge.from_working + charge.from_counter,
        net_charge_C=max(charge.highest, -charge.lowest),
        max_current_A=max((_peak(leaf) for leaf in _leaves(program)), default=0.0),
        voltage_limit_V=max(abs(limits.voltage_min_V), abs(limits.voltage_max_V)),
        voltage_min_V=limits.voltage_min_V,
        voltage_max_V=limits.voltage_max_V,
        steps=steps,
        held_on_board=on_board,
        held_by_host=by_host,
        warnings=tuple(_warnings(program, charge, capabilities)),
        notes=capabilities.notes,
    )


def _planned(nodes: tuple[Node, ...], passes: int = 1) -> Iterator[PlannedStep]:
    for node in nodes:
        if isinstance(node, Repeat):
            yield from _planned(node.body, passes * node.passes)
        elif isinstance(node, Step):
            yield PlannedStep(
                step=node.index,
                label=node.label,
                kind=node.kind,
                passes=passes,
                current_A=_current(node),
                duration_s=node.remaining_s,
                charge_C=_signed_charge(node),
                ends_by=node.ends_by if isinstance(node, ConstantCurrent) else "time",
            )


def _leaves(program: Program) -> Iterator[Step]:
    """Yield each step, those afterwards too."""
    after = program.model_copy(update={"steps": program.afterwards})
    for part in (program, after):
        for leaf, _ in part.walk():
            yield leaf


def _current(step: Step) -> float:
    return step.current_A if isinstance(step, ConstantCurrent | Geis) else 0.0


def _peak(step: Step) -> float:
    return abs(_current(step)) + (step.amplitude_A if isinstance(step, Geis) else 0.0)


def _signed_charge(step: Step) -> float:
    """Return the charge of one pass: a planned one may be less than the time limit allows."""
    current_A = _current(step)
    if isinstance(step, ConstantCurrent) and step.charge_C is not None:
        left = max(0.0, step.charge_C - abs(step.done_C))
        return left if current_A > 0 else -left
    return current_A * step.remaining_s


def _charge(nodes: tuple[Node, ...]) -> _Charge:
    total = _Charge()
    for node in nodes:
        total = total.then(_charge_of(node))
    return total


def _charge_of(node: Node) -> _Charge:
    if isinstance(node, Repeat):
        return _charge(node.body).times(node.passes)
    if not isinstance(node, Step):
        return _charge(inner(node))
    net = _signed_charge(node)
    gain, loss = max(net, 0.0), max(-net, 0.0)
    return _Charge(net=net, highest=gain, lowest=-loss, from_working=gain, from_counter=loss)


def _holders(program: Program, capabilities: Capabilities) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which limits the instrument holds, and which the host, each once for a kind of step."""
    on_board: dict[str, None] = {}
    by_host: dict[str, None] = {}
    for leaf in _leaves(program):
        held = capabilities.on_board.get(leaf.kind, ())
        for quantity, words in _limits(leaf, program):
            (on_board if quantity in held else by_host)[f"{leaf.kind}: {words}"] = None
        if isinstance(leaf, ConstantCurrent) and leaf.until_voltage_V is not None:
            both = "voltage" in held and capabilities.opposite_voltage_on_board
            (on_board if both else by_host)[_opposite_limit(leaf, program)] = None
    return tuple(on_board), tuple(by_host)


def _limits(step: Step, program: Program) -> Iterator[tuple[Quantity, str]]:
    """Yield what has to be held during a step, with words for people."""
    limits = program.limits
    if isinstance(step, ConstantCurrent) and step.until_voltage_V is not None:
        yield "voltage", f"end at {step.until_voltage_V:g} V"
    else:
        yield "voltage", f"voltage within {limits.voltage_min_V:g} … {limits.voltage_max_V:g} V"
    if _peak(step):
        yield "current", f"current up to {format_amount(limits.current_max_A, 'current')}"
    yield "time", "duration"
    if isinstance(step, ConstantCurrent) and step.ends_by == "charge":
        yield "charge", "end by charge"


def _opposite_limit(step: ConstantCurrent, program: Program) -> str:
    """Name the safety limit away from which a step drives the voltage that ends it."""
    limits = program.limits
    opposite = limits.voltage_min_V if step.current_A > 0 else limits.voltage_max_V
    return f"{step.kind} that ends by voltage: opposite limit {opposite:g} V"


def _warnings(program: Program, charge: _Charge, capabilities: Capabilities) -> Iterator[str]:
    yield from _lithium_warnings(program, "working", charge.highest, charge.from_working)
    yield from _lithium_warnings(program, "counter", -charge.lowest, charge.from_counter)
    yield from _window_warnings(program)
    if not program.cell.shows_overpotential and set(program.guards.enabled) != {"limits"}:
        yield (
            f"No guard watches a {program.cell.geometry} cell for short circuits or used-up lithium yet: "
            "it has its limits alone."
        )
    if capabilities.at_host_loss == "stays on":
        yield f"{capabilities.model}: the cell stays driven when the daemon dies; don't leave it unattended."
    if not capabilities.open_circuit:
        yield f"{capabilities.model}: can't open the circuit, only hold 0 A."


def _lithium_warnings(program: Program, side: Side, net_C: float, gross_C: float) -> Iterator[str]:
    """Yield a warning where the steps ask more lithium of a side than it has."""
    inventory = program.cell.inventory_C(side)
    if inventory is None or gross_C <= inventory:
        return
    area = program.cell.area_m2
    has = format_amount(inventory / area, "areal_capacity")
    if net_C > inventory:
        taken = format_amount(net_C / area, "areal_capacity")
        yield f"The {side} electrode holds {has} of lithium; the steps take {taken} from it at once."
    else:
        taken = format_amount(gross_C / area, "areal_capacity")
        part = format_amount(inventory / gross_C, "fraction")
        yield (
            f"The steps strip {taken} from the {side} electrode in all, which holds {has}: "
            f"it runs out if more than {part} of each half-cycle is lost."
        )


def _window_warnings(program: Program) -> Iterator[str]:
    cell, limits = program.cell, program.limits
    low, high = cell.voltage_min_V, cell.voltage_max_V
    if (low is not None and limits.voltage_min_V < low) or (high is not None and limits.voltage_max_V > high):
        yield "The protocol's voltage limits are wider than the window in the cell file."
