"""What is said about wrong protocol files: the tables of ``wrong_files/`` (their form: tests/support)."""

from __future__ import annotations

from pathlib import Path

import pytest
from wrong_files import FILE, WrongFile, read_cases

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError, Problem
from protocols.protocol import parse_protocol

CASES = [
    case
    for path in sorted((Path(__file__).parent / "wrong_files").glob("*.txt"))
    for case in read_cases(path)
]

ANY_CELL = "sandtime: 1\nname: c\narea: 0.5 cm²\nelectrolyte: {class: garnet}\n"
WARM = "temperature_window: {from: 10 °C, to: 80 °C}\n"
CELLS = {
    "symmetric": ANY_CELL + WARM + "geometry: symmetric\ncapacity: 2 mAh\nmass: 8 mg\n",
    "bare": ANY_CELL + "geometry: symmetric\n",
    "full": ANY_CELL + WARM + "geometry: full\ncapacity: 2 mAh\nvoltage_window: {from: 2.5 V, to: 4.2 V}\n",
    "full without window": ANY_CELL + "geometry: full\ncapacity: 2 mAh\n",
}
ABLE = Capabilities(
    model="VSP",
    current_max_A=0.5,
    voltage_min_V=-10.0,
    voltage_max_V=10.0,
    step_kinds=("rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"),
    current_ranges_A=(1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0),
    frequency_min_Hz=1e-5,
    frequency_max_Hz=7e6,
    temperature_min_K=263.15,
    temperature_max_K=373.15,
    sample_interval_min_s=0.001,
)
CHANNELS = {
    "able": ABLE,
    "pushes only": ABLE.model_copy(update={"model": "SUPPLY", "current_min_A": 0.0}),
    "positive voltages": ABLE.model_copy(update={"model": "SUPPLY", "voltage_min_V": -0.1}),
    "no chamber": ABLE.model_copy(update={"temperature_min_K": None, "temperature_max_K": None}),
    "no impedance": ABLE.model_copy(update={"frequency_min_Hz": None, "frequency_max_Hz": None}),
    "cycler": ABLE.model_copy(update={"model": "CT", "step_kinds": ("rest", "constant_current")}),
    "one range": ABLE.model_copy(update={"model": "CT", "current_ranges_A": (0.1,)}),
    "short list": ABLE.model_copy(update={"model": "CT", "steps_max": 2}),
    "short steps": ABLE.model_copy(update={"model": "CT", "step_max_s": 3600.0}),
    "slow": ABLE.model_copy(update={"model": "CT", "sample_interval_min_s": 2.0}),
}


def cell_of(name: str) -> Cell:
    return parse_cell(CELLS[name], "cell.yaml")


def said_about(case: WrongFile) -> tuple[Problem, ...]:
    """Return what is wrong with a file; of a right one what it is warned of, if that is looked for."""
    try:
        protocol = parse_protocol(case.text, FILE, case.settings, case.included)
        compile_program(protocol, cell_of(case.cell), CHANNELS[case.channel])
    except InvalidFileError as error:
        return error.problems
    return protocol.warnings if case.warning else ()


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_a_wrong_file_is_told_where_what_and_what_was_meant(case: WrongFile) -> None:
    said = said_about(case)
    places = [(problem.file, problem.line, problem.column) for problem in said]
    assert places == [(place.file, place.line, place.column) for place in case.expected], said
    for problem, expected in zip(said, case.expected, strict=True):
        assert expected.message
        assert expected.message in problem.message
        assert expected.hint in problem.hint


def test_no_case_stands_there_twice() -> None:
    titles = [case.title for case in CASES]
    assert sorted(set(titles)) == sorted(titles)
    assert len(titles) >= 120
