"""Shorts of cells with a cathode are found by charge and E; formation, rates, pulses and windows are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from told_watch import Floats, ToldWatch

from protocols.cell import Cell, Geometry
from protocols.program import Limits
from protocols.verdicts import Verdict

CAPACITY_C = 3.6
C_RATE_A = CAPACITY_C / 3600.0
TOP_V, BOTTOM_V = 4.2, 2.8
LIMITS = Limits(voltage_min_V=2.5, voltage_max_V=4.6, current_max_A=0.1)
COPPER_LIMITS = Limits(voltage_min_V=-1.5, voltage_max_V=1.5, current_max_A=0.1)


def layered(state: Floats) -> Floats:
    """Open-circuit E of a cell with a layered oxide (NCM), by its state of charge."""
    rise = 0.3 * np.expm1((state - 1.0) / 0.03)
    return np.asarray(3.55 + 0.55 * state + rise - 0.9 * np.exp(-state / 0.02))


def phosphate(state: Floats) -> Floats:
    """The same with LiFePO₄: nearly flat."""
    rise = 0.9 * np.exp((state - 1.0) / 0.01)
    return np.asarray(3.42 + 0.01 * state + rise - 0.8 * np.exp(-state / 0.015))


@dataclass
class Cathode:
    """A cell with a leak, told to a watch."""

    told: ToldWatch
    open_V: Callable[[Floats], Floats] = layered
    capacity_C: float = CAPACITY_C
    resistance_ohm: float = 40.0
    leak_A: float = 0.0
    """Flows beside what the electrodes take while the cell is charged."""
    efficiency: float = 1.0
    """Part of what is charged that can be taken out."""
    state: float = 0.01
    stops: list[Verdict] = field(default_factory=list)

    def drive(self, rate: float, until_V: float, *, planned: float | None = None, dt: float = 10.0) -> None:
        """Charge (rate > 0) or discharge until a voltage, for 3 × the capacity at most."""
        current = rate * C_RATE_A
        since_s = np.arange(dt, 3.0 * CAPACITY_C / abs(current) + dt, dt)
        inner = (current - self.leak_A) * (self.efficiency if rate > 0 else 1.0)
        state = self.state + inner * since_s / self.capacity_C
        voltage = self.open_V(np.clip(state, 0.0, 1.2)) + current * self.resistance_ohm
        over = (voltage >= until_V) if rate > 0 else (voltage <= until_V)
        end = int(np.argmax(over)) + 1 if over.any() else len(over)
        planned_C = None if planned is None else planned * CAPACITY_C
        if planned_C is not None:
            end = min(end, int(planned_C / abs(current) / dt))
        verdict = self.told.step(
            "constant_current", current, since_s[:end], voltage[:end], until_V=until_V, planned_C=planned_C
        )
        self.state = float(state[end - 1])
        self.stops += [verdict] if verdict else []

    def hold(self, voltage: float, to_rate: float) -> None:
        """Hold a voltage after a charge until the current has fallen to ``to_rate``."""
        currents: list[float] = []
        while not currents or currents[-1] > to_rate * C_RATE_A:
            inside = float(self.open_V(np.array([self.state]))[0])
            currents.append((voltage - inside) / self.resistance_ohm)
            self.state += currents[-1] * 10.0 / self.capacity_C
        since_s = 10.0 * np.arange(1.0, len(currents) + 1.0)
        current = np.asarray(currents)
        verdict = self.told.step("constant_voltage", current, since_s, voltage, set_current_A=C_RATE_A)
        self.stops += [verdict] if verdict else []

    def rest(self, seconds: float, falls_V_per_h: float = 0.0, relaxes_V: float = 0.1) -> None:
        since_s = np.arange(10.0, seconds, 10.0)
        settled = float(self.open_V(np.array([self.state]))[0])
        voltage = settled + relaxes_V / (1.0 + since_s / 600.0) ** 0.5 - falls_V_per_h * since_s / 3600.0
        verdict = self.told.step("rest", 0.0, since_s, voltage)
        self.stops += [verdict] if verdict else []

    def cycle(self, rate: float = 0.5, discharge: float | None = None, top_V: float = TOP_V) -> None:
        self.drive(rate, top_V)
        self.drive(-(discharge or rate), BOTTOM_V)


def cathode(
    geometry: Geometry = "full",
    capacity_C: float | None = CAPACITY_C,
    rows: int | None = None,
    saved_often: bool = False,
    efficiency: float = 1.0,
) -> Cathode:
    cell = Cell(name="c", geometry=geometry, area_m2=1e-4, capacity_C=capacity_C)
    limits = LIMITS if geometry == "full" else COPPER_LIMITS
    told = ToldWatch(cell, limits, enabled=("full_cell", "limits"), rows=rows, saved_often=saved_often)
    return Cathode(told, efficiency=efficiency)


@pytest.mark.parametrize("capacity_C", [CAPACITY_C, None])
@pytest.mark.parametrize("open_V", [layered, phosphate])
def test_a_charge_that_does_not_come_to_its_end_warns_and_then_stops(
    open_V: Callable[[Floats], Floats], capacity_C: float | None
) -> None:
    cell = cathode(capacity_C=capacity_C)
    cell.open_V = open_V
    for _ in range(3):
        cell.cycle()
    cell.drive(0.5, TOP_V)
    began_s = cell.told.t_s
    cell.drive(-0.5, BOTTOM_V)
    assert cell.told.verdicts == []
    taken_out_C = 0.5 * C_RATE_A * (cell.told.t_s - began_s)
    cell.leak_A = 0.4 * 0.5 * C_RATE_A
    cell.drive(0.5, TOP_V)
    assert cell.told.kinds() == [("soft_short", 1), ("soft_short", 3)]
    stop, warning = cell.told.verdicts
    assert warning.evidence["charged_C"] == pytest.approx(1.1 * taken_out_C, rel=0.02)
    assert stop.evidence["charged_C"] == pytest.approx(1.2 * taken_out_C, rel=0.02)
    assert stop.event_s < warning.time_s < stop.time_s
    assert (stop.evidence["healthy_ohm"], stop.evidence["healthy_r_hf_ohm"]) == (0.0, 0.0)


def test_without_a_cycle_before_the_nominal_capacity_holds_with_room_for_formation() -> None:
    formation = cathode(efficiency=0.75)
    formation.drive(0.1, TOP_V)
    assert formation.told.verdicts == []
    shorted = cathode()
    shorted.leak_A = 0.09 * C_RATE_A
    shorted.drive(0.1, TOP_V)
    assert shorted.told.kinds() == [("soft_short", 1)]
    assert shorted.told.verdicts[0].evidence["charged_C"] == pytest.approx(1.5 * CAPACITY_C, rel=0.01)


@pytest.mark.parametrize("open_V", [layered, phosphate])
def test_what_labs_do_with_healthy_cells_says_nothing(open_V: Callable[[Floats], Floats]) -> None:
    cell = cathode(efficiency=0.8)
    cell.open_V = open_V
    cell.cycle(0.1)
    cell.efficiency = 0.998
    cell.cycle(0.1)
    for rate in (0.2, 0.5, 1.0, 2.0, 0.2):  # rate test
        cell.rest(600.0)
        cell.cycle(rate)
    for rate in (0.2, 1.0, 3.0, 0.1):  # charged alike, discharged at other rates
        cell.cycle(0.2, rate)
    for top_V in (3.9, 4.3, 4.1, 4.2):  # other windows
        cell.cycle(0.2, top_V=top_V)
    for part in (0.5, 0.25, 0.1):  # partial charges and discharges
        cell.drive(0.2, TOP_V, planned=part)
        cell.drive(-0.2, BOTTOM_V, planned=part / 2)
    cell.drive(0.2, TOP_V)
    for _ in range(3):  # CC-CV
        cell.drive(-0.5, BOTTOM_V)
        cell.rest(3600.0)
        cell.drive(1.0, TOP_V)
        cell.hold(TOP_V, 0.05)
    cell.drive(-0.2, BOTTOM_V)
    for _ in range(20):  # GITT
        cell.drive(0.1, TOP_V, planned=0.05)
        cell.rest(1800.0, relaxes_V=0.03)
    cell.drive(-0.1, BOTTOM_V)
    cell.rest(8 * 3600.0)
    assert cell.told.verdicts == []


def test_a_cell_that_is_warmer_takes_more() -> None:
    cell = cathode()
    cell.resistance_ohm = 600.0
    for _ in range(2):
        cell.cycle(0.5)
    cell.told.watch.temperature(cell.told.t_s, 333.0)
    cell.resistance_ohm, cell.capacity_C = 60.0, 1.15 * CAPACITY_C
    for _ in range(2):
        cell.cycle(0.5)
    assert cell.told.verdicts == []


def test_a_collapse_of_e_while_charging_is_a_short() -> None:
    cell = cathode()
    cell.cycle()
    since_s = np.arange(1.0, 600.0)
    voltage = np.where(since_s < 400.0, 3.9, 3.1)
    verdict = cell.told.step("constant_current", 0.5 * C_RATE_A, since_s, voltage, until_V=TOP_V)
    assert verdict is not None
    assert (verdict.kind, verdict.tier, verdict.event_s) == ("short_circuit", 1, cell.told.t_s - 199.0)
    assert verdict.time_s - verdict.event_s == 5.0


def test_a_single_low_sample_while_charging_is_an_outlier() -> None:
    cell = cathode()
    since_s = np.arange(1.0, 600.0)
    voltage = np.where(since_s % 60.0 == 0.0, 3.0, 3.9)
    assert cell.told.step("constant_current", 0.5 * C_RATE_A, since_s, voltage, until_V=TOP_V) is None
    assert cell.told.verdicts == []


@pytest.mark.parametrize("rate", [0.5, 0.0, -0.5])
def test_a_limit_on_board_that_a_collapse_fired_is_named(rate: float) -> None:
    cell = cathode()
    cell.cycle()
    cell.drive(0.5, TOP_V)
    since_s = np.arange(1.0, 61.0)
    voltage = np.where(since_s < 60.0, 3.9, 1.0)
    assert cell.told.step("constant_current" if rate else "rest", rate * C_RATE_A, since_s, voltage) is None
    verdict = cell.told.watch.tripped(cell.told.t_s, "E below 2.5 V")
    assert (verdict.kind, verdict.tier, verdict.event_s) == ("short_circuit", 0, cell.told.t_s)


def test_a_cell_that_does_not_recover_from_its_discharge_is_shorted() -> None:
    cell = cathode()
    cell.cycle()
    verdict = cell.told.step("rest", 0.0, np.arange(1.0, 61.0), 0.3)
    assert verdict is not None
    assert (verdict.kind, verdict.tier) == ("short_circuit", 1)


def test_the_lower_limit_in_a_discharge_is_only_a_limit() -> None:
    cell = cathode()
    cell.drive(0.5, TOP_V)
    since_s = np.arange(1.0, 61.0)
    cell.told.step("constant_current", -C_RATE_A, since_s, np.where(since_s < 60.0, 3.0, 2.4))
    assert cell.told.watch.tripped(cell.told.t_s, "E below 2.5 V").kind == "limit"


def test_e_that_keeps_falling_at_rest_is_reported_once() -> None:
    cell = cathode()
    cell.drive(0.5, TOP_V)
    cell.rest(4 * 3600.0, falls_V_per_h=0.04)
    assert cell.told.kinds() == [("soft_short", 3)]
    cell.drive(-0.5, BOTTOM_V)
    cell.rest(4 * 3600.0, falls_V_per_h=-0.05)
    assert cell.told.kinds() == [("soft_short", 3)]


def test_an_efficiency_that_drops_is_reported() -> None:
    cell = cathode(efficiency=0.995)
    for _ in range(6):
        cell.cycle()
    assert cell.told.verdicts == []
    cell.leak_A = 0.08 * 0.5 * C_RATE_A
    cell.cycle()
    cell.cycle()
    verdict = cell.told.verdicts[0]
    assert (verdict.kind, verdict.tier) == ("soft_short", 3)
    assert verdict.evidence["value"] == pytest.approx((1.0 - 0.08) / (1.0 + 0.08), abs=0.01)
    assert verdict.evidence["baseline"] == pytest.approx(0.995, abs=0.003)


def test_lithium_on_copper_strips_no_more_than_was_plated() -> None:
    told = cathode("half", capacity_C=None).told
    plate_s, strip_s = np.arange(10.0, 3601.0, 10.0), np.arange(10.0, 3501.0, 10.0)
    for _ in range(5):
        told.step("constant_current", -C_RATE_A, plate_s, -0.03, planned_C=CAPACITY_C)
        strip = np.where(strip_s < 3490.0, 0.04, 0.9)
        told.step("constant_current", C_RATE_A, strip_s, strip, until_V=1.0)
    assert told.verdicts == []
    told.step("constant_current", -C_RATE_A, plate_s, -0.03, planned_C=CAPACITY_C)
    endless_s = np.arange(10.0, 7200.0, 10.0)
    told.step("constant_current", C_RATE_A, endless_s, 0.01, until_V=1.0)
    assert told.kinds() == [("soft_short", 1), ("soft_short", 3)]


@settings(max_examples=15)
@given(rows=st.integers(1, 400), saved_often=st.booleans(), leak=st.floats(0.0, 0.5))
def test_however_the_samples_are_cut_it_says_the_same(rows: int, saved_often: bool, leak: float) -> None:
    whole, cut = cathode(), cathode(rows=rows, saved_often=saved_often)
    for cell in (whole, cut):
        cell.cycle()
        cell.leak_A = leak * 0.5 * C_RATE_A
        cell.cycle()
        cell.rest(3 * 3600.0, falls_V_per_h=0.1 * leak)
    assert sorted(map(str, cut.told.verdicts)) == sorted(map(str, whole.told.verdicts))
    assert cut.told.watch.state() == whole.told.watch.state()
