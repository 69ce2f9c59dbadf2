"""The simulated instrument's clock: real time × speed, held for its host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulation.clock import HeldClock


class RealTime:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def spend(clock: HeldClock, oldest_s: float | None, *, hosted: bool) -> None:
    clock.accrue()
    while clock.step(oldest_s, hosted=hosted):
        pass


@pytest.mark.parametrize("speed", [1.0, 50.0, 10_000.0])
def test_time_passes_at_its_speed_while_nobody_is_connected(speed: float) -> None:
    real = RealTime()
    clock = HeldClock(real, speed)
    real.now_s += 3.0
    spend(clock, 0.0, hosted=False)
    assert clock.now_s == pytest.approx(3.0 * speed)


def test_it_waits_for_old_data_to_be_fetched_and_then_goes_on() -> None:
    real = RealTime()
    clock = HeldClock(real, speed=100.0, max_lag_s=10.0)
    real.now_s += 1.0
    spend(clock, 4.0, hosted=True)
    assert clock.now_s == pytest.approx(14.0)
    real.now_s += 0.05
    spend(clock, None, hosted=True)
    # The time for which it was held is not made up for.
    assert clock.now_s == pytest.approx(19.0)


def test_at_real_speed_it_never_waits() -> None:
    real = RealTime()
    clock = HeldClock(real, speed=1.0, max_lag_s=10.0)
    real.now_s += 60.0
    spend(clock, 0.0, hosted=True)
    assert clock.now_s == pytest.approx(60.0)


def test_strides_that_are_short_in_real_time_are_never_cut() -> None:
    real = RealTime()
    clock = HeldClock(real, speed=10_000.0, max_lag_s=10.0)
    reached = set()
    for real_s in (0.0003, 0.0009, 0.0001, 0.0012, 0.1):
        real.now_s += real_s
        spend(clock, None, hosted=True)
        # Nothing moves while the host has something to act on, even if it is new.
        before_s = clock.now_s
        real.now_s += 0.0005
        spend(clock, before_s - 1.0, hosted=True)
        assert clock.now_s == before_s
        reached.add(clock.now_s % 10.0)
    assert reached == {0.0}
    assert clock.now_s > 100.0
    # What it was held for is made up for by no more than one stride.
    real.now_s += 60.0
    before_s = clock.now_s
    spend(clock, before_s - 1.0, hosted=True)
    spend(clock, None, hosted=True)
    assert clock.now_s == before_s + 10.0


def test_it_does_not_move_while_it_stands() -> None:
    real = RealTime()
    clock = HeldClock(real, speed=1.0)
    real.now_s += 60.0
    clock.accrue()
    assert not clock.step(None, hosted=False, stands=True)
    assert not clock.step(None, hosted=False)
    assert clock.now_s == 0.0


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.booleans()), max_size=40), st.floats(1.5, 1e5))
def test_with_a_host_it_never_passes_the_oldest_sample_by_more_than_the_lag(
    moves: list[tuple[float, bool]], speed: float
) -> None:
    real = RealTime()
    clock = HeldClock(real, speed, max_lag_s=10.0)
    waiting: list[float] = []
    for real_s, fetch in moves:
        real.now_s += real_s
        clock.accrue()
        before_s = clock.now_s
        # One sample comes just after each stride has begun.
        while clock.step(min(waiting, default=None), hosted=True):
            assert clock.now_s <= min(waiting, default=before_s) + 10.0 + 1e-9
            waiting.append(before_s)
            before_s = clock.now_s
        if fetch:
            waiting.clear()
