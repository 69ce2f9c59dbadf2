"""Cell files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.cellfile import CellFile, check_cell, load_cell, parse_cell
from protocols.errors import InvalidFileError

SMALL = "sandtime: 1\nname: a cell\ngeometry: asymmetric\n"

FULL = """\
sandtime: 1
name: NCM cell
geometry: full
diameter: 12 mm
area_uncertainty: 2 %
working: {lithium: 2 mAh/cm², uncertainty: 5 %}
counter: {lithium: 50 µm}
electrolyte: {name: LPSC, class: sulfide, thickness: 0.6 mm, uncertainty: 3 %}
mass: 12 mg
capacity: 2 mAh
pressure: {stack: 1 MPa, pressing: 300 MPa}
temperature: 60 °C
voltage_window: {from: 2.7 V, to: 4.3 V}
temperature_window: {from: 0 °C, to: 80 °C}
contains_liquid: yes
max_loss: 30 %
"""


def test_every_value_arrives_in_si() -> None:
    cell = parse_cell(FULL, "cell.yaml")
    assert cell.area_m2 == pytest.approx(math.pi * 0.006**2)
    assert cell.working.inventory_C_per_m2 == pytest.approx(2e-3 * 3600 / 1e-4)
    assert cell.working.uncertainty == pytest.approx(0.05)
    assert cell.electrolyte_class == "sulfide"
    assert cell.area_uncertainty == pytest.approx(0.02)
    assert cell.electrolyte_thickness_m == pytest.approx(6e-4)
    assert cell.electrolyte_thickness_uncertainty == pytest.approx(0.03)
    assert cell.mass_kg == pytest.approx(12e-6)
    assert cell.capacity_C == pytest.approx(7.2)
    assert cell.stack_pressure_Pa == pytest.approx(1e6)
    assert cell.temperature_K == pytest.approx(333.15)
    assert (cell.voltage_min_V, cell.voltage_max_V) == (2.7, 4.3)
    assert cell.temperature_max_K == pytest.approx(353.15)
    assert cell.contains_liquid
    assert cell.max_loss == pytest.approx(0.3)


def test_a_thickness_of_lithium_and_its_areal_capacity_are_the_same() -> None:
    # 0.205 mAh/cm² per µm (facts/recipes.md): 100 µm hold 20.5 mAh/cm².
    cell = parse_cell(
        SMALL + "area: 1 cm²\nworking: {lithium: 100 µm}\ncounter: {lithium: 20.5 mAh/cm²}\n", "c.yaml"
    )
    assert cell.inventory_C("working") == pytest.approx(cell.inventory_C("counter"))


def test_what_is_not_written_is_unknown() -> None:
    cell = parse_cell(SMALL + "area: 1 cm²\n", "c.yaml")
    assert cell.inventory_C("working") is None
    assert cell.mass_kg is None
    assert not cell.contains_liquid


SIZED = SMALL + "area: 1 cm²\n"


def other(geometry: str) -> str:
    """Return the four lines of a cell of another geometry."""
    return SIZED.replace("asymmetric", geometry)


LONG = "x" * 201

WRONG = [
    # size
    (SMALL, 1, "'area' or a 'diameter'", "cm²"),
    (SIZED + "diameter: 1 cm\n", 1, "'area' or a 'diameter'", "cm²"),
    (SMALL + "area: 1\n", 4, "no unit", "cm²"),
    (SMALL + "area: 1 cm\n", 4, "is a length; an area", "cm²"),
    (SMALL + "area: 0 cm²\n", 4, "more than zero", ""),
    (SMALL + "area: 0,785 cm²\n", 4, "decimal point", "cm²"),
    (SMALL + "diameter: -1 cm\n", 4, "more than zero", ""),
    (SMALL + "diameter: 1 cm²\n", 4, "is an area; a length", "µm"),
    (SIZED + "area_of: bigger\n", 5, "'bigger' is not known", "smaller"),
    (SIZED + "area_of: Working\n", 5, "'Working' is not known", "'working'"),
    # who it is
    (SIZED.replace("asymmetric", "asymetric"), 3, "not known", "asymmetric"),
    ("sandtime: 1\nname: x\narea: 1 cm²\n", 1, "needs 'geometry'", "geometry"),
    ("sandtime: 1\ngeometry: full\narea: 1 cm²\n", 1, "needs 'name'", "name"),
    (SIZED.replace("sandtime: 1", "sandtime: 2"), 1, "no version", "sandtime: 1"),
    (SIZED + "idendity: a\n", 5, "'idendity'", "'identity'"),
    (SIZED + "identity:\n", 5, "'identity' has no value", ""),
    (SIZED + f"identity: {LONG}\n", 5, "up to 200", ""),
    (SIZED + "identity: a\nbarcode: 123\n", 6, "same thing twice", "Keep one"),
    (SIZED + "fixture: [a, b]\n", 5, "One line", ""),
    (SIZED + 'fixture: "a\\nb"\n', 5, "One line", ""),
    (SIZED + 'notes: "a\\0b"\n', 5, "A text of up to", ""),
    (SIZED + "notes: {a: b}\n", 5, "A text of up to", ""),
    (SIZED + "metadata: operator\n", 5, "Settings are wanted", ""),
    (SIZED + "metadata:\n  operator:\n", 6, "'operator' has no value", ""),
    (SIZED + "metadata:\n  operator: [a]\n", 6, "One line", ""),
    (SIZED + f"metadata:\n  {LONG}: a\n", 6, "One line", ""),
    (SIZED + "metadata: {" + ", ".join(f"k{n}: v" for n in range(101)) + "}\n", 5, "more than 100", ""),
    # lithium and wiring
    (SIZED + "working: {lithum: 100 µm}\n", 5, "'lithum'", "'lithium'"),
    (SIZED + "working: {lithium: 100 mg}\n", 5, "is a mass", "µm"),
    (SIZED + "working: {uncertainty: 120 %}\n", 5, "between 0 and 100", ""),
    (
        SIZED + "working: {lithium: 100 µm}\ncounter: {lithium: 20 µm}\n",
        5,
        "thin electrode is the working electrode",
        "Swap the leads",
    ),
    (
        SIZED + "counter: {lithium: 4.1 mAh/cm²}\nworking:\n  lithium: 50 µm\n",
        7,
        "thin electrode is the working electrode",
        "the two lines",
    ),
    (
        other("symmetric") + "working: {lithium: 20 µm}\ncounter: {lithium: 100 µm}\n",
        6,
        "same lithium on both sides",
        "geometry: asymmetric",
    ),
    (other("blocking") + "counter: {lithium: 20 µm}\n", 5, "no lithium electrode", "Take 'lithium' out"),
    (other("half") + "working: {lithium: 20 µm}\n", 5, "half cell has no lithium metal", "'counter'"),
    (SIZED + "wiring: {thin_side: working}\n", 5, "'thin_side' is not known", "'thin_side_on'"),
    (SIZED + "wiring: {thin_side_on: red}\n", 5, "'red' is not known", "working"),
    (SIZED + "wiring: {thin_side_on: counter}\n", 5, "here it is on the counter", "Swap the leads"),
    (
        SIZED + "working: {lithium: 100 µm}\ncounter: {lithium: 20 µm}\nwiring: {thin_side_on: counter}\n",
        7,
        "here it is on the counter",
        "swap 'working' and 'counter'",
    ),
    (
        SIZED + "working: {lithium: 20 µm}\ncounter: {lithium: 100 µm}\nwiring: {thin_side_on: counter}\n",
        7,
        "'working' is the one with less",
        "Look at the cell",
    ),
    (
        SIZED + "working: {lithium: 100 µm}\ncounter: {lithium: 20 µm}\nwiring: {thin_side_on: working}\n",
        7,
        "'counter' is the one with less",
        "Look at the cell",
    ),
    (other("symmetric") + "wiring: {thin_side_on: working}\n", 5, "has no thin side", "asymmetric"),
    # electrolyte, capacity, resistance
    (SIZED + "electrolyte: {class: sulphide}\n", 5, "'sulphide'", "'sulfide'"),
    (SIZED + "electrolyte: {thickness: 0 µm}\n", 5, "more than zero", ""),
    (SIZED + "electrolyte: LLZTO\n", 5, "Settings are wanted", "key: value"),
    (SIZED + "mass: 12 mAh\n", 5, "is a charge; a mass", "mg"),
    (SIZED + "mass: 12\n", 5, "no unit", "mg"),
    (SIZED + "capacity: 170 mAh/g\n", 5, "needs the 'mass'", "mass: 12 mg"),
    (SIZED + "capacity: 2 mA\n", 5, "a charge or an areal capacity or a specific capacity", "mAh/g"),
    (SIZED + "capacity: 0 mAh\n", 5, "more than zero", ""),
    (SIZED + "expected_resistance: 50 V\n", 5, "an areal resistance or a resistance", "Ω cm²"),
    (SIZED + "expected_resistance: 0 Ω\n", 5, "more than zero", ""),
    # what it may see
    (SIZED + "pressure: {stack: -1 MPa}\n", 5, "below zero", ""),
    (SIZED + "pressure: {stak: 1 MPa}\n", 5, "'stak'", "'stack'"),
    (SIZED + "temperature: -300 °C\n", 5, "more than zero", ""),
    (SIZED + "temperature: 90 °C\ntemperature_window: {from: 0 °C, to: 80 °C}\n", 5, "90 °C, is outside", ""),
    (SIZED + "temperature_window: {from: 40 °C, to: 80 °C}\n", 5, "25 °C, is outside", "25 °C"),
    (SIZED + "temperature_window: {from: 80 °C, to: 0 °C}\n", 5, "below 'to'", ""),
    (SIZED + "temperature_window: {from: 80 °C}\n", 5, "needs 'to'", "to"),
    (SIZED + "voltage_window: {from: 4 V, to: 2 V}\n", 5, "below 'to'", ""),
    (SIZED + "contains_liquid: maybe\n", 5, "neither yes nor no", "yes"),
    (SIZED + "max_loss: 130 %\n", 5, "between 0 and 100", ""),
]


@pytest.mark.parametrize(("text", "line", "message", "hint"), WRONG)
def test_a_wrong_cell_file_is_told_where_and_what(text: str, line: int, message: str, hint: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        parse_cell(text, "cell.yaml")
    [problem] = caught.value.problems
    assert problem.line == line
    assert message in problem.message
    assert hint in problem.hint


def test_every_problem_of_a_file_is_told_in_its_order() -> None:
    with pytest.raises(InvalidFileError) as caught:
        parse_cell(
            SIZED + "wiring: {thin_side_on: counter}\ncapacity: 1 mAh/g\nidentity: a\nbarcode: b\n", "c"
        )
    assert [problem.line for problem in caught.value.problems] == [5, 6, 8]


def test_lithium_written_in_two_units_is_the_same_lithium() -> None:
    lithium = "working: {lithium: 50 µm}\ncounter: {lithium: 10.3 mAh/cm²}\n"
    assert parse_cell(other("symmetric") + lithium, "c.yaml").geometry == "symmetric"


def test_what_describes_a_cell_arrives() -> None:
    text = """\
