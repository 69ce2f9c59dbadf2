"""Chooses current and voltage ranges. Pure. Never AUTO: galvanostatic techniques do not take it."""

from __future__ import annotations

from drivers.biologic.constants import E_RANGE_FULL_SCALE_V, I_RANGE_FULL_SCALE_A, ERange, IRange
from protocols.capabilities import Capabilities
from protocols.errors import InstrumentError
from protocols.nodes import Geis

_HEADROOM = 0.98
"""A limit at the very end of a range would never be seen: the converter clips there."""


def e_range_for(voltage_V: float) -> ERange:
    """Return the smallest range that shows ± ``voltage_V`` before it clips; raise InstrumentError if none."""
    for e_range, full_scale_V in E_RANGE_FULL_SCALE_V.items():
        if voltage_V <= _HEADROOM * full_scale_V:
            return e_range
    raise InstrumentError(
        f"no voltage range holds a limit of {voltage_V:g} V; "
        f"set the voltage limits within ±{_HEADROOM * max(E_RANGE_FULL_SCALE_V.values()):g} V"
    )


def i_range_for(current_A: float, capabilities: Capabilities, label: str) -> IRange:
    """Return the smallest range for a current. Raises InstrumentError, naming step ``label``, if none."""
    return _smallest(current_A, 0.0, capabilities, label)


def i_range_for_sweep(step: Geis, capabilities: Capabilities) -> IRange:
    """Return the smallest range that holds |DC| + peak and of which the peak is at most the allowed part."""
    return _smallest(abs(step.current_A) + step.amplitude_A, step.amplitude_A, capabilities, step.label)


def _smallest(largest_A: float, peak_A: float, capabilities: Capabilities, label: str) -> IRange:
    if largest_A <= capabilities.current_max_A:
        for i_range, full_scale_A in I_RANGE_FULL_SCALE_A.items():
            holds = largest_A <= full_scale_A and peak_A <= capabilities.eis_amplitude_fraction * full_scale_A
            if full_scale_A in capabilities.current_ranges_A and holds:
                return i_range
    raise InstrumentError(
        f"step {label!r}: no current range of {capabilities.model} holds {largest_A:g} A "
        f"(peak of a spectrum included; at most {capabilities.current_max_A:g} A); lower the current"
    )
