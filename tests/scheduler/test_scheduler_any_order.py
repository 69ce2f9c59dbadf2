"""Whatever happens, in any order: the engine with its store, on instruments that go on by themselves."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from lab_in_memory import MAY_BE_ANYWHERE, NAMES, STATIONS, Lab, lab_in
from memory_box import CHANNELS

boxes = st.sampled_from(NAMES)
channels = st.integers(0, CHANNELS - 1)
moments = st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.0, 1.0, 2.5, 2.5, 6.0])
"""How long nothing else happens afterwards."""
iterations = st.integers(0, 40)
"""Turns of the loop: between two of them a daemon may be killed."""
mishaps = st.lists(
    st.sampled_from(["not arrived", "reply lost", "late", "refused", "hangs"]), min_size=1, max_size=2
)
MOST_RUNS = 8


class AnyOrder(RuleBasedStateMachine):
    """What may happen in a lab."""

    @initialize(names=st.lists(st.sampled_from(MAY_BE_ANYWHERE), min_size=3, max_size=3), then_s=moments)
    def begin(self, names: list[str], then_s: float) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sandtime-"))
        self.context = lab_in(self.folder)
        self.lab: Lab = self.context.__enter__()
        for station, name in zip(STATIONS, [names[0], "spectra", *names[1:]], strict=True):
            self.lab.submit(station, name)
        self.lab.pass_time(then_s)

    @rule(station=st.sampled_from(STATIONS), name=st.sampled_from(MAY_BE_ANYWHERE), then_s=moments)
    def submit(self, station: str, name: str, then_s: float) -> None:
        if len(self.lab.runs()) < MOST_RUNS:
            self.lab.submit(station, name)
        self.lab.pass_time(then_s)

    # The daemon and its computer

    @rule(before=iterations, dead_s=st.sampled_from([0.0, 0.5, 5.0, 20.0]), after=iterations, then_s=moments)
    def killed(self, before: int, dead_s: float, after: int, then_s: float) -> None:
        self.lab.go_on(before)
        self.lab.kill()
        self.lab.pass_time(dead_s)
        self.lab.start()
        self.lab.go_on(after)
        self.lab.pass_time(then_s)

    @rule(before=iterations, after=iterations)
    def killed_twice(self, before: int, after: int) -> None:
        for count in (before, after):
            self.lab.go_on(count)
            self.lab.kill()
            self.lab.start()

    @rule(dead_s=st.sampled_from([0.0, 5.0]), then_s=moments)
    def ended_and_started(self, dead_s: float, then_s: float) -> None:
        self.lab.end()
        self.lab.pass_time(dead_s)
        self.lab.start()
        self.lab.pass_time(then_s)

    @rule(after_s=st.sampled_from([3.0, 30.0]), then_s=moments)
    def computer_restarts(self, after_s: float, then_s: float) -> None:
        self.lab.restart_computer(after_s)
        self.lab.start()
        self.lab.pass_time(then_s)

    @rule(step_s=st.sampled_from([-86400.0, -5.0, 5.0, 86400.0]), then_s=moments)
    def clock_is_set(self, step_s: float, then_s: float) -> None:
        self.lab.set_clock(step_s)
        self.lab.pass_time(then_s)

    @rule(job_s=st.sampled_from([0.0, 0.2, 2.0]), then_s=moments)
    def disk_is_slow(self, job_s: float, then_s: float) -> None:
        self.lab.loop.job_s = job_s
        self.lab.pass_time(then_s)

    @rule(full_s=moments, then_s=moments)
    def disk_is_full(self, full_s: float, then_s: float) -> None:
        self.lab.fill_disk(True)
        self.lab.pass_time(full_s)
        self.lab.fill_disk(False)
        self.lab.pass_time(then_s)

    # Instruments

    @rule(box=boxes, gone_s=moments, then_s=moments)
    def unplugged(self, box: str, gone_s: float, then_s: float) -> None:
        self.lab.boxes[box].plugged_in = False
        self.lab.pass_time(gone_s)
        self.lab.boxes[box].plugged_in = True
        self.lab.pass_time(then_s)

    @rule(box=boxes, there=st.booleans())
    def plug(self, box: str, there: bool) -> None:
        self.lab.boxes[box].plugged_in = there

    @rule(box=boxes, then_s=moments)
    def box_restarts(self, box: str, then_s: float) -> None:
        self.lab.boxes[box].reboot()
        self.lab.pass_time(then_s)

    @rule(box=boxes, what=mishaps, then_s=moments)
    def calls_go_wrong(self, box: str, what: list[str], then_s: float) -> None:
        self.lab.boxes[box].mishaps = what  # type: ignore[assignment]  # as they are called there
        self.lab.pass_time(then_s)

    @rule(box=boxes, channel=channels, then_s=moments)
    def others_start(self, box: str, channel: int, then_s: float) -> None:
        found = self.lab.boxes[box]
        found.advance()
        if not found.running(channel):
            found.held.pop(channel, None)
            found.foreign.add(channel)
        self.lab.pass_time(then_s)
        found.foreign.discard(channel)

    @rule(box=boxes, channel=channels, then_s=moments)
    def stopped_at_its_panel(self, box: str, channel: int, then_s: float) -> None:
        self.lab.boxes[box].stop(channel)
        self.lab.pass_time(then_s)

    @rule(
        box=boxes,
        channel=channels,
        health=st.sampled_from(["healthy", "shorted", "runs away"]),
        then_s=moments,
    )
    def cell_changes(self, box: str, channel: int, health: str, then_s: float) -> None:
        self.lab.boxes[box].advance()
        self.lab.boxes[box].health[channel] = health  # type: ignore[assignment]  # as they are called there
        self.lab.pass_time(then_s)

    # People

    @rule(
        which=st.integers(0, MOST_RUNS - 1),
        what=st.sampled_from(["stop", "pause", "pause", "resume", "resume", "acknowledge"]),
        soon=iterations,
        then_s=moments,
    )
    def person_asks(self, which: int, what: str, soon: int, then_s: float) -> None:
        runs = [info.run for info in self.lab.runs()]
        if runs:
            run = runs[which % len(runs)]
            self.lab.ask(lambda service: _ask(service, what, run))
        self.lab.go_on(soon)
        self.lab.pass_time(then_s)

    @rule(held_s=moments, then_s=moments)
    def red_button(self, held_s: float, then_s: float) -> None:
        self.lab.ask(lambda service: service.stopping.stop_all())
        self.lab.pass_time(held_s)
        self.lab.ask(lambda service: service.stopping.resume_queue())
        self.lab.pass_time(then_s)

    def teardown(self) -> None:
        if not hasattr(self, "lab"):
            return
        try:
            self.lab.settle()
            self.lab.check()
        finally:
            self.context.__exit__(None, None, None)
            shutil.rmtree(self.folder)


async def _ask(service: object, what: str, run: int) -> None:
    result = getattr(service, what)(run)
    if hasattr(result, "__await__"):
        await result


def trial(examples: int, steps: int, *, derandomize: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=derandomize,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def test_whatever_happens() -> None:
    run_state_machine_as_test(AnyOrder, settings=trial(15, 20, derandomize=True))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_whatever_happens_for_long() -> None:
    run_state_machine_as_test(AnyOrder, settings=trial(2000, 40, derandomize=False))
