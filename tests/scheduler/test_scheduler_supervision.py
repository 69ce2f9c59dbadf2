"""Tasks that die of a fault that nobody thought of: told, started again, and what is promised then holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_in_memory import Lab, Life, lab_in

from protocols.records import ENDED
from scheduler import supervision
from scheduler.keeper import Keeper
from scheduler.supervision import Supervisor

Dies = Callable[[], Coroutine[Any, Any, None]]
Fault = Callable[[], None]

TASKS: dict[str, tuple[str, str]] = {
    "commit": ("recorder", "keep_committing"),
    "resolve spectra": ("engine._resolver", "resolve"),
    "keep windows of verdicts": ("engine._filer", "keep"),
    "finish runs": ("engine", "_finish_runs"),
    "seal runs that go on": ("engine._sealer", "keep"),
    "keep alpha": ("engine.keepers.alpha", "keep"),
    "watch storage": ("service.storage", "keep"),
    "watch the clock": ("service._clock_watch", "keep"),
}
AFTER_S = 3.0


def bug() -> None:
    raise ZeroDivisionError("a bug")


def cancels() -> None:
    raise asyncio.CancelledError


def ends() -> None:
    """Come to an end as if all were done."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with lab_in(tmp_path) as made:
        made.end()
        yield made


def owner(life: Life, path: str) -> Any:
    found: Any = life
    for name in path.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    return found


def doomed(monkeypatch: pytest.MonkeyPatch, task: str, fault: Fault, times: int = 1) -> None:
    """Let a task of every later daemon die after a while, so many times; it has worked until then."""
    where, method = TASKS[task]
    live = Life.live
    left = [times]

    async def dying(self: Life) -> None:
        thing = owner(self, where)
        work: Dies = getattr(thing, method)

        async def dies() -> None:
            if not left[0]:
                return await work()
            left[0] -= 1
            working = asyncio.ensure_future(work())
            try:
                await asyncio.sleep(AFTER_S)
            finally:
                working.cancel()
                await asyncio.wait([working])
            return fault()

        monkeypatch.setattr(thing, method, dies)
        await live(self)

    monkeypatch.setattr(Life, "live", dying)


@pytest.mark.parametrize("fault", [bug, cancels, ends])
@pytest.mark.parametrize("task", TASKS)
def test_a_task_that_dies_is_told_and_started_again_and_the_runs_go_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, task: str, fault: Fault
) -> None:
    doomed(monkeypatch, task, fault)
    lab.start()
    lab.pass_time(1.0)
    for station in ("alpha-1", "beta-1"):
        lab.submit(station, "plating")
    lab.pass_time(AFTER_S)
    assert lab.life is not None
    (problem,) = lab.life.service.problems()
    assert (problem.task, problem.deaths) == (task, 1)
    assert problem.meanwhile
    lab.pass_time(20.0)
    (problem,) = lab.life.service.problems()
    assert problem.works_again and problem.next_try_in_s is None
    assert [info.state for info in lab.runs()] == ["finished", "finished"]
    told = [stored.event for stored in lab.life.store.reader.events() if stored.event.kind == "alarm"]
    assert [task in str(event.data["message"]) for event in told] == [True]
    lab.settle()
    lab.check()


def test_a_keeper_that_dies_leaves_its_cells_running_and_the_others_watched(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed(monkeypatch, "keep alpha", bug)
    monkeypatch.setattr(supervision, "BACKOFF_FIRST_S", 8.0)
    lab.start()
    lab.pass_time(1.0)
    for station in ("alpha-1", "beta-1"):
        lab.submit(station, "plating")
    lab.pass_time(AFTER_S)
    polls = lab.boxes["beta"].polls
    lab.pass_time(2.0)
    assert lab.boxes["alpha"].running(0)
    assert lab.boxes["beta"].polls >= polls + 2
    lab.pass_time(20.0)
    lab.settle()
    lab.check()


def test_commits_that_keep_dying_end_every_run_at_open_circuit(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed(monkeypatch, "commit", bug, times=3)
    lab.start()
    lab.pass_time(0.5)
    for station in ("alpha-1", "beta-1"):
        lab.submit(station, "asks")
    lab.pass_time(20.0)
    found = [(info.state, info.open_circuit_confirmed) for info in lab.runs()]
    assert found == [("failed", True), ("failed", True)]
    assert not lab.boxes["alpha"].running(0)
    lab.settle()
    lab.check()


def test_a_fault_of_our_own_with_one_run_leaves_the_other_cells_watched(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = Keeper._settle

    async def faulty(self: Keeper, channel: int, run: Any) -> None:
        if run.number == 1 and run.stop_wanted is None:
            raise ZeroDivisionError("a bug")
        await settle(self, channel, run)

    monkeypatch.setattr(Keeper, "_settle", faulty)
    lab.start()
    lab.pass_time(1.0)
    lab.submit("alpha-1", "two halves")
    lab.submit("alpha-2", "cycling")
    lab.pass_time(40.0)
    first, second = lab.runs()
    assert (first.state, first.open_circuit_confirmed) == ("failed", True)
    assert "a bug" in first.reason
    assert second.state == "finished"
    lab.settle()
    lab.check()


async def test_a_supervisor_that_is_to_end_ends_even_if_the_task_makes_an_error_of_it() -> None:
    from scripted_instrument import HostClock

    async def stubborn() -> None:
        try:
            await asyncio.sleep(3600.0)
        except asyncio.CancelledError:
            raise OSError("the link broke while it was closed") from None

    supervisor = Supervisor(HostClock().clock(), lambda message: None)
    task = asyncio.create_task(supervisor.keep("stubborn", stubborn, "nothing"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert supervisor.problems() == []


def test_every_task_that_works_for_ever_is_killed_in_these_tests(lab: Lab) -> None:
    lab.start()
    assert lab.life is not None
    kept = {name for name, _, _ in lab.life.engine._works()} - {"keep beta"}
    assert kept <= TASKS.keys()
    assert all(info.state in ENDED for info in lab.runs())
