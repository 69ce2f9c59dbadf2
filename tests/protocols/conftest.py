"""A sensible cell and a channel such as a VSP-300's."""

from __future__ import annotations

import pytest

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.cellfile import parse_cell

CELL = """\
sandtime: 1
name: garnet pellet
geometry: symmetric
area: 0.5 cm²
working: {lithium: 100 µm}
counter: {lithium: 100 µm}
electrolyte: {name: LLZTO, class: garnet, thickness: 600 µm}
"""


@pytest.fixture
def cell() -> Cell:
    return parse_cell(CELL, "cell.yaml")


@pytest.fixture
def channel() -> Capabilities:
    return Capabilities(
        model="a VSP-300",
        current_max_A=0.5,
        voltage_min_V=-10.0,
        voltage_max_V=10.0,
        step_kinds=("rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"),
        temperature_min_K=263.15,
        temperature_max_K=373.15,
        current_ranges_A=(1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0),
        frequency_min_Hz=1e-5,
        frequency_max_Hz=7e6,
        sample_interval_min_s=0.001,
        on_board={"rest": ("time",), "constant_current": ("voltage", "time"), "geis": ()},
        opposite_voltage_on_board=False,
        at_host_loss="keeps running with its limits",
    )
