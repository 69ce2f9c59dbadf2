"""Runs that are taken in, wait, get a station and start; and the queue of a daemon that was killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_instrument import Bench, ScriptedInstrument

from protocols.errors import InvalidFileError, NotAllowedError, StorageError
from protocols.queueing import Request
from protocols.records import RunInfo
from scheduler import dispatcher
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.requests import MaintenanceRequest, Order, QueueRow, Submission
from scheduler.service import Service
from scheduler.worker import Worker

pytestmark = pytest.mark.usefixtures("quick")

CONFIG = {
    "data": Path(),
    "checks": {"before_start": False},
    "instruments": {"box": {"driver": "scripted"}, "pot": {"driver": "scripted"}},
    "stations": {
        "B1": {"instrument": "box", "channel": 1},
        "B2": {"instrument": "box", "channel": 2},
        "P1": {"instrument": "pot", "channel": 1},
    },
}
SHORT, LONG = "2 s", "1 h"
TICK_S = 0.1
"""Instrument time that passes between two polls: what is long lasts as long as any test."""
SPECTRUM = "  - geis: {amplitude: 0.01 mA/cm², frequency: {from: 1 kHz, to: 1 Hz}}\n"


CELL = "sandtime: 1\nname: {}\ngeometry: symmetric\narea: 1 cm²\nelectrolyte: {{class: garnet}}\n"


def asked(cell: str, lasts: str = LONG, more: str = "", **changes: object) -> Submission:
    """Return what a person asks for: a rest, on any station unless one is named."""
    submission = Submission(
        protocol_text=f"sandtime: 1\nname: rest {lasts}\nsteps:\n  - rest: {{for: {lasts}}}\n{more}",
        cell_text=CELL.format(cell),
    )
    return submission.model_copy(update=changes)


class Hall:
    """A lab of two instruments, one of which measures impedance; ``killed`` stands for kill -9."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.pot = ScriptedInstrument(bench.journal)
        self.pot.name = "pot"
        self.pot.can_measure_impedance()
        self.pot.tick_s = bench.instrument.tick_s = TICK_S
        self.config = ServiceConfig.model_validate(CONFIG)
        self.worker = Worker()

    async def live(self) -> None:
        """A daemon starts, and looks at its instruments."""
        bench, clock = self.bench, self.bench.host.clock()
        instruments = {"box": bench.instrument, "pot": self.pot}
        engine = Engine(instruments, bench.store, bench.recorder, clock, self.worker)
        self.service = Service(self.config, engine, bench.store, bench.recorder, clock)
        await self.service.recover()
        bench.watch(self._work(engine))
        await engine.looked()
        self.service.begin()

    async def _work(self, engine: Engine) -> None:
        async with asyncio.TaskGroup() as group:
            for keeper in engine.keepers.values():
                group.create_task(keeper.keep())
            group.create_task(self.service.dispatcher.keep())

    async def killed(self) -> None:
        await self.bench.die()
        self.pot.host_died()
        await self.bench.live()
        await self.live()

    async def lose_box(self) -> None:
        """A daemon starts while an instrument does not answer: of an idle one nobody would notice."""
        self.bench.instrument.reachable = False
        await self.killed()
        assert self.service.stations.away() == {"B1", "B2"}

    async def submit(self, *series: Submission) -> list[int]:
        infos = await self.service.dispatcher.submit(Order(series=(series,)), "anna")
        return [info.run for info in infos]

    async def one(self, submission: Submission) -> int:
        [run] = await self.submit(submission)
        return run

    def info(self, run: int) -> RunInfo:
        return self.service.info(run)

    async def until_runs(self, run: int) -> None:
        await self.bench.until(lambda: self.info(run).state == "running")

    async def until_ended(self, run: int) -> None:
        await self.bench.until(lambda: self.info(run).state in ("finished", "stopped", "failed", "protected"))

    async def stop_and_acknowledge(self, run: int) -> None:
        await self.until_held(run)
        await self.service.acknowledge(run)

    async def until_held(self, run: int) -> None:
        """A person stops a run; wait until somebody has to acknowledge that."""
        await self.service.stop(run)
        await self.bench.until(lambda: self.service.dispatcher.queue.needs_acknowledgement(run))

    async def fill(self) -> list[int]:
        """Let something run for long on every station."""
        runs = [await self.one(asked(f"on {name}", station=name)) for name in self.config.stations]
        for run in runs:
            await self.until_runs(run)
        return runs

    async def rows(self) -> list[QueueRow]:
        return (await self.service.queue.rows()).runs


