"""Tells why a load ended before its last technique, from the last row. Pure.

The techniques with limits say nothing of which test made them exit: E, I and the elapsed time have to tell.
"""

from __future__ import annotations

from drivers.biologic.techniques import Visit
from drivers.instrument import EndReason
from protocols.nodes import ConstantCurrent, ConstantVoltage, Step, VoltageSweep
from protocols.program import Limits, Program

_NEAR = 0.02
"""Part of a limit within which a last row counts as at the limit: rows come a little before the exit."""


def early_end(
    visit: Visit | None, t_s: float, voltage_V: float, current_A: float, program: Program
) -> tuple[EndReason, str]:
    """Return reason and message for a load whose last row was taken ``t_s`` after its technique began."""
    if visit is None:
        return "fault", "the channel stopped without any data; look at the instrument before starting again"
    step, limits = visit.step, program.limits
    where = (
        f"step {step.label!r} ended {step.done_s + t_s:.6g} s after its start, "
        f"E = {voltage_V:.6g} V, I = {current_A:.6g} A"
    )
    if not _stops_on_board(step):
        return "fault", f"{where}: it holds no safety limit on board, so something else stopped the channel"
    of_voltage = isinstance(step, ConstantCurrent)
    limit = _voltage_limit(voltage_V, limits) if of_voltage else _current_limit(current_A, limits)
    if limit:
        return "limit", f"{where}: the {limit} opened the circuit on board"
    within = (
        f"{limits.voltage_min_V:g} … {limits.voltage_max_V:g} V"
        if of_voltage
        else f"±{limits.current_max_A:g} A"
    )
    return "limit", (
        f"{where}, before its time: a limit on board opened the circuit, though the last row is within "
        f"{within} (or another program stopped the channel)"
    )


def _stops_on_board(step: Step) -> bool:
    """Whether a safety limit on board can end the list: a planned end leaves no room for one."""
    match step:
        case ConstantCurrent():
            return step.until_voltage_V is None
        case ConstantVoltage():
            return step.until_current_A is None
        case _:
            return isinstance(step, VoltageSweep)


def _voltage_limit(voltage_V: float, limits: Limits) -> str:
    """Return which limit E has reached, in words; empty if none."""
    low_V, high_V = limits.voltage_min_V, limits.voltage_max_V
    if voltage_V >= high_V - _NEAR * abs(high_V):
        return f"upper voltage limit of {high_V:g} V"
    if voltage_V <= low_V + _NEAR * abs(low_V):
        return f"lower voltage limit of {low_V:g} V"
    return ""


def _current_limit(current_A: float, limits: Limits) -> str:
    """Return which limit I has reached, in words; empty if none."""
    if abs(current_A) < (1 - _NEAR) * limits.current_max_A:
        return ""
    return f"current limit of {limits.current_max_A:g} A"
