"""Connections: a device that is dead, or hangs, or is taken by others, is told and delays no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_in_memory import PROGRAMS, Lab, lab_in
from scripted_instrument import HostClock

from scheduler import bounded, engine
from scheduler.contact import Backoff, Contact
from scheduler.requests import ConnectionInfo
from storage.held import HeldReader

LONG_S = 2.0 * max(bounded.TIMEOUTS_S.values())


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with lab_in(tmp_path) as made:
        yield made


def connection(lab: Lab, name: str) -> ConnectionInfo:
    assert lab.life is not None
    return next(each for each in lab.life.service.connections() if each.name == name)


@given(st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=30, max_size=60))
def test_waits_grow_up_to_a_cap_and_are_drawn(chances: list[float]) -> None:
    drawn = iter(chances)
    backoff = Backoff(first_s=0.5, max_s=60.0, chance=lambda: next(drawn))
    longest_s = 0.5
    for chance in chances:
        wait_s = backoff.next_s()
        assert wait_s == pytest.approx(longest_s * (1.0 - 0.5 * chance))
        longest_s = min(longest_s * backoff.factor, 60.0)
    assert longest_s == 60.0
    backoff.reset()
    backoff.chance = lambda: 0.0
    assert backoff.next_s() == 0.5


def test_contact_is_told_once_when_lost_and_once_when_it_lasts_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = HostClock()
    contact = Contact("box", "instrument", host.clock())
    contact.found()
    contact.lasts()
    assert caplog.text == ""
    lost_s = host.clock().unix()
    for problem in ("gone", "still gone", "answers nonsense"):
        contact.lost(problem)
        contact.retry_in(30.0)
        host.now_s += 10.0
        # It answers a connection, and then no more.
        contact.found()
    contact.lost("gone again")
    contact.retry_in(30.0)
    found = contact.info()
    assert (found.reachable, found.problem, found.since_unix_s) == (False, "gone again", lost_s)
    assert found.next_try_in_s == pytest.approx(30.0)
    contact.found()
    contact.lasts()
    contact.lasts()
    assert [record.getMessage() for record in caplog.records] == [
        "box: no contact: gone",
        "box: contact again after 30 s",
    ]
    assert contact.info().next_try_in_s is None


@pytest.mark.parametrize("kind", ["poll", "look", "connect", "close"])
def test_an_instrument_that_hangs_delays_no_other(lab: Lab, kind: str) -> None:
    for station in ("alpha-1", "beta-1"):
        lab.submit(station, "plating")
    lab.pass_time(2.0)
    lab.boxes["alpha"].hanging.add(kind)
    if kind != "poll":
        lab.boxes["alpha"].session += 1
    polls = lab.boxes["beta"].polls
    lab.pass_time(6.0)
    assert lab.boxes["beta"].polls >= polls + 5
    lab.pass_time(10.0)
    assert next(info for info in lab.runs() if info.station == "beta-1").state == "finished"
    lab.pass_time(LONG_S)
    lab.boxes["alpha"].hanging.clear()
    lab.pass_time(LONG_S)
    assert next(info for info in lab.runs() if info.station == "alpha-1").state == "finished"
    lab.settle()
    lab.check()


def test_an_instrument_that_never_answers_its_connection_lets_the_others_begin(lab: Lab) -> None:
    lab.end()
    lab.boxes["alpha"].hanging.add("connect")
    lab.start()
    lab.pass_time(engine.PATIENCE_S + 1.0)
    lab.submit("alpha-1", "plating")
    lab.submit("beta-1", "plating")
    lab.pass_time(20.0)
    assert {info.station: info.state for info in lab.runs()} == {"alpha-1": "queued", "beta-1": "finished"}
    lab.boxes["alpha"].hanging.clear()
    lab.settle()
    lab.check()


def test_a_dead_instrument_is_tried_less_and_less_often_and_said_once(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    box = lab.boxes["alpha"]
    lab.submit("alpha-1", "plating")
    lab.pass_time(1.0)
    box.plugged_in = False
    box.connects_s.clear()
    with caplog.at_level(logging.WARNING):
        lab.pass_time(600.0)
        waits_s = [later - earlier for earlier, later in pairwise(box.connects_s)]
        assert max(waits_s) <= 61.0 and min(waits_s[-3:]) >= 30.0
        found = connection(lab, "alpha")
        assert not found.reachable and "can't be reached" in found.problem
        assert found.next_try_in_s is not None and 0.0 < found.next_try_in_s <= 60.0
        box.plugged_in = True
        lab.pass_time(100.0)
    assert connection(lab, "alpha").reachable
    told = [record.getMessage() for record in caplog.records if "contact" in record.getMessage()]
    assert len(told) == 2 and "no contact" in told[0] and "again" in told[1]


def test_a_keeper_without_runs_rests_however_much_the_last_poll_brought(lab: Lab) -> None:
    lab.submit("alpha-1", "plating")
    lab.pass_time(2.0)
    lab.kill()
    lab.pass_time(60.0)
    lab.start()
    lab.pass_time(20.0)
    assert [info.state for info in lab.runs()] == ["finished"]
    turns = lab.loop.turns
    lab.pass_time(100.0)
    assert lab.loop.turns - turns < 5000


# What no run of ours owns


def test_a_channel_that_others_use_keeps_a_run_waiting_and_says_so(lab: Lab) -> None:
    lab.end()
    lab.boxes["alpha"].foreign.add(0)
    lab.start()
    lab.pass_time(1.0)
    lab.submit("alpha-1", "plating")
    lab.pass_time(30.0)
    (info,) = lab.runs()
    assert lab.life is not None
    assert info.state == "queued"
    why = lab.life.service.waits_for(1)
    assert "alpha channel 1, which runs something that sandtime did not start" in why
    assert lab.boxes["alpha"].running(0)
    lab.boxes["alpha"].foreign.clear()
    lab.pass_time(40.0)
    assert [info.state for info in lab.runs()] == ["finished"]


def test_an_orphan_is_opened_until_that_is_confirmed_and_delays_nobody(lab: Lab) -> None:
    assert lab.life is not None
    marker = f"sandtime/{lab.life.store.identity}/99/0/x"
    lab.end()
    box = lab.boxes["alpha"]
    box.start(0, PROGRAMS["cycling"], marker)
    box.sticky.add(0)
    lab.start()
    lab.pass_time(1.0)
    lab.submit("alpha-1", "plating")
    lab.submit("alpha-2", "plating")
    lab.pass_time(16.0)
    assert box.running(0)
    assert [info.state for info in lab.runs()] == ["queued", "finished"]
    box.sticky.clear()
    lab.pass_time(2.0)
    assert box.driven_by(0) != marker
    del box.past[0]
    lab.settle()
    lab.check()
    with closing(HeldReader(lab.folder)) as reader:
        told = [stored.event.data["message"] for stored in reader.events() if stored.run is None]
        assert [info.state for info in reader.runs()] == ["finished", "finished"]
    assert len(told) == 2 and "it is opened" in str(told[0]) and "could not be confirmed" in str(told[1])
