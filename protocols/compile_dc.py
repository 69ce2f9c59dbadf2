"""The steps that drive a cell, fitted to it: constant current and voltage, and sweeps."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from protocols import nodes
from protocols.context import Context, Where
from protocols.dc_steps import (
    CcCv,
    ChargeEnds,
    ConstantVoltage,
    CyclicVoltammetry,
    LinearSweep,
    Tafel,
    Until,
    UntilAtVoltage,
    UntilCcCv,
)
from protocols.fields import Current, Rate, Voltage
from protocols.nodes import ChargePassed, HostEnd, Node, Repeat, Steady, Vertex, VoltageSweep
from protocols.verdicts import Side
from protocols.yamlfile import TreePath

TIME_MARGIN = 1.05
"""A time limit that only stands behind another end is longer than the step can take by this factor."""
LONGEST_HOLD_S = 86400.0
"""Longest time at constant voltage where the protocol gives none."""
NUCLEATION_S, NUCLEATION_INTERVAL_S = 60.0, 0.1

EndsBy = Literal["time", "charge", "voltage"]


def constant_current(
    context: Context,
    current: Current,
    until: Until,
    here: Where,
    dense: bool = False,
    voltage_at: TreePath = ("until", "voltage"),
) -> nodes.ConstantCurrent | None:
    """Return a step of constant current; None if nothing bounds its time (which is noted).

    ``voltage_at``: where below the step the voltage that ends it is written.
    """
    index = context.number(here)
    context.need("constant_current", here)
    current_A = context.current(current, here)
    duration_s, charge_C, ends_by = _end(context, until, current_A, here)
    if until.voltage is not None:
        context.voltage(until.voltage, (*here.path, *voltage_at), here)
    if duration_s is None:
        return None
    dense_s, dense_interval_s = _dense(context, dense)
    return nodes.ConstantCurrent(
        index=index,
        label=here.label,
        current_A=current_A,
        duration_s=duration_s,
        charge_C=charge_C,
        until_voltage_V=until.voltage.value if until.voltage else None,
        ends_by=ends_by,
        range_A=here.range_A,
        dense_s=dense_s,
        dense_interval_s=dense_interval_s,
    )


def _dense(context: Context, nucleation: bool) -> tuple[float, float]:
    block = context.record.dense
    if block is not None:
        return block.duration.value, block.every.value
    return (NUCLEATION_S if nucleation else 0.0), NUCLEATION_INTERVAL_S


def _end(
    context: Context, until: Until, current_A: float, here: Where
) -> tuple[float | None, float | None, EndsBy]:
    """Return the time limit on board in s, the planned charge in C and what ends the step.

    Exactly q/|I| where capacity ends it and no counter does, else 1.05 × that (design: Decisions).
    """
    size_A = abs(current_A)
    charge_C = charge(context, until, here)
    time_s = until.time.value if until.time else math.inf
    full_s = math.inf if charge_C is None else charge_C / size_A
    if time_s == full_s == math.inf:
        most_C = _charge_at_hand(context, current_A, here)
        return (TIME_MARGIN * most_C / size_A if most_C else None), None, "voltage"
    by_charge = full_s <= time_s
    counted = by_charge and context.channel.charge_counter
    duration_s = min(time_s, full_s * TIME_MARGIN if counted else full_s)
    planned_C = charge_C if by_charge else size_A * duration_s
    if counted:
        return duration_s, planned_C, "charge"
    if until.voltage is None:
        return duration_s, planned_C, "time"
    return duration_s, charge_C if by_charge else None, "voltage"


def charge(context: Context, until: ChargeEnds, here: Where) -> float | None:
    """Return the charge that ends a step, in C."""
    for name in ChargeEnds.model_fields:
        amount = getattr(until, name)
        if amount is not None:
            return context.convert.si(amount, (*here.path, "until", name))
    return None


def _charge_at_hand(context: Context, current_A: float, here: Where) -> float | None:
    """Return the most that can pass before the voltage ends a step: nominal capacity, else lithium."""
    side: Side = "working" if current_A > 0 else "counter"
    most = context.cell.capacity_C or context.cell.inventory_C(side)
    if not most:
        hint = (
            "Add 'time' or 'areal_capacity' to 'until', or to the cell file 'capacity: 2 mAh' "
            f"or '{side}: {{lithium: 100 µm}}'."
        )
        context.problems.add((*here.path, "until"), "Nothing bounds the time of this step.", hint)
    return most


def constant_voltage(context: Context, held: ConstantVoltage, here: Where) -> Node:
    """Return a step of constant voltage."""
    return _hold(context, held.voltage, held.until, here)


def cc_cv(context: Context, step: CcCv, here: Where) -> tuple[Node, ...]:
    """Return constant current to a voltage, and then this voltage."""
    # Made of a value that was read already.
    until = Until.model_construct(voltage=step.voltage)
    first = constant_current(context, step.current, until, here, voltage_at=("voltage",))
    if first is None:
        return ()
    return first, _hold(context, step.voltage, step.until, here, first.current_A)


def _hold(
    context: Context, voltage: Voltage, until: UntilAtVoltage | UntilCcCv, here: Where, after_A: float = 0.0
) -> nodes.ConstantVoltage:
    context.need("constant_voltage", here)
    voltage_V, relative = context.voltage(voltage, (*here.path, "voltage"), here)
    path = (*here.path, "until", "current")
    return nodes.ConstantVoltage(
        index=context.number(here),
        label=f"{here.label}: hold" if after_A else here.label,
        voltage_V=voltage_V,
        relative=relative,
        duration_s=until.time.value if until.time else LONGEST_HOLD_S,
        until_current_A=context.convert.si(until.current, path) if until.current else None,
        host_ends=_host_ends(context, until, here),
        set_current_A=after_A,
    )


def _host_ends(context: Context, until: UntilAtVoltage | UntilCcCv, here: Where) -> tuple[HostEnd, ...]:
    ends: list[HostEnd] = []
    if until.steady is not None:
        ends.append(Steady(change=until.steady.change.value, over_s=until.steady.over.value))
    charge_C = charge(context, until, here) if isinstance(until, UntilAtVoltage) else None
    if charge_C is not None:
        ends.append(ChargePassed(charge_C=charge_C))
    return tuple(ends)


def linear_sweep(context: Context, sweep: LinearSweep, here: Where) -> Node:
    """Return a sweep from one voltage to another."""
    ends = (_vertex(context, sweep.start, "from", here), _vertex(context, sweep.end, "to", here))
    return _sweep(context, ends, sweep.rate, here)


def tafel(context: Context, sweep: Tafel, here: Where) -> Node:
    """Return a slow sweep to both sides of the open-circuit voltage."""
    width_V = sweep.width.value
    ends = tuple(Vertex(voltage_V=voltage_V, relative=True) for voltage_V in (0.0, -width_V, width_V))
    return _sweep(context, ends, sweep.rate, here)


def cyclic_voltammetry(context: Context, scan: CyclicVoltammetry, here: Where) -> tuple[Node, ...]:
    """Return the way to the first vertex, and the cycles at each rate."""
    start = _vertex(context, scan.start, "from", here)
    first, second = _vertex(context, scan.first, "first", here), _vertex(context, scan.second, "second", here)
    rates = scan.all_rates()
    found: list[Node] = []
    if start != first:
        found.append(_sweep(context, (start, first), rates[0], here))
    for rate in rates:
        cycle = _sweep(context, (first, second, first), rate, here)
        found.append(Repeat(total=scan.cycles, stop=scan.cycles, body=(cycle,)))
    return tuple(found)


def _vertex(context: Context, voltage: Voltage, key: str, here: Where) -> Vertex:
    voltage_V, relative = context.voltage(voltage, (*here.path, key), here)
    return Vertex(voltage_V=voltage_V, relative=relative)


def _sweep(context: Context, vertices: tuple[Vertex, ...], rate: Rate, here: Where) -> VoltageSweep:
    context.need("voltage_sweep", here)
    rate_V_per_s = context.level(rate, here).value
    # The way is longest where the open-circuit voltage is at one end of what the cell may see.
    way_V = max(_way(vertices, reference_V) for reference_V in context.window)
    if way_V <= 0:
        context.problems.add(here.path, "The sweep goes nowhere.", "Write two voltages that differ.")
        way_V = 1.0
    return VoltageSweep(
        index=context.number(here),
        label=here.label,
        vertices=vertices,
        rate_V_per_s=rate_V_per_s,
        duration_s=way_V / rate_V_per_s,
    )


def _way(vertices: tuple[Vertex, ...], reference_V: float) -> float:
    path = [vertex.at(reference_V) for vertex in vertices]
    return sum(abs(b - a) for a, b in pairwise(path))
