"""Current flows and nothing is measured: the run stops, and no guard remembers what was no measurement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards.guard import StepFacts
from guards.over_range import Thresholds
from guards.watch import Watch
from protocols.cell import Cell
from protocols.errors import InvalidFileError
from protocols.program import GuardSettings, Limits, Program
from protocols.verdicts import Verdict

NAN, INF, SCPI_OVERFLOW = float("nan"), float("inf"), 9.9e37
CURRENT_A = 0.01
LIMITS = Limits(voltage_min_V=-2.0, voltage_max_V=2.0, current_max_A=CURRENT_A)
NEEDED = Thresholds()


def watch_of(settings: GuardSettings | None = None) -> Watch:
    cell = Cell(name="c", geometry="symmetric", area_m2=1e-4)
    guards = settings or GuardSettings()
    return Watch.for_program(Program(protocol="p", cell=cell, steps=(), limits=LIMITS, guards=guards))


def driven(current_A: float = CURRENT_A, visit: int = 0, t_s: float = 0.0) -> StepFacts:
    return StepFacts(1, visit, "constant_current", t_s, current_A, 36.0)


def told(watch: Watch, times: Sequence[float], voltage_V: float, current_A: float) -> Verdict | None:
    rows = len(times)
    return watch.samples(times, [voltage_V] * rows, [current_A] * rows, [0.0] * rows)


@pytest.mark.parametrize("enabled", [(), ("short_circuit",)])
@pytest.mark.parametrize("interval_s", [0.1, 1.0, 60.0])
@pytest.mark.parametrize(
    ("voltage", "current", "missing"),
    [
        (NAN, CURRENT_A, "E"),
        (INF, CURRENT_A, "E"),
        (-INF, CURRENT_A, "E"),
        (SCPI_OVERFLOW, CURRENT_A, "E"),
        (0.1, NAN, "I"),
        (0.1, -INF, "I"),
        (INF, -INF, "E and I"),
    ],
)
def test_current_without_a_measurement_stops(
    voltage: float, current: float, missing: str, interval_s: float, enabled: tuple[str, ...]
) -> None:
    watch = watch_of(GuardSettings(enabled=enabled))
    watch.enter(driven())
    times = [10.0 + interval_s * k for k in range(100)]
    verdict = told(watch, times, voltage, current)
    assert verdict is not None
    assert (verdict.kind, verdict.tier, verdict.event_s) == ("over_range", 1, times[0])
    enough = (k for k, t in enumerate(times, 1) if t - times[0] >= NEEDED.confirm_s)
    expected = next(k for k in enough if k >= NEEDED.confirm_samples)
    assert verdict.time_s == times[expected - 1]
    assert verdict.message.startswith(f"{missing} could not be measured")
    assert watch.take_reports() == []


def test_a_charge_that_is_no_number_stops_too() -> None:
    watch = watch_of()
    watch.enter(driven())
    verdict = watch.samples([1.0, 4.0, 7.0], [0.1] * 3, [CURRENT_A] * 3, [NAN] * 3)
    assert verdict is not None
    assert verdict.evidence["missing"] == "The charge"


def test_one_measurement_between_begins_the_count_again() -> None:
    watch = watch_of()
    watch.enter(driven())
    for minute in range(5):
        begin_s = 60.0 * minute
        assert told(watch, [begin_s + k for k in range(5)], NAN, CURRENT_A) is None
        assert told(watch, [begin_s + 5.0], 0.1, CURRENT_A) is None


def test_a_new_step_begins_the_count_again() -> None:
    watch = watch_of()
    for visit in range(5):
        watch.enter(driven(visit=visit, t_s=5.0 * visit))
        assert told(watch, [5.0 * visit + k for k in range(5)], NAN, CURRENT_A) is None


@pytest.mark.parametrize("kind", ["rest", "geis"])
def test_at_rest_nothing_trips(kind: Literal["rest", "geis"]) -> None:
    watch = watch_of()
    watch.enter(StepFacts(0, 0, kind, 0.0, 0.0, None))
    assert told(watch, [float(k) for k in range(1000)], NAN, NAN) is None
    assert all(watch.live(float(k), NAN, NAN) is None for k in range(1000))


def test_a_sweep_with_a_current_underneath_counts_live_values() -> None:
    watch = watch_of()
    watch.enter(StepFacts(0, 0, "geis", 0.0, CURRENT_A, None))
    assert watch.live(0.0, NAN, CURRENT_A) is None
    assert watch.live(1.0, 0.1, CURRENT_A) is None
    assert watch.live(2.0, NAN, CURRENT_A) is None
    assert watch.live(8.0, NAN, CURRENT_A) is None
    verdict = watch.live(9.0, NAN, CURRENT_A)
    assert verdict is not None
    assert (verdict.kind, verdict.event_s) == ("over_range", 2.0)


def test_a_program_sets_the_time() -> None:
    watch = watch_of(GuardSettings(overrides={"over_range": {"confirm_s": 50.0}}))
    watch.enter(driven())
    assert told(watch, [float(k) for k in range(50)], NAN, CURRENT_A) is None
    assert told(watch, [50.0], NAN, CURRENT_A) is not None
    with pytest.raises(InvalidFileError):
        watch_of(GuardSettings(overrides={"over_range": {"confirm": 50.0}}))


def test_the_count_goes_on_after_a_restart() -> None:
    watch, restarted = watch_of(), watch_of()
    watch.enter(driven())
    told(watch, [1.0, 2.0, 3.0], NAN, CURRENT_A)
    restarted.restore(watch.state())
    assert told(restarted, [4.0], 0.1, CURRENT_A) is None
    restarted.restore(watch.state())
    assert told(restarted, [6.0], NAN, CURRENT_A) is not None


def test_pulses_of_two_currents_leave_every_state_finite() -> None:
    watch = watch_of()
    t_s = 0.0
    for visit, size in product(range(1000), (1.0, 0.1)):
        watch.enter(driven(CURRENT_A * size, 2 * visit + (size < 1.0), t_s))
        told(watch, [t_s + k for k in range(1, 11)], 50.0 * CURRENT_A * size, CURRENT_A * size)
        t_s += 10.0
    json.dumps(watch.state(), allow_nan=False)
    # The resistance never changed, so that a run-away still stands out.
    assert told(watch, [t_s + k for k in range(20)], 1.9, 0.1 * CURRENT_A) is not None


ANYTHING = st.one_of(st.floats(), st.floats(-3.0, 3.0), st.sampled_from([NAN, INF, -INF, 1e308, CURRENT_A]))
ROWS = st.lists(st.tuples(st.floats(0.1, 100.0), ANYTHING, ANYTHING, ANYTHING), max_size=60)
CURRENTS = st.sampled_from([CURRENT_A, -CURRENT_A, 1e-9, 0.0])


@given(visits=st.lists(st.tuples(CURRENTS, ROWS), max_size=6), live=ANYTHING)
def test_whatever_comes_states_are_finite_and_survive_saving(
    visits: list[tuple[float, list[tuple[float, float, float, float]]]], live: float
) -> None:
    watch, restored = watch_of(), watch_of()
    t_s = 0.0
    for visit, (current, rows) in enumerate(visits):
        step = driven(current, visit, t_s) if current else StepFacts(1, visit, "rest", t_s, 0.0, None)
        for one in (watch, restored):
            one.enter(step)
        for interval_s, *values in rows:
            t_s += interval_s
            answers = [one.samples([t_s], *([value] for value in values)) for one in (watch, restored)]
            assert answers[0] == answers[1]
        watch.live(t_s, live, live)
        saved = json.dumps(watch.state(), allow_nan=False)
        restored = watch_of()
        restored.restore(json.loads(saved))
        assert restored.state() == watch.state()


def test_missing_values_with_measured_ones_between_are_no_time_without_a_measurement() -> None:
    """What lies between them need be told to no other guard, and ends the count all the same."""
    watch = watch_of()
    watch.enter(StepFacts(0, 0, "constant_current", 0.0, 1e-3, 3.6))
    times = [float(k) for k in range(1, 1800)]
    voltage = [NAN if k > 900 and k % 10 in (1, 4, 7) else 0.1 for k in range(1, 1800)]
    assert watch.samples(times, voltage, [1e-3] * len(times), [1e-3 * t for t in times]) is None
    assert watch.take_reports() == []
