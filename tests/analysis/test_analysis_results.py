"""Critical current density and lithium loss, from half-cycles and verdicts alone."""

from __future__ import annotations

import pytest

from analysis.ccd import END_OF_RAMP, UNFINISHED, critical_current_density
from analysis.depletion import lithium_loss
from protocols.records import HalfCycle
from protocols.verdicts import Side, Verdict, VerdictKind

AREA_m2 = 1e-4
HALF_s = 3600.0
GAP_s = 60.0


def half_cycle(number: int, current_A: float, seconds: float = HALF_s, *, complete: bool = True) -> HalfCycle:
    begin_s = number * (HALF_s + GAP_s)
    return HalfCycle(
        number=number,
        step=number,
        visit=0,
        t_start_s=begin_s,
        t_end_s=begin_s + seconds,
        set_current_A=current_A,
        current_A=current_A,
        charge_C=current_A * seconds,
        planned_charge_C=abs(current_A) * HALF_s,
        complete=complete,
        overpotential_V=0.02,
        voltage_min_V=0.0,
        voltage_max_V=0.02,
        voltage_end_V=0.02,
    )


def ramp(steps: int, cycles: int = 1) -> list[HalfCycle]:
    currents = [1e-5 * step * sign for step in range(1, steps + 1) for _ in range(cycles) for sign in (1, -1)]
    return [half_cycle(number, current) for number, current in enumerate(currents)]


def verdict(time_s: float, event_s: float, kind: VerdictKind = "short_circuit", tier: int = 1) -> Verdict:
    return Verdict(kind=kind, tier=tier, time_s=time_s, event_s=event_s, message="")


def cut(rows: list[HalfCycle], number: int, seconds: float) -> list[HalfCycle]:
    """The rows of a run that was stopped ``seconds`` into half-cycle ``number``."""
    return [*rows[:number], half_cycle(number, rows[number].set_current_A, seconds, complete=False)]


@pytest.mark.parametrize("direction", [0, 1])
def test_a_short_gives_both_numbers(direction: int) -> None:
    number = 2 * 24 + direction
    rows = cut(ramp(25), number, 100.0)
    stop_s = rows[-1].t_end_s
    result = critical_current_density(rows, [verdict(stop_s, stop_s - 5.0)], AREA_m2)
    assert result.j_passed_A_per_m2 == pytest.approx(24e-5 / AREA_m2)
    assert result.j_failed_A_per_m2 == pytest.approx(25e-5 / AREA_m2)
    assert (result.end, result.failed_half_cycle) == ("short_circuit", number)
    assert result.cumulative_C_per_m2 == pytest.approx(sum(abs(row.charge_C) for row in rows) / AREA_m2)


def test_a_step_that_failed_in_its_second_cycle_was_not_passed() -> None:
    rows = cut(ramp(3, cycles=2), 10, 50.0)
    stop_s = rows[-1].t_end_s
    result = critical_current_density(rows, [verdict(stop_s, stop_s - 5.0)], AREA_m2)
    assert result.j_passed_A_per_m2 == pytest.approx(2e-5 / AREA_m2)
    assert result.j_failed_A_per_m2 == pytest.approx(3e-5 / AREA_m2)


def test_a_short_in_the_last_seconds_belongs_to_the_half_cycle_in_which_it_began() -> None:
    rows = cut(ramp(6), 10, 8.0)
    result = critical_current_density(rows, [verdict(rows[10].t_end_s, rows[9].t_end_s - 2.0)], AREA_m2)
    assert result.failed_half_cycle == 9
    assert result.j_failed_A_per_m2 == pytest.approx(5e-5 / AREA_m2)
    assert result.j_passed_A_per_m2 == pytest.approx(4e-5 / AREA_m2)


def test_a_short_at_rest_belongs_to_the_next_half_cycle() -> None:
    rows = cut(ramp(6), 10, 8.0)
    result = critical_current_density(rows, [verdict(rows[10].t_end_s, rows[9].t_end_s + 10.0)], AREA_m2)
    assert result.failed_half_cycle == 10


def test_a_short_in_the_first_step_passed_nothing() -> None:
    rows = cut(ramp(2), 1, 60.0)
    result = critical_current_density(rows, [verdict(rows[1].t_end_s, rows[1].t_end_s)], AREA_m2)
    assert result.j_passed_A_per_m2 is None
    assert result.j_failed_A_per_m2 == pytest.approx(1e-5 / AREA_m2)


def test_a_ramp_that_ends_says_at_least() -> None:
    result = critical_current_density(ramp(25), [verdict(5.0, 5.0, "soft_short", tier=2)], AREA_m2)
    assert (result.end, result.j_failed_A_per_m2) == (END_OF_RAMP, None)
    assert result.j_passed_A_per_m2 == pytest.approx(25e-5 / AREA_m2)


def test_a_ramp_stopped_by_a_person_is_unfinished() -> None:
    result = critical_current_density(cut(ramp(5), 7, 20.0), [], AREA_m2)
    assert result.end == UNFINISHED
    assert result.j_passed_A_per_m2 == pytest.approx(3e-5 / AREA_m2)


def test_the_first_stop_counts_and_its_kind_is_the_end() -> None:
    rows = cut(ramp(5), 7, 20.0)
    first = verdict(rows[7].t_end_s, rows[7].t_end_s - 3.0, "polarization")
    later = verdict(rows[7].t_end_s + 1.0, rows[7].t_end_s, "limit")
    assert critical_current_density(rows, [later, first], AREA_m2).end == "polarization"


def test_an_area_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="area"):
        critical_current_density(ramp(1), [], 0.0)


@pytest.mark.parametrize(("side", "sign"), [("working", 1.0), ("counter", -1.0)])
def test_lithium_lost_per_cycle_is_what_the_cell_lost(side: Side, sign: float) -> None:
    charge, loss = 1e-3 * HALF_s, 0.25
    inventory = 8.2 * charge
    left = inventory
    rows: list[HalfCycle] = []
    while left >= charge:
        rows += [half_cycle(len(rows) + k, sign * (1 - 2 * k) * 1e-3) for k in (0, 1)]
        left -= loss * charge
    rows.append(half_cycle(len(rows), sign * 1e-3, left / 1e-3, complete=False))
    result = lithium_loss(rows, side, inventory)
    assert result.cycles == len(rows) // 2
    assert result.lost_per_cycle_C == pytest.approx(loss * charge)
    assert result.net_stripped_C == pytest.approx(left)


def test_no_cycle_no_loss_per_cycle() -> None:
    result = lithium_loss([half_cycle(0, 1e-3, 100.0, complete=False)], "working", 1.0)
    assert result.lost_per_cycle_C is None
