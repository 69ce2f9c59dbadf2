"""A changed service.toml while cells run: what is taken, what is refused, and what is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from scripted_instrument import CURRENT_A, Bench, ScriptedInstrument, driven, program

from drivers.instrument import Instrument
from protocols.errors import BusyError, InvalidFileError, Problem
from protocols.program import Program
from protocols.records import RunInfo
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.reload import FIXED, FREE, Reloading
from scheduler.service import Service
from scheduler.worker import Worker

pytestmark = pytest.mark.usefixtures("quick")

TABLES: dict[str, Any] = {
    "data": Path(),
    "checks": {"before_start": False},
    "instruments": {"box": {"driver": "scripted"}, "spare": {"driver": "scripted"}},
    "stations": {
        "S0": {"instrument": "box", "channel": 1},
        "S1": {"instrument": "box", "channel": 2},
        "S9": {"instrument": "spare", "channel": 1},
    },
}
LONG = program(driven(0, CURRENT_A, 1e4))


def changed(**sections: Any) -> ServiceConfig:
    return ServiceConfig.model_validate({**TABLES, **sections})


class Lab:
    """A service whose instruments come from a configuration; each is kept."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.made: dict[str, ScriptedInstrument] = {}
        config, clock = changed(), bench.host.clock()
        self.worker = Worker()
        self.engine = Engine(self.build(config), bench.store, bench.recorder, clock, self.worker)
        self.service = Service(config, self.engine, bench.store, bench.recorder, clock)
        self.reloading = Reloading(self.service, self.engine, bench.recorder, self.build, lambda config: {})

    def build(self, config: ServiceConfig) -> dict[str, Instrument]:
        built: dict[str, Instrument] = {}
        for name, table in config.instruments.items():
            if table["driver"] != "scripted":
                raise InvalidFileError([Problem("service.toml", 0, 0, f"no driver {table['driver']!r}")])
            made = ScriptedInstrument([])
            made.name, made.host = name, self.bench.host
            self.made[name] = made
            built[name] = made
        return built

    def stored(self, whole: Program, station: str) -> int:
        """Store a run as an earlier daemon has left it in its queue."""
        number = self.bench.store.next_run()
        info = RunInfo(
            run=number,
            name="test",
            station=station,
            protocol="test",
            cell="cell",
            state="queued",
            submitted_unix_s=0.0,
        )
        self.bench.store.add_run(info, whole, {})
        return number

    async def running(self, station: str = "S0") -> int:
        """Have a run under way, and every instrument in contact."""
        number = self.stored(LONG, station)
        await self.bench.recorder.commit()
        await self.service.recover()
        self.service.begin()
        await self.bench.until(lambda: self.service.info(number).state == "running")
        await self.bench.until(lambda: all(item.reachable for item in self.service.instruments()))
        return number

    def events(self) -> list[dict[str, object]]:
        return [stored.event.data for stored in self.bench.events if stored.event.kind == "reload"]

    def asked(self) -> list[tuple[str, str]]:
        catalogue = self.bench.store.reader.catalogue
        return [(entry.who, str(entry.details.get("error", ""))) for entry in catalogue.audit(None)]


@pytest.fixture
async def lab(bench: Bench) -> AsyncIterator[Lab]:
    made = Lab(bench)
    task = asyncio.create_task(made.engine.run(), name="engine")
    yield made
    task.cancel()
    await asyncio.wait([task])
    made.worker.close()


async def test_new_instruments_and_stations_come_and_the_run_is_not_touched(lab: Lab) -> None:
    run = await lab.running()
    commands = list(lab.made["box"].journal)
    samples = lab.service.info(run).samples
    new = changed(
        instruments={**TABLES["instruments"], "more": {"driver": "scripted"}},
        stations={**TABLES["stations"], "M1": {"instrument": "more", "channel": 1}},
    )
    changes = await lab.reloading.use(new, "Zoë")
    assert changes.lines() == ["instrument more added", "station M1 added"]
    await lab.bench.until(lambda: all(item.reachable for item in lab.service.instruments()))
    assert [item.name for item in lab.service.instruments()] == ["box", "spare", "more"]
    assert lab.service.instruments()[-1].stations == ("M1",)
    await lab.bench.until(lambda: lab.service.info(run).samples > samples)
    assert lab.made["box"].journal == commands
    assert lab.service.info(run).state == "running"
    assert lab.events() == [{"changes": changes.lines()}]
    assert ("Zoë", "") in lab.asked()
    await lab.bench.recorder.commit()
    assert "M1" in {known.name for known in lab.bench.store.reader.catalogue.stations()}


