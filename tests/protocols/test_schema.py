"""The schemas that editors use agree with the language where they can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from protocols.protocol import LIBRARY, library_protocols
from protocols.schema import FOLDER, SCHEMAS, protocol_schema, schema_text, write_schemas

PROTOCOL = """\
# yaml-language-server: $schema=schema/protocol.schema.json
sandtime: 1
name: everything at once
parameters:
  capacity: {value: 0.2 mAh/cm², from: 0.05 mAh/cm², to: 2 mAh/cm²}
  times: 3
  after: leave
limits: {voltage: 2 V, current: 3 mA/cm²}
guards: {depletion: off, short_circuit: {confirm_s: 8 s}}
ends_on: [short_circuit]
steps:
  - include: groups/formation.yaml
  - temperature:
      to: 60 °C
      stable: {spectrum: {peis: {amplitude: 10 mV, frequency: {from: 1 MHz, to: 1 kHz}}}}
  - repeat:
      times: $times
      counts: cycles
      steps:
        - constant_current: {current: C/10, until: {areal_capacity: $capacity}}
        - if:
            when: {retention: {below: 0.8}, cycle: {above: 3}}
            then: $after
            otherwise: [{message: go on}]
      spectra: {every: 5 cycles, steps: [{include: groups/spectra.yaml}]}
afterwards:
  - geis: {amplitude: {response: 10 mV, largest: 0.1 mA/cm²}, frequency: {from: 1 MHz, to: 1 Hz}}
"""
CELL = """\
sandtime: 1
name: a cell
geometry: symmetric
diameter: 10 mm
working: {lithium: 100 µm}
contains_liquid: no
max_loss: 0.4
"""


def validator(name: str) -> Draft7Validator:
    schema = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def mistakes(text: str, name: str = "protocol.schema.json") -> list[str]:
    content: Any = YAML(typ="safe", pure=True).load(text)
    return [error.message for error in validator(name).iter_errors(content)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shipped_files_are_those_of_the_models(name: str) -> None:
    shipped = (FOLDER / name).read_text(encoding="utf-8")
    assert shipped == schema_text(name), "The language has changed: run `python -m protocols.schema`."


@pytest.mark.parametrize("name", library_protocols())
def test_the_library_suits_it(name: str) -> None:
    assert mistakes((LIBRARY / f"{name}.yaml").read_text(encoding="utf-8")) == []


def test_what_the_language_allows_is_allowed() -> None:
    assert mistakes(PROTOCOL) == []
    assert mistakes(CELL, "cell.schema.json") == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("areal_capacity", "areal_capacitty"),
        ("limits: {voltage", "limit: {voltage"),
        ("ends_on: [short_circuit]", "ends_on: [short]"),
        ("depletion: off", "depletion: of"),
        ("depletion: off", "depletoin: off"),
        ("counts: cycles", "counts: passes"),
        ("from: 0.05 mAh/cm²", "least: 0.05 mAh/cm²"),
        ("then: $after", "then: leaf"),
        ("- constant_current", "- constant_curent"),
        ("{message: go on}", "{message: go on, rest: {for: 1 min}}"),
        ("retention: {below: 0.8}", "retension: {below: 0.8}"),
        ("limits: {voltage: 2 V", "limits: {voltage: 2"),
        ("[{include: groups/spectra.yaml}]", "[{message: no spectrum}]"),
        ("name: everything at once", "title: everything at once"),
    ],
)
def test_a_typo_is_marked(right: str, wrong: str) -> None:
    assert right in PROTOCOL
    assert mistakes(PROTOCOL.replace(right, wrong, 1))


@pytest.mark.parametrize("right", ["geometry: symmetric", "working: {lithium", "diameter: 10 mm"])
def test_a_typo_in_a_cell_file_is_marked(right: str) -> None:
    assert mistakes(CELL.replace(right, f"x{right}"), "cell.schema.json")


def test_cell_files_have_no_parameters() -> None:
    assert mistakes(CELL.replace("symmetric", "$geometry"), "cell.schema.json")


def test_an_editor_offers_every_step_word_and_says_what_each_key_is() -> None:
    schema = protocol_schema()
    words = set(schema["$defs"]["step"]["properties"])
    assert {"rest", "constant_current", "cc_cv", "ramp", "if", "wait_for_person", "include"} <= words
    unsaid = [
        f"{name}.{key}"
        for name, part in {"the file": schema, **schema["$defs"]}.items()
        for key, about in part.get("properties", {}).items()
        if "description" not in about and "description" not in resolved(about, schema)
    ]
    assert unsaid == []


def resolved(about: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][about["$ref"].rpartition("/")[2]] if "$ref" in about else about
    return found


def test_nothing_in_it_refers_to_nothing() -> None:
    for name in SCHEMAS:
        schema = json.loads((FOLDER / name).read_text(encoding="utf-8"))
        named = set(schema["$defs"])
        text = json.dumps(schema)
        assert {part.split('"')[0] for part in text.split("#/$defs/")[1:]} == named


def test_they_can_be_written_anywhere(tmp_path: Path) -> None:
    written = write_schemas(tmp_path / "schema")
    assert [path.name for path in written] == list(SCHEMAS)
    assert all(path.read_bytes() == (FOLDER / path.name).read_bytes() for path in written)
