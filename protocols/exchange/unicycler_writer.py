"""A program as an aurora-unicycler protocol (the fields of version 0.4.6)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from protocols.exchange.losses import Ledger
from protocols.exchange.plain import Loop, Plain, milli, note_settings, plain_steps, tidy, vertices_of
from protocols.nodes import ConstantCurrent, ConstantVoltage, Geis, Peis, Rest, Step, VoltageSweep
from protocols.program import Program

VERSION = "0.4.6"
FREQUENCY_MIN_HZ, FREQUENCY_MAX_HZ = 1e-5, 1e7
"""What its impedance step takes."""

Item = dict[str, Any]


def write(program: Program, ledger: Ledger) -> Item:
    """Return the protocol as JSON-ready values; what would be lost is noted."""
    note_settings(program, ledger, keeps=("limits", "record"))
    method = _Method(ledger)
    method.extend(plain_steps(program, ledger))
    if not method.items:
        ledger.add("steps", program.protocol, "there is no step that it could hold")
    return {
        "unicycler": {"version": VERSION},
        "sample": _sample(program),
        "record": _record(program),
        "safety": _safety(program),
        "method": method.items,
    }


def _sample(program: Program) -> Item:
    capacity_C = program.cell.capacity_C
    return {"name": program.cell.name} | ({"capacity_mAh": tidy(capacity_C / 3.6)} if capacity_C else {})


def _record(program: Program) -> Item:
    record: Item = {"time_s": tidy(program.watch_s if program.record_s is None else program.record_s)}
    if program.record_dE_V:
        record["voltage_V"] = tidy(program.record_dE_V)
    if program.record_dI_A:
        record["current_mA"] = milli(program.record_dI_A)
    return record


def _safety(program: Program) -> Item:
    limits = program.limits
    return {
        "max_voltage_V": tidy(limits.voltage_max_V),
        "min_voltage_V": tidy(limits.voltage_min_V),
        "max_current_mA": milli(limits.current_max_A),
        "min_current_mA": -milli(limits.current_max_A),
    }


class _Method:
    """The list of steps: loops become a tag before their steps and a step that goes back to it."""

    def __init__(self, ledger: Ledger) -> None:
        self.items: list[Item] = []
        self._ledger = ledger
        self._loops = 0

    def extend(self, steps: tuple[Plain, ...]) -> None:
        """Add steps and loops."""
        for step in steps:
            if isinstance(step, Loop):
                self._loop(step)
            else:
                self.items += _items(step, self._ledger)

    def _loop(self, loop: Loop) -> None:
        self._loops += 1
        tag = f"loop {self._loops}"
        self.items.append({"step": "tag", "tag": tag})
        self.extend(loop.body)
        self.items.append({"step": "loop", "loop_to": tag, "cycle_count": loop.count})


def _items(step: Step, ledger: Ledger) -> list[Item]:
    match step:
        case Rest():
            return [{"step": "open_circuit_voltage", "until_time_s": tidy(step.remaining_s)}]
        case ConstantCurrent():
            return [_constant_current(step, ledger)]
        case ConstantVoltage():
            return [_constant_voltage(step)]
        case VoltageSweep():
            return list(_scans(step))
        case Geis() | Peis():
            return [_spectrum(step, ledger)]


def _constant_current(step: ConstantCurrent, ledger: Ledger) -> Item:
    item: Item = {
        "step": "constant_current",
        "current_mA": milli(step.current_A),
        "until_time_s": tidy(step.remaining_s),
    }
    if step.until_voltage_V is not None:
        item["until_voltage_V"] = tidy(step.until_voltage_V)
    if step.until_voltage_V == 0:
        message = "an end at 0 V, which some of its exporters take for 'not set'"
        ledger.add("zero_voltage", step.label, message)
    return item


def _constant_voltage(step: ConstantVoltage) -> Item:
    item: Item = {
        "step": "constant_voltage",
        "voltage_V": tidy(step.voltage_V),
        "until_time_s": tidy(step.remaining_s),
    }
    if step.until_current_A is not None:
        item["until_current_mA"] = milli(step.until_current_A)
    return item


def _scans(sweep: VoltageSweep) -> Iterator[Item]:
    for start, end in pairwise(vertices_of(sweep)):
        if start != end:
            yield {
                "step": "voltage_scan",
                "start_voltage_V": tidy(start.voltage_V),
                "end_voltage_V": tidy(end.voltage_V),
                "scan_rate_mV_per_s": milli(sweep.rate_V_per_s),
            }


def _spectrum(step: Geis | Peis, ledger: Ledger) -> Item:
    ends_Hz = (step.frequency_start_Hz, step.frequency_end_Hz)
    if not all(FREQUENCY_MIN_HZ <= frequency_Hz <= FREQUENCY_MAX_HZ for frequency_Hz in ends_Hz):
        ledger.add("frequency", step.label, "a frequency outside 10 µHz … 10 MHz")
    if isinstance(step, Peis):
        amplitude: Item = {"amplitude_V": tidy(step.amplitude_V)}
    else:
        amplitude = {"amplitude_mA": milli(step.amplitude_A)}
    return {
        "step": "impedance_spectroscopy",
        **amplitude,
        "start_frequency_Hz": tidy(ends_Hz[0]),
        "end_frequency_Hz": tidy(ends_Hz[1]),
        "points_per_decade": step.points_per_decade,
        "measures_per_point": step.average,
    }
