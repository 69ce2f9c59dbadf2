"""What a voltage relative to open circuit was meant from, as the rows of the technique tell. Pure.

EClib adds the voltage at a technique's start by itself and does not say what it was.
"""

from __future__ import annotations

import math

from protocols.nodes import ConstantVoltage, Step, VoltageSweep


def reference_V(step: Step, t_s: float, voltage_V: float, before_V: float | None) -> float | None:
    """Return the voltage that the step's relative ones are meant from; None: there are none, or not known.

    ``t_s`` and ``voltage_V`` are those of the step's first row, ``before_V`` is E of the last row before it.
    """
    match step:
        case ConstantVoltage(relative=True):
            return voltage_V - step.voltage_V
        case VoltageSweep() if step.vertices[0].relative:
            return _start_of_sweep(step, t_s, voltage_V)
        case VoltageSweep() if any(vertex.relative for vertex in step.vertices):
            return before_V
        case _:
            return None


def _start_of_sweep(step: VoltageSweep, t_s: float, voltage_V: float) -> float | None:
    """Go back to the start along the first leg; None if the row is no longer on it."""
    first, second = step.vertices[:2]
    rises = second.voltage_V > (first.voltage_V if second.relative else voltage_V)
    passed_V = math.copysign(t_s * step.rate_V_per_s, 1.0 if rises else -1.0)
    if second.relative and abs(passed_V) > abs(second.voltage_V - first.voltage_V):
        return None
    return voltage_V - passed_V - first.voltage_V