@pytest.fixture
async def hall(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hall]:
    monkeypatch.setattr(dispatcher, "LOOK_S", 0.01)
    made = Hall(bench)
    await made.live()
    yield made
    made.worker.close()


# Which station


async def test_a_run_gets_the_first_free_station_that_can_do_it(hall: Hall) -> None:
    first = await hall.one(asked("a", more=SPECTRUM))
    assert hall.info(first).station == "P1"
    second, third = await hall.one(asked("b")), await hall.one(asked("c"))
    assert [hall.info(run).station for run in (second, third)] == ["B1", "B2"]
    fourth = await hall.one(asked("d", more=SPECTRUM, needs=("eis:10kHz",)))
    info = hall.info(fourth)
    assert (info.station, info.candidates, info.state) == ("", ("P1",), "queued")
    await hall.until_runs(first)
    assert hall.service.waits_for(fourth).startswith(f"run {first} on P1, until about ")
    await hall.stop_and_acknowledge(first)
    await hall.until_runs(fourth)
    assert (hall.info(fourth).station, hall.info(fourth).candidates) == ("P1", ())


async def test_the_program_is_that_of_the_station_and_stored_before_the_start(hall: Hall) -> None:
    run = await hall.one(asked("a"))
    await hall.until_runs(run)
    reader = hall.bench.store.reader
    assert reader.run(run).station == "B1"
    assert reader.extra(run)["instrument"] == "box"  # noqa: S610 - not Django's extra
    assert reader.tickets(run)[0].program == reader.program(run)
    journal = hall.bench.journal
    placed, start = journal.index("event placed"), journal.index("start 0")
    assert "committed" in journal[placed:start]


async def test_a_wish_that_no_station_meets_is_refused_with_each_reason(hall: Hall) -> None:
    with pytest.raises(InvalidFileError) as error:
        await hall.one(asked("a", needs=("eis:1MHz",)))
    assert [problem.message for problem in error.value.problems] == [
        "not on B1, B2: EIS to 1 MHz is asked for, the station measures no impedance",
        "not on P1: EIS to 1 MHz is asked for, the station measures impedance from 0.01 Hz to 100 kHz",
    ]
    with pytest.raises(InvalidFileError, match="there is no chamber 'oven'"):
        await hall.one(asked("a", chamber="oven"))
    with pytest.raises(InvalidFileError, match="not on B1, B2: "):
        await hall.one(asked("a", more=SPECTRUM, needs=("model:scripted", "eis:1MHz")))
    with pytest.raises(InvalidFileError, match="no impedance"):
        await hall.one(asked("a", station="B1", needs=("eis",)))
    assert hall.service.infos() == []


async def test_who_may_choose_waits_for_no_instrument_that_is_gone(hall: Hall) -> None:
    await hall.lose_box()
    first, second = await hall.one(asked("a")), await hall.one(asked("b"))
    assert hall.info(first).station == "P1"
    assert "B1, B2 not in contact" in hall.service.waits_for(second)
    named = await hall.one(asked("c", station="B1"))
    assert hall.service.waits_for(named) == "contact with box: is it on, and its address right?"
    hall.bench.instrument.reachable = True
    await hall.until_runs(named)
    await hall.until_runs(second)


async def test_all_runs_of_an_order_are_taken_or_none(hall: Hall) -> None:
    wrong = asked("b").model_copy(update={"protocol_text": "name: x\n"})
    with pytest.raises(InvalidFileError):
        await hall.service.dispatcher.submit(Order(series=((asked("a"),), (wrong,))), "anna")
    assert hall.service.infos() == []
    hall.bench.store.full = True
    with pytest.raises(StorageError):
        await hall.service.dispatcher.submit(Order(series=((asked("a"),), (asked("b"),))), "anna")
    assert await hall.rows() == []


# Order, cells, times


async def test_priority_counts_and_can_be_changed(hall: Hall) -> None:
    [runs, *_] = await hall.fill()
    low, high = await hall.one(asked("x", station="B1")), await hall.one(asked("y", station="B1", priority=5))
    assert [row.run for row in await hall.rows()][3:] == [high, low]
    assert await hall.service.dispatcher.move(low, 9, "ben") == [low]
    rows = await hall.rows()
    assert [(row.run, row.priority) for row in rows[3:]] == [(low, 9), (high, 5)]
    assert hall.service.waits_for(high).startswith(f"runs {runs}, {low} on B1")
    with pytest.raises(NotAllowedError, match="does not wait in the queue"):
        await hall.service.dispatcher.move(runs, 1, "ben")


