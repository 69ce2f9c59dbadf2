"""What the service manager hears: real datagrams, fed by progress and by nothing else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from scripted_instrument import CURRENT_A, Bench, bench_in, driven, program
from service_manager import ServiceManager, service_manager

from drivers.instrument import Poll
from monitor.systemd import Notifier
from monitor.watchdog import Watchdog
from scheduler import keeper
from scheduler.stuck import why_stuck

WITHIN_S = 60.0


@pytest.fixture
def manager() -> Iterator[ServiceManager]:
    with service_manager() as made:
        yield made


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(keeper, "POLL_MIN_S", 0.001)
    monkeypatch.setattr(keeper, "POLL_MAX_S", 0.001)
    monkeypatch.setattr(keeper, "FIRST_SAMPLE_POLL_S", 0.001)
    async with bench_in(tmp_path) as made:
        yield made


class Watched:
    """A bench under a watchdog that looks when the test says so."""

    def __init__(self, bench: Bench, manager: ServiceManager) -> None:
        self.bench = bench
        self._manager = manager
        self._watchdog = Watchdog(
            lambda limit_s: why_stuck({"box": bench.keeper}, bench.recorder, limit_s),
            lambda: "all is well",
            Notifier(manager.address, WITHIN_S),
        )

    def fed(self) -> bool:
        """Look once; return whether the watchdog was fed."""
        self._watchdog.look()
        return {"WATCHDOG": "1"} in self._manager.heard()

    def said(self) -> list[str]:
        """Look once; return what is said of how things stand."""
        self._watchdog.look()
        return [message["STATUS"] for message in self._manager.heard() if "STATUS" in message]


async def test_a_keeper_that_hangs_in_a_poll_feeds_the_watchdog_no_more(
    bench: Bench, manager: ServiceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, hangs, answers = Watched(bench, manager), asyncio.Event(), asyncio.Event()
    run = bench.submit(program(driven(0, CURRENT_A, 1e4)))
    bench.keep()
    await bench.until(lambda: run.info.state == "running")
    assert watched.fed()
    poll = bench.instrument.poll

    async def hang() -> Poll:
        hangs.set()
        await answers.wait()
        return await poll()

    monkeypatch.setattr(bench.instrument, "poll", hang)
    await hangs.wait()
    assert watched.fed(), "a poll may take its time"
    bench.host.now_s += WITHIN_S
    assert not watched.fed()
    monkeypatch.undo()
    answers.set()
    await bench.until(watched.fed)


async def test_why_it_is_not_fed_is_said_once(
    bench: Bench, manager: ServiceManager, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(bench, manager)
    bench.keep()
    await bench.until(lambda: bench.keeper.reachable)
    assert watched.said() == ["all is well"]
    await bench.rest()
    bench.host.now_s += WITHIN_S
    assert watched.said() == ["box is in contact, but was not polled for 60 s"]
    assert watched.said() == []
    assert sum("not polled" in record.getMessage() for record in caplog.records) == 1


async def test_an_instrument_out_of_contact_is_no_standstill(bench: Bench, manager: ServiceManager) -> None:
    watched = Watched(bench, manager)
    bench.instrument.reachable = False
    bench.keep()
    await bench.until(bench.keeper.looked.is_set)
    bench.host.now_s += 10 * WITHIN_S
    assert watched.fed()


async def test_commits_that_do_not_come_feed_it_no_more_unless_an_error_says_why(
    bench: Bench, manager: ServiceManager
) -> None:
    watched = Watched(bench, manager)
    bench.recorder.event(None, "note", None, {})
    assert watched.fed()
    bench.host.now_s += WITHIN_S
    assert not watched.fed()
    bench.store.full = True
    assert not await bench.recorder.durable()
    assert watched.fed()


def test_only_the_process_that_is_meant_feeds() -> None:
    environment = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "30000000"}
    assert Notifier.from_environment(environment).watchdog_s == 30.0
    ours = {**environment, "WATCHDOG_PID": str(os.getpid())}
    assert Notifier.from_environment(ours).watchdog_s == 30.0
    assert Notifier.from_environment({**environment, "WATCHDOG_PID": "1"}).watchdog_s is None
    assert Notifier.from_environment({}).watchdog_s is None


def test_a_service_manager_that_is_gone_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Notifier(str(tmp_path / "gone")).ready()
    assert "can't be told" in caplog.text


def test_a_name_without_a_file_is_understood() -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        name = f"sandtime-test-{os.getpid()}"
        link.bind("\0" + name)
        link.settimeout(10.0)
        Notifier(f"@{name}").status("two\nlines")
        assert link.recv(100) == b"STATUS=two lines"
