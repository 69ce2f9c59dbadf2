"""What a voltage relative to open circuit was meant from, as the rows of the technique tell. Pure.

EClib adds the voltage at a technique's start by itself and does not say what it was.
"""

from __future__ import annotations

import math

from protocols.nodes import ConstantVoltage, Step, VoltageSweep


def reference_V(
    step: Step, t_s: float, voltage_V: float, before_V: float | None, early_s: float
) -> float | None:
    """Return the voltage that the step's relative ones are meant from; None: there are none, or not known.

    ``t_s`` and ``voltage_V`` are those of the first row that was seen of the step, ``before_V`` is E of the
    row before it. A row of a sweep later than ``early_s`` may be on any leg, and tells nothing.
    """
    match step:
        case ConstantVoltage(relative=True):
            return voltage_V - step.voltage_V
        case VoltageSweep() if step.vertices[0].relative:
            return _start_of_sweep(step, t_s, voltage_V) if t_s <= early_s else None
        case VoltageSweep() if any(vertex.relative for vertex in step.vertices):
            return before_V
        case _:
            return None


def _start_of_sweep(step: VoltageSweep, t_s: float, voltage_V: float) -> float:
    """Go back along the first leg to its start, and from there to what it was meant from."""
    first, second = step.vertices[:2]
    rises = second.voltage_V > (first.voltage_V if second.relative else voltage_V)
    return voltage_V - math.copysign(t_s * step.rate_V_per_s, 1.0 if rises else -1.0) - first.voltage_V
