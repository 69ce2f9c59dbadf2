"""What sealing leaves out can be told from what it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.cell import Cell
from protocols.nodes import ConstantCurrent, ConstantVoltage, Rest
from protocols.program import Limits, Program
from storage.columns import Columns
from storage.thinning import Recording

LIMITS = Limits(voltage_min_V=-1, voltage_max_V=1, current_max_A=1)


def program(**record: float | None) -> Program:
    """Step 0 is a rest, 1 a constant current with a dense minute, 2 a constant voltage."""
    return Program(
        protocol="p",
        cell=Cell(name="c", area_m2=1e-4),
        steps=(
            Rest(index=0, label="", duration_s=1e4),
            ConstantCurrent(index=1, label="", current_A=1e-3, duration_s=1e4, dense_s=60.0),
            ConstantVoltage(index=2, label="", voltage_V=0.5, duration_s=1e4),
        ),
        limits=LIMITS,
        **{"record_dE_V": None, **record},
    )


def samples(rows: int, **changes: object) -> Columns:
    """Quiet samples, one a second, of step 0."""
    columns: Columns = {
        "t_s": np.arange(rows, dtype=np.float64),
        "voltage_V": np.full(rows, 0.1),
        "current_A": np.zeros(rows),
        "charge_C": np.zeros(rows),
        **{name: np.zeros(rows, dtype=np.int32) for name in ("step", "visit", "half_cycle", "flags")},
    }
    return {**columns, **{name: np.asarray(values) for name, values in changes.items()}}


def kept(recording: Program, columns: Columns, whole: tuple[tuple[float, float], ...] = ()) -> list[int]:
    return np.flatnonzero(Recording(recording).kept(columns, whole)).tolist()


def test_without_an_interval_all_is_kept() -> None:
    assert kept(program(record_dE_V=1.0), samples(100)) == list(range(100))


def test_one_sample_an_interval_and_the_last() -> None:
    assert kept(program(record_s=10.0), samples(26)) == [0, 10, 20, 25]


def test_a_sample_that_comes_a_little_early_is_not_passed_over() -> None:
    t_s = np.arange(40) - np.linspace(0.0, 0.01, 40)
    assert kept(program(record_s=10.0), samples(40, t_s=t_s)) == [0, 10, 20, 30, 39]
    assert kept(program(record_s=1.0), samples(40, t_s=t_s)) == list(range(40))


def test_a_change_of_the_voltage_keeps_a_sample() -> None:
    voltage = 0.1 + np.repeat([0.0, 0.004, 0.011], [5, 5, 6])
    assert kept(program(record_s=100.0, record_dE_V=0.01), samples(16, voltage_V=voltage)) == [0, 10, 15]


def test_a_change_of_the_current_keeps_a_sample_at_constant_voltage_only() -> None:
    current = np.repeat([1e-3, 5e-4, 1e-4], 5)
    asked = program(record_s=100.0, record_dI_A=3e-4)
    assert kept(asked, samples(15, current_A=current, step=np.full(15, 2))) == [0, 5, 10, 14]
    assert kept(asked, samples(15, current_A=current)) == [0, 14]


def test_a_dip_between_two_kept_samples_is_kept_at_its_deepest() -> None:
    voltage = np.full(31, 0.1)
    voltage[[13, 14, 15]] = [0.05, 0.01, 0.04]
    voltage[23] = 0.2
    assert kept(program(record_s=10.0), samples(31, voltage_V=voltage)) == [0, 10, 14, 20, 23, 30]


def test_the_ends_of_each_visit_and_the_sides_of_a_gap_are_kept() -> None:
    visit = np.repeat([0, 1], [15, 25])
    t_s = np.where(np.arange(40) < 30, np.arange(40), np.arange(40) + 500.0)
    found = kept(program(record_s=50.0), samples(40, t_s=t_s, visit=visit))
    assert found == [0, 14, 15, 29, 30, 39]


def test_the_dense_start_of_a_step_is_kept_whole() -> None:
    found = kept(program(record_s=50.0), samples(200, step=np.repeat([0, 1], 100)))
    assert found == [0, 50, 99, *range(100, 161), 199]


def test_all_is_kept_around_a_verdict() -> None:
    found = kept(program(record_s=50.0), samples(200), ((80.0, 90.5), (170.0, 171.0)))
    assert found == [0, 50, *range(80, 91), 140, 170, 171, 199]


def test_a_voltage_that_is_no_number_hides_no_dip() -> None:
    voltage = np.full(31, 0.1)
    voltage[[4, 13, 14]] = [np.nan, 0.01, np.nan]
    assert kept(program(record_s=10.0), samples(31, voltage_V=voltage)) == [0, 10, 13, 20, 30]


@dataclass
class Drawn:
    program: Program
    samples: Columns
    whole: tuple[tuple[float, float], ...]


@st.composite
def measured(draw: st.DrawFn) -> Drawn:
    rows = draw(st.integers(1, 60))

    def column(values: st.SearchStrategy[float]) -> list[float]:
        return draw(st.lists(values, min_size=rows, max_size=rows))

    steps = np.cumsum(column(st.sampled_from([0, 0, 0, 1])))
    columns = samples(
        rows,
        t_s=np.cumsum(column(st.sampled_from([0.0, 0.1, 1.0, 1.01, 30.0]))),
        voltage_V=np.array(column(st.floats(-2, 2) | st.just(np.nan))),
        current_A=np.array(column(st.floats(-1, 1))),
        step=(steps % 3).astype(np.int32),
        visit=(steps // 3).astype(np.int32),
    )
    asked = program(
        record_s=draw(st.sampled_from([0.5, 1.0, 10.0, 100.0])),
        record_dE_V=draw(st.sampled_from([None, 0.5])),
        record_dI_A=draw(st.sampled_from([None, 0.5])),
    )
    begins = draw(st.lists(st.floats(0, 100), max_size=2))
    return Drawn(asked, columns, tuple((begin, begin + 5.0) for begin in begins))


@given(measured())
def test_what_is_left_out_lies_within_what_is_kept_around_it(drawn: Drawn) -> None:
    mask = Recording(drawn.program).kept(drawn.samples, drawn.whole)
    voltage, t_s = drawn.samples["voltage_V"], drawn.samples["t_s"]
    assert mask[0]
    assert mask[-1]
    near_s = 2 * (drawn.program.record_s or 0.0)
    for row in np.flatnonzero(~mask & np.isfinite(voltage)):
        near = voltage[mask & (np.abs(t_s - t_s[row]) <= near_s)]
        assert np.nanmin(near) <= voltage[row] <= np.nanmax(near)
    for begin_s, end_s in drawn.whole:
        assert mask[(t_s >= begin_s) & (t_s <= end_s)].all()


@given(measured())
def test_steps_and_charge_can_be_counted_from_what_is_kept(drawn: Drawn) -> None:
    mask = Recording(drawn.program).kept(drawn.samples, drawn.whole)
    changes = np.diff(drawn.samples["step"]) | np.diff(drawn.samples["visit"])
    for row in np.flatnonzero(changes):
        assert mask[[row, row + 1]].all()


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_samples_are_all_kept(rows: int) -> None:
    assert kept(program(record_s=10.0), samples(rows)) == list(range(rows))
