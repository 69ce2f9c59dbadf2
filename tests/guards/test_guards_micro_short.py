"""Dips that recover are counted and reported; what only looks like them is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from told_watch import Floats, ToldWatch

from protocols.cell import Cell, Geometry
from protocols.program import Limits

CURRENT_A = 1e-3
HALF_S = 3600.0


def told(geometry: Geometry = "symmetric", rows: int | None = None, saved_often: bool = False) -> ToldWatch:
    low_V, high_V = (2.5, 4.5) if geometry == "full" else (-2.0, 2.0)
    limits = Limits(voltage_min_V=low_V, voltage_max_V=high_V, current_max_A=0.1)
    cell = Cell(name="c", geometry=geometry, area_m2=1e-4)
    return ToldWatch(cell, limits, enabled=("micro_short",), rows=rows, saved_often=saved_often)


def quiet(hertz: float = 1.0, level_V: float = 0.2, seconds: float = HALF_S) -> tuple[Floats, Floats]:
    """Times and E of a half-cycle with the usual noise."""
    since_s = np.arange(1.0, seconds * hertz + 1.0) / hertz
    rng = np.random.default_rng(7)
    return since_s, level_V * (1.0 + 2e-3 * rng.standard_normal(len(since_s)))


def excursions(
    since_s: Floats, voltage: Floats, at_s: Sequence[float], lasts_s: float, volts: float
) -> Floats:
    """E with excursions by ``volts``."""
    away = np.zeros(len(since_s), dtype=bool)
    for begins_s in at_s:
        away |= (since_s >= begins_s) & (since_s < begins_s + lasts_s)
    return np.where(away, voltage + volts, voltage)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("hertz", "lasts_s"), [(1.0, 2.0), (1.0, 25.0), (10.0, 0.5), (5000.0, 0.2)])
def test_three_dips_are_a_warning_with_their_count_and_depth(
    hertz: float, lasts_s: float, sign: float
) -> None:
    watch = told()
    at_s = [40.0, 80.0, 120.0] if hertz > 100.0 else [600.0, 900.0, 1500.0]
    since_s, level = quiet(hertz, seconds=200.0 if hertz > 100.0 else HALF_S)
    voltage = excursions(since_s, level, at_s, lasts_s, -0.06)
    assert watch.step("constant_current", sign * CURRENT_A, since_s, sign * voltage) is None
    assert watch.kinds() == [("micro_short", 3)]
    (verdict,) = watch.verdicts
    assert verdict.event_s == pytest.approx(at_s[0], abs=1.0)
    assert verdict.time_s == pytest.approx(at_s[2] + lasts_s, abs=2.0)
    assert verdict.evidence["dips_in_half_cycle"] == 3.0
    assert verdict.evidence["deepest_V"] == pytest.approx(0.06, abs=0.01)


def test_each_half_cycle_warns_once() -> None:
    watch = told()
    since_s, level = quiet()
    voltage = excursions(since_s, level, range(200, 3000, 100), 3.0, -0.06)
    for sign in (1.0, -1.0, 1.0):
        watch.step("constant_current", sign * CURRENT_A, since_s, sign * voltage)
    assert watch.kinds() == [("micro_short", 3)] * 3


@pytest.mark.parametrize(
    ("at_s", "lasts_s", "volts"),
    [
        ((600.0, 900.0), 3.0, -0.06),  # too few
        (range(200, 3000, 200), 0.9, -0.06),  # single samples
        (range(200, 3000, 200), 3.0, 0.06),  # arcs go up
        (range(200, 3000, 200), 3.0, -0.01),  # too shallow
        ((600.0, 1200.0, 1800.0, 2400.0), 200.0, -0.06),  # longer: for the guard of soft shorts
    ],
)
def test_what_is_no_dip_is_not_counted(at_s: Sequence[float], lasts_s: float, volts: float) -> None:
    watch = told()
    since_s, level = quiet()
    watch.step("constant_current", CURRENT_A, since_s, excursions(since_s, level, at_s, lasts_s, volts))
    assert watch.kinds() == []


def test_a_loose_clip_goes_up_as_often_as_down() -> None:
    watch = told()
    since_s, level = quiet()
    voltage = excursions(since_s, level, range(200, 3000, 200), 3.0, -0.06)
    voltage = excursions(since_s, voltage, range(300, 3000, 200), 3.0, 0.06)
    watch.step("constant_current", CURRENT_A, since_s, voltage)
    assert watch.kinds() == []


def test_samples_with_another_current_are_not_judged() -> None:
    watch = told()
    since_s, level = quiet()
    voltage = excursions(since_s, level, range(200, 3000, 200), 3.0, -0.06)
    current = np.where(voltage < 0.16, 0.5 * CURRENT_A, CURRENT_A)
    watch.step("constant_current", current, since_s, voltage, set_current_A=CURRENT_A)
    assert watch.kinds() == []


def test_nucleation_and_its_decay_are_no_dips() -> None:
    watch = told()
    since_s, level = quiet()
    for sign in (1.0, -1.0) * 3:
        voltage = level * (1.0 + 1.5 * np.exp(-since_s / 40.0)) * (1.0 + (since_s / HALF_S) ** 6)
        watch.step("constant_current", sign * CURRENT_A, since_s, sign * voltage)
    assert watch.kinds() == []


def test_dips_of_a_full_cell_tell_on_charge_alone() -> None:
    watch = told("full")
    since_s = np.arange(1.0, HALF_S)
    for sign in (1.0, -1.0):
        level = 3.6 + sign * 1e-4 * since_s
        voltage = excursions(since_s, level, range(200, 3000, 200), 5.0, -0.03)
        watch.step("constant_current", sign * CURRENT_A, since_s, voltage)
        assert watch.kinds() == [("micro_short", 3)]


@settings(max_examples=20)
@given(rows=st.integers(1, 500), saved_often=st.booleans(), seed=st.integers(0, 1000))
def test_however_the_samples_are_cut_it_says_the_same(rows: int, saved_often: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    since_s, level = quiet(seconds=900.0)
    at_s = rng.uniform(50.0, 800.0, 6).tolist()
    voltage = excursions(since_s, level, at_s, float(rng.uniform(1.0, 20.0)), -0.06)
    whole, cut = told(), told(rows=rows, saved_often=saved_often)
    for watch in (whole, cut):
        watch.step("constant_current", CURRENT_A, since_s, voltage)
    assert cut.verdicts == whole.verdicts
    assert cut.watch.state() == whole.watch.state()
