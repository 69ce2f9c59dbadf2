"""The lab's queue: who is next where, and what keeps the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.records import RunState
from scheduler.queue import AGEING_S, Entry, LabQueue, Obstacle

NOW = 1.7e9
STATIONS = ("A", "B", "C")


def entry(run: int, *stations: str, cell: str = "", after: int | None = None, **changes: float) -> Entry:
    return Entry(
        run=run,
        cell=cell or f"cell {run}",
        stations=frozenset(stations or STATIONS),
        priority=int(changes.get("priority", 0)),
        submitted_unix_s=changes.get("submitted_unix_s", NOW),
        not_before_unix_s=changes.get("not_before_unix_s", 0.0),
        after=after,
        duration_s=changes.get("duration_s", 3600.0),
    )


def queue_of(*entries: Entry) -> LabQueue:
    queue = LabQueue(STATIONS)
    for each in entries:
        queue.add(each)
    return queue


def kinds(queue: LabQueue, run: int) -> list[str]:
    return [obstacle.kind for obstacle in queue.obstacles(queue.waiting[run], NOW)]


def test_one_run_a_station_and_the_others_in_order() -> None:
    queue = queue_of(*(entry(run, "A") for run in (1, 2, 3)))
    assert queue.obstacles(queue.waiting[1], NOW) == [Obstacle("look", "A")]
    assert queue.starts(NOW) == [(1, "A")]
    assert queue.starts(NOW) == []
    assert queue.ahead(queue.waiting[3], "A", NOW) == [1, 2]
    assert queue.obstacles(queue.waiting[3], NOW) == [Obstacle("busy", "A", 1)]
    queue.leave(2, "finished")
    assert queue.starts(NOW) == [], "only the occupant frees the station"
    queue.leave(1, "finished")
    assert queue.starts(NOW) == [(2, "A")]
    assert queue.remove(3) and not queue.remove(3)


def test_higher_priority_comes_first_then_who_was_submitted_first() -> None:
    queue = queue_of(entry(1, "A"), entry(2, "A", priority=1), entry(3, "A"))
    order = []
    for _ in range(3):
        [(run, _)] = queue.starts(NOW)
        queue.leave(run, "finished")
        order.append(run)
    assert order == [2, 1, 3]


def test_a_run_that_can_have_no_free_station_blocks_none() -> None:
    queue = queue_of(entry(1, "A"))
    assert queue.starts(NOW) == [(1, "A")]
    queue.add(entry(2, "A", priority=9))
    queue.add(entry(3, "A", "B"))
    assert queue.starts(NOW) == [(3, "B")]
    assert kinds(queue, 2) == ["busy"]


def test_who_may_choose_leaves_the_station_that_another_one_needs() -> None:
    queue = queue_of(entry(1), entry(2, "A"))
    assert queue.starts(NOW) == [(1, "B"), (2, "A")]


def test_a_cell_goes_where_it_was_last() -> None:
    queue = queue_of(entry(1, "B", cell="x"))
    assert queue.starts(NOW) == [(1, "B")]
    queue.leave(1, "finished")
    queue.add(entry(2, cell="x"))
    assert queue.starts(NOW) == [(2, "B")]


def test_a_cell_is_never_on_two_stations() -> None:
    queue = queue_of(entry(1, "A", cell="x"), entry(2, "B", cell="x"), entry(3, cell="x"))
    assert queue.starts(NOW) == [(1, "A")]
    assert queue.obstacles(queue.waiting[2], NOW) == [Obstacle("cell", "A", 1)]
    assert queue.obstacles(queue.waiting[3], NOW) == [Obstacle("busy", "A", 1)]
    queue.leave(1, "protected")
    assert queue.starts(NOW) == [], "it is still there"
    queue.acknowledge(1)
    assert queue.starts(NOW) == [(2, "B")]


@pytest.mark.parametrize("state", ["protected", "stopped", "failed"])
def test_who_ended_badly_keeps_the_station_until_a_person_has_seen_it(state: RunState) -> None:
    queue = queue_of(entry(1, "A"), entry(2, "A"))
    queue.starts(NOW)
    queue.leave(1, state)
    assert queue.starts(NOW) == []
    assert queue.obstacles(queue.waiting[2], NOW) == [Obstacle("held", "A", 1)]
    queue.acknowledge(2)
    assert queue.starts(NOW) == []
    assert queue.needs_acknowledgement(1)
    queue.acknowledge(1)
    assert queue.starts(NOW) == [(2, "A")]


def test_a_stop_holds_no_station_that_nobody_waits_for() -> None:
    queue = queue_of(entry(1, "A"), entry(2, "B"))
    queue.starts(NOW)
    queue.leave(1, "stopped")
    assert not queue.needs_acknowledgement(1)
    queue.add(entry(3, "A"))
    assert queue.starts(NOW) == [(3, "A")]


def test_a_start_time_is_kept() -> None:
    queue = queue_of(entry(1, "A", not_before_unix_s=NOW + 60), entry(2, "A", priority=-5))
    assert kinds(queue, 1) == ["start_time"]
    assert queue.starts(NOW) == [(2, "A")]
    queue.leave(2, "finished")
    assert queue.starts(NOW + 59) == []
    assert queue.starts(NOW + 60) == [(1, "A")]


# Series


def series(queue: LabQueue, *runs: int, cell: str = "x") -> None:
    before: int | None = None
    for run in runs:
        queue.add(entry(run, cell=cell, after=before))
        before = run


def test_a_series_runs_in_order_on_one_station_that_is_kept_for_its_cell() -> None:
    queue = queue_of()
    series(queue, 1, 2, 3)
    assert queue.starts(NOW) == [(1, "A")]
    assert queue.obstacles(queue.waiting[2], NOW) == [Obstacle("series", run=1)]
    queue.add(entry(9, "A", priority=50))
    queue.leave(1, "finished")
    assert queue.obstacles(queue.waiting[9], NOW) == [Obstacle("kept", "A", 2)]
    assert queue.starts(NOW) == [(2, "A")]
    queue.leave(2, "finished")
    assert queue.starts(NOW) == [(3, "A")]
    queue.leave(3, "finished")
    assert queue.starts(NOW) == [(9, "A")]


@pytest.mark.parametrize("state", ["protected", "stopped", "failed"])
def test_the_rest_of_a_series_waits_for_a_person(state: RunState) -> None:
    queue = queue_of()
    series(queue, 1, 2)
    queue.starts(NOW)
    queue.leave(1, state)
    assert queue.starts(NOW) == []
    assert queue.obstacles(queue.waiting[2], NOW) == [Obstacle("series_held", run=1)]
    queue.acknowledge(1)
    assert queue.starts(NOW) == [(2, "A")]


def test_a_series_whose_next_run_is_taken_out_waits_for_a_person() -> None:
    queue = queue_of()
    series(queue, 1, 2, 3)
    queue.starts(NOW)
    assert [follower.run for follower in queue.followers(1)] == [2, 3]
    queue.remove(2)
    queue.leave(1, "finished")
    assert queue.starts(NOW) == []
    assert queue.obstacles(queue.waiting[3], NOW) == [Obstacle("series_held", run=2)]
    queue.acknowledge(2)
    assert queue.starts(NOW) == [(3, "A")]


# Stations on which nothing starts


def test_nothing_starts_in_maintenance_and_others_go_round_it() -> None:
    queue = queue_of(entry(1, "A"), entry(2, "A", "B"))
    assert queue.starts(NOW, shut={"A"}) == [(2, "B")]
    assert queue.obstacles(queue.waiting[1], NOW, {"A"}) == [Obstacle("maintenance", "A")]
    assert queue.starts(NOW) == [(1, "A")]


def test_who_may_choose_takes_no_station_that_does_not_answer() -> None:
    queue = queue_of(entry(1, "A", "B"), entry(2, "A"))
    assert queue.starts(NOW, away={"A", "B"}) == [(2, "A")], "who asked for it gets it, and waits there"
    assert [o.kind for o in queue.obstacles(queue.waiting[1], NOW, away={"A", "B"})] == ["busy", "contact"]


def test_a_run_that_is_taken_back_waits_as_before() -> None:
    queue = queue_of(entry(1, "A"))
    queue.starts(NOW)
    queue.vacate("A")
    queue.add(entry(1, "A"))
    assert queue.starts(NOW, shut={"A"}) == []
    assert queue.starts(NOW) == [(1, "A")]


def test_nobody_is_passed_over_for_ever() -> None:
    """Runs of the highest priority come again and again; one of the lowest gains a level each day."""
    queue, now = queue_of(entry(1, "A", priority=-3)), NOW
    for run in range(2, 200):
        queue.add(entry(run, "A", priority=3, submitted_unix_s=now))
        [(started, _)] = queue.starts(now)
        if started == 1:
            break
        now += AGEING_S / 4
        queue.leave(started, "finished")
    assert 1 not in queue.waiting
    assert now - NOW == pytest.approx(6 * AGEING_S)


# Anything in any order


class Trial:
    """A queue to which things happen; it is looked at after each."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.queue = LabQueue(STATIONS)
        self.now = NOW
        self.shut: set[str] = set()
        self.number = 0
        self.entries: dict[int, Entry] = {}
        self.started: list[int] = []
        self.ended: dict[int, str] = {}
        self.acknowledged: set[int] = set()

    def add(self) -> None:
        draw = self.data.draw
        names = draw(st.sets(st.sampled_from(STATIONS), min_size=1))
        cell, length = draw(st.sampled_from("xyz")), draw(st.integers(1, 3))
        for place in range(length):
            self.number += 1
            made = entry(
                self.number,
                *names,
                cell=cell,
                after=self.number - 1 if place else None,
                priority=draw(st.integers(-2, 2)),
                submitted_unix_s=self.now,
                not_before_unix_s=draw(st.sampled_from([0.0, self.now + 1e4])),
            )
            self.entries[self.number] = made
            self.queue.add(made)

    def start(self) -> None:
        before = self.queue.copy()
        for run, station in self.queue.starts(self.now, self.shut):
            self._may_start(run, station, before)
            self.started.append(run)
        for waiting in self.queue.waiting.values():
            assert self.queue.obstacles(waiting, self.now, self.shut), (
                "a run that waits does so for something"
            )

    def _may_start(self, run: int, station: str, before: LabQueue) -> None:
        mine = self.entries[run]
        assert station in mine.stations
        assert station not in before.occupants and station not in self.shut
        assert mine.not_before_unix_s <= self.now
        if mine.after is not None:
            assert self.ended[mine.after] == "finished" or mine.after in self.acknowledged
        cells = {o.cell for o in self.queue.occupants.values()}
        for other in before.waiting.values():
            comes_before = other.rank(self.now) < mine.rank(self.now)
            if comes_before and other.run in self.queue.waiting and other.cell not in cells:
                kept = before.obstacles(other, self.now, self.shut)
                assert not [o for o in kept if o.station == station and o.kind in ("look", "turn")]

    def end(self) -> None:
        alive = [o.run for o in self.queue.occupants.values() if not o.held]
        if alive:
            run = self.data.draw(st.sampled_from(alive))
            states: list[RunState] = ["finished", "protected", "stopped", "failed"]
            state = self.data.draw(st.sampled_from(states))
            self.ended[run] = state
            self.queue.leave(run, state)

    def remove(self) -> None:
        if self.queue.waiting:
            run = self.data.draw(st.sampled_from(sorted(self.queue.waiting)))
            assert self.queue.remove(run)
            self.ended[run] = "stopped"

    def acknowledge(self) -> None:
        wanted = [run for run in self.ended if self.queue.needs_acknowledgement(run)]
        if wanted:
            run = self.data.draw(st.sampled_from(wanted))
            self.queue.acknowledge(run)
            self.acknowledged.add(run)

    def wait(self) -> None:
        self.now += 6e3

    def close(self) -> None:
        self.shut ^= {self.data.draw(st.sampled_from(STATIONS))}

    def look(self) -> None:
        """One run a station, one station a cell, and no run twice."""
        occupants = list(self.queue.occupants.values())
        assert len({o.run for o in occupants}) == len(occupants)
        assert len({o.cell for o in occupants}) == len(occupants)
        assert len(set(self.started)) == len(self.started)
        assert not set(self.started) & self.queue.waiting.keys()

    def finish(self) -> None:
        """With time, and a person who looks, every run has its turn."""
        self.shut.clear()
        self.now += 1e6
        for _ in range(3 * self.number + 1):
            self.start()
            self.look()
            for run in [o.run for o in self.queue.occupants.values() if not o.held]:
                self.ended[run] = "finished"
                self.queue.leave(run, "finished")
            for run in self.ended:
                if self.queue.needs_acknowledgement(run):
                    self.queue.acknowledge(run)
                    self.acknowledged.add(run)
        assert not self.queue.waiting


@given(st.data())
def test_whatever_happens_in_any_order(data: st.DataObject) -> None:
    trial = Trial(data)
    deeds = [trial.add, trial.start, trial.end, trial.remove, trial.acknowledge, trial.wait, trial.close]
    for deed in data.draw(st.lists(st.sampled_from(deeds), max_size=40)):
        deed()
        trial.look()
    trial.finish()