async def test_a_cell_that_is_on_a_station_waits_for_itself(hall: Hall) -> None:
    first, second = await hall.one(asked("x", station="B1")), await hall.one(asked("x", station="B2"))
    assert hall.service.waits_for(second).startswith(f"its cell 'x', which run {first} has on B1")
    twin = asked("x", station="P1").model_copy(
        update={"cell_text": asked("x").cell_text + "identity: another\n"}
    )
    await hall.until_runs(await hall.one(twin))


async def test_a_start_time_comes(hall: Hall) -> None:
    host = hall.bench.host
    at = host.clock().unix() + 100.0
    run = await hall.one(asked("x", SHORT, not_before_unix_s=at))
    assert hall.service.waits_for(run).startswith("its start time, ")
    [row] = await hall.rows()
    assert (row.not_before_unix_s, row.expected_start_unix_s) == (at, at)
    host.now_s += 101.0
    await hall.until_ended(run)


# Series


async def test_a_series_runs_in_order_on_one_station(hall: Hall) -> None:
    runs = await hall.submit(asked("x", SHORT), asked("x", SHORT), asked("x", LONG, more=SPECTRUM))
    assert [hall.info(run).station for run in runs] == ["P1"] * 3, "where the last one can be done too"
    await hall.until_runs(runs[2])
    assert [hall.info(run).state for run in runs] == ["finished", "finished", "running"]
    starts = [hall.info(run).started_unix_s or 0.0 for run in runs]
    assert starts == sorted(starts)


async def test_the_rest_of_a_series_waits_for_a_person(hall: Hall) -> None:
    runs = await hall.submit(*[asked("x")] * 3)
    await hall.until_runs(runs[0])
    await hall.until_held(runs[0])
    assert f"sandtime ack {runs[0]}" in hall.service.waits_for(runs[1])
    await hall.killed()
    assert f"sandtime ack {runs[0]}" in hall.service.waits_for(runs[1]), "a new daemon knows it too"
    await hall.service.acknowledge(runs[0])
    await hall.until_runs(runs[1])
    outcomes = await hall.service.cancel(runs[2])
    assert [(outcome.run, outcome.state, outcome.started) for outcome in outcomes] == [(3, "stopped", False)]
    with pytest.raises(NotAllowedError, match="running"):
        await hall.service.cancel(runs[1])


async def test_a_cancelled_run_takes_those_after_it_along(hall: Hall) -> None:
    await hall.fill()
    runs = await hall.submit(*[asked("x")] * 3)
    outcomes = await hall.service.cancel(runs[1])
    assert [outcome.run for outcome in outcomes] == [runs[2], runs[1]]
    assert [hall.info(run).state for run in runs] == ["queued", "stopped", "stopped"]


async def test_a_series_is_for_one_cell(hall: Hall) -> None:
    with pytest.raises(NotAllowedError, match="one cell"):
        await hall.submit(asked("x"), asked("y"))


# Maintenance


async def test_nothing_starts_in_maintenance_and_what_runs_goes_on(hall: Hall) -> None:
    running = await hall.one(asked("x", station="B1"))
    await hall.until_runs(running)
    entry = await hall.service.begin_maintenance(MaintenanceRequest(name="box", reason="new fan"), "ben")
    assert (entry.name, entry.who) == ("box", "ben")
    waiting = await hall.one(asked("y", station="B2"))
    assert hall.info(running).state == "running"
    assert hall.service.waits_for(waiting) == (
        "the end of the maintenance of box (new fan); to end it: sandtime maintenance off box"
    )
    assert hall.info(await hall.one(asked("z"))).station == "P1"
    await hall.service.pause(running)
    with pytest.raises(NotAllowedError, match="box is in maintenance"):
        await hall.bench.until(lambda: hall.info(running).state == "paused")
        hall.service.resume(running)
    await hall.service.end_maintenance("box", "ben")
    await hall.until_runs(waiting)
    with pytest.raises(NotAllowedError, match="box is not in maintenance"):
        await hall.service.end_maintenance("box", "ben")


async def test_a_maintenance_is_over_when_its_time_is(hall: Hall) -> None:
    host = hall.bench.host
    until = host.clock().unix() + 100.0
    await hall.service.begin_maintenance(MaintenanceRequest(name="B1", reason="r", until_unix_s=until))
    run = await hall.one(asked("x", station="B1"))
    assert "(r, until " in hall.service.waits_for(run)
    host.now_s += 101.0
    await hall.until_runs(run)
    with pytest.raises(NotAllowedError, match="in the future"):
        await hall.service.begin_maintenance(MaintenanceRequest(name="B1", reason="r", until_unix_s=until))
    with pytest.raises(InvalidFileError, match="no station and no instrument 'B9'"):
        await hall.service.begin_maintenance(MaintenanceRequest(name="B9", reason="r"))


