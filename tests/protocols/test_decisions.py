"""Criteria against what was found."""

from __future__ import annotations

from typing import get_args

import pytest

from protocols.decisions import Findings, asked_for, holds
from protocols.nodes import Criterion, Measured


def criterion(quantity: str, comparison: str, value: float) -> Criterion:
    return Criterion.model_validate({"quantity": quantity, "comparison": comparison, "value": value})


def test_every_quantity_is_a_finding() -> None:
    assert set(Findings.model_fields) == set(get_args(Measured))


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [("above", 1.0, True), ("above", 2.0, False), ("below", 3.0, True), ("below", 2.0, False)],
)
def test_a_value_is_compared(comparison: str, value: float, expected: bool) -> None:
    assert holds([criterion("cycle", comparison, value)], Findings(cycle=2.0)) is expected


def test_all_have_to_hold_and_what_is_unknown_does_not() -> None:
    both = [criterion("cycle", "above", 1.0), criterion("retention", "below", 0.8)]
    assert not holds(both, Findings(cycle=2.0))
    assert not holds(both, Findings(cycle=2.0, retention=0.9))
    assert holds(both, Findings(cycle=2.0, retention=0.7))
    assert asked_for(both, Findings(cycle=2.0)) == {"cycle": 2.0, "retention": None}
