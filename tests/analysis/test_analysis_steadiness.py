"""When E or I is steady: not too early, however fast the samples come, and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from analysis.steadiness import BINS, ChangeJudge, SlopeJudge, Window, slope


def fires(add: Callable[[float, float], bool], samples: Iterator[tuple[float, float]]) -> float | None:
    """Return the time at which a judge says so first."""
    return next((t_s for t_s, value in samples if add(t_s, value)), None)


def sampled(
    value: Callable[[float], float], interval_s: float, until_s: float = 1000.0
) -> Iterator[tuple[float, float]]:
    for k in range(int(until_s / interval_s)):
        yield k * interval_s, value(k * interval_s)


@pytest.mark.parametrize("interval_s", [0.1, 1.0, 7.0])
def test_drift_ends_once_a_window_is_there(interval_s: float) -> None:
    judge = SlopeJudge(rate_V_per_s=1e-5, over_s=60.0)
    fired_s = fires(judge.add, sampled(lambda t: 3.0 + 5e-6 * t, interval_s))
    assert fired_s is not None and 60.0 <= fired_s <= 60.0 + 2 * interval_s + 60.0 / BINS


def test_drift_that_is_too_fast_never_ends() -> None:
    judge = SlopeJudge(rate_V_per_s=1e-5, over_s=60.0)
    assert fires(judge.add, sampled(lambda t: 3.0 - 2e-5 * t, 1.0)) is None


def test_noise_much_larger_than_the_rate_does_not_hide_a_drift() -> None:
    noise = np.random.default_rng(1).normal(0.0, 1e-4, 10_000)
    judge = SlopeJudge(rate_V_per_s=1e-5, over_s=300.0)
    assert fires(judge.add, sampled(lambda t: 3.0 + 4e-5 * t + noise[int(t * 10)], 0.1)) is None


def test_a_relaxation_ends_when_its_slope_has_fallen() -> None:
    judge = SlopeJudge(rate_V_per_s=1e-6, over_s=30.0)
    fired_s = fires(judge.add, sampled(lambda t: 0.05 * np.exp(-t / 50.0), 1.0))
    # 0.05 V / 50 s × exp(−t / 50 s) is 1 µV/s at 345 s, in the middle of the window.
    assert fired_s is not None and fired_s == pytest.approx(361.0, abs=5.0)


def test_a_current_is_steady_when_it_no_longer_falls() -> None:
    judge = ChangeJudge(change=0.02, over_s=40.0)
    fired_s = fires(judge.add, sampled(lambda t: -1e-3 * (0.1 + np.exp(-t / 20.0)), 1.0))
    assert fired_s is not None and 60.0 < fired_s < 200.0
    falling = ChangeJudge(change=0.02, over_s=40.0)
    assert fires(falling.add, sampled(lambda t: 1e-3 * np.exp(-t / 500.0), 1.0)) is None


def test_memory_is_bounded() -> None:
    window = Window(10.0)
    for t_s, value in sampled(lambda t: t, 1e-3, until_s=100.0):
        window.add(t_s, value)
    points = window.points()
    assert BINS / 2 < len(points) <= BINS + 1
    assert points[0][0] > 89.0


def test_what_was_not_measured_is_passed_over() -> None:
    judge = SlopeJudge(rate_V_per_s=1e-5, over_s=60.0)
    broken = sampled(lambda t: float("nan") if int(t) % 2 else 9.9e37 if int(t) % 3 else 3.0, 1.0)
    assert fires(judge.add, broken) is not None


def test_samples_that_come_too_seldom_tell_nothing() -> None:
    judge = SlopeJudge(rate_V_per_s=1.0, over_s=10.0)
    assert fires(judge.add, sampled(lambda t: 3.0, 20.0)) is None


def test_a_slope_of_one_point_is_none() -> None:
    assert slope([(1.0, 2.0)]) == 0.0
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
