"""The steps of a program as BattINFO's ``test-protocol`` records describe them (``method``).

It is a description for people and search engines, not something to run: what BattINFO has no word for stands
in ``description``. BattINFO calls a positive current charging, as BDF does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from protocols.exchange.plain import milli, tidy
from protocols.nodes import (
    ConstantCurrent,
    ConstantVoltage,
    Criterion,
    Decision,
    Drift,
    Geis,
    HostEnd,
    Message,
    Node,
    OnPasses,
    Peis,
    Repeat,
    Rest,
    Soak,
    Steady,
    Step,
    VoltageSweep,
)
from protocols.program import Program
from protocols.tree import walk

Record = dict[str, Any]

KELVIN = 273.15
C_PER_MAH = 3.6
_OF_OPEN_CIRCUIT = "the voltage is counted from that of open circuit"


def method(program: Program) -> list[Record]:
    """Return the steps, loops as groups with a ``count``."""
    return _steps(program.steps)


def safety(program: Program) -> Record:
    """Return the safety limits."""
    limits = program.limits
    return {
        "max_voltage_V": limits.voltage_max_V,
        "min_voltage_V": limits.voltage_min_V,
        "max_current_mA": milli(limits.current_max_A),
        "min_current_mA": -milli(limits.current_max_A),
    }


def record(program: Program) -> Record:
    """Return when a sample is kept."""
    found = {"time_s": program.watch_s if program.record_s is None else program.record_s}
    if program.record_dE_V:
        found["voltage_V"] = program.record_dE_V
    if program.record_dI_A:
        found["current_mA"] = milli(program.record_dI_A)
    return found


def kind(program: Program) -> str:
    """Return BattINFO's word for the kind of test."""
    steps = [step for step, _ in walk(program.steps)]
    driven = [step for step in steps if not isinstance(step, Rest)]
    if driven and all(isinstance(step, Geis | Peis) for step in driven):
        return "eis"
    ways = {
        step.current_A > 0
        for step, loops in walk(program.steps)
        if isinstance(step, ConstantCurrent) and loops
    }
    return "cycling" if len(ways) == 2 and not program.ends_on else "characterization"


def _steps(nodes: Iterable[Node]) -> list[Record]:
    return [_node(node) for node in nodes if not isinstance(node, Message)]


def _node(node: Node) -> Record:
    match node:
        case Repeat():
            return {"mode": "group", "count": max(1, node.passes), "steps": _steps(node.body)}
        case OnPasses():
            return {"mode": "group", "description": _passes(node), "steps": _steps(node.body)}
        case Decision():
            ways = [_way(node, answer) for answer in (True, False)]
            return {"mode": "group", "description": f"if {_criteria(node.criteria)}", "steps": ways}
        case Message():
            return {"mode": "rest", "description": node.text}
        case _:
            return {**_step(node), "tags": [node.label]} if node.label else _step(node)


def _passes(node: OnPasses) -> str:
    if not node.every:
        return f"only in passes {', '.join(map(str, node.listed))} of the loop"
    first = node.every if node.first is None else node.first + 1
    return f"only in pass {first} of the loop, and every {node.every} after it"


def _criteria(criteria: tuple[Criterion, ...]) -> str:
    return " and ".join(f"{c.quantity} is {c.comparison} {c.value:g} (SI)" for c in criteria)


def _way(decision: Decision, answer: bool) -> Record:
    nodes, jump = decision.way(answer)
    words = {"leave": ", then on after the loop", "end": ", then to the end"}
    text = ("if so" if answer else "if not") + (words[jump] if jump else "")
    return {"mode": "group", "description": text, "steps": _steps(nodes)}


def _step(step: Step) -> Record:
    match step:
        case Rest():
            return {
                "mode": "rest",
                "direction": "rest",
                **_timed(step.duration_s),
                **_host_ends(step.host_ends),
            }
        case ConstantCurrent():
            return _constant_current(step)
        case ConstantVoltage():
            return _constant_voltage(step)
        case VoltageSweep():
            return _sweep(step)
        case Geis() | Peis():
            return _spectrum(step)


