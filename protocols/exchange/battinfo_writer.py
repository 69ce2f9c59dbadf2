"""A program as BattINFO JSON-LD: the ``hasTask`` of a test, in the words that aurora-unicycler 0.4.6 writes.

Each step holds what it needs under ``hasInput`` and the step after it under ``hasNext``; a loop is an
``IterativeWorkflow`` whose first step is its ``hasTask``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from protocols.exchange.losses import Ledger
from protocols.exchange.plain import Loop, Plain, milli, note_settings, plain_steps, tidy, vertices_of
from protocols.nodes import ConstantCurrent, ConstantVoltage, Geis, Peis, Rest, Step, VoltageSweep
from protocols.program import Program

MAX_TASKS = 200
"""Each task is nested in the one before it: longer chains can't be read back by common JSON readers."""
CONTEXT: list[object] = [
    "https://w3id.org/emmo/domain/battery/context",
    {"emmo": "https://w3id.org/emmo#", "echem": "https://w3id.org/emmo/domain/electrochemistry#"},
]

Task = dict[str, Any]


def write(program: Program, ledger: Ledger) -> Task:
    """Return the JSON-LD; what would be lost is noted."""
    note_settings(program, ledger)
    plain = plain_steps(program, ledger)
    number = _count(plain)
    if number == 0:
        ledger.add("steps", program.protocol, "there is no step that it could hold")
        return {}
    if number > MAX_TASKS:
        ledger.add(
            "length", program.protocol, f"more than {MAX_TASKS} steps, each nested in the one before it"
        )
        return {}
    return {"@context": CONTEXT, **_chain(_tasks(plain, ledger))}


def _count(steps: tuple[Plain, ...]) -> int:
    return sum(1 + _count(step.body) if isinstance(step, Loop) else _links(step) for step in steps)


def _links(step: Step) -> int:
    return len(step.vertices) - 1 if isinstance(step, VoltageSweep) else 1


def _chain(tasks: Sequence[Task]) -> Task:
    """Nest each task in the one before it."""
    first: Task = tasks[-1]
    for task in reversed(tasks[:-1]):
        first = {**task, "hasNext": first}
    return first


def _tasks(steps: tuple[Plain, ...], ledger: Ledger) -> list[Task]:
    found: list[Task] = []
    for step in steps:
        if isinstance(step, Loop):
            count = _quantity("NumberOfIterations", step.count, "emmo:UnitOne")
            found.append({**_task("IterativeWorkflow", count), "hasTask": _chain(_tasks(step.body, ledger))})
        else:
            found += _of_step(step, ledger)
    return found


def _of_step(step: Step, ledger: Ledger) -> list[Task]:
    match step:
        case Rest():
            return [_task("OpenCircuitHold", _duration(step))]
        case ConstantCurrent():
            return [_constant_current(step)]
        case ConstantVoltage():
            return [_constant_voltage(step)]
        case VoltageSweep():
            return _scans(step)
        case Geis() | Peis():
            details = "points per decade, averages and the order of the frequencies"
            ledger.add("spectrum_details", step.label, details)
            return [_spectrum(step)]


def _constant_current(step: ConstantCurrent) -> Task:
    charges = step.current_A > 0
    inputs = [_quantity("ElectricCurrent", abs(milli(step.current_A)), "emmo:MilliAmpere")]
    if step.until_voltage_V is not None:
        limit = "UpperVoltageLimit" if charges else "LowerVoltageLimit"
        inputs.append(_quantity([limit, "TerminationQuantity"], tidy(step.until_voltage_V), "emmo:Volt"))
    kind = "ConstantCurrentCharging" if charges else "ConstantCurrentDischarging"
    return _task(kind, *inputs, _duration(step))


def _constant_voltage(step: ConstantVoltage) -> Task:
    inputs = [_quantity("Voltage", tidy(step.voltage_V), "emmo:Volt")]
    if step.until_current_A is not None:
        words = ["LowerCurrentLimit", "TerminationQuantity"]
        inputs.append(_quantity(words, milli(step.until_current_A), "emmo:MilliAmpere"))
    return _task("VoltageHold", *inputs, _duration(step))


def _scans(sweep: VoltageSweep) -> list[Task]:
    """Return a scan from vertex to vertex; the sign of its rate says in which direction it goes."""
    found: list[Task] = []
    for start, end in pairwise(vertices_of(sweep)):
        low, high = sorted((start.voltage_V, end.voltage_V))
        rate = sweep.rate_V_per_s if end.voltage_V > start.voltage_V else -sweep.rate_V_per_s
        found.append(
            _task(
                "LinearScanVoltammetry",
                _quantity("LowerVoltageLimit", tidy(low), "emmo:Volt"),
                _quantity("UpperVoltageLimit", tidy(high), "emmo:Volt"),
                _quantity("PotentialScanRate", tidy(rate), "emmo:VoltPerSecond"),
            )
        )
    return found


def _spectrum(step: Geis | Peis) -> Task:
    if isinstance(step, Peis):
        amplitude = _quantity("AmplitudeOfAlternatingVoltage", tidy(step.amplitude_V), "emmo:Volt")
    else:
        words = "AmplitudeOfAlternatingCurrent"
        amplitude = _quantity(words, milli(step.amplitude_A), "emmo:MilliAmpere")
    low, high = sorted((step.frequency_start_Hz, step.frequency_end_Hz))
    return _task(
        "ElectrochemicalImpedanceSpectroscopy",
        amplitude,
        _quantity("LowerFrequencyLimit", tidy(low), "emmo:Hertz"),
        _quantity("UpperFrequencyLimit", tidy(high), "emmo:Hertz"),
    )


def _task(kind: str, *inputs: Task) -> Task:
    return {"@type": kind, "hasInput": list(inputs)}


def _duration(step: Rest | ConstantCurrent | ConstantVoltage) -> Task:
    return _quantity("Duration", tidy(step.remaining_s), "emmo:Second")


def _quantity(kind: str | list[str], value: float, unit: str) -> Task:
    number = {"@type": "RealData", "hasNumberValue": value}
    return {"@type": kind, "hasNumericalPart": number, "hasMeasurementUnit": unit}
