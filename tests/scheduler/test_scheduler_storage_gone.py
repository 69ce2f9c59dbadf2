"""The disk is full, slow or gone: cells are watched from memory, and end safely before that is full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_instrument import CURRENT_A, Bench, driven, program, runs_short

from protocols.errors import NotAllowedError, StorageError
from protocols.nodes import Message, Rest
from protocols.program import GuardSettings, Program
from protocols.records import RunInfo
from scheduler import clock_watch, committing, storage_watch
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.requests import StorageInfo, Submission
from scheduler.service import Service
from scheduler.storage_watch import GB
from scheduler.worker import Worker

pytestmark = pytest.mark.usefixtures("quick")

MINUTE_S = 60.0
LONG = program(driven(0, CURRENT_A, 2e4))
SAYS = Message(index=5, text="half-way", label="says")
TWO_SEGMENTS = program(driven(0, CURRENT_A, 20.0), SAYS, driven(1, -CURRENT_A, 20.0))
CONFIG = ServiceConfig.model_validate(
    {
        "data": Path(),
        "checks": {"before_start": False},
        "instruments": {"box": {"driver": "scripted"}},
        "stations": {f"S{k}": {"instrument": "box", "channel": k + 1} for k in range(3)},
        "storage": {"hold_minutes": 10, "hold_megabytes": 1, "warn_gigabytes": 5, "least_gigabytes": 1},
    }
)


class Lab:
    """A service on a bench; the test looks at the storage for it."""

    def __init__(self, bench: Bench, service: Service) -> None:
        self.bench, self.service = bench, service
        self.told: list[StorageInfo] = []
        service.storage.on_change(self.told.append)

    def add(self, whole: Program, station: str = "S0") -> int:
        """Store a run as an earlier daemon has left it in its queue."""
        number = self.bench.store.next_run()
        info = RunInfo(
            run=number,
            name="test",
            station=station,
            protocol="test",
            cell=f"cell of {station}",
            state="queued",
            submitted_unix_s=0.0,
        )
        self.bench.store.add_run(info, whole, {})
        return number

    async def begin(self) -> None:
        """Take the stored runs over and let the keeper work."""
        await self.bench.recorder.commit()
        await self.service.recover()
        self.service.begin()
        self.bench.keep()

    async def until_measured(self, run: int, more: int = 5) -> None:
        """Wait until a run has brought so many more samples."""
        wanted = self.service.info(run).samples + more
        await self.bench.until(lambda: self.service.info(run).samples >= wanted)

    async def until_failing(self) -> None:
        """Wait until a commit has failed, and look at it."""
        with pytest.raises(StorageError):
            await self.bench.recorder.commit()
        self.service.storage.look()

    def pass_minutes(self, minutes: float) -> None:
        """Let the host's time pass, and look at the storage."""
        self.bench.host.now_s += minutes * MINUTE_S
        self.service.storage.look()

    async def bring_back(self) -> None:
        """The disk is back."""
        self.bench.store.full, self.bench.store.holds = False, None
        await self.bench.recorder.commit()
        self.service.storage.look()
        # What was told just now.
        await self.bench.recorder.commit()

    def times(self, run: int) -> list[float]:
        """Return the stored run times."""
        return [float(t) for t in self.bench.store.reader.samples(run)["t_s"]]


