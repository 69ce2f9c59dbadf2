"""The safety limits of a program: from the protocol or the cell, and inside the channel's range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protocols.amounts import Converter
from protocols.capabilities import Capabilities
from protocols.cell import Cell, ElectrolyteClass
from protocols.nodes import ConstantVoltage, Geis, Node, VoltageSweep, set_current_A
from protocols.problems import Problems
from protocols.program import Limits
from protocols.protocol import Protocol
from protocols.tree import walk
from protocols.units import format_amount
from protocols.yamlfile import TreePath

DEFAULT_LIMIT_V: dict[ElectrolyteClass, float] = {
    "sulfide": 1.5,
    "garnet": 2.0,
    "polymer": 3.0,
    "composite": 2.0,
    "liquid": 1.5,
    "other": 1.5,
}
"""Largest |E| where both electrodes are alike (design: Decisions). A composite is given the garnet's, as
its published overpotentials stay below 1 V (facts/recipes.md, B); what is unknown gets the strictest."""
CURRENT_MARGIN = 1.05
"""The current limit stands this factor above the largest current that the program drives."""


def voltage_window(
    protocol: Protocol, cell: Cell, capabilities: Capabilities, problems: Problems
) -> tuple[float, float]:
    """Return lowest and highest voltage in V; notes a window that does not suit the cell or the channel."""
    block = protocol.content.limits.voltage
    window = (block.lowest.value, block.highest.value) if block else _default_window(cell)
    path: TreePath = ("limits", "voltage")
    if window is None:
        message = f"There is no voltage limit for a {cell.geometry} cell."
        problems.add(path, message, "Add 'voltage_window: {from: 2.5 V, to: 4.3 V}' to the cell file.")
        return capabilities.voltage_min_V, capabilities.voltage_max_V
    low, high = window
    if not capabilities.voltage_min_V < low < high < capabilities.voltage_max_V:
        message = f"The limits {low:g} … {high:g} V are not inside the range of the channel"
        reach = f"({capabilities.model}: {capabilities.voltage_min_V:g} … {capabilities.voltage_max_V:g} V)"
        problems.add(path, f"{message} {reach}.", "Write narrower ones under 'limits: {voltage: …}'.")
    if cell.geometry in ("symmetric", "asymmetric") and not low < 0 < high:
        hint = "Write a single voltage for both signs, such as 'voltage: 2 V'."
        problems.add(path, f"A {cell.geometry} cell goes to both sides of 0 V.", hint)
    return window


def _default_window(cell: Cell) -> tuple[float, float] | None:
    if cell.voltage_min_V is not None and cell.voltage_max_V is not None:
        return cell.voltage_min_V, cell.voltage_max_V
    if cell.geometry in ("full", "half"):
        return None
    limit = DEFAULT_LIMIT_V[cell.electrolyte_class]
    return -limit, limit


def limits_of(
    protocol: Protocol,
    cell: Cell,
    capabilities: Capabilities,
    window: tuple[float, float],
    nodes: tuple[Node, ...],
    problems: Problems,
) -> Limits:
    """Return the limits of a program that runs ``nodes``, the peaks of spectra included."""
    largest = max(driven_currents(nodes, with_peaks=True), default=0.0)
    limit = min(CURRENT_MARGIN * largest, capabilities.current_max_A)
    if drives_a_voltage(nodes) or not largest:
        # What flows then is not known before, or nothing is driven.
        limit = capabilities.current_max_A
    written = protocol.content.limits.current
    if written is not None:
        path: TreePath = ("limits", "current")
        limit = Converter(cell, problems).si(written, path)
        if limit < largest:
            message = (
                f"The limit is below the largest current of the steps, {format_amount(largest, 'current')}."
            )
            problems.add(path, message)
        if limit > capabilities.current_max_A:
            most = format_amount(capabilities.current_max_A, "current")
            problems.add(path, f"The limit is above what the channel can do: {most}.")
    return Limits(voltage_min_V=window[0], voltage_max_V=window[1], current_max_A=limit)


def driven_currents(nodes: Iterable[Node], with_peaks: bool = False) -> Iterator[float]:
    """Yield |I| of every step that drives a current, in A; ``with_peaks`` adds the amplitude of spectra."""
    for step, _ in walk(nodes):
        current_A = abs(set_current_A(step))
        peak_A = step.amplitude_A if isinstance(step, Geis) and with_peaks else 0.0
        if current_A or peak_A:
            yield current_A + peak_A


def drives_a_voltage(nodes: Iterable[Node]) -> bool:
    """Whether a step controls E without going on from a constant current."""
    return any(
        isinstance(step, VoltageSweep) or (isinstance(step, ConstantVoltage) and not step.set_current_A)
        for step, _ in walk(nodes)
    )
