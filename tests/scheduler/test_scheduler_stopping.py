"""Everything is stopped at once, nothing starts by itself then, and what does not open is an alarm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_instrument import CURRENT_A, Bench, driven, program

from protocols.errors import NotFoundError, SandtimeError
from protocols.program import Program
from protocols.records import RunInfo, Ticket
from scheduler import stopping
from scheduler.clock import Clock
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.requests import AlarmInfo
from scheduler.run import ActiveRun
from scheduler.service import Service
from scheduler.standing_alarms import FILE, REPEAT_S, StandingAlarms
from scheduler.worker import Worker

pytestmark = pytest.mark.usefixtures("quick")

LONG = program(driven(0, CURRENT_A, 1e5))
CONFIG = ServiceConfig.model_validate(
    {
        "data": Path(),
        "checks": {"before_start": False},
        "instruments": {"box": {"driver": "scripted"}},
        "stations": {
            "S0": {"instrument": "box", "channel": 1},
            "S1": {"instrument": "box", "channel": 2},
        },
    }
)


def stored(bench: Bench, station: str, whole: Program = LONG) -> int:
    """Store a run as an earlier daemon has left it in its queue."""
    info = RunInfo(
        run=bench.store.next_run(),
        name="test",
        station=station,
        protocol="test",
        cell=f"of {station}",
        state="queued",
        submitted_unix_s=0.0,
    )
    bench.store.add_run(info, whole, {})
    return info.run


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker()
    yield made
    made.close()


async def served(bench: Bench, worker: Worker) -> Service:
    """Return the service of a daemon that has recovered what there is."""
    clock = bench.host.clock()
    engine = Engine({}, bench.store, bench.recorder, clock, worker)
    engine.keepers["box"] = bench.keeper
    service = Service(CONFIG, engine, bench.store, bench.recorder, clock)

    def ended(run: ActiveRun) -> None:
        bench.ended.append(run.number)
        engine._run_ended(run)

    bench.keeper._commands._on_end = bench.keeper._on_end = ended
    await bench.recorder.commit()
    await service.recover()
    service.begin()
    bench.keep()
    return service


async def running(bench: Bench, service: Service, *runs: int) -> None:
    await bench.until(lambda: all(service.info(run).state == "running" for run in runs))


async def test_all_circuits_open_and_what_is_queued_waits_for_a_person(bench: Bench, worker: Worker) -> None:
    first, second, third = stored(bench, "S0"), stored(bench, "S1"), stored(bench, "S1")
    service = await served(bench, worker)
    await running(bench, service, first, second)
    outcomes = await service.stopping.stop_all("Zoë")
    assert {outcome.run for outcome in outcomes} == {first, second}
    assert all(outcome.open_circuit_confirmed for outcome in outcomes)
    assert not bench.instrument.running(0) and not bench.instrument.running(1)
    await bench.until(lambda: {first, second} <= set(bench.ended))
    await service.acknowledge(second)
    assert service.info(third).state == "queued"
    assert "Zoë" in service.waits_for(third)
    assert "sandtime resume-queue" in service.waits_for(third)
    starts = bench.instrument.starts()
    await service.stopping.resume_queue("Zoë")
    await running(bench, service, third)
    assert bench.instrument.starts() == starts + 1


async def test_nothing_starts_after_a_restart_either(bench: Bench, worker: Worker) -> None:
    stored(bench, "S0")
    service = await served(bench, worker)
    await running(bench, service, 1)
    await service.stopping.stop_all()
    await bench.until(lambda: 1 in bench.ended)
    await bench.killed()
    waiting = stored(bench, "S1")
    service = await served(bench, worker)
    await bench.until(bench.keeper.looked.is_set)
    assert service.info(waiting).state == "queued"
    assert service.waits_for(waiting).startswith("a person: everything was stopped")
    await service.stopping.resume_queue()
    await running(bench, service, waiting)


async def test_a_run_that_is_about_to_start_does_not(bench: Bench, worker: Worker) -> None:
    number = stored(bench, "S0")
    bench.instrument.reachable = False
    service = await served(bench, worker)
    outcomes = await service.stopping.stop_all()
    assert [(outcome.run, outcome.started) for outcome in outcomes] == [(number, False)]
    assert service.info(number).state == "stopped"
    bench.instrument.reachable = True
    await bench.until(lambda: bench.keeper.reachable)
    assert bench.instrument.starts() == 0


async def test_what_of_ours_runs_without_a_run_is_opened(bench: Bench, worker: Worker) -> None:
    service = await served(bench, worker)
    await bench.until(lambda: bench.keeper.reachable)
    ticket = Ticket(run=77, segment=0, program=LONG.digest(), folder=bench.recorder.identity)
    await bench.instrument.start(2, LONG, ticket)
    bench.instrument._followed.clear()
    bench.instrument.foreign.add(3)
    outcomes = await service.stopping.stop_all()
    assert [(o.run, o.where, o.open_circuit_confirmed) for o in outcomes] == [(None, "box channel 3", True)]
    assert not bench.instrument.running(2)
    assert bench.instrument.running(3), "what others started is left alone"


async def test_an_instrument_out_of_reach_is_an_alarm(bench: Bench, worker: Worker) -> None:
    bench.instrument.reachable = False
    service = await served(bench, worker)
    await bench.until(bench.keeper.looked.is_set)
    await service.stopping.stop_all()
    [alarm] = service.stopping.alarms.of_kind("not_open")
    assert "box can't be reached" in alarm.message
    bench.instrument.reachable = True
    await bench.until(lambda: bench.keeper.reachable)
    service.stopping.look()
    [alarm] = service.stopping.alarms.of_kind("not_open")
    assert alarm.over_unix_s is not None


async def test_a_circuit_that_does_not_open_is_an_alarm_until_it_was_seen(
    bench: Bench, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = stored(bench, "S0")
    service = await served(bench, worker)
    await running(bench, service, number)
    bench.instrument.unconfirmed_stops = 10**9
    bench.keeper.stop(service._runs[number], "by a person")
    await bench.until(lambda: service.info(number).state == "stopping")
    service.stopping.look()
    assert service.stopping.alarms.all == []
    bench.host.now_s += stopping.CONFIRM_S
    service.stopping.look()
    [alarm] = service.stopping.alarms.all
    assert (alarm.run, alarm.kind, alarm.over_unix_s) == (number, "not_open", None)
    assert "look at the instrument now" in alarm.message
    bench.instrument.unconfirmed_stops = 0
    await bench.until(lambda: number in bench.ended)
    service.stopping.look()
    assert service.stopping.alarms.all[0].over_unix_s is not None
    await service.acknowledge(number)
    assert service.stopping.alarms.all == []


# Alarms that stand


class Told:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.heard: list[list[AlarmInfo]] = []

    def alarms(self, folder: Path) -> StandingAlarms:
        made = StandingAlarms(folder, Clock(monotonic=lambda: self.now_s, unix=lambda: 1e9 + self.now_s))
        made.on_change(self.heard.append)
        made.load()
        return made


async def test_alarms_outlive_the_daemon_and_keep_their_numbers(tmp_path: Path) -> None:
    told = Told()
    before = told.alarms(tmp_path)
    before.set("not_open", "a", "one")
    second = before.set("not_open", "b", "two", run=7)
    assert before.set("not_open", "b", "again") == second
    assert await before.save()
    after = told.alarms(tmp_path)
    assert after.all == before.all
    assert after.acknowledge(second.id).run == 7
    with pytest.raises(NotFoundError, match="those that stand: 1"):
        after.acknowledge(second.id)
    await after.save()
    assert [alarm.message for alarm in told.alarms(tmp_path).all] == ["one"]
    assert after.set("not_open", "c", "three").id > second.id


async def test_an_alarm_that_stands_is_said_again_and_again(tmp_path: Path) -> None:
    told = Told()
    alarms = told.alarms(tmp_path)
    alarms.set("not_open", "a", "one")
    alarms.set("stop_all", "everything", "a person's wish is no trouble")
    heard = len(told.heard)
    alarms.repeat()
    assert len(told.heard) == heard
    for _ in range(3):
        told.now_s += REPEAT_S
        alarms.repeat()
    assert len(told.heard) == heard + 3


async def test_what_can_not_be_kept_is_tried_again(tmp_path: Path) -> None:
    alarms = Told().alarms(tmp_path / "gone")
    alarms.set("not_open", "a", "one")
    assert not await alarms.save()
    (tmp_path / "gone").mkdir()
    assert await alarms.save()
    assert (tmp_path / "gone" / FILE).exists()


async def test_a_damaged_file_holds_all_runs_back(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("[{", encoding="utf-8")
    [alarm] = Told().alarms(tmp_path).of_kind("stop_all")
    assert "look at every cell" in alarm.message


async def test_the_alarm_that_holds_runs_is_ended_by_its_own_command(bench: Bench, worker: Worker) -> None:
    service = await served(bench, worker)
    await service.stopping.stop_all()
    [alarm] = service.stopping.alarms.all
    with pytest.raises(SandtimeError, match="resume-queue"):
        await service.stopping.acknowledge(alarm.id)