def _constant_current(step: ConstantCurrent) -> Record:
    ends = []
    if step.charge_C is not None:
        ends.append(_end("capacity", "above", tidy(step.charge_C / C_PER_MAH), "mAh"))
    if step.until_voltage_V is not None:
        ends.append(_end("voltage", "above" if step.current_A > 0 else "below", step.until_voltage_V, "V"))
    return {
        "mode": "cc",
        "direction": "charge" if step.current_A > 0 else "discharge",
        "setpoints": {"current": _quantity(abs(milli(step.current_A)), "mA")},
        "termination": [*ends, _end("duration", "elapsed", tidy(step.duration_s), "s")],
    }


def _constant_voltage(step: ConstantVoltage) -> Record:
    ends = [_end("duration", "elapsed", tidy(step.duration_s), "s")]
    if step.until_current_A is not None:
        ends.insert(0, _end("current", "below", milli(step.until_current_A), "mA"))
    words = _host_ends(step.host_ends)
    if step.relative:
        words["description"] = "; ".join(filter(None, (_OF_OPEN_CIRCUIT, words.get("description"))))
    return {
        "mode": "cv",
        "direction": "hold",
        "setpoints": {"voltage": _quantity(tidy(step.voltage_V), "V")},
        "termination": ends,
        **words,
    }


def _sweep(step: VoltageSweep) -> Record:
    vertices = {
        f"vertex_{number}": _quantity(tidy(vertex.voltage_V), "V")
        for number, vertex in enumerate(step.vertices, start=1)
    }
    found = {
        "mode": "scan",
        "direction": "none",
        "setpoints": {"scan_rate": _quantity(tidy(step.rate_V_per_s), "V/s"), **vertices},
    }
    relative = any(vertex.relative for vertex in step.vertices)
    return {**found, "description": "voltages counted from that of open circuit"} if relative else found


def _spectrum(step: Geis | Peis) -> Record:
    points: Record = {
        "frequency_start": _quantity(step.frequency_start_Hz, "Hz"),
        "frequency_end": _quantity(step.frequency_end_Hz, "Hz"),
        "points_per_decade": _quantity(step.points_per_decade, "1"),
    }
    if isinstance(step, Geis):
        points["current"] = _quantity(milli(step.current_A), "mA")
        points["current_amplitude"] = _quantity(milli(step.amplitude_A), "mA")
        words = {}
    else:
        points["voltage"] = _quantity(tidy(step.voltage_V), "V")
        points["voltage_amplitude"] = _quantity(tidy(step.amplitude_V), "V")
        words = {"description": _OF_OPEN_CIRCUIT} if step.relative else {}
    return {"mode": "eis", "direction": "none", "setpoints": points, **words}


def _timed(duration_s: float) -> Record:
    return {"duration": _quantity(tidy(duration_s), "s")}


def _host_ends(ends: tuple[HostEnd, ...]) -> Record:
    """Return the ends that BattINFO has no word for, in words, and the temperature that is waited for."""
    found: Record = {}
    texts = []
    for end in ends:
        if isinstance(end, Soak):
            found["temperature"] = _quantity(tidy(end.target_K - KELVIN), "degC")
        else:
            texts.append(_words(end))
    return found | ({"description": "; ".join(texts)} if texts else {})


def _words(end: HostEnd) -> str:
    match end:
        case Drift():
            return f"ends when E changes by less than {end.rate_V_per_s:g} V/s over {end.over_s:g} s"
        case Steady():
            return f"ends when I changes by less than {end.change:.3g} of it over {end.over_s:g} s"
        case Soak():
            return f"waits for {end.target_K - KELVIN:g} °C"
        case _ if end.kind == "charge":
            return f"ends when {end.charge_C / C_PER_MAH:g} mAh have passed"
        case _:
            return "waits for a person"


def _quantity(value: float, unit: str) -> Record:
    return {"value": value, "unit": unit}


def _end(quantity: str, direction: str, value: float, unit: str) -> Record:
    return {"quantity": quantity, "direction": direction, "value": value, "unit": unit}
