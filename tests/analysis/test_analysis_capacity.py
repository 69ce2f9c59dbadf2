"""Cycles from half-cycles: what was put in, what came back."""

from __future__ import annotations

import pytest

from analysis.capacity import CapacityMeter, stores_charge
from protocols.cell import Cell, Electrode

FULL = Cell(name="full", geometry="full", area_m2=1e-4)
PLATING = Cell(name="Li|Cu", geometry="asymmetric", area_m2=1e-4, working=Electrode(inventory_C_per_m2=0.0))


def after(cell: Cell, charges: list[float], retention_from: int = 1) -> CapacityMeter:
    meter = CapacityMeter(cell, retention_from)
    for charge_C in charges:
        meter.add(charge_C)
    return meter


def test_which_cells_store_charge() -> None:
    half = Cell(name="half", geometry="half", area_m2=1e-4)
    assert stores_charge(FULL)
    assert stores_charge(half.model_copy(update={"capacity_C": 3.6}))
    assert stores_charge(half.model_copy(update={"mass_kg": 1e-6}))
    assert not stores_charge(half) and not stores_charge(PLATING)


@pytest.mark.parametrize(("cell", "sign"), [(FULL, 1.0), (PLATING, -1.0)])
def test_efficiency_and_retention(cell: Cell, sign: float) -> None:
    meter = after(cell, [sign * charge for charge in (10.0, -9.0, 9.0, -8.0, 8.0, -6.0)])
    assert meter.cycles == 3
    assert meter.last is not None
    assert meter.last.efficiency == pytest.approx(6.0 / 8.0)
    assert meter.mean_efficiency == pytest.approx((0.9 + 8.0 / 9.0 + 0.75) / 3)
    assert meter.retention == pytest.approx(6.0 / 9.0)


def test_retention_counts_from_a_later_cycle() -> None:
    charges = [10.0, -9.0, 9.0, -8.0, 8.0, -6.0]
    assert after(FULL, charges, retention_from=2).retention == pytest.approx(6.0 / 8.0)
    assert after(FULL, charges, retention_from=9).retention is None


def test_the_numbers_of_a_program_count() -> None:
    meter = CapacityMeter(FULL, retention_from=1)
    for charge_C, number in [(10.0, 0), (-9.0, 0), (9.0, 1), (-8.0, 1), (8.0, 2), (-6.0, 2)]:
        meter.add(charge_C, number)
    assert meter.retention == pytest.approx(6.0 / 8.0)


def test_a_cell_that_begins_charged_is_compared_with_its_first_whole_cycle() -> None:
    meter = CapacityMeter(FULL, retention_from=1)
    for charge_C, number in [(-10.0, 1), (9.0, 1), (-8.0, 2), (8.0, 2), (-4.0, 3)]:
        meter.add(charge_C, number)
    assert meter.cycles == 2
    assert meter.retention == pytest.approx(0.5)


def test_an_open_half_cycle_counts_without_a_trace() -> None:
    meter = after(FULL, [10.0, -9.0, 9.0])
    before = meter.state()
    assert meter.with_open(-7.0, None).retention == pytest.approx(7.0 / 9.0)
    assert meter.state() == before
    other = CapacityMeter(FULL)
    other.restore(before)
    assert other.state() == before


def test_nothing_is_known_before_the_first_cycle() -> None:
    meter = after(FULL, [10.0])
    assert (meter.last, meter.retention, meter.mean_efficiency, meter.cycles) == (None, None, None, 0)