async def test_an_instrument_without_a_run_is_exchanged_after_it_was_let_go(lab: Lab) -> None:
    await lab.running()
    old = lab.made["spare"]
    new = changed(instruments={**TABLES["instruments"], "spare": {"driver": "scripted", "address": "new"}})
    await lab.reloading.use(new, "me")
    await lab.bench.until(lambda: "connect" in lab.made["spare"].journal)
    assert lab.made["spare"] is not old
    assert old.journal[-1] == "close"


async def test_an_instrument_that_is_gone_is_let_go(lab: Lab) -> None:
    await lab.running()
    stations = {name: table for name, table in TABLES["stations"].items() if name != "S9"}
    await lab.reloading.use(changed(instruments={"box": {"driver": "scripted"}}, stations=stations), "me")
    await lab.bench.until(lambda: lab.made["spare"].journal[-1] == "close")
    assert [item.name for item in lab.service.instruments()] == ["box"]
    with pytest.raises(InvalidFileError, match="S9"):
        lab.service.config.station("S9")


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        (
            {"instruments": {"box": {"driver": "scripted", "address": "other"}}},
            "instrument box can't be changed",
        ),
        ({"stations": {"S0": {"instrument": "box", "channel": 3}}}, "station S0 can't be changed"),
        ({"stations": {"S1": {"instrument": "box", "channel": 2}}}, "station S0 can't be removed"),
        ({"data": Path("elsewhere")}, "data can't change"),
        ({"http": {"port": 1}}, "http can't change"),
    ],
)
async def test_what_a_run_needs_is_refused_as_a_whole(lab: Lab, sections: dict[str, Any], why: str) -> None:
    run = await lab.running()
    before, journal = lab.service.config, list(lab.made["box"].journal)
    # Something harmless beside it is not taken either.
    with pytest.raises(BusyError, match=why):
        await lab.reloading.use(changed(**sections, log={"level": "debug"}), "me")
    assert lab.service.config is before
    assert lab.made["box"].journal == journal
    assert lab.service.info(run).state == "running"
    assert lab.events() == []
    await lab.bench.recorder.commit()
    assert any(who == "me" and why in error for who, error in lab.asked())


async def test_a_run_that_waits_keeps_its_station_too(lab: Lab) -> None:
    await lab.running()
    waiting = lab.service.info(1).model_copy(update={"run": 2, "state": "queued", "station": "S9"})
    lab.service.remember(waiting)
    stations = {**TABLES["stations"], "S9": {"instrument": "spare", "channel": 4}}
    with pytest.raises(BusyError, match="run 2 is queued on S9"):
        await lab.reloading.use(changed(stations=stations), "me")


async def test_a_table_that_a_driver_cannot_use_changes_nothing(lab: Lab) -> None:
    await lab.running()
    before = lab.service.config
    instruments = {**TABLES["instruments"], "odd": {"driver": "unheard-of"}}
    with pytest.raises(InvalidFileError, match="unheard-of"):
        await lab.reloading.use(changed(instruments=instruments), "me")
    assert lab.service.config is before
    assert "odd" not in lab.engine.keepers
    assert lab.events() == []


async def test_a_protected_run_keeps_its_station_until_it_is_acknowledged(lab: Lab) -> None:
    run = await lab.running()
    info = lab.service.info(run).model_copy(update={"state": "protected", "run": 99, "station": "S1"})
    lab.service.remember(info)
    stations = {**TABLES["stations"], "S1": {"instrument": "box", "channel": 4}}
    with pytest.raises(BusyError, match="ack 99"):
        await lab.reloading.use(changed(stations=stations), "me")
    lab.service.remember(info.model_copy(update={"acknowledged": True}))
    assert (await lab.reloading.use(changed(stations=stations), "me")).lines() == ["station S1 changed"]


async def test_where_nothing_is_different_nothing_is_told(lab: Lab) -> None:
    await lab.running()
    assert (await lab.reloading.use(changed(), "me")).lines() == []
    await lab.bench.recorder.commit()
    assert lab.events() == []
    assert ("me", "") in lab.asked()


async def test_storage_goes_by_its_new_limits_at_once(lab: Lab) -> None:
    await lab.running()
    lab.service.storage.take_free(int(5e9))
    assert lab.service.storage.info().starts
    await lab.reloading.use(changed(storage={"least_gigabytes": 6.0}), "me")
    assert not lab.service.storage.info().starts


def test_each_section_may_change_or_may_not() -> None:
    compared = {"instruments", "chambers", "stations"}
    assert {*FREE, *FIXED, *compared} == set(ServiceConfig.model_fields)
