"""Chooses current and voltage ranges. Pure. A current range is never AUTO where the current is controlled."""

from __future__ import annotations

from drivers.biologic.constants import E_RANGE_FULL_SCALE_V, I_RANGE_FULL_SCALE_A, ERange, IRange
from protocols.capabilities import Capabilities
from protocols.errors import InstrumentError
from protocols.nodes import ConstantCurrent, Geis

_HEADROOM = 0.98
"""A limit at the very end of a range would never be seen: the converter clips there."""

_ROUNDING = 1e-6
"""Relative; a range that a protocol names went through units."""


def e_range_for(voltage_V: float) -> ERange:
    """Return the smallest range that shows ± ``voltage_V`` before it clips; raise InstrumentError if none."""
    for e_range, full_scale_V in E_RANGE_FULL_SCALE_V.items():
        if voltage_V <= _HEADROOM * full_scale_V:
            return e_range
    raise InstrumentError(
        f"no voltage range holds {voltage_V:g} V (limits and set-points, with the peak of a spectrum); "
        f"stay within ±{_HEADROOM * max(E_RANGE_FULL_SCALE_V.values()):g} V"
    )


def i_range_for(step: ConstantCurrent, capabilities: Capabilities) -> IRange:
    """Return the range that the step names if it holds the current, else the smallest that does.

    Raises InstrumentError, naming the step, if none does.
    """
    current_A, named_A = abs(step.current_A), step.range_A or 0.0
    if named_A * (1 + _ROUNDING) < current_A:
        named_A = 0.0
    return _smallest(current_A, 0.0, capabilities, step.label, least_A=named_A)


def i_range_for_sweep(step: Geis, capabilities: Capabilities) -> IRange:
    """Return the smallest range that holds |DC| + peak and of which the peak is at most the allowed part."""
    return _smallest(abs(step.current_A) + step.amplitude_A, step.amplitude_A, capabilities, step.label)


def full_scale_A(i_range: int, current_max_A: float) -> float:
    """Return the full scale of a range that the instrument shows.

    Of AUTO and of ranges without a number: that of the smallest range that holds ``current_max_A``.
    """
    scales = {int(number): scale for number, scale in I_RANGE_FULL_SCALE_A.items()}
    holding = (scale for scale in scales.values() if current_max_A <= scale)
    return scales.get(i_range) or min(holding, default=max(scales.values()))


def _smallest(
    largest_A: float, peak_A: float, capabilities: Capabilities, label: str, least_A: float = 0.0
) -> IRange:
    """Return the smallest range that holds ``largest_A`` and is not below ``least_A`` where there is one."""
    least_A = min(least_A * (1 - _ROUNDING), max(capabilities.current_ranges_A))
    if largest_A <= capabilities.current_max_A:
        for i_range, scale_A in I_RANGE_FULL_SCALE_A.items():
            holds = largest_A <= scale_A and peak_A <= capabilities.eis_amplitude_fraction * scale_A
            if scale_A in capabilities.current_ranges_A and holds and scale_A >= least_A:
                return i_range
    raise InstrumentError(
        f"step {label!r}: no current range of {capabilities.model} holds {largest_A:g} A "
        f"(peak of a spectrum included; at most {capabilities.current_max_A:g} A); lower the current"
    )
