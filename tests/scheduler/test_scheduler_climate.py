"""A climate: who may demand what of a chamber, when its set-point is sent, and which readings count."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from scripted_instrument import HostClock

from drivers.chamber import ChamberReading
from protocols.errors import BusyError, InstrumentError, NotAllowedError, UnreachableError
from scheduler import climate as climate_module
from scheduler.climate import Climate
from scheduler.engine import Engine
from scheduler.recorder import Recorder
from scheduler.worker import Worker
from storage.store import Store

TIMEOUT_S = 20.0
ROOM_K, WARM_K, HOT_K = 298.15, 333.15, 353.15


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little before a new connection; no test depends on how little."""
    monkeypatch.setattr(climate_module, "BACKOFF_FIRST_S", 0.005)
    monkeypatch.setattr(climate_module, "BACKOFF_MAX_S", 0.02)


class ScriptedChamber:
    """A chamber in memory that is at its set-point at once. A test says what goes wrong."""

    name = "oven"
    simulated = True
    temperature_min_K = 283.15
    temperature_max_K = 353.15
    at_host_loss = "keeps its set-point"

    def __init__(self) -> None:
        self.setpoint_K = ROOM_K
        self.running = False
        self.off_by_K = 0.0
        self.reachable = True
        self.refusal: Exception | None = None
        self.fault: Exception | None = None
        self.sent: list[float] = []
        self.reads = 0
        self.attempts = 0

    async def connect(self) -> None:
        self.attempts += 1
        self._answer()

    async def close(self) -> None:
        pass

    async def read(self) -> ChamberReading:
        self._answer()
        if self.fault is not None:
            raise self.fault
        self.reads += 1
        return ChamberReading(self.setpoint_K + self.off_by_K, self.setpoint_K, self.running)

    async def set_temperature(self, kelvin: float) -> None:
        self._answer()
        self.sent.append(kelvin)
        if self.refusal is not None:
            raise self.refusal
        self.setpoint_K, self.running = kelvin, True

    async def make_safe(self) -> None:
        self._answer()
        if self.refusal is not None:
            raise self.refusal
        self.running = False

    def _answer(self) -> None:
        if not self.reachable:
            raise UnreachableError("oven: pulled the plug")