async def test_a_run_that_waits_for_contact_does_not_start_in_maintenance(hall: Hall) -> None:
    await hall.lose_box()
    run = await hall.one(asked("x", station="B1"))
    await hall.service.begin_maintenance(MaintenanceRequest(name="B1", reason="r"))
    hall.bench.instrument.reachable = True
    await hall.bench.until(lambda: not hall.service.stations.away())
    other = await hall.one(asked("y", SHORT, station="B2"))
    await hall.until_ended(other)
    assert hall.info(run).state == "queued"
    assert "maintenance of B1" in hall.service.waits_for(run)
    await hall.service.end_maintenance("B1")
    await hall.until_runs(run)


# kill -9


async def test_the_queue_is_the_same_after_a_kill(hall: Hall) -> None:
    alive = await hall.fill()
    await hall.service.begin_maintenance(MaintenanceRequest(name="B2", reason="new cable"))
    low = await hall.one(asked("low", priority=-1, needs=("current:1A",)))
    series = await hall.submit(asked("x", SHORT, more=SPECTRUM), asked("x", SHORT))
    late = await hall.one(asked("late", not_before_unix_s=hall.bench.host.clock().unix() + 1e6))
    await hall.service.dispatcher.move(series[0], 7, "ben")
    before = await hall.rows()
    assert [row.run for row in before] == [*alive, *series, late, low]
    await hall.killed()
    for run in alive:
        await hall.until_runs(run)
    after = await hall.rows()
    told = {"run", "priority", "station", "candidates", "wants", "after", "not_before_unix_s", "state"}
    assert [row.model_dump(include=told) for row in after] == [row.model_dump(include=told) for row in before]
    assert [entry.name for entry in hall.service.dispatcher.maintenance.entries()] == ["B2"]
    await hall.stop_and_acknowledge(alive[2])
    await hall.until_ended(series[1])
    assert {hall.info(run).station for run in series} == {"P1"}


async def test_a_station_that_waits_for_a_person_does_so_after_a_kill(hall: Hall) -> None:
    first, second = await hall.one(asked("x", station="B1")), await hall.one(asked("y", station="B1"))
    await hall.until_runs(first)
    await hall.until_held(first)
    await hall.killed()
    assert f"sandtime ack {first}" in hall.service.waits_for(second)
    await hall.service.acknowledge(first)
    await hall.until_runs(second)


async def test_a_station_that_is_new_in_service_toml_is_one_more_to_choose(hall: Hall) -> None:
    await hall.fill()
    run = await hall.one(asked("x", more=SPECTRUM))
    assert hall.info(run).candidates == ("P1",)
    stations = {**CONFIG["stations"], "P2": {"instrument": "pot", "channel": 2}}  # type: ignore[dict-item]
    hall.config = ServiceConfig.model_validate({**CONFIG, "stations": stations})
    await hall.killed()
    await hall.until_runs(run)
    assert hall.info(run).station == "P2"


async def test_a_run_whose_stations_are_gone_says_so(hall: Hall) -> None:
    await hall.fill()
    run = await hall.one(asked("x", needs=("current:0.9A", "eis")))
    hall.pot.able = hall.bench.instrument.able
    await hall.killed()
    assert "service.toml no longer has one" in hall.service.waits_for(run)
    assert hall.bench.store.reader.catalogue.requests()[-1].run == run


async def test_what_was_asked_is_kept(hall: Hall) -> None:
    await hall.fill()
    wish = asked("x", priority=3, needs=("eis:1kHz",), settings={}, not_before_unix_s=2e9)
    run = await hall.one(wish)
    [request] = [r for r in hall.bench.store.reader.catalogue.requests() if r.run == run]
    assert request == Request(
        run=run, priority=3, needs=("eis:1kHz",), not_before_unix_s=2e9, programs=request.programs
    )


# A look ahead


async def test_a_preview_changes_nothing(hall: Hall) -> None:
    running = await hall.one(asked("x", station="B1"))
    await hall.until_runs(running)
    order = Order(series=((asked("x", SHORT, station="B1"),), (asked("y", SHORT), asked("y", SHORT))))
    first, second, third = await hall.service.queue.preview(order)
    assert first.run is None
    assert first.waits_for.startswith(f"run {running} on B1")
    assert (second.waits_for, second.expected_station) == ("", "B2")
    assert (third.expected_station, third.expected_start_unix_s) == ("B2", second.expected_end_unix_s)
    assert [row.run for row in await hall.rows()] == [running]
    with pytest.raises(InvalidFileError):
        await hall.service.queue.preview(Order(series=((asked("x", needs=("nothing",)),),)))
