"""Long trials of the guards on synthetic cells, by hand: ``make soak``. Results are kept in docs/soak.md."""

from __future__ import annotations

import pytest
from guard_trials import first_verdict
from synthetic_cells import HOUR, draw_cell, draw_plan, play

CELLS = 700
FIRST_SEED = 50_000
"""Seeds that no rule was ever tuned on."""
HOURS = 30.0
GOAL_HOURS = 10_000.0
"""At most one false stop in so many hours under current (facts/shorts.md §7, G1)."""


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_false_stops_of_healthy_cells() -> None:
    stopped, hours = [], 0.0
    for seed in range(FIRST_SEED, FIRST_SEED + CELLS):
        plan = draw_plan(seed, HOURS)
        hours += sum(step[2] for step in plan) / HOUR
        verdict = first_verdict(play(draw_cell(seed), plan))
        if verdict is not None:
            stopped.append((seed, verdict.message))
    print(f"{len(stopped)} false stops in {hours:.0f} h: {stopped}")  # noqa: T201 - the result of the trial
    assert len(stopped) <= hours / GOAL_HOURS