class Bench:
    """A climate on a scripted chamber, on a clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.host = HostClock()
        self.chamber = ScriptedChamber()
        self.climate = Climate(self.chamber, self.host.clock(), interval_s=0.01)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not holds():  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(0.001)

    async def another_turn(self) -> None:
        """Wait until the chamber was read once more, from the beginning."""
        wanted = self.chamber.reads + 2
        await self.until(lambda: self.chamber.reads >= wanted)


@asynccontextmanager
async def kept(bench: Bench) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.climate.keep(), name="keep")
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    async with kept(made):
        yield made


async def test_without_a_demand_it_reads_and_touches_nothing(bench: Bench) -> None:
    await bench.another_turn()
    climate = bench.climate
    assert climate.reachable
    assert climate.fresh
    assert climate.reading == ChamberReading(ROOM_K, ROOM_K, running=False)
    assert climate.read_monotonic_s == bench.host.now_s
    assert (bench.chamber.sent, climate.target_K, climate.problem) == ([], None, "")


async def test_a_demand_is_sent_once_and_settles(bench: Bench) -> None:
    bench.climate.demand(1, WARM_K)
    await bench.until(lambda: bench.climate.settled(WARM_K, 0.5))
    await bench.another_turn()
    assert bench.chamber.sent == [WARM_K]
    assert not bench.climate.settled(HOT_K, 0.5)


async def test_what_is_right_already_is_not_sent(bench: Bench) -> None:
    bench.chamber.setpoint_K, bench.chamber.running = WARM_K + 0.04, True
    bench.climate.demand(1, WARM_K)
    await bench.until(lambda: bench.climate.settled(WARM_K, 0.5))
    assert bench.chamber.sent == []


async def test_a_chamber_that_is_off_or_runs_its_own_program_is_told_again(bench: Bench) -> None:
    bench.chamber.setpoint_K = WARM_K
    bench.climate.demand(1, WARM_K)
    await bench.until(lambda: bench.chamber.running)
    bench.chamber.running = False
    await bench.until(lambda: bench.chamber.running)
    assert bench.chamber.sent == [WARM_K, WARM_K]


async def test_a_set_point_changed_by_hand_is_sent_again_while_a_run_holds_it(bench: Bench) -> None:
    bench.climate.demand(1, WARM_K)
    await bench.until(lambda: bench.chamber.sent == [WARM_K])
    bench.chamber.setpoint_K = ROOM_K
    await bench.until(lambda: bench.chamber.sent == [WARM_K, WARM_K])
    bench.climate.release(1)
    bench.chamber.setpoint_K = ROOM_K
    await bench.another_turn()
    assert bench.chamber.sent == [WARM_K, WARM_K]
    assert bench.climate.target_K is None


async def test_the_demand_outlives_a_lost_contact(bench: Bench) -> None:
    bench.climate.demand(1, WARM_K)
    await bench.until(lambda: bench.climate.settled(WARM_K, 0.5))
    bench.chamber.reachable = False
    await bench.until(lambda: not bench.climate.reachable)
    assert not bench.climate.settled(WARM_K, 0.5), "what was read before contact was lost is no evidence"
    assert "pulled the plug" in bench.climate.problem
    attempts = bench.chamber.attempts
    await bench.until(lambda: bench.chamber.attempts > attempts + 2)
    # Meanwhile it was plugged in anew and has forgotten everything.
    bench.chamber.setpoint_K, bench.chamber.running, bench.chamber.reachable = ROOM_K, False, True
    await bench.until(lambda: bench.climate.settled(WARM_K, 0.5))
    assert bench.chamber.sent == [WARM_K, WARM_K]
    assert bench.climate.problem == ""


@pytest.mark.parametrize("target_K", [283.0, 353.5, math.nan, math.inf])
def test_nothing_outside_the_limits_can_be_demanded(target_K: float) -> None:
    climate = Bench().climate
    with pytest.raises(NotAllowedError, match=r"run 1 .*oven 10\.0 °C to 80\.0 °C"):
        climate.demand(1, target_K)
    assert climate.target_K is None


def test_runs_share_one_temperature_and_no_two() -> None:
    climate = Bench().climate
    climate.demand(1, WARM_K)
    climate.demand(2, WARM_K)
    with pytest.raises(BusyError, match=r"run 3 asks for 80\.0 °C, but run 1 holds chamber oven at 60\.0 °C"):
        climate.demand(3, HOT_K)
    climate.release(1)
    with pytest.raises(BusyError, match="run 2 holds"):
        climate.demand(1, HOT_K)
    assert climate.target_K == WARM_K
    climate.release(2)
    climate.release(2)
    climate.demand(3, HOT_K)
    assert climate.target_K == HOT_K


def test_a_run_may_change_its_own_demand_unless_another_shares_it() -> None:
    climate = Bench().climate
    climate.demand(1, WARM_K)
    climate.demand(1, HOT_K)
    assert climate.target_K == HOT_K
    climate.demand(2, HOT_K)
    with pytest.raises(BusyError, match="run 2 holds"):
        climate.demand(1, WARM_K)
    assert climate.target_K == HOT_K


async def test_after_the_last_release_it_keeps_its_set_point(bench: Bench) -> None:
    bench.climate.demand(1, WARM_K)
    await bench.until(lambda: bench.climate.settled(WARM_K, 0.5))
    bench.climate.release(1)
    await bench.another_turn()
    assert bench.chamber.sent == [WARM_K]
    assert bench.climate.reading == ChamberReading(WARM_K, WARM_K, running=True)


async def test_only_the_right_temperature_is_settled(bench: Bench) -> None:
    bench.chamber.off_by_K = -0.6
    bench.climate.demand(1, WARM_K)
    await bench.until(lambda: bench.chamber.running)
    await bench.another_turn()
    assert not bench.climate.settled(WARM_K, 0.5)
    assert bench.climate.settled(WARM_K, 1.0)


async def test_a_stale_reading_is_not_settled() -> None:
    bench = Bench()
    async with kept(bench):
        bench.climate.demand(1, WARM_K)
        await bench.until(lambda: bench.climate.settled(WARM_K, 0.5))
    bench.host.now_s += 0.02
    assert bench.climate.settled(WARM_K, 0.5)
    bench.host.now_s += 0.02
    assert bench.climate.reachable
    assert not bench.climate.settled(WARM_K, 0.5)
    assert bench.climate.info().temperature_K is None


async def test_it_reads_as_often_as_a_faster_clock_that_waits_for_it_asks_for() -> None:
    bench = Bench()
    bench.climate = Climate(bench.chamber, bench.host.clock(), interval_s=1000.0)
    async with kept(bench):
        await bench.until(lambda: bench.chamber.reads == 1)
        bench.host.now_s += 1.0
        bench.climate.hurry(900.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert bench.chamber.reads == 1
        bench.climate.hurry(1000.0)
        await bench.until(lambda: bench.chamber.reads == 2)


async def test_passing_through_on_the_way_elsewhere_is_not_settled(bench: Bench) -> None:
    bench.chamber.off_by_K = WARM_K - HOT_K
    bench.climate.demand(1, HOT_K)
    await bench.until(lambda: bench.chamber.running)
    await bench.another_turn()
    assert bench.climate.reading is not None
    assert bench.climate.reading.temperature_K == pytest.approx(WARM_K)
    assert not bench.climate.settled(WARM_K, 0.5)


async def test_a_refused_set_point_is_said_once_and_tried_until_it_is_taken(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.chamber.refusal = InstrumentError("oven refuses 'TEMP, S60.0': PROTECT ON")
    with caplog.at_level(logging.INFO, logger="scheduler.climate"):
        bench.climate.demand(1, WARM_K)
        await bench.until(lambda: len(bench.chamber.sent) > 3)
        assert "PROTECT ON" in bench.climate.problem
        assert bench.climate.reachable
        bench.chamber.refusal = None
        await bench.until(lambda: bench.climate.settled(WARM_K, 0.5))
        await bench.until(lambda: bench.climate.problem == "")
    assert caplog.text.count("PROTECT ON") == 1
    assert caplog.text.count("in order again") == 1


@pytest.mark.parametrize("fault", [InstrumentError("oven answers rubbish"), ValueError("a bug")])
async def test_a_faulty_reading_loses_contact_and_nothing_ends(bench: Bench, fault: Exception) -> None:
    await bench.another_turn()
    bench.chamber.fault = fault
    await bench.until(lambda: not bench.climate.reachable)
    assert str(fault) in bench.climate.problem
    bench.chamber.fault = None
    await bench.until(lambda: bench.climate.fresh and bench.climate.problem == "")


async def test_an_unreachable_chamber_is_said_once_and_keeps_no_daemon_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    bench.chamber.reachable = False
    clock = bench.host.clock()
    store = Store(tmp_path, clock=clock.unix)
    await store.open()
    worker = Worker()
    engine = Engine({}, store, Recorder(store, clock), clock, worker, {"oven": bench.chamber})
    task = asyncio.create_task(engine.run())
    async with asyncio.timeout(TIMEOUT_S):
        await engine.looked()
    await bench.until(lambda: bench.chamber.attempts > 3)
    info = engine.climates["oven"].info()
    assert (info.name, info.reachable, info.temperature_K, info.setpoint_K) == ("oven", False, None, None)
    assert caplog.text.count("pulled the plug") == 1
    bench.chamber.reachable = True
    await bench.until(lambda: engine.climates["oven"].info().temperature_K == ROOM_K)
    task.cancel()
    await asyncio.wait([task])
    worker.close()
    await store.close()


# Made safe


async def test_a_chamber_that_is_made_safe_is_demanded_nothing_any_more() -> None:
    bench = Bench()
    bench.climate.demand(1, WARM_K)
    async with kept(bench):
        await bench.until(lambda: bench.chamber.running)
        await bench.climate.make_safe()
        assert not bench.chamber.running
        await bench.another_turn()
        assert not bench.chamber.running
        assert bench.climate.target_K is None


async def test_a_chamber_that_refuses_to_be_made_safe_says_so() -> None:
    bench = Bench()
    async with kept(bench):
        await bench.another_turn()
        bench.chamber.refusal = InstrumentError("the panel is locked")
        with pytest.raises(InstrumentError, match="locked"):
            await bench.climate.make_safe()
        bench.chamber.reachable = False
        await bench.until(lambda: not bench.climate.reachable)
        with pytest.raises(UnreachableError):
            await bench.climate.make_safe()
