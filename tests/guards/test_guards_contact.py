"""A slow loss of contact is reported; what healthy cells do over hours is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from told_watch import Floats, ToldWatch

from protocols.cell import Cell, ElectrolyteClass
from protocols.program import Limits

CURRENT_A = 1e-3
HOUR = 3600.0
OHM = 100.0


def told(
    electrolyte_class: ElectrolyteClass = "sulfide", rows: int | None = None, saved_often: bool = False
) -> ToldWatch:
    cell = Cell(name="c", area_m2=1e-4, electrolyte_class=electrolyte_class)
    limits = Limits(voltage_min_V=-9.0, voltage_max_V=9.0, current_max_A=0.1)
    return ToldWatch(cell, limits, enabled=("contact",), rows=rows, saved_often=saved_often)


def times(hours: float, dt: float = 10.0) -> Floats:
    return np.arange(dt, hours * HOUR + dt / 2, dt)


def half_cycle(watch: ToldWatch, factor: float | Floats, current_A: float, hours: float = 1.0) -> None:
    since_s = times(hours)
    noise = 1.0 + 0.01 * np.random.default_rng(int(watch.t_s)).standard_normal(len(since_s))
    arc = 1.0 + (since_s / since_s[-1]) ** 6
    planned_C = abs(current_A) * hours * HOUR
    voltage = current_A * OHM * factor * arc * noise
    watch.step("constant_current", current_A, since_s, voltage, planned_C=planned_C)


def cycles(watch: ToldWatch, count: int, plating: float = 1.0, stripping: float = 1.0) -> None:
    for _ in range(count):
        half_cycle(watch, plating, CURRENT_A)
        half_cycle(watch, stripping, -CURRENT_A)


def test_r_that_doubles_in_one_direction_is_reported_with_its_side() -> None:
    watch = told()
    cycles(watch, 3)
    began_s = watch.t_s
    half_cycle(watch, 2.2, -CURRENT_A)
    assert watch.kinds() == [("contact_loss", 3)]
    (verdict,) = watch.verdicts
    assert verdict.evidence["stripping_side"] == "counter"
    assert verdict.evidence["value"] == pytest.approx(2.2 * OHM, rel=0.05)
    assert verdict.event_s - began_s == pytest.approx(300.0, abs=20.0)
    assert verdict.time_s - verdict.event_s == pytest.approx(300.0, abs=20.0)


def test_a_new_level_is_news_for_a_few_half_cycles_only() -> None:
    watch = told()
    cycles(watch, 3)
    cycles(watch, 10, stripping=2.2)
    assert 1 <= len(watch.verdicts) <= 3


def test_r_that_rises_over_hours_in_one_direction_is_reported_once() -> None:
    watch = told()
    since_s = times(14.0)
    watch.step("constant_current", CURRENT_A, since_s, CURRENT_A * OHM * np.exp(since_s / (5.0 * HOUR)))
    assert watch.kinds() == [("contact_loss", 3)]
    assert watch.verdicts[0].evidence["criterion"] == "R > one_way_ratio × level"


def test_pieces_of_one_way_with_spectra_between_count_as_one_passage() -> None:
    watch = told()
    for hour in range(14):
        factor = np.exp((hour + times(1.0) / HOUR) / 5.0)
        since_s = times(1.0)
        watch.step("constant_current", CURRENT_A, since_s, CURRENT_A * OHM * factor, planned_C=3.6)
        watch.step("geis", CURRENT_A, np.empty(0), 0.0, set_current_A=CURRENT_A)
    assert watch.kinds()[0] == ("contact_loss", 3)
    assert len(watch.verdicts) == 1


def test_healthy_cells_are_not_reported() -> None:
    activating = told()
    for hour in range(30):
        half_cycle(activating, 1.0 + 2.0 * np.exp(-hour / 5.0), CURRENT_A * (-1.0) ** hour)
    ageing = told()
    for cycle in range(60):
        cycles(ageing, 1, 1.02**cycle, 1.02**cycle)
    cold = told()
    cycles(cold, 3)
    cycles(cold, 3, 1.4, 1.4)
    assert activating.verdicts == ageing.verdicts == cold.verdicts == []


def test_another_current_is_another_test() -> None:
    watch = told()
    for step in range(1, 12):
        for sign in (1.0, -1.0):
            half_cycle(watch, step**-0.4, sign * step * CURRENT_A)
    cycles(watch, 3)
    assert watch.verdicts == []


def test_offsets_of_some_millivolts_are_no_resistance() -> None:
    watch = told()
    for offset in (0.0, 0.0, 0.003):
        for sign in (1.0, -1.0):
            watch.step("constant_current", sign * CURRENT_A, times(1.0), sign * 0.003 + offset, planned_C=3.6)
    assert watch.verdicts == []


def test_salt_that_polarises_a_polymer_is_no_loss_of_contact() -> None:
    watch = told("polymer")
    since_s = times(10.0)
    polarised = 1.0 + 2.0 * (1.0 - np.exp(-since_s / (2.0 * HOUR)))
    watch.step("constant_current", CURRENT_A, since_s, CURRENT_A * OHM * polarised)
    assert watch.verdicts == []


@settings(max_examples=15)
@given(rows=st.integers(1, 200), saved_often=st.booleans(), seed=st.integers(0, 1000))
def test_however_the_samples_are_cut_it_says_the_same(rows: int, saved_often: bool, seed: int) -> None:
    whole, cut = told(), told(rows=rows, saved_often=saved_often)
    for watch in (whole, cut):
        rng = np.random.default_rng(seed)
        for number in range(6):
            half_cycle(watch, float(rng.uniform(0.8, 2.5)), CURRENT_A * (-1.0) ** number)
    assert cut.verdicts == whole.verdicts
    assert cut.watch.state() == whole.watch.state()