@pytest.fixture
async def lab(bench: Bench) -> AsyncIterator[Lab]:
    clock, worker = bench.host.clock(), Worker()
    engine = Engine({"box": bench.instrument}, bench.store, bench.recorder, clock, worker)
    bench.keeper = engine.keepers["box"]
    yield Lab(bench, Service(CONFIG, engine, bench.store, bench.recorder, clock))
    worker.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a disk that hangs; no test depends on how long."""
    monkeypatch.setattr(committing, "PATIENCE_S", 0.01)


# From memory, and back


async def test_what_waited_in_memory_is_stored_in_order_when_the_disk_is_back(lab: Lab) -> None:
    run = lab.add(LONG)
    await lab.begin()
    await lab.until_measured(run)
    lab.bench.store.full = True
    await lab.until_failing()
    info = lab.service.storage.info()
    assert (info.state, info.starts, info.problem) == ("failing", False, "the disk is full.")
    assert [told.state for told in lab.told] == ["failing"], "told at once, not after a commit"
    lab.pass_minutes(5)
    await lab.until_measured(run, 50)
    waiting = lab.service.storage.info()
    assert waiting.waiting_samples >= 50
    assert waiting.safe_end_in_s is not None and waiting.safe_end_in_s <= 4 * MINUTE_S
    await lab.bring_back()
    assert lab.service.info(run).state == "running"
    assert {told.state for told in lab.told[:-1]} == {"failing"}
    assert lab.told[-1].state == "ok"
    assert lab.bench.instrument.running(0)
    await lab.bench.rest()
    await lab.bench.recorder.commit()
    times = lab.times(run)
    assert times == [float(k) for k in range(len(times))]
    assert lab.service.info(run).samples == len(times)
    failed, back = [s.event.data for s in lab.bench.events if s.event.kind == "storage"]
    assert failed["state"] == "failing"
    assert back["seconds"] == pytest.approx(5 * MINUTE_S)
    assert back["ended_runs"] is False


async def test_a_guard_stops_a_cell_while_nothing_can_be_stored(lab: Lab) -> None:
    lab.bench.instrument.voltage = runs_short(60.0)
    run = lab.add(program(driven(0, CURRENT_A, 1e4), guards=GuardSettings(look=False)))
    await lab.begin()
    await lab.until_measured(run)
    lab.bench.store.full = True
    await lab.bench.until(lambda: lab.service.info(run).state == "protected")
    info = lab.service.info(run)
    assert info.open_circuit_confirmed
    assert lab.bench.store.reader.run(run).state == "running", "its end waits in memory"
    assert run in [known.run for known in lab.service.infos() if known.state == "protected"]
    await lab.bring_back()
    stored = lab.bench.store.reader
    assert (stored.run(run).state, stored.verdicts(run)[0].kind) == ("protected", "short_circuit")


@pytest.mark.usefixtures("impatient")
async def test_a_disk_that_hangs_keeps_no_cell_from_being_watched(lab: Lab) -> None:
    lab.bench.instrument.voltage = runs_short(60.0)
    run = lab.add(program(driven(0, CURRENT_A, 1e4), guards=GuardSettings(look=False)))
    other = lab.add(program(Rest(index=0, label="rest", duration_s=1e4)), "S1")
    await lab.begin()
    await lab.until_measured(run)
    lab.bench.store.holds = lambda: True
    lab.bench.recorder.mark()
    await lab.until_measured(other)
    lab.pass_minutes(1)
    assert lab.service.storage.info().state == "failing"
    assert "has not answered for 60 s" in lab.service.storage.info().problem
    await lab.bench.until(lambda: lab.service.info(run).state == "protected")
    assert lab.service.info(run).open_circuit_confirmed
    lab.pass_minutes(8)
    await lab.bench.until(lambda: lab.service.info(other).state == "failed")
    assert lab.service.info(other).open_circuit_confirmed
    await lab.bring_back()
    assert lab.bench.store.reader.run(other).state == "failed"


async def test_storage_that_is_too_slow_counts_as_failing(lab: Lab) -> None:
    run = lab.add(LONG)
    await lab.begin()
    await lab.until_measured(run)
    await lab.bench.rest()
    await lab.bench.recorder.commit()
    lab.bench.recorder.event(None, "note", None, {})
    lab.pass_minutes(0.4)
    assert lab.service.storage.info().state == "ok"
    lab.pass_minutes(0.2)
    info = lab.service.storage.info()
    assert (info.state, info.starts) == ("failing", False)
    assert "too slow" in info.problem


# Between two segments


async def test_a_cell_between_two_segments_rests_at_open_circuit_and_goes_on(lab: Lab) -> None:
    run = lab.add(TWO_SEGMENTS)
    await lab.begin()
    await lab.until_measured(run)
    lab.bench.store.full = True
    await lab.bench.until(lambda: "storage" in lab.service.waits_for(run))
    info = lab.service.info(run)
    assert (info.state, info.open_circuit_confirmed) == ("running", True)
    assert lab.bench.instrument.starts() == 1
    lab.pass_minutes(5)
    await lab.bring_back()
    await lab.bench.until(lambda: lab.bench.instrument.starts() == 2)
    await lab.bench.until(lambda: lab.service.info(run).state == "finished")
    await lab.bench.recorder.commit()
    assert lab.service.waits_for(run) == ""
    second = lab.bench.store.reader.tickets(run)[1]
    assert second.offset_s == pytest.approx(20.0 + 5 * MINUTE_S), "the time at open circuit is run time"
    assert lab.times(run)[-1] == pytest.approx(second.offset_s + 20.0)


@pytest.mark.usefixtures("impatient")
async def test_a_segment_whose_intent_hangs_starts_with_the_right_time_later(lab: Lab) -> None:
    """The disk hangs at the very commit of the intent, so that the segment is prepared already."""
    run = lab.add(TWO_SEGMENTS)
    await lab.begin()
    journal = lab.bench.journal
    lab.bench.store.holds = lambda: "ticket ended" in journal and "go" not in journal
    await lab.bench.until(lambda: "ticket ended" in journal and "storage" in lab.service.waits_for(run))
    assert lab.bench.instrument.starts() == 1
    assert lab.service.info(run).open_circuit_confirmed
    lab.bench.host.now_s += 5 * MINUTE_S
    journal.append("go")
    await lab.bench.until(lambda: lab.service.info(run).state == "finished")
    await lab.bench.recorder.commit()
    tickets = lab.bench.store.reader.tickets(run)
    assert tickets[1].offset_s == pytest.approx(20.0 + 5 * MINUTE_S)
    assert tickets[1].anchor_unix_s == pytest.approx(tickets[0].anchor_unix_s + tickets[1].offset_s)
    passed = lab.bench.instrument.passed()
    assert [step for step, *_ in passed] == [0, 1], "each step once"
    assert [charge for *_, charge in passed] == pytest.approx([0.02, -0.02])


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("what", ["stop", "pause", "lost"])
async def test_a_segment_that_is_prepared_and_waits(lab: Lab, what: str) -> None:
    run = lab.add(TWO_SEGMENTS)
    await lab.begin()
    journal = lab.bench.journal
    lab.bench.store.holds = lambda: "ticket ended" in journal and "go" not in journal
    await lab.bench.until(lambda: "ticket ended" in journal and "storage" in lab.service.waits_for(run))
    if what == "lost":
        lab.bench.instrument.reachable = False
        await lab.bench.until(lambda: lab.service.info(run).state == "lost")
        lab.bench.instrument.reachable = True
        await lab.bench.until(lambda: lab.bench.keeper.reachable)
        journal.append("go")
        await lab.bench.until(lambda: lab.service.info(run).state == "finished")
        return
    if what == "stop":
        assert (await lab.service.stop(run)).open_circuit_confirmed
    else:
        await lab.service.pause(run)
    wanted = "stopped" if what == "stop" else "paused"
    await lab.bench.until(lambda: lab.service.info(run).state == wanted)
    assert lab.bench.instrument.starts() == 1
    journal.append("go")
    await lab.bench.recorder.commit()
    assert lab.bench.store.reader.run(run).state == wanted


async def test_what_runs_afterwards_waits_for_storage_too(lab: Lab) -> None:
    rest = (Rest(index=1, label="afterwards", duration_s=5.0),)
    run = lab.add(program(driven(0, CURRENT_A, 20.0), afterwards=rest))
    await lab.begin()
    await lab.until_measured(run)
    lab.bench.store.full = True
    await lab.bench.until(lambda: "storage" in lab.service.waits_for(run))
    assert lab.bench.instrument.starts() == 1
    await lab.bring_back()
    await lab.bench.until(lambda: lab.service.info(run).state == "finished")
    assert lab.bench.instrument.starts() == 2


# Starts and stops


async def test_nothing_new_starts_and_each_says_why(lab: Lab) -> None:
    paused, queued = lab.add(LONG), lab.add(LONG, "S1")
    await lab.bench.recorder.commit()
    await lab.service.recover()
    lab.bench.store.full = True
    lab.bench.recorder.event(None, "note", None, {})
    await lab.until_failing()
    lab.service.begin()
    lab.bench.keep()
    assert "the disk is full" in lab.service.waits_for(queued)
    assert lab.bench.instrument.starts() == 0
    with pytest.raises(StorageError, match="no run is taken: the disk is full"):
        await lab.service.submit(Submission(protocol_text="", cell_text="", station="S0"))
    await lab.bring_back()
    await lab.until_measured(queued)
    await lab.until_measured(paused)
    await lab.service.pause(paused)
    await lab.bench.until(lambda: lab.service.info(paused).state == "paused")
    lab.bench.store.full = True
    await lab.until_failing()
    with pytest.raises(NotAllowedError, match="waits for storage"):
        lab.service.resume(paused)


async def test_a_stop_never_waits_for_storage(lab: Lab) -> None:
    running, queued = lab.add(LONG), lab.add(LONG)
    await lab.begin()
    await lab.until_measured(running)
    lab.bench.store.full = True
    await lab.until_failing()
    assert (await lab.service.stop(queued)).state == "stopped"
    outcome = await lab.service.stop(running)
    assert outcome.open_circuit_confirmed
    await lab.bench.until(lambda: lab.service.info(running).state == "stopped")
    assert not lab.bench.instrument.running(0)


# The safe end


async def test_before_the_time_is_over_all_runs_end_at_open_circuit(lab: Lab) -> None:
    first, second, waiting = lab.add(LONG), lab.add(TWO_SEGMENTS, "S1"), lab.add(LONG)
    await lab.begin()
    await lab.until_measured(first)
    await lab.until_measured(second)
    lab.bench.store.full = True
    await lab.bench.until(lambda: "storage" in lab.service.waits_for(second))
    lab.service.storage.look()
    lab.pass_minutes(8.9)
    assert lab.service.info(first).state == "running"
    lab.pass_minutes(0.2)
    await lab.bench.until(lambda: lab.service.info(first).state == "failed")
    await lab.bench.until(lambda: lab.service.info(second).state == "failed")
    for run in (first, second):
        info = lab.service.info(run)
        assert info.open_circuit_confirmed
        assert info.reason.startswith("storage: nothing could be stored for 9.1 min")
    assert not lab.bench.instrument.running(0) and not lab.bench.instrument.running(1)
    assert lab.service.info(waiting).state == "queued"
    assert lab.told[-1].ended_runs
    lab.pass_minutes(600)
    await lab.bring_back()
    reader = lab.bench.store.reader
    assert [reader.run(run).state for run in (first, second)] == ["failed", "failed"]
    times = lab.times(first)
    assert times == [float(k) for k in range(len(times))]
    (back,) = [s.event.data for s in lab.bench.events if s.event.data.get("ended_runs")]
    assert back["state"] == "ok"


async def test_memory_that_fills_sooner_ends_the_runs_sooner(lab: Lab) -> None:
    run = lab.add(program(driven(0, CURRENT_A, 6e4)))
    await lab.begin()
    await lab.until_measured(run)
    lab.bench.store.full = True
    await lab.until_failing()
    lab.bench.instrument.tick_s = 3e3
    await lab.bench.until(lambda: lab.service.storage.info().waiting_samples > 18_000)
    lab.service.storage.look()
    await lab.bench.until(lambda: lab.service.info(run).state == "failed")
    assert lab.service.info(run).open_circuit_confirmed


async def test_a_disk_that_is_back_is_given_the_time_to_store_what_piled_up(lab: Lab) -> None:
    """The commit of all that waits takes longer than the time that was left; parts of it are stored."""
    bench = lab.bench
    run = lab.add(LONG)
    await lab.begin()
    await lab.until_measured(run)
    bench.store.full = True
    await lab.until_failing()
    await lab.until_measured(run, 50)
    lab.pass_minutes(8.9)
    pending = bench.store.pending
    bench.store.pending = lambda: pending() // 2  # type: ignore[method-assign]  # as if half of it were stored
    lab.pass_minutes(0.2)
    assert not lab.service.storage.info().ended_runs
    lab.pass_minutes(0.6)
    assert lab.service.storage.info().ended_runs, "no part was stored any more"


async def test_a_daemon_killed_with_a_full_disk_leaves_what_was_durable_and_a_gap(lab: Lab) -> None:
    bench = lab.bench
    run = lab.add(LONG)
    await lab.begin()
    await lab.until_measured(run)
    bench.store.full = True
    await lab.until_failing()
    await lab.until_measured(run, 30)
    durable = bench.store.reader.count(run)
    await bench.killed()
    again = bench.recover(run)
    bench.keep()
    await bench.until(lambda: again.progress.t_s > durable + 40)
    await bench.rest()
    await bench.recorder.commit()
    (gap,) = bench.store.reader.gaps(run)
    assert gap.t_from_s == durable - 1
    assert gap.t_to_s > gap.t_from_s + 25
    assert lab.times(run)[:durable] == [float(k) for k in range(durable)]


# The service's own watch


async def test_the_service_watches_disk_and_clock_by_itself(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_watch, "LOOK_S", 0.001)
    monkeypatch.setattr(clock_watch, "LOOK_S", 0.001)
    run = lab.add(LONG)
    await lab.begin()
    await lab.until_measured(run)
    watch = asyncio.create_task(lab.service.watch(), name="watch")
    await lab.bench.until(lambda: lab.service.storage.info().free_bytes is not None)
    lab.bench.store.full = True
    await lab.until_failing()
    await lab.bench.until(lambda: lab.service.storage.info().state == "failing")
    lab.bench.host.utc_s -= 3600.0
    await lab.bring_back()
    await lab.bench.until(lambda: lab.service.storage.info().state == "ok")
    watch.cancel()
    await asyncio.wait([watch])
    await lab.bench.recorder.commit()
    steps = [s for s in lab.bench.events if s.event.kind == "clock_step"]
    assert [stored.run for stored in steps] == [None, run]
    assert [stored.event.data["step_s"] for stored in steps] == pytest.approx([-3600.0, -3600.0])


# Little room


async def test_little_room_is_warned_of_and_below_the_floor_nothing_starts(lab: Lab) -> None:
    run = lab.add(LONG)
    await lab.bench.recorder.commit()
    await lab.service.recover()
    storage = lab.service.storage
    storage.take_free(int(0.5 * GB))
    lab.service.begin()
    lab.bench.keep()
    assert storage.info().state == "low"
    assert "0.50 GB are free, 1 GB are wanted" in lab.service.waits_for(run)
    storage.take_free(int(2 * GB))
    await lab.until_measured(run)
    assert storage.info().state == "low"
    storage.take_free(int(5.2 * GB))
    assert storage.info().state == "low", "a warning does not come and go with every file"
    storage.take_free(int(6 * GB))
    assert storage.info().state == "ok"
    assert [told.state for told in lab.told] == ["low", "low", "ok"]
    assert [told.starts for told in lab.told] == [False, True, True]


async def test_a_disk_that_fills_fast_is_warned_of_in_time(lab: Lab) -> None:
    storage = lab.service.storage
    for minute in range(21):
        lab.bench.host.now_s += MINUTE_S
        storage.take_free(int((100 - 0.1 * minute) * GB))
    info = storage.info()
    assert info.state == "low"
    assert info.hours_left == pytest.approx(98 / 6, rel=0.01)
    assert info.starts
