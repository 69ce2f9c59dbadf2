"""The boxes of the load do what a list of techniques says, and cost little."""

from __future__ import annotations

import pytest
from simulated_box import MA, drive, loop, rest

from benchmarks.load.boxes import LoadRun, Stretch, stretches
from benchmarks.load.wire import Books, Segment
from drivers.simulation.techniques import Technique


def techniques(*given: tuple[str, bytes]) -> list[Technique]:
    return [Technique.parse(*each) for each in given]


CYCLED = techniques(drive(MA, 10.0), drive(-MA, 5.0), loop(2, 0), rest(3.0))


def test_a_list_runs_its_loops_and_then_what_follows() -> None:
    found = [(each.index, each.loop, each.start_s) for each in stretches(CYCLED)]
    assert found == [(0, 0, 0), (1, 0, 10), (0, 1, 15), (1, 1, 25), (0, 2, 30), (1, 2, 40), (3, 0, 45)]


def taken(run: LoadRun, t_s: float) -> list[tuple[int, int, int]]:
    rows: list[tuple[int, int, int]] = []
    while (each := run.take(t_s, 4)) is not None:
        stretch, first, stop = each
        assert isinstance(stretch, Stretch)
        rows.append((stretch.index, first, stop))
    return rows


def test_every_record_is_given_once_and_counted() -> None:
    segment = Segment("sandtime/x/7/0/y", "vsp", 0, 0.0)
    run = LoadRun(CYCLED, segment)
    assert taken(run, 2.5) == [(0, 0, 3)]
    assert taken(run, 11.5) == [(0, 3, 7), (0, 7, 11), (1, 0, 2)]
    assert taken(run, 11.6) == []
    assert (segment.rows, segment.run) == (13, 7)
    assert run.running(11.6)
    assert run.current_A(11.6) == pytest.approx(-MA)
    run.stop(13.2)
    assert not run.running(13.3)
    assert taken(run, 99.0) == [(1, 2, 4)]


def test_a_list_ends_by_itself() -> None:
    run = LoadRun(techniques(drive(MA, 2.0), rest(1.0)), Segment("sandtime/x/7/0/y", "vsp", 0, 0.0))
    assert run.running(2.9)
    assert not run.running(3.1)
    assert taken(run, 99.0) == [(0, 0, 3), (1, 0, 2)]
    assert run.segment.rows == 3, "the last rest is the driver's own"


def test_books_survive_the_wire() -> None:
    books = Books([Segment("sandtime/x/7/0/y", "vsp", 0, 1.5, 3, 2.5, None)], {"vsp": [1.0]}, 4, 0.5)
    assert Books.of(books.document()) == books
