"""What a person should know of a plan before it runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from protocols.capabilities import Capabilities
from protocols.context import range_for
from protocols.limits import drives_a_voltage
from protocols.nodes import ConstantCurrent, Geis, Node
from protocols.plan_charge import Charge, share_of_spectra
from protocols.program import Program
from protocols.tree import walk
from protocols.units import format_amount
from protocols.verdicts import Side

LARGE_SHARE = 0.05
"""Spectra under current that pass more than this part of a half-cycle change what is measured."""
RESOLVED = 5.0
"""An overpotential is at least this many times the error of the voltage."""


def warnings(program: Program, charge: Charge, capabilities: Capabilities) -> Iterator[str]:
    """Yield one sentence for each thing."""
    yield from _lithium(program, "working", charge.highest, charge.from_working)
    yield from _lithium(program, "counter", -charge.lowest, charge.from_counter)
    yield from _window(program)
    yield from _spectra(program)
    yield from _reversed_currents(program)
    yield from _wrong_ways(program)
    yield from _ranges(program.steps, capabilities)
    yield from _resolution(program, capabilities)
    yield from _instrument(program, capabilities)


def _lithium(program: Program, side: Side, net_C: float, gross_C: float) -> Iterator[str]:
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


def _window(program: Program) -> Iterator[str]:
    cell, limits = program.cell, program.limits
    low, high = cell.voltage_min_V, cell.voltage_max_V
    if (low is not None and limits.voltage_min_V < low) or (high is not None and limits.voltage_max_V > high):
        yield "The protocol's voltage limits are wider than the window in the cell file."


def _spectra(program: Program) -> Iterator[str]:
    share = share_of_spectra(program.steps, program.cell)
    if share > LARGE_SHARE:
        yield (
            f"Spectra under current pass {format_amount(share, 'fraction')} of a half-cycle's charge: "
            "measure fewer, or from a higher lowest frequency."
        )


def _reversed_currents(program: Program) -> Iterator[str]:
    """Yield a warning where the peak of a spectrum turns the current that goes on underneath."""
    for step, _ in program.walk():
        if isinstance(step, Geis) and step.current_A and step.amplitude_A > abs(step.current_A):
            peak = format_amount(step.amplitude_A, "current")
            under = format_amount(step.current_A, "current")
            yield f"The peak of {peak} turns the current of {under} under it every period: '{step.label}'."


def _wrong_ways(program: Program) -> Iterator[str]:
    """Yield a warning where a current drives a full cell away from the voltage that ends it."""
    low_V, high_V = program.limits.voltage_min_V, program.limits.voltage_max_V
    middle_V = (low_V + high_V) / 2
    for step, _ in program.walk():
        if program.cell.geometry != "full" or not isinstance(step, ConstantCurrent):
            continue
        end_V = step.until_voltage_V
        if end_V is None:
            continue
        if (end_V > middle_V) != (step.current_A > 0):
            way = "lowers" if step.current_A < 0 else "raises"
            yield (
                f"A current of {format_amount(step.current_A, 'current')} {way} E; '{step.label}' ends at "
                f"{end_V:g} V: at once, if E is beyond it already. Is the sign right?"
            )


def _ranges(nodes: tuple[Node, ...], capabilities: Capabilities) -> Iterator[str]:
    """Yield each change of the current range within a ramp: E may jump there for the instrument's reasons."""
    ramp = [step for step, _ in walk(nodes) if isinstance(step, ConstantCurrent) and "› ramp " in step.label]
    for before, after in pairwise(ramp):
        ranges = [range_for(capabilities, step.current_A, step.range_A) for step in (before, after)]
        if ranges[0] != ranges[1]:
            old, new = (format_amount(scale, "current") for scale in ranges)
            yield f"The current range changes within the ramp, from {old} to {new}, at '{after.label}'."


def _resolution(program: Program, capabilities: Capabilities) -> Iterator[str]:
    """Yield a warning where the cell's expected overpotential drowns in the error of the voltage."""
    resistance = program.cell.expected_resistance_ohm_m2
    currents = [abs(step.current_A) for step, _ in program.walk() if isinstance(step, ConstantCurrent)]
    if resistance is None or not currents:
        return
    expected_V = min(currents) * resistance / program.cell.area_m2
    if expected_V < RESOLVED * capabilities.voltage_accuracy_V:
        expected = format_amount(expected_V * 1e3, "voltage").replace(" V", " mV")
        error = format_amount(capabilities.voltage_accuracy_V * 1e3, "voltage").replace(" V", " mV")
        yield (
            f"At {format_amount(min(currents), 'current')} an overpotential of {expected} is expected; "
            f"the error of the channel's voltage is {error} ({capabilities.model})."
        )


def _instrument(program: Program, capabilities: Capabilities) -> Iterator[str]:
    if drives_a_voltage(program.steps) and program.limits.current_max_A >= capabilities.current_max_A:
        yield (
            "Steps at a given voltage have no current limit but the channel's own: "
            "write one under 'limits: {current: …}'."
        )
    if program.cell.geometry == "blocking" and set(program.guards.enabled) != {"limits"}:
        yield "No guard watches a blocking cell for short circuits: it has its limits alone."
    if capabilities.at_host_loss == "stays on":
        yield f"{capabilities.model}: the cell stays driven when the daemon dies; don't leave it unattended."
    if not capabilities.open_circuit:
        yield f"{capabilities.model}: can't open the circuit, only hold 0 A."
