"""A program as BattINFO's test-protocol describes it: every protocol of the library, each kind of step."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from battinfo_schema import STEP
from library_cells import CELLS

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.exchange import battinfo_protocol
from protocols.program import Program
from protocols.protocol import library_protocols, load_protocol, parse_protocol

STEPS = {"$defs": {"step": STEP}, "type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1}
WARM = {"temperature_min_K": 270.0, "temperature_max_K": 370.0}


def compiled(steps: str, cell: Cell, channel: Capabilities) -> Program:
    text = f"sandtime: 1\nname: any\nsteps:\n{steps}"
    return compile_program(parse_protocol(text, "p.yaml"), cell, channel.model_copy(update=WARM))


def method(steps: str, cell: Cell, channel: Capabilities) -> list[dict[str, Any]]:
    found = battinfo_protocol.method(compiled(steps, cell, channel))
    jsonschema.validate(found, STEPS)
    return found


@pytest.mark.parametrize("name", library_protocols())
def test_every_protocol_of_the_library_is_described(name: str, channel: Capabilities) -> None:
    cell = parse_cell(CELLS[name], "cell.yaml")
    program = compile_program(load_protocol(name), cell, channel.model_copy(update=WARM))
    jsonschema.validate(battinfo_protocol.method(program), STEPS)
    assert battinfo_protocol.kind(program) in ("cycling", "eis", "characterization")
    assert all(value > 0 for value in battinfo_protocol.record(program).values())
    safety = battinfo_protocol.safety(program)
    assert safety["min_voltage_V"] < safety["max_voltage_V"]
    assert safety["min_current_mA"] == -safety["max_current_mA"]


def test_a_loop_is_a_group_with_its_count(cell: Cell, channel: Capabilities) -> None:
    [loop] = method(
        "  - repeat:\n      times: 50\n      steps:\n"
        "        - constant_current: {current: 0.1 mA/cm², until: {voltage: 0.5 V, time: 2 h}}\n"
        "        - constant_current: {current: -0.1 mA/cm², until: {time: 1 h}}\n",
        cell,
        channel,
    )
    assert (loop["mode"], loop["count"]) == ("group", 50)
    charge, discharge = loop["steps"]
    assert (charge["direction"], discharge["direction"]) == ("charge", "discharge")
    assert charge["termination"][0] == {
        "quantity": "voltage",
        "direction": "above",
        "value": 0.5,
        "unit": "V",
    }
    current = 0.1 * cell.area_m2 * 1e4
    assert charge["setpoints"]["current"] == {"value": pytest.approx(current), "unit": "mA"}


def test_what_has_no_word_stands_in_the_description(channel: Capabilities) -> None:
    cell = parse_cell(CELLS["arrhenius_conductivity"], "cell.yaml")
    steady, warm, decision = method(
        "  - rest: {until: {drift: 1 mV/h, time: 12 h}}\n"
        "  - temperature: {to: 60 °C}\n"
        "  - if: {when: {cycle: {above: 3}}, then: end}\n",
        cell,
        channel,
    )
    assert "V/s" in steady["description"]
    assert warm["temperature"] == {"value": 60.0, "unit": "degC"}
    assert decision["description"] == "if cycle is above 3 (SI)"
    assert [way["description"] for way in decision["steps"]] == ["if so, then to the end", "if not"]


def test_spectra_and_sweeps_say_their_range(cell: Cell, channel: Capabilities) -> None:
    spectrum, sweep = method(
        "  - peis: {amplitude: 10 mV, frequency: {from: 1 MHz, to: 0.1 Hz}}\n"
        "  - linear_sweep: {from: 0 V, to: 0.4 V, rate: 1 mV/s}\n",
        cell,
        channel,
    )
    assert spectrum["setpoints"]["frequency_end"] == {"value": 0.1, "unit": "Hz"}
    assert spectrum["setpoints"]["voltage_amplitude"] == {"value": 0.01, "unit": "V"}
    assert sweep["setpoints"]["scan_rate"] == {"value": 0.001, "unit": "V/s"}
    assert sweep["setpoints"]["vertex_2"] == {"value": 0.4, "unit": "V"}


def test_the_kind_of_a_test(cell: Cell, channel: Capabilities) -> None:
    spectra = compiled(
        "  - rest: {for: 1 min}\n  - peis: {amplitude: 10 mV, frequency: {from: 1 MHz, to: 1 Hz}}\n",
        cell,
        channel,
    )
    assert battinfo_protocol.kind(spectra) == "eis"
    one_way = compiled("  - constant_current: {current: 0.1 mA/cm², until: {time: 1 h}}\n", cell, channel)
    assert battinfo_protocol.kind(one_way) == "characterization"
