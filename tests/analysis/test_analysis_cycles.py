"""Half-cycles summed from samples agree with what passed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.cycles import HalfCycleMeter
from protocols.records import HalfCycle

Floats = NDArray[np.float64]
CURRENT_A = 1e-3
LASTS_s = 1000.0


def stretch(
    begin_s: float, current_A: float, times: Floats | None = None
) -> tuple[list[float], list[float], list[float]]:
    """Samples of a half-cycle: E = I · (40 Ω + 10 Ω · share of time)."""
    since = np.arange(1.0, LASTS_s + 1.0) if times is None else times
    resistance = 40.0 + 10.0 * since / LASTS_s
    return (begin_s + since).tolist(), (current_A * resistance).tolist(), [current_A] * len(since)


def begin(meter: HalfCycleMeter, number: int, t_s: float, current_A: float) -> HalfCycle | None:
    planned = abs(current_A) * LASTS_s if current_A else None
    return meter.begin(step=number, visit=0, t_s=t_s, set_current_A=current_A, planned_charge_C=planned)


def check(row: HalfCycle | None, number: int, sign: float) -> None:
    assert row is not None
    assert (row.number, row.set_current_A) == (number, sign * CURRENT_A)
    assert row.charge_C == pytest.approx(sign * CURRENT_A * LASTS_s, rel=1e-3)
    assert row.current_A == pytest.approx(sign * CURRENT_A)
    assert row.overpotential_V == pytest.approx(CURRENT_A * 45.0, rel=1e-3)
    assert max(abs(row.voltage_min_V), abs(row.voltage_max_V)) == pytest.approx(CURRENT_A * 50.0)


def test_a_change_of_sign_ends_a_half_cycle() -> None:
    meter = HalfCycleMeter()
    for number, sign in enumerate((1.0, -1.0, 1.0)):
        t_s = number * LASTS_s
        closed = begin(meter, number, t_s, sign * CURRENT_A)
        if number == 0:
            assert closed is None
        else:
            check(closed, number - 1, -sign)
            assert closed is not None
            assert (closed.complete, closed.t_end_s) == (True, t_s)
        meter.add(*stretch(t_s, sign * CURRENT_A))
        assert meter.number == number
    last = meter.close(complete=False)
    check(last, 2, 1.0)
    assert last is not None
    assert not last.complete


def test_a_rest_neither_ends_a_half_cycle_nor_adds_charge() -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    meter.add(*stretch(0.0, CURRENT_A, np.arange(1.0, 501.0)))
    begin(meter, 1, 500.0, 0.0)
    meter.add([600.0, 700.0], [0.3, 0.3], [0.0, 0.0])
    begin(meter, 2, 800.0, CURRENT_A)
    meter.add(*stretch(800.0, CURRENT_A, np.arange(1.0, 501.0)))
    row = meter.close(complete=True)
    assert row is not None
    assert row.number == 0
    assert row.charge_C == pytest.approx(CURRENT_A * 1000.0)
    assert row.planned_charge_C == pytest.approx(2 * CURRENT_A * LASTS_s)
    assert row.voltage_max_V < 0.1


def test_the_charge_under_a_spectrum_is_counted() -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    meter.add(*stretch(0.0, CURRENT_A, np.arange(1.0, 501.0)))
    begin(meter, 1, 500.0, CURRENT_A)
    begin(meter, 2, 800.0, CURRENT_A)
    meter.add(*stretch(800.0, CURRENT_A, np.arange(1.0, 501.0)))
    row = meter.close(complete=True)
    assert row is not None
    assert row.charge_C == pytest.approx(CURRENT_A * 1300.0)


def test_a_visit_that_goes_on_has_its_plan_once() -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    meter.add(*stretch(0.0, CURRENT_A, np.arange(1.0, 501.0)))
    begin(meter, 9, 500.0, 0.0)
    meter.begin(step=0, visit=0, t_s=900.0, set_current_A=CURRENT_A, planned_charge_C=CURRENT_A * LASTS_s)
    meter.add(*stretch(900.0, CURRENT_A, np.arange(1.0, 501.0)))
    row = meter.close(complete=True)
    assert row is not None
    assert row.charge_C == pytest.approx(row.planned_charge_C)


def test_a_gap_at_the_end_of_a_step_is_not_filled_with_current() -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    meter.add(*stretch(0.0, CURRENT_A, np.arange(1.0, 101.0)))
    closed = begin(meter, 1, 5000.0, -CURRENT_A)
    assert closed is not None
    assert closed.charge_C == pytest.approx(CURRENT_A * 101.0)


def test_no_current_flowed_between_two_segments() -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    meter.add(*stretch(0.0, CURRENT_A, np.arange(1.0, 501.0)))
    meter.interrupted(5000.0)
    meter.begin(step=0, visit=0, t_s=5000.0, set_current_A=CURRENT_A, planned_charge_C=CURRENT_A * LASTS_s)
    meter.add(*stretch(5000.0, CURRENT_A, np.arange(1.0, 501.0)))
    row = meter.close(complete=True)
    assert row is not None
    # The last second before the interruption may have had current.
    assert row.charge_C == pytest.approx(CURRENT_A * 1001.0)


@pytest.mark.parametrize(("part", "counted_s"), [(1.0, 60.0), (0.1, 6.0), (-0.1, 0.0)])
def test_a_look_in_the_middle_of_a_step_counts_as_its_own_current(part: float, counted_s: float) -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    meter.add(*stretch(0.0, CURRENT_A, np.arange(0.0, 501.0)))
    meter.interrupted(500.0)
    current_A = part * CURRENT_A
    closed = meter.begin(
        step=9, visit=0, t_s=500.0, set_current_A=current_A, planned_charge_C=None, inserted=True
    )
    assert closed is None
    meter.add([560.0], [0.1], [current_A])
    meter.interrupted(560.0)
    meter.begin(step=0, visit=0, t_s=560.0, set_current_A=CURRENT_A, planned_charge_C=CURRENT_A * LASTS_s)
    meter.add(*stretch(560.0, CURRENT_A, np.arange(0.0, 501.0)))
    row = meter.close(complete=True)
    assert row is not None
    assert row.number == 0
    assert row.planned_charge_C == pytest.approx(CURRENT_A * LASTS_s)
    assert row.charge_C == pytest.approx(CURRENT_A * (1000.0 + counted_s))


def test_a_step_without_samples_makes_no_half_cycle() -> None:
    meter = HalfCycleMeter()
    assert meter.close(complete=False) is None
    begin(meter, 0, 0.0, CURRENT_A)
    assert meter.close(complete=False) is None
    assert meter.number == -1


@given(
    steps=st.lists(st.floats(0.01, 5.0), min_size=5, max_size=200),
    cuts=st.lists(st.integers(1, 199), max_size=5),
    saved=st.booleans(),
)
def test_stretches_and_restarts_change_nothing(steps: list[float], cuts: list[int], saved: bool) -> None:
    columns = stretch(0.0, CURRENT_A, np.cumsum(steps))
    whole, parts = HalfCycleMeter(), HalfCycleMeter()
    begin(whole, 0, 0.0, CURRENT_A)
    whole.add(*columns)
    begin(parts, 0, 0.0, CURRENT_A)
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), len(steps)], strict=True):
        parts.add(*(column[first:last] for column in columns))
        if saved:
            state = json.loads(json.dumps(parts.state(), allow_nan=False))
            parts = HalfCycleMeter()
            parts.restore(state)
    one, other = whole.close(complete=True), parts.close(complete=True)
    assert one is not None
    assert other is not None
    for key, value in one.model_dump().items():
        assert getattr(other, key) == pytest.approx(value), key
    assert one.charge_C == pytest.approx(CURRENT_A * sum(steps))


UNMEASURED = [float("nan"), float("inf"), float("-inf"), 9.9e37]


@pytest.mark.parametrize("wrong", UNMEASURED)
@pytest.mark.parametrize("at", [0, 500, 999])
@pytest.mark.parametrize("column", [1, 2])
def test_one_value_that_was_not_measured_changes_nothing(wrong: float, at: int, column: int) -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    samples = stretch(0.0, CURRENT_A)
    samples[column][at] = wrong
    for values in zip(*samples, strict=True):
        meter.add(*([value] for value in values))
    json.dumps(meter.state(), allow_nan=False)
    row = meter.close(complete=True)
    assert row is not None
    assert row.t_end_s == LASTS_s
    assert row.charge_C == pytest.approx(CURRENT_A * LASTS_s)
    assert row.overpotential_V == pytest.approx(CURRENT_A * 45.0, rel=1e-3)
    assert row.voltage_max_V == pytest.approx(CURRENT_A * 50.0, rel=1e-3)


def test_charge_is_counted_while_only_the_voltage_is_not_measured() -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    t_s, voltage, current = stretch(0.0, CURRENT_A)
    current[500:] = [2 * CURRENT_A] * 500
    meter.add(t_s, voltage[:500] + [float("nan")] * 500, current)
    row = meter.close(complete=True)
    assert row is not None
    assert row.charge_C == pytest.approx(1.5 * CURRENT_A * LASTS_s, rel=1e-3)
    assert row.voltage_end_V == voltage[499]


def test_without_any_measurement_there_is_no_half_cycle() -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    meter.add([1.0, 2.0], [float("nan")] * 2, [CURRENT_A] * 2)
    assert meter.close(complete=False) is None


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=50), st.integers(1, 7))
def test_whatever_comes_half_cycles_are_finite(values: list[tuple[float, float]], poll: int) -> None:
    meter = HalfCycleMeter()
    begin(meter, 0, 0.0, CURRENT_A)
    for first in range(0, len(values), poll):
        part = values[first : first + poll]
        times = [1.0 + first + k for k in range(len(part))]
        meter.add(times, [voltage for voltage, _ in part], [current for _, current in part])
        json.dumps(meter.state(), allow_nan=False)
    row = meter.close(complete=True)
    whole = any(abs(voltage) < 1e9 and abs(current) < 1e9 for voltage, current in values)
    assert (row is not None) == whole
