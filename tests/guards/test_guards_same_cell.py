"""A cell that comes back is recognised; one that is not what it was asks a person."""

from __future__ import annotations

import pytest

from guards.same_cell import recognise
from protocols.cell import Cell
from protocols.check import LeftCell, SeenCell

SYMMETRIC = Cell(name="Li|Li", area_m2=1e-4)
FULL = Cell(name="full", geometry="full", area_m2=1e-4, voltage_min_V=2.5, voltage_max_V=4.3)
BLOCKING = Cell(name="C|C", geometry="blocking", area_m2=1e-4)


def seen(unix_s: float = 0.0, **values: float | None) -> SeenCell:
    known: dict[str, float | None] = {"open_V": 0.0, "r_hf_ohm": 50.0, "from_Hz": 7e6, **values}
    return SeenCell(unix_s=unix_s, **known)


def result(now: SeenCell, before: SeenCell, cell: Cell = SYMMETRIC, shared: bool = False) -> str:
    return recognise(now, LeftCell(run=7, station="s1", seen=before), cell, shared).result


def test_a_cell_near_its_last_record_is_recognised_and_the_record_is_named() -> None:
    left = LeftCell(run=7, station="bench-2", seen=seen())
    found = recognise(seen(3 * 3600.0, r_hf_ohm=60.0), left, SYMMETRIC)
    assert found.result == "fine"
    for word in ("run 7", "bench-2", "3 h", "50 Ω", "60 Ω"):
        assert word in found.text


@pytest.mark.parametrize("r_hf_ohm", [10.0, 250.0])
def test_another_resistance_asks(r_hf_ohm: float) -> None:
    found = recognise(seen(1.0, r_hf_ohm=r_hf_ohm), LeftCell(run=7, station="s1", seen=seen()), SYMMETRIC)
    assert found.result == "asks"
    assert "?" in found.text
    assert "--anyway" in found.advice


@pytest.mark.parametrize(
    ("cell", "open_V", "expected"),
    [
        (SYMMETRIC, 0.03, "fine"),
        (SYMMETRIC, 0.1, "asks"),
        (FULL, 0.2, "fine"),
        (FULL, 0.5, "asks"),
        (BLOCKING, 0.5, "fine"),
    ],
)
def test_voltages_may_differ_by_what_relaxes(cell: Cell, open_V: float, expected: str) -> None:
    assert result(seen(open_V=open_V), seen(), cell) == expected


@pytest.mark.parametrize(
    ("now_K", "before_K", "expected"),
    [
        (298.0, 300.0, "asks"),
        (None, None, "fine"),
        (298.0, 333.0, "fine"),
        (298.0, None, "fine"),
    ],
)
def test_resistances_are_compared_at_temperatures_that_are_known_to_be_near(
    now_K: float | None, before_K: float | None, expected: str
) -> None:
    """2.5 times R is too much at one temperature, but no more than a room's swing may add to a change."""
    now, before = seen(r_hf_ohm=125.0, temperature_K=now_K), seen(temperature_K=before_K)
    assert result(now, before) == expected


def test_resistances_from_other_frequencies_are_not_compared() -> None:
    assert result(seen(r_hf_ohm=500.0, from_Hz=1e5), seen()) == "fine"


@pytest.mark.parametrize("before", [seen(open_V=None), seen(r_hf_ohm=None)])
def test_what_was_not_seen_is_not_compared(before: SeenCell) -> None:
    assert result(seen(), before) == "fine"


def test_where_nothing_can_be_compared_it_says_so() -> None:
    assert result(seen(), seen(open_V=None, r_hf_ohm=None)) == "unknown"
    assert recognise(seen(), None, SYMMETRIC).result == "unknown"
    assert result(seen(r_hf_ohm=500.0), seen(), shared=True) == "unknown"