area_of: smaller
wiring: {thin_side_on: working, working_lead: red}
barcode: "0042"
fixture: PEEK press 3
notes: |
  Pressed twice.
  Looks fine.
metadata: {operator: J. D., batch: 7}
"""
    cell = parse_cell(SIZED + text, "c.yaml")
    assert (cell.area_of, cell.thin_side_on, cell.working_lead) == ("smaller", "working", "red")
    assert (cell.identity, cell.fixture) == ("0042", "PEEK press 3")
    assert cell.notes == "Pressed twice.\nLooks fine.\n"
    assert cell.metadata == {"operator": "J. D.", "batch": "7"}


@pytest.mark.parametrize(
    ("text", "capacity_C"),
    [("capacity: 2 mAh", 7.2), ("capacity: 2 mAh/cm²", 14.4), ("mass: 10 mg\ncapacity: 170 mAh/g", 6.12)],
)
def test_a_capacity_is_a_charge_or_per_area_or_per_mass(text: str, capacity_C: float) -> None:
    cell = parse_cell(SMALL + f"area: 2 cm²\n{text}\n", "c.yaml")
    assert cell.capacity_C == pytest.approx(capacity_C)


@pytest.mark.parametrize("text", ["50 Ω cm²", "25 Ω", "50 ohm*cm^2"])
def test_an_expected_resistance_is_kept_per_area(text: str) -> None:
    cell = parse_cell(SMALL + f"area: 2 cm²\nexpected_resistance: {text}\n", "c.yaml")
    assert cell.expected_resistance_ohm_m2 == pytest.approx(50e-4)


@pytest.mark.parametrize("text", ["0.35 eV", "350 meV", "33.77 kJ/mol", "33770 J mol-1"])
def test_an_activation_energy_is_that_of_one_particle(text: str) -> None:
    cell = parse_cell(SMALL + f"area: 2 cm²\nactivation_energy: {text}\n", "c.yaml")
    assert cell.activation_energy_J == pytest.approx(5.608e-20, rel=1e-3)


THIN = "area_of: working\nworking: {lithium: 20 µm}\ncounter: {lithium: 100 µm}\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (SIZED + THIN.removeprefix("area_of: working\n"), 4, "which electrode"),
        (other("full"), 4, "which electrode"),
        (other("half"), 4, "which electrode"),
        (SIZED + "area_of: working\n", 3, "does not say the lithium of both sides"),
        (SIZED + THIN.replace("20 µm", "100 µm"), 3, "same lithium on both sides"),
        (other("full") + "area_of: working\nworking: {lithium: 2 mAh/cm²}\n", 6, "is the cathode"),
    ],
)
def test_what_is_doubtful_is_a_warning(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(text, encoding="utf-8")
    cell, errors, warnings = check_cell(path)
    assert cell is not None
    assert not errors
    [warning] = warnings
    assert (warning.file, warning.line) == (str(path), line)
    assert message in warning.message
    assert warning.hint


@pytest.mark.parametrize("text", [SIZED + THIN, other("symmetric"), other("blocking")])
def test_a_cell_file_that_says_what_it_means_has_no_warning(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(text, encoding="utf-8")
    assert check_cell(path) == (parse_cell(text, "cell.yaml"), [], [])


def test_a_check_returns_errors_and_raises_none(tmp_path: Path) -> None:
    cell, errors, warnings = check_cell(tmp_path / "absent.yaml")
    assert (cell, len(errors), warnings) == (None, 1, [])


def test_the_schema_describes_every_key() -> None:
    schema = CellFile.model_json_schema(by_alias=True)
    models = [schema, *schema["$defs"].values()]
    for model in models:
        for key, entry in model["properties"].items():
            assert entry["description"], key
    properties = schema["properties"]
    assert properties["area"]["type"] == "string"
    assert properties["max_loss"]["default"] == "50 %"
    assert "from" in schema["$defs"]["VoltageWindow"]["properties"]
    assert set(schema["required"]) == {"sandtime", "name", "geometry"}
    assert "null" not in json.dumps(schema)


keys = st.sampled_from(
    [
        *CellFile.model_fields,
        "working: {lithium",
        "wiring: {thin_side_on",
        "electrolyte: {class",
        "metadata: {a",
    ]
)
texts = st.sampled_from(
    ["1 cm²", "full", "half", "20 µm", "counter", "1", "2 mAh/g", "yes", "{a: b}", "[1]", ""]
)


@given(st.lists(st.tuples(keys, texts | st.text(max_size=20)), max_size=8))
def test_any_cell_file_is_a_cell_or_an_invalid_file(lines: list[tuple[str, str]]) -> None:
    text = "".join(f"{key}: {value}{'}' * ('{' in key)}\n" for key, value in lines)
    for start in ("", SIZED):
        try:
            cell = parse_cell(start + text, "c.yaml")
        except InvalidFileError as error:
            assert error.problems
        else:
            assert cell.area_m2 > 0


def test_a_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(FULL, encoding="utf-8")
    assert load_cell(path).name == "NCM cell"
