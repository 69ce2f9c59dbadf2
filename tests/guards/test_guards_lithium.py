"""Books of stripped lithium: what is counted once, however a visit was interrupted."""

from __future__ import annotations

import pytest

from guards.guard import StepFacts
from guards.lithium import LithiumBooks
from protocols.capabilities import StepKind

CURRENT_A = 1e-3


def enter(books: LithiumBooks, step: int, kind: StepKind, t_s: float, current_A: float) -> None:
    books.enter(StepFacts(step, 0, kind, t_s, current_A, None))


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_sweep_under_current_in_the_middle_of_a_visit_counts_once(goes_on: bool) -> None:
    books = LithiumBooks()
    enter(books, 0, "constant_current", 0.0, CURRENT_A)
    books.visit_C = 0.1
    enter(books, 5, "geis", 100.0, CURRENT_A)
    enter(books, 0, "constant_current", 150.0, CURRENT_A)
    # Before its first sample, and after it: its charge holds what the sweep has passed.
    assert books.stripped_C("working")[0] == pytest.approx(0.15)
    if goes_on:
        books.visit_C = 0.4
    enter(books, 1, "rest", 1000.0, 0.0)
    assert books.stripped_C("working") == pytest.approx((0.4, 0.4) if goes_on else (0.15, 0.15))


def test_a_sweep_between_two_visits_belongs_to_neither() -> None:
    books = LithiumBooks()
    enter(books, 0, "constant_current", 0.0, CURRENT_A)
    books.visit_C = 0.1
    enter(books, 5, "geis", 100.0, CURRENT_A)
    enter(books, 1, "constant_current", 150.0, -CURRENT_A)
    books.visit_C = -0.1
    enter(books, 1, "constant_current", 300.0, -CURRENT_A)
    books.visit_C = -0.2
    assert books.stripped_C("working") == pytest.approx((-0.05, 0.15))
