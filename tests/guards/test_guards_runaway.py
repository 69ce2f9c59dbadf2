"""Why E ran away: by what the side can have lost, by what the run has shown, and by the shape of the rise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from told_watch import Floats, ToldWatch

from protocols.cell import LITHIUM_C_PER_M3, Cell, Electrode, ElectrolyteClass
from protocols.program import Limits
from protocols.verdicts import Verdict

AREA_m2 = 1e-4
CURRENT_A = 0.5e-3
HALF_S = 3600.0
PLANNED_C = CURRENT_A * HALF_S
LEVEL_V = 0.03
LIMIT_V = 1.5


def told(
    thin_um: float | None = 20.0,
    thick_um: float | None = 100.0,
    electrolyte_class: ElectrolyteClass = "garnet",
    rows: int | None = None,
    saved_often: bool = False,
) -> ToldWatch:
    """A watch of a cell whose thin side is the working one, with the guard of depletion alone."""
    thin, thick = (
        Electrode() if um is None else Electrode(inventory_C_per_m2=um * 1e-6 * LITHIUM_C_PER_M3)
        for um in (thin_um, thick_um)
    )
    cell = Cell(
        name="thin",
        geometry="asymmetric",
        area_m2=AREA_m2,
        working=thin,
        counter=thick,
        electrolyte_class=electrolyte_class,
    )
    limits = Limits(voltage_min_V=-LIMIT_V, voltage_max_V=LIMIT_V, current_max_A=0.1)
    return ToldWatch(cell, limits, enabled=("depletion",), rows=rows, saved_often=saved_often)


def cycled(watch: ToldWatch, count: int) -> ToldWatch:
    """Cycles at the level: a garnet's lithium is possibly used up after 13 of them, and hardly likely so."""
    since_s = np.arange(10.0, HALF_S + 1.0, 10.0)
    for _ in range(count):
        for sign in (1.0, -1.0):
            watch.step("constant_current", sign * CURRENT_A, since_s, sign * LEVEL_V, planned_C=PLANNED_C)
    assert watch.verdicts == []
    return watch


def exponential(tau_s: float) -> Floats:
    """E over 10 000 s of a rise that begins at once, at 10 Hz."""
    since_s = np.arange(0.0, 10_000.0, 0.1)
    return LEVEL_V * np.exp(np.minimum(since_s / tau_s, 50.0))


def run_away(watch: ToldWatch, rise: Floats, interval_s: float = 1.0) -> Verdict:
    """Strip the thin side for 200 s at the level, then along a rise given at 10 Hz, until the limit fires."""
    since_s = np.arange(interval_s, 10_000.0, interval_s)
    along = np.interp(since_s - 200.03, 0.1 * np.arange(len(rise)), rise)
    voltage = np.minimum(np.where(since_s < 200.03, LEVEL_V, along), 1.6)
    end = int(np.argmax(voltage >= LIMIT_V)) + 1 if (voltage >= LIMIT_V).any() else len(voltage)
    verdict = watch.step("constant_current", CURRENT_A, since_s[:end], voltage[:end], planned_C=PLANNED_C)
    return verdict or watch.watch.tripped(watch.t_s, "E above 1.5 V")


@pytest.mark.parametrize("tau_s", [1.0, 5.0, 30.0, 200.0])
@pytest.mark.parametrize("interval_s", [2e-2, 0.1, 1.0, 10.0, 120.0])
def test_lithium_that_may_be_used_up_and_runs_away_evenly_is(tau_s: float, interval_s: float) -> None:
    verdict = run_away(cycled(told(), 16), exponential(tau_s), interval_s)
    assert (verdict.kind, verdict.side) == ("li_depletion", "working")
    assert verdict.evidence["loss_from"] == "the electrolyte's class"
    if interval_s <= tau_s / 5.0:
        assert verdict.evidence["shape"] == "accelerating"
        assert verdict.evidence["e_fold_s"] == pytest.approx(tau_s, rel=0.2)


@pytest.mark.parametrize("interval_s", [2e-4, 0.1, 1.0])
def test_a_leap_is_a_contact_that_broke(interval_s: float) -> None:
    watch = cycled(told(), 16)
    since_s = np.arange(1.0, 201.0 + 5.0 * interval_s)
    late_s = 205.0 + interval_s * np.arange(1.0, 20_000.0 if interval_s < 0.01 else 100.0)
    t = np.concatenate((np.arange(interval_s, 5.0, interval_s), since_s[since_s > 5.0], late_s))
    volts = np.where(t < late_s[2], LEVEL_V, 1.3)
    verdict = watch.step("constant_current", CURRENT_A, t, volts, planned_C=PLANNED_C)
    assert verdict is not None
    assert (verdict.kind, verdict.evidence["shape"]) == ("contact_loss", "step")
    assert "at once" in verdict.message


@pytest.mark.parametrize(
    ("rise", "shape"),
    [
        (LEVEL_V * np.exp(np.arange(0.0, 10_000.0, 0.1) / 800.0), "slow"),
        (LEVEL_V * (1.0 + np.arange(0.0, 10_000.0, 0.1) / 20.0), "slowing"),
    ],
)
def test_voids_that_grow_are_a_loss_of_contact(rise: Floats, shape: str) -> None:
    verdict = run_away(cycled(told(), 16), rise)
    assert (verdict.kind, verdict.evidence["shape"]) == ("contact_loss", shape)


def test_where_lithium_must_be_used_up_the_shape_does_not_matter() -> None:
    slow = LEVEL_V * (1.0 + np.arange(0.0, 10_000.0, 0.1) / 20.0)
    assert run_away(cycled(told(thin_um=2.5, electrolyte_class="sulfide"), 12), slow).kind == "li_depletion"


