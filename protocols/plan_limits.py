"""Which limits and ends the instrument itself holds, and which only the host. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protocols.capabilities import Capabilities, Quantity
from protocols.nodes import (
    ChargePassed,
    ConstantCurrent,
    ConstantVoltage,
    Drift,
    Geis,
    HostEnd,
    Peis,
    Rest,
    Soak,
    Steady,
    Step,
    VoltageSweep,
    set_current_A,
)
from protocols.program import Limits
from protocols.units import format_amount


def holders(
    steps: Iterable[Step], limits: Limits, capabilities: Capabilities
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the instrument holds, and what the host holds, each once for a kind of step."""
    on_board: dict[str, None] = {}
    by_host: dict[str, None] = {}
    for step in steps:
        held = capabilities.on_board.get(step.kind, ())
        for quantity, words in _limits(step, limits):
            (on_board if quantity in held else by_host)[f"{step.kind}: {words}"] = None
        for end in _host_ends(step):
            by_host[f"{step.kind}: {_words(end)}"] = None
        if isinstance(step, ConstantCurrent) and step.until_voltage_V is not None:
            both = "voltage" in held and capabilities.opposite_voltage_on_board
            (on_board if both else by_host)[_opposite_limit(step, limits)] = None
    return tuple(on_board), tuple(by_host)


def _limits(step: Step, limits: Limits) -> Iterator[tuple[Quantity, str]]:
    """Yield what has to be held during a step, with words for people."""
    if isinstance(step, ConstantCurrent) and step.until_voltage_V is not None:
        yield "voltage", f"end at {step.until_voltage_V:g} V"
    else:
        yield "voltage", f"voltage within {limits.voltage_min_V:g} … {limits.voltage_max_V:g} V"
    if peak_A(step) or isinstance(step, ConstantVoltage | VoltageSweep | Peis):
        yield "current", f"current up to {format_amount(limits.current_max_A, 'current')}"
    if isinstance(step, ConstantVoltage) and step.until_current_A is not None:
        yield "end_current", f"end at {format_amount(step.until_current_A, 'current')}"
    yield "time", "duration"
    if isinstance(step, ConstantCurrent) and step.ends_by == "charge":
        yield "charge", "end by charge"


def _host_ends(step: Step) -> tuple[HostEnd, ...]:
    return step.host_ends if isinstance(step, Rest | ConstantVoltage) else ()


def _words(end: HostEnd) -> str:
    match end:
        case Drift():
            return f"end when E drifts by less than {end.rate_V_per_s * 3.6e6:g} mV in an hour"
        case Steady():
            over = format_amount(end.over_s, "time")
            return f"end when I changes by less than {format_amount(end.change, 'fraction')} in {over}"
        case ChargePassed():
            return f"end after {format_amount(end.charge_C, 'charge')}"
        case Soak():
            return f"wait for {format_amount(end.target_K, 'temperature')} ± {end.tolerance_K:g} K"
        case _:
            return "wait for a person"


def _opposite_limit(step: ConstantCurrent, limits: Limits) -> str:
    """Name the safety limit away from which a step drives the voltage that ends it."""
    opposite = limits.voltage_min_V if step.current_A > 0 else limits.voltage_max_V
    return f"{step.kind} that ends by voltage: opposite limit {opposite:g} V"


def peak_A(step: Step) -> float:
    """Return the largest |I| that a step drives, the peak of a spectrum included."""
    return abs(set_current_A(step)) + (step.amplitude_A if isinstance(step, Geis) else 0.0)
