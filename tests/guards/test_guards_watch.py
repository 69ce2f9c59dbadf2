"""The guards of a run together: which watch, who names what, and the limits that the host holds."""

from __future__ import annotations

import pytest

from guards.guard import StepFacts
from guards.watch import Watch
from protocols.cell import Cell, Geometry
from protocols.errors import InvalidFileError
from protocols.program import GuardSettings, Limits, Program

LIMITS = Limits(voltage_min_V=-2.0, voltage_max_V=2.0, current_max_A=0.01)
REST = StepFacts(0, 0, "rest", 0.0, 0.0, None)
DRIVEN = StepFacts(1, 0, "constant_current", 0.0, 0.01, 36.0)


def watch_of(settings: GuardSettings | None = None, geometry: Geometry = "symmetric") -> Watch:
    cell = Cell(name="c", geometry=geometry, area_m2=1e-4)
    guards = settings or GuardSettings()
    return Watch.for_program(Program(protocol="p", cell=cell, steps=(), limits=LIMITS, guards=guards))


@pytest.mark.parametrize("geometry", ["symmetric", "asymmetric"])
def test_lithium_cells_have_all_guards_depletion_first(geometry: Geometry) -> None:
    names = watch_of(geometry=geometry).names
    assert (names[0], names[-1]) == ("depletion", "limits")
    assert set(names) == {*GuardSettings().enabled} - {"full_cell"}


@pytest.mark.parametrize(
    ("geometry", "names"),
    [
        ("full", ("full_cell", "micro_short", "impedance", "temperature", "limits")),
        ("half", ("full_cell", "micro_short", "impedance", "temperature", "limits")),
        ("blocking", ("temperature", "limits")),
    ],
)
def test_cells_whose_voltage_is_no_overpotential_have_guards_of_their_own(
    geometry: Geometry, names: tuple[str, ...]
) -> None:
    assert watch_of(geometry=geometry).names == names


def test_only_enabled_guards_watch() -> None:
    assert watch_of(GuardSettings(enabled=("short_circuit",))).names == ("short_circuit",)


@pytest.mark.parametrize(
    ("settings", "wrong", "known"),
    [
        (GuardSettings(enabled=("shortcircuit",)), "shortcircuit", "short_circuit"),
        (GuardSettings(overrides={"deplete": {"confirm_s": 1.0}}), "deplete", "depletion"),
        (GuardSettings(overrides={"depletion": {"voltage": 1.0}}), "voltage", "voltage_V"),
    ],
)
def test_a_wrong_name_is_an_error_that_says_what_there_is(
    settings: GuardSettings, wrong: str, known: str
) -> None:
    with pytest.raises(InvalidFileError) as caught:
        watch_of(settings)
    problem = caught.value.problems[0]
    assert wrong in problem.message
    assert known in problem.hint


@pytest.mark.parametrize(("voltage", "current"), [(2.1, 0.0), (-2.1, 0.0), (0.0, 0.011), (0.0, -0.011)])
def test_two_values_in_a_row_beyond_a_limit_stop(voltage: float, current: float) -> None:
    watch = watch_of()
    watch.enter(REST)
    verdict = watch.samples(
        [1.0, 2.0, 3.0, 4.0], [0.0, voltage, voltage, voltage], [0.0, current, current, current], [0.0] * 4
    )
    assert verdict is not None
    assert (verdict.kind, verdict.tier, verdict.event_s, verdict.time_s) == ("limit", 1, 2.0, 3.0)


def test_single_outliers_and_a_current_at_its_limit_do_not_stop() -> None:
    watch = watch_of()
    watch.enter(REST)
    voltages = [0.1, 9.0, 0.1, -9.0, 0.1]
    assert (
        watch.samples([1.0, 2.0, 3.0, 4.0, 5.0], voltages, [0.01, 0.01001, 0.01, 0.01, 0.01], [0.0] * 5)
        is None
    )


def test_live_values_of_a_sweep_are_held_to_the_limits() -> None:
    watch = watch_of()
    watch.enter(StepFacts(2, 0, "geis", 0.0, 0.0, None))
    assert watch.live(1.0, 2.5, 0.0) is None
    assert watch.live(2.0, 0.0, 0.0) is None
    assert watch.live(3.0, 2.5, 0.0) is None
    verdict = watch.live(4.0, 2.5, 0.0)
    assert verdict is not None
    assert (verdict.kind, verdict.event_s) == ("limit", 3.0)


def test_a_trip_that_nobody_can_name_is_a_limit() -> None:
    watch = watch_of()
    watch.enter(DRIVEN)
    watch.samples([5.0], [0.1], [0.01], [0.05])
    verdict = watch.tripped(6.0, "over-current")
    assert (verdict.kind, verdict.tier) == ("limit", 0)
    assert "over-current" in verdict.message


def test_a_limit_that_the_host_finds_gets_the_name_of_its_cause() -> None:
    watch = watch_of()
    watch.enter(DRIVEN)
    times = [float(k) for k in range(1, 8)]
    verdict = watch.samples(times, [0.1] * 5 + [2.5] * 2, [0.01] * 7, [0.01 * t for t in times])
    assert verdict is not None
    assert (verdict.kind, verdict.tier) == ("polarization", 1)


def test_verdicts_after_the_first_that_stops_are_kept_as_reports() -> None:
    watch = watch_of(GuardSettings(enabled=("limits",)))
    watch.enter(REST)
    times = [float(k) for k in range(6)]
    first = watch.samples(times, [3.0, 3.0, 0.0, 3.0, 3.0, 0.0], [0.0] * 6, [0.0] * 6)
    assert first is not None
    assert first.time_s == 1.0
    assert [report.time_s for report in watch.take_reports()] == [4.0]
    assert watch.take_reports() == []


def test_values_that_were_not_measured_tell_nothing() -> None:
    watch, told = watch_of(), watch_of()
    for one in (watch, told):
        one.enter(DRIVEN)
    missing = [float("nan"), float("inf"), 0.1]
    assert watch.live(4.0, float("nan"), 0.0) is None
    assert watch.samples([5.0, 6.0, 7.0], missing, [0.01] * 3, [0.05, 0.06, 0.07]) is None
    told.samples([7.0], [0.1], [0.01], [0.07])
    assert watch.state() == told.state()
