"""Steps of the computer's UTC: noticed and told, and no run time changes with them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_instrument import CURRENT_A, Bench, HostClock, driven, program

from scheduler.clock import Clock, Stamp
from scheduler.clock_watch import ClockWatch
from scheduler.free_space import FreeSpace
from scheduler.run import ActiveRun

pytestmark = pytest.mark.usefixtures("quick")

DAY_S = 86400.0
PAUSE_S = 300.0


# Noticing


@given(st.lists(st.tuples(st.floats(0.1, 100.0), st.floats(-0.4, 0.4)), max_size=20))
def test_a_clock_that_is_only_slewed_has_no_step(looks: list[tuple[float, float]]) -> None:
    host, steps = HostClock(), list[float]()
    watch = ClockWatch(host.clock(), steps.append)
    watch.look()
    for passed_s, slewed_s in looks:
        host.now_s += passed_s
        host.utc_s += slewed_s
        watch.look()
    assert steps == []


@given(st.lists(st.floats(2.0, 1e8).flatmap(lambda s: st.sampled_from([s, -s])), min_size=1, max_size=5))
def test_every_step_is_told_once_with_its_size(given_steps: list[float]) -> None:
    host, steps = HostClock(), list[float]()
    watch = ClockWatch(host.clock(), steps.append)
    watch.look()
    for step_s in given_steps:
        host.now_s += 1.0
        host.utc_s += step_s
        watch.look()
        host.now_s += 1.0
        watch.look()
    assert steps == pytest.approx(given_steps, abs=1e-3)


def test_a_look_that_was_interrupted_says_nothing() -> None:
    @dataclass
    class Interrupted:
        now_s: float = 0.0
        takes_s: float = 0.0

        def unix(self) -> float:
            self.now_s += self.takes_s
            return 1.7e9 + self.now_s

    host, steps = Interrupted(), list[float]()
    watch = ClockWatch(Clock(monotonic=lambda: host.now_s, unix=host.unix), steps.append)
    watch.look()
    host.takes_s = 30.0
    watch.look()
    host.takes_s = 0.0
    watch.look()
    assert steps == []


@pytest.mark.parametrize(
    ("boot", "utc_s", "expected", "step_s"),
    [
        ("a", 100.0, (100.0, True), 0.0),
        ("a", DAY_S, (100.0, True), DAY_S - 100.0),
        ("a", -DAY_S, (100.0, True), -DAY_S - 100.0),
        ("b", DAY_S, (DAY_S, False), None),
        ("b", -DAY_S, (0.0, False), -DAY_S),
        ("", 100.0, (100.0, False), None),
    ],
)
def test_the_time_between_two_daemons(
    boot: str, utc_s: float, expected: tuple[float, bool], step_s: float | None
) -> None:
    """By the monotonic clock while the computer ran; what UTC alone says is not sure."""
    first = Stamp(1.7e9, 50.0, "a")
    later = Stamp(1.7e9 + utc_s, 150.0, boot)
    assert first.until(later) == expected
    assert first.step_s(later) == step_s
    assert Stamp.of(first.state()) == first


def test_what_an_earlier_version_saved_is_a_moment_by_utc_alone() -> None:
    assert Stamp.of({"unix_s": 5.0}) == Stamp(5.0, 0.0, "")
    assert [Stamp.of(saved) for saved in (None, {}, {"unix_s": None}, "x")] == [None] * 4


# Runs


async def paused(bench: Bench) -> ActiveRun:
    """Let a run be paused, and the daemon be killed."""
    run = bench.submit(program(driven(0, CURRENT_A, 60.0)))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 10.0)
    bench.keeper.pause(run)
    await bench.until(lambda: run.info.state == "paused")
    await bench.rest()
    await bench.recorder.commit()
    return run


async def goes_on(bench: Bench, number: int) -> ActiveRun:
    """A new daemon takes the run over, and it goes on to its end."""
    await bench.killed()
    run = bench.recover(number)
    bench.keep()
    await bench.until(lambda: run.open_confirmed)
    bench.keeper.resume(run)
    await bench.until(lambda: run.number in bench.ended)
    await bench.recorder.commit()
    return run


def steps_of(bench: Bench, run: int) -> list[object]:
    return [data["step_s"] for data in bench.data(run, "clock_step")]


@pytest.mark.parametrize("step_s", [0.0, DAY_S, -DAY_S])
async def test_a_pause_that_outlives_the_daemon_is_as_long_as_it_was(bench: Bench, step_s: float) -> None:
    run = await paused(bench)
    reached_s = run.progress.t_s
    bench.host.now_s += PAUSE_S
    bench.host.utc_s += step_s
    await goes_on(bench, run.number)
    first, second = bench.store.reader.tickets(run.number)
    assert second.offset_s == pytest.approx(reached_s + PAUSE_S)
    assert steps_of(bench, run.number) == ([pytest.approx(step_s)] if step_s else [])
    times = bench.store.reader.samples(run.number)["t_s"]
    assert (times[1:] > times[:-1]).all()
    assert first.offset_s == 0.0


async def test_after_a_restart_of_the_computer_utc_is_believed_and_that_is_said(bench: Bench) -> None:
    run = await paused(bench)
    reached_s = run.progress.t_s
    bench.host.restart(PAUSE_S)
    await goes_on(bench, run.number)
    _, second = bench.store.reader.tickets(run.number)
    assert second.offset_s == pytest.approx(reached_s + PAUSE_S)
    assert any("by UTC" in str(note["message"]) for note in bench.data(run.number, "note"))


async def test_a_clock_that_went_back_over_a_restart_takes_no_run_time_away(bench: Bench) -> None:
    run = await paused(bench)
    reached_s = run.progress.t_s
    bench.host.restart(-DAY_S)
    await goes_on(bench, run.number)
    _, second = bench.store.reader.tickets(run.number)
    assert second.offset_s == pytest.approx(reached_s)
    (step_s,) = steps_of(bench, run.number)
    assert step_s == pytest.approx(-DAY_S)
    assert bench.store.reader.verify(run.number) == []


@pytest.mark.parametrize("step_s", [DAY_S, -DAY_S])
async def test_a_step_in_the_middle_of_a_segment_changes_no_sample(bench: Bench, step_s: float) -> None:
    run = bench.submit(program(driven(0, CURRENT_A, 60.0)))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 10.0)
    bench.host.utc_s += step_s
    await bench.until(lambda: run.number in bench.ended)
    await bench.recorder.commit()
    reader = bench.store.reader
    assert [float(t) for t in reader.samples(run.number)["t_s"]] == [float(k) for k in range(61)]
    (ticket,) = reader.tickets(run.number)
    assert ticket.anchor_unix_s == pytest.approx(1.7e9 + 50.0), "the anchor is that of the start"
    utc_s = reader.clock(run.number)(reader.samples(run.number)["t_s"])
    assert [float(s) for s in utc_s] == pytest.approx([1.7e9 + 50.0 + k for k in range(61)])


# Free space


def test_how_long_a_disk_lasts_is_known_after_a_while_and_only_while_it_fills() -> None:
    space = FreeSpace()
    assert (space.bytes, space.lasts_s) == (None, None)
    for second in range(0, 540, 10):
        space.take(float(second), 1_000_000 - 100 * second)
    assert space.lasts_s is None
    space.take(600.0, 940_000)
    assert space.lasts_s == pytest.approx(9400.0)
    for minute in range(11, 90):
        space.take(60.0 * minute, 940_000 + minute)
    assert space.lasts_s is None
