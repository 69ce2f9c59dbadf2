"""Cell files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from protocols.cellfile import load_cell, parse_cell
from protocols.errors import InvalidFileError

SMALL = "sandtime: 1\nname: a cell\ngeometry: asymmetric\n"

FULL = """\
sandtime: 1
name: NCM cell
geometry: full
diameter: 12 mm
working: {lithium: 2 mAh/cm², uncertainty: 5 %}
counter: {lithium: 50 µm}
electrolyte: {name: LPSC, class: sulfide, thickness: 0.6 mm}
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
    assert cell.electrolyte_thickness_m == pytest.approx(6e-4)
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


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        (SMALL, 1, "'area' or a 'diameter'", "cm²"),
        (SMALL + "area: 1 cm²\ndiameter: 1 cm\n", 1, "'area' or a 'diameter'", "cm²"),
        (SMALL + "area: 1\n", 4, "no unit", "cm²"),
        (SMALL + "area: 1 cm\n", 4, "is a length; an area", "cm²"),
        (SMALL + "area: 0 cm²\n", 4, "more than zero", ""),
        (SMALL.replace("asymmetric", "asymetric") + "area: 1 cm²\n", 3, "not known", "asymmetric"),
        ("sandtime: 1\nname: x\narea: 1 cm²\n", 1, "needs 'geometry'", "geometry"),
        (SMALL + "area: 1 cm²\nworking: {lithum: 100 µm}\n", 5, "'lithum'", "'lithium'"),
        (SMALL + "area: 1 cm²\nworking: {lithium: 100 mg}\n", 5, "is a mass", "µm"),
        (SMALL + "area: 1 cm²\nelectrolyte: {class: sulphide}\n", 5, "'sulphide'", "'sulfide'"),
        (SMALL + "area: 1 cm²\ncontains_liquid: maybe\n", 5, "neither yes nor no", "yes"),
        (SMALL + "area: 1 cm²\nmax_loss: 130 %\n", 5, "between 0 and 100", ""),
        (SMALL + "area: 1 cm²\nvoltage_window: {from: 4 V, to: 2 V}\n", 5, "below 'to'", ""),
    ],
)
def test_a_wrong_cell_file_is_told_where_and_what(text: str, line: int, message: str, hint: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        parse_cell(text, "cell.yaml")
    [problem] = caught.value.problems
    assert problem.line == line
    assert message in problem.message
    assert hint in problem.hint


def test_a_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(FULL, encoding="utf-8")
    assert load_cell(path).name == "NCM cell"