def test_where_lithium_must_be_left_the_shape_does_not_matter() -> None:
    verdict = run_away(cycled(told(), 3), exponential(20.0))
    assert verdict.kind == "contact_loss"
    assert verdict.evidence["implied_loss"] == pytest.approx(
        (20e-6 * LITHIUM_C_PER_M3 * AREA_m2 - float(verdict.evidence["net_stripped_C"]))
        / float(verdict.evidence["gross_stripped_C"])
    )


def test_what_this_run_has_lost_decides_where_it_has_shown_it() -> None:
    watch = told(thin_um=5.0, electrolyte_class="sulfide")
    for cycle in range(4):
        strip_s = np.arange(1.0, 7000.0 if cycle == 0 else 3420.0)
        voltage = np.where(strip_s < strip_s[-2], LEVEL_V, 0.9)
        watch.step("constant_current", CURRENT_A, strip_s, voltage, until_V=1.0)
        plate_s = np.arange(1.0, HALF_S + 1.0)
        watch.step("constant_current", -CURRENT_A, plate_s, -LEVEL_V, planned_C=PLANNED_C)
    assert watch.verdicts == []
    late = run_away(watch, exponential(20.0))
    assert late.kind == "contact_loss"
    assert late.evidence["loss_from"] == "this run"


def test_equal_sides_show_no_depletion_and_the_message_says_why() -> None:
    verdict = run_away(cycled(told(thin_um=100.0), 16), exponential(20.0))
    assert (verdict.kind, verdict.side) == ("polarization", None)
    assert "can't show" in verdict.message


def test_a_side_whose_lithium_is_not_known_is_never_depleted() -> None:
    assert run_away(cycled(told(thin_um=None), 16), exponential(20.0)).kind == "contact_loss"
    assert run_away(cycled(told(thin_um=None, thick_um=None), 16), exponential(20.0)).kind == "polarization"


def test_a_current_that_collapses_after_the_rise_is_no_open_circuit() -> None:
    watch = cycled(told(), 16)
    since_s = np.arange(1.0, 260.0)
    voltage = np.where(since_s < 200.0, LEVEL_V, LEVEL_V * np.exp((since_s - 200.0) / 2.0)).clip(max=LIMIT_V)
    current = np.where(voltage < 0.5, CURRENT_A, 1e-3 * CURRENT_A)
    verdict = watch.step("constant_current", current, since_s, voltage, planned_C=PLANNED_C)
    assert verdict is not None
    assert verdict.kind == "li_depletion"


@pytest.mark.parametrize("interval_s", [2e-4, 0.1, 1.0, 120.0])
@pytest.mark.parametrize("mean", [False, True])
def test_a_clip_that_falls_off_is_an_open_circuit(interval_s: float, mean: bool) -> None:
    watch = cycled(told(), 16)
    t = interval_s * np.arange(1.0, 40_000.0 if interval_s < 0.01 else 400.0)
    off = np.arange(len(t)) >= len(t) - 20
    voltage, current = np.where(off, LIMIT_V, LEVEL_V), np.where(off, 0.0, CURRENT_A)
    if mean:
        voltage[len(t) - 21], current[len(t) - 21] = 0.5 * LIMIT_V, 0.5 * CURRENT_A
    verdict = watch.step("constant_current", current, t, voltage, set_current_A=CURRENT_A)
    assert verdict is not None
    assert (verdict.kind, verdict.tier) == ("open_circuit", 1)


def test_a_limit_that_fires_before_the_rise_was_high_is_named_all_the_same() -> None:
    watch = cycled(told(), 16)
    since_s = np.arange(1.0, 206.0)
    voltage = np.where(since_s < 200.0, LEVEL_V, LEVEL_V * np.exp((since_s - 199.5) / 2.0))
    assert watch.step("constant_current", CURRENT_A, since_s, voltage, planned_C=PLANNED_C) is None
    verdict = watch.watch.tripped(watch.t_s + 2.0, "E above 1.5 V")
    assert (verdict.kind, verdict.tier, verdict.side) == ("li_depletion", 0, "working")


def test_charge_of_steps_at_constant_voltage_is_counted() -> None:
    watch = told(thin_um=5.0, electrolyte_class="sulfide")
    inventory_C = 5e-6 * LITHIUM_C_PER_M3 * AREA_m2
    since_s = np.arange(1.0, 3601.0)
    watch.step("constant_voltage", inventory_C / 3600.0, since_s, 0.1, set_current_A=0.0)
    assert run_away(watch, exponential(20.0)).kind == "li_depletion"


@settings(max_examples=20)
@given(
    rows=st.integers(1, 300),
    saved_often=st.booleans(),
    tau_s=st.floats(0.05, 1000.0),
    seed=st.integers(0, 1000),
)
def test_however_the_samples_are_cut_it_says_the_same(
    rows: int, saved_often: bool, tau_s: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    whole, cut = told(), told(rows=rows, saved_often=saved_often)
    since_s = np.cumsum(rng.uniform(0.1, 3.0, 400))
    over = np.minimum(np.maximum(since_s - 300.0, 0.0) / tau_s, math.log(LIMIT_V / LEVEL_V))
    voltage = LEVEL_V * np.exp(over) * (1.0 + 0.02 * rng.standard_normal(len(since_s)))
    for watch in (whole, cut):
        watch.step("constant_current", CURRENT_A, since_s, voltage, planned_C=PLANNED_C)
    assert cut.verdicts == whole.verdicts
    assert cut.watch.state() == whole.watch.state()
    assert cut.watch.tripped(cut.t_s, "") == whole.watch.tripped(whole.t_s, "")
