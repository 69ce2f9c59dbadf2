"""When the runs of a queue are expected to start and to end, and why a run waits, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pytest

from protocols.queueing import Maintenance
from scheduler.forecast import Expected, Outlook, forecast
from scheduler.queue import Entry, LabQueue
from scheduler.why_waiting import Circumstances, moment, why_waiting

NOW = datetime(2026, 11, 27, 12, 0).astimezone().timestamp()
HOUR_S = 3600.0
CABLE = Maintenance(name="A", reason="new cable", since_unix_s=NOW, who="Zoë")


def queue_of(*entries: Entry, stations: tuple[str, ...] = ("A", "B")) -> LabQueue:
    queue = LabQueue(stations)
    for entry in entries:
        queue.add(entry)
    return queue


def entry(run: int, *stations: str, hours: float = 1.0, cell: str = "", after: int | None = None) -> Entry:
    return Entry(
        run=run,
        cell=cell or f"cell {run}",
        stations=frozenset(stations or ("A", "B")),
        submitted_unix_s=NOW,
        after=after,
        duration_s=hours * HOUR_S,
    )


def outlook(
    left_h: Mapping[int, float | None] | None = None,
    shut: Mapping[str, float | None] | None = None,
    pace: Mapping[str, float] | None = None,
) -> Outlook:
    left_s = {run: None if left is None else left * HOUR_S for run, left in (left_h or {}).items()}
    return Outlook(NOW, left_s, shut or {}, pace=pace or {})


def hours(expected: Expected) -> tuple[str, float, float | None]:
    """Return station, start and end, in hours from now."""
    end = expected.end_unix_s
    start_h = (expected.start_unix_s - NOW) / HOUR_S
    return expected.station, start_h, None if end is None else (end - NOW) / HOUR_S


def test_the_queue_is_played_through() -> None:
    queue = queue_of(entry(1, hours=3), entry(2, hours=1), entry(3, hours=1), entry(4, "A", hours=1))
    found = forecast(queue, outlook())
    assert {run: hours(expected) for run, expected in found.items()} == {
        1: ("B", 0.0, 3.0),
        2: ("A", 0.0, 1.0),
        3: ("A", 1.0, 2.0),
        4: ("A", 2.0, 3.0),
    }
    assert set(queue.waiting) == {1, 2, 3, 4}, "nothing has happened to the queue itself"


def test_what_runs_ends_first() -> None:
    queue = queue_of(entry(3, "A"), entry(4, "B"))
    queue.occupy("A", 1, "x")
    queue.occupy("B", 2, "y")
    found = forecast(queue, outlook({1: 0.5, 2: None}))
    assert hours(found[1]) == ("A", 0.0, 0.5)
    assert hours(found[2]) == ("B", 0.0, None)
    assert hours(found[3]) == ("A", 0.5, 1.5)
    assert 4 not in found, "nobody knows when a paused run goes on"


def test_who_waits_for_a_person_starts_at_no_time_that_is_known() -> None:
    queue = queue_of(entry(2, "A"))
    queue.occupy("A", 1, "x", held=True)
    assert forecast(queue, outlook()) == {}


def test_a_maintenance_ends_and_a_start_time_comes() -> None:
    late = Entry(2, "y", frozenset({"B"}), submitted_unix_s=NOW, not_before_unix_s=NOW + 2 * HOUR_S)
    found = forecast(queue_of(entry(1, "A"), late), outlook(shut={"A": NOW + 5 * HOUR_S}))
    assert hours(found[1]) == ("A", 5.0, 6.0)
    assert hours(found[2]) == ("B", 2.0, 2.0)
    assert forecast(queue_of(entry(1, "A")), outlook(shut={"A": None})) == {}


def test_a_series_stays_on_its_station() -> None:
    queue = queue_of(entry(1, cell="x"), entry(2, cell="x", after=1), entry(3, hours=0.5))
    found = forecast(queue, outlook())
    assert (hours(found[1]), hours(found[2])) == (("A", 0.0, 1.0), ("A", 1.0, 2.0))


def test_a_simulated_clock_runs_faster() -> None:
    found = forecast(queue_of(entry(1, "A")), outlook(pace={"A": 60.0}))
    assert hours(found[1])[2] == pytest.approx(1 / 60)


# In words


def why(
    queue: LabQueue,
    run: int,
    wants: str = "",
    shut: Mapping[str, Maintenance] | None = None,
    away: frozenset[str] = frozenset(),
    no_start: str = "",
) -> str:
    known = Circumstances(NOW, shut or {}, away, lambda run: NOW + run * HOUR_S, no_start)
    return why_waiting(queue, queue.waiting[run], wants, known)


def test_one_station() -> None:
    queue = queue_of(entry(2, "A"), entry(3, "A"), entry(9, "B"))
    assert why(queue, 9) == "the first look at the instrument of B"
    assert why(queue, 9, no_start="free disk space") == "free disk space"
    queue.occupy("A", 1, "x")
    assert why(queue, 2) == "run 1 on A, until about 13:00 at most"
    assert why(queue, 3) == "runs 1, 2 on A, until about 13:00 at most"
    queue.leave(1, "protected")
    assert "to acknowledge it: sandtime ack 1" in why(queue, 2)
    queue.acknowledge(1)
    assert why(queue, 2, shut={"A": CABLE}) == (
        "the end of the maintenance of A (new cable); to end it: sandtime maintenance off A"
    )
    until = CABLE.model_copy(update={"until_unix_s": NOW + 24 * HOUR_S})
    assert "(new cable, until 2026-11-28 12:00)" in why(queue, 2, shut={"A": until})


def test_one_of_several_stations() -> None:
    queue = queue_of(entry(8), entry(9, "A", "B", "C"), stations=("A", "B", "C", "D"))
    for station, run in (("A", 2), ("B", 1), ("C", 3), ("D", 4)):
        queue.occupy(station, run, f"on {station}")
    assert why(queue, 9, "needs EIS to 7 MHz") == (
        "needs EIS to 7 MHz, only A, B, C: busy until about 13:00 at most"
    )
    assert why(queue, 8) == "one of A, B: busy until about 13:00 at most"
    queue.leave(2, "protected")
    queue.leave(3, "finished")
    shut = {"C": CABLE}
    assert why(queue, 9, shut=shut) == (
        "one of A, B, C: B busy until about 13:00 at most; A waits for a person (sandtime ack 2); "
        "C in maintenance"
    )
    assert "C not in contact" in why(queue, 9, away=frozenset("C"))


def test_any_station() -> None:
    queue = queue_of(entry(9))
    queue.occupy("A", 1, "x")
    queue.occupy("B", 2, "y")
    assert why(queue, 9) == "a free station: busy until about 13:00 at most"


def test_a_cell_that_is_elsewhere_and_a_series() -> None:
    queue = queue_of(entry(2, "B", cell="x"), entry(3, "A", cell="y"), entry(4, "A", cell="y", after=3))
    queue.occupy("A", 1, "x")
    assert why(queue, 2).startswith("its cell 'x', which run 1 has on A")
    assert why(queue, 4) == "run 3 of its series to finish"
    queue.remove(3)
    assert "sandtime ack 3" in why(queue, 4) and "sandtime queue cancel 4" in why(queue, 4)


def test_nothing_is_left_that_could_do_it() -> None:
    gone = Entry(1, "x", frozenset())
    assert "service.toml no longer has one" in why(queue_of(gone), 1)


def test_a_moment_names_the_day_if_it_is_not_today() -> None:
    assert moment(NOW + 8400, NOW) == "14:20"
    assert moment(NOW + 86_400, NOW) == "2026-11-28 12:00"
