"""Whether a program that was changed after it was compiled still fits its cell and its channel. Pure.

The rules are those of the compiler (``limits``, ``context``, ``fitness``), on a program in place of a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from protocols.capabilities import Capabilities
from protocols.fitness import MAX_VISITS
from protocols.limits import driven_currents
from protocols.nodes import ConstantCurrent, ConstantVoltage, Peis, Step, VoltageSweep
from protocols.program import Program
from protocols.tree import Nodes, walk
from protocols.units import format_amount

Said = tuple[str, str]
"""What is wrong, and what to do about it."""


def problems_of(after: Program, before: Program, able: Capabilities) -> Iterator[Said]:
    """Yield what is wrong with a program ``after`` an edit of ``before``."""
    yield from _limits(after, before, able)
    whole = (*after.steps, *after.afterwards, *after.on_suspicion)
    yield from _voltages(after, whole)
    yield from _sizes(after, able)


def _limits(after: Program, before: Program, able: Capabilities) -> Iterator[Said]:
    """Limits stay inside the channel's range, and go beyond the cell's window no further than they did."""
    low_V, high_V, cell = after.limits.voltage_min_V, after.limits.voltage_max_V, after.cell
    window = f"The limits {low_V:g} … {high_V:g} V"
    if not able.voltage_min_V < low_V < high_V < able.voltage_max_V:
        reach = f"({able.model}: {able.voltage_min_V:g} … {able.voltage_max_V:g} V)"
        yield f"{window} are not inside the range of the channel {reach}.", ""
    if cell.geometry in ("symmetric", "asymmetric") and not low_V < 0 < high_V:
        yield f"{window}: a {cell.geometry} cell goes to both sides of 0 V.", ""
    lowest_V, highest_V = cell.voltage_min_V, cell.voltage_max_V
    if lowest_V is not None and low_V < min(lowest_V, before.limits.voltage_min_V):
        yield f"{window} go below what the cell may see: its window begins at {lowest_V:g} V.", ""
    if highest_V is not None and high_V > max(highest_V, before.limits.voltage_max_V):
        yield f"{window} go above what the cell may see: its window ends at {highest_V:g} V.", ""
    yield from _current_limit(after, able)


def _current_limit(after: Program, able: Capabilities) -> Iterator[Said]:
    limit_A = after.limits.current_max_A
    largest_A = max(driven_currents((*after.steps, *after.afterwards), with_peaks=True), default=0.0)
    if limit_A < largest_A:
        words = format_amount(largest_A, "current")
        yield f"The current limit is below the largest current of the steps, {words}.", ""
    if limit_A > able.current_max_A:
        most = format_amount(able.current_max_A, "current")
        yield f"The current limit is above what the channel can do: {most}.", ""


def _voltages(after: Program, whole: Nodes) -> Iterator[Said]:
    """Every voltage that a step sets or ends at lies inside the safety limits, and not on one."""
    low_V, high_V = after.limits.voltage_min_V, after.limits.voltage_max_V
    for step, _ in walk(whole):
        for voltage_V in _fixed_voltages(step):
            if not low_V < voltage_V < high_V:
                text = f"'{step.label}': {voltage_V:g} V is not inside the safety limits"
                hint = "Change both in one edit, or choose a voltage between them."
                yield f"{text} {low_V:g} … {high_V:g} V.", hint
        if isinstance(step, Peis) and not step.relative:
            room_V = min(high_V - step.voltage_V, step.voltage_V - low_V)
            if room_V <= step.amplitude_V:
                yield f"'{step.label}': its peak leaves the safety limits {low_V:g} … {high_V:g} V.", ""


def _fixed_voltages(step: Step) -> list[float]:
    match step:
        case ConstantCurrent() if step.until_voltage_V is not None:
            return [step.until_voltage_V]
        case ConstantVoltage() if not step.relative:
            return [step.voltage_V]
        case VoltageSweep():
            return [vertex.voltage_V for vertex in step.vertices if not vertex.relative]
        case _:
            return []


def _sizes(after: Program, able: Capabilities) -> Iterator[Said]:
    for step, loops in after.walk():
        if math.prod(loop.total for loop in loops) > MAX_VISITS:
            yield f"'{step.label}' would run more than {MAX_VISITS:.0e} times.", ""
        if able.step_max_s is not None and step.remaining_s > able.step_max_s:
            most = format_amount(able.step_max_s, "time")
            yield (
                f"'{step.label}' would be longer than the channel's longest step ({able.model}: {most}).",
                "",
            )
        if step.remaining_s <= 0:
            yield f"'{step.label}' would take no time.", "To leave it out: sandtime edit RUN --skip"
