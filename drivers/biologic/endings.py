"""Tells why a load ended before its last technique, from the last row. Pure.

CPLIMIT says nothing of which test made it exit: E and the elapsed time have to tell.
"""

from __future__ import annotations

from drivers.biologic.techniques import Visit
from drivers.instrument import EndReason
from protocols.nodes import ConstantCurrent
from protocols.program import Limits, Program

_NEAR = 0.02
"""Part of a limit within which a last row counts as at the limit: rows come a little before the exit."""


def early_end(visit: Visit | None, t_s: float, voltage_V: float, program: Program) -> tuple[EndReason, str]:
    """Return reason and message for a load whose last row was taken ``t_s`` after its technique began."""
    if visit is None:
        return "fault", "the channel stopped without any data; look at the instrument before starting again"
    step = visit.step
    where = f"step {step.label!r} ended {t_s:.6g} s after its start, E = {voltage_V:.6g} V"
    if not isinstance(step, ConstantCurrent) or step.until_voltage_V is not None:
        return "fault", f"{where}: it holds no limit on board, so something else stopped the channel"
    limit = _limit_reached(voltage_V, program.limits)
    if limit:
        return "limit", f"{where}: the {limit} opened the circuit on board"
    return "limit", (
        f"{where} of {step.remaining_s:.6g} s, before its time: a limit on board opened the circuit, though "
        f"the last row is within {program.limits.voltage_min_V:g} … {program.limits.voltage_max_V:g} V "
        "(or another program stopped the channel)"
    )


def _limit_reached(voltage_V: float, limits: Limits) -> str:
    """Return which limit E has reached, in words; empty if none."""
    low_V, high_V = limits.voltage_min_V, limits.voltage_max_V
    if voltage_V >= high_V - _NEAR * abs(high_V):
        return f"upper voltage limit of {high_V:g} V"
    if voltage_V <= low_V + _NEAR * abs(low_V):
        return f"lower voltage limit of {low_V:g} V"
    return ""
