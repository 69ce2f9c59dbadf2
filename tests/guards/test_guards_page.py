"""docs/guards.md tells the thresholds that hold."""

from __future__ import annotations

import importlib
from dataclasses import asdict
from pathlib import Path

import pytest

from guards.watch import Watch
from protocols.cell import Cell
from protocols.program import GuardSettings, Limits, Program

PAGE = Path(__file__).parents[2] / "docs" / "guards.md"


def rows() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    lines = PAGE.read_text(encoding="utf-8").partition("| guard | threshold | usual value |")[2].splitlines()
    for line in lines:
        cells = [cell.strip(" `") for cell in line.split("|")]
        if len(cells) == 5 and cells[3] and not cells[3].startswith("-"):
            found.setdefault(cells[1], {})[cells[2]] = float(cells[3])
    return found


@pytest.mark.parametrize("guard", [*GuardSettings().enabled, "over_range"])
def test_the_page_names_each_threshold_with_its_value(guard: str) -> None:
    usual = asdict(importlib.import_module(f"guards.{guard}").Thresholds())
    assert rows()[guard] == pytest.approx(usual)


@pytest.mark.parametrize("guard", GuardSettings().enabled)
def test_each_threshold_can_be_set(guard: str) -> None:
    limits = Limits(voltage_min_V=-2.0, voltage_max_V=2.0, current_max_A=0.01)
    geometry = "full" if guard == "full_cell" else "symmetric"
    for name, value in rows()[guard].items():
        settings = GuardSettings(overrides={guard: {name: 1.25 * value}})
        cell = Cell(name="c", geometry=geometry, area_m2=1e-4)
        program = Program(protocol="p", cell=cell, steps=(), limits=limits, guards=settings)
        assert Watch.for_program(program).thresholds[guard][name] == pytest.approx(1.25 * value)
