"""The slope of a noisy value, and how sure it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from guards.rise import Rise


def rise_of(times: np.ndarray, values: np.ndarray) -> Rise:
    rise = Rise()
    for t, value in zip(times.tolist(), values.tolist(), strict=True):
        rise.add(t, value)
    return rise


@pytest.mark.parametrize("count", [5, 6, 8, 20, 200])
def test_the_highest_slope_is_that_of_a_line_with_students_confidence(count: int) -> None:
    rng = np.random.default_rng(count)
    t = np.arange(count) * 0.7
    values = 40.0 + 0.3 * t + rng.normal(0.0, 0.2, count)
    line = stats.linregress(t, values)
    wanted = line.slope + stats.t.ppf(0.995, count - 2) * line.stderr
    assert rise_of(t, values).highest_per_s() == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize("times", [[], [0.0, 1.0, 2.0], [3.0, 3.0, 3.0, 3.0, 3.0]])
def test_too_few_values_or_all_at_one_time_exclude_no_slope(times: list[float]) -> None:
    assert rise_of(np.array(times), np.arange(len(times))).highest_per_s() == math.inf


def test_a_constant_on_top_of_a_large_one_does_not_rise() -> None:
    assert rise_of(np.arange(10.0), np.full(10, 1e9)).highest_per_s() == 0.0
