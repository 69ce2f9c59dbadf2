"""Who asked for what is kept, done or not; and so is what the laboratory consists of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_instrument import Bench, driven, program

from protocols.errors import InvalidFileError, NotAllowedError, NotFoundError
from protocols.laboratory import AuditEntry
from protocols.nodes import Repeat
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.requests import CalibrationRequest, Submission
from scheduler.service import Service
from scheduler.worker import Worker

pytestmark = pytest.mark.usefixtures("quick")

CONFIG = ServiceConfig.model_validate(
    {
        "data": Path(),
        "checks": {"before_start": False},
        "instruments": {"box": {"driver": "scripted"}},
        "stations": {"S0": {"instrument": "box", "channel": 1}},
    }
)
REST = Submission(
    protocol_text="sandtime: 1\nname: rest\nsteps:\n  - rest: {for: 10 h}\n",
    cell_text="sandtime: 1\nname: c\ngeometry: symmetric\narea: 1 cm²\nelectrolyte: {class: garnet}\n",
    station="S0",
)


@pytest.fixture
async def service(bench: Bench) -> AsyncIterator[Service]:
    clock, worker = bench.host.clock(), Worker()
    engine = Engine({}, bench.store, bench.recorder, clock, worker)
    engine.keepers["box"] = bench.keeper
    yield Service(CONFIG, engine, bench.store, bench.recorder, clock)
    worker.close()


async def audited(bench: Bench) -> list[AuditEntry]:
    await bench.recorder.commit()
    return bench.store.reader.catalogue.audit()


async def test_commands_are_kept_with_who_asked(bench: Bench, service: Service) -> None:
    info = await service.submit(REST, "anna")
    assert [(e.who, e.what, e.run) for e in await audited(bench)] == [("anna", "submit", info.run)]
    outcome = await service.stop(info.run, "wrong cell", "ben")
    assert outcome.state == "stopped"
    entry = (await audited(bench))[-1]
    assert (entry.who, entry.what, entry.run, entry.details) == ("ben", "stop", 1, {"reason": "wrong cell"})
    assert bench.store.reader.catalogue.audit(run=2) == []


async def test_a_submission_and_its_entry_are_one_commit(bench: Bench, service: Service) -> None:
    await service.submit(REST, "anna")
    assert [entry.what for entry in bench.store.reader.catalogue.audit()] == ["submit"]


async def test_what_was_refused_is_kept_with_the_reason(bench: Bench, service: Service) -> None:
    with pytest.raises(InvalidFileError):
        await service.submit(REST.model_copy(update={"protocol_text": "name: x\n"}), "anna")
    with pytest.raises(NotFoundError):
        await service.pause(7, "anna")
    info = await service.submit(REST)
    with pytest.raises(NotAllowedError):
        await service.acknowledge(info.run)
    entries = await audited(bench)
    assert [(e.who, e.what, e.run, "error" in e.details) for e in entries] == [
        ("anna", "submit", None, True),
        ("anna", "pause", 7, False),
        ("anna", "pause", 7, True),
        ("api", "submit", 1, False),
        ("api", "acknowledge", 1, False),
        ("api", "acknowledge", 1, True),
    ]
    assert "nothing waits for its acknowledgement" in str(entries[-1].details["error"])


async def test_the_files_of_a_run_are_kept_as_versions(bench: Bench, service: Service) -> None:
    first = await service.submit(REST)
    again = await service.submit(REST)
    bench.host.now_s += 10.0
    other = await service.submit(REST.model_copy(update={"cell_text": REST.cell_text + "notes: new\n"}))
    catalogue = bench.store.reader.catalogue
    assert [(v.name, v.text, v.runs) for v in catalogue.protocols()] == [
        ("rest", REST.protocol_text, (first.run, again.run, other.run))
    ]
    assert [v.runs for v in catalogue.cells()] == [(first.run, again.run), (other.run,)]


async def test_a_calibration_is_kept_until_it_expires(bench: Bench, service: Service) -> None:
    request = CalibrationRequest(
        instrument="box", channel=1, valid_for_s=100.0, load="1 kΩ", results={"resistance_ohm": 1000.2}
    )
    kept = await service.calibrate(request, "anna")
    assert bench.store.reader.catalogue.calibrations("box", 1) == [kept]
    assert bench.store.reader.catalogue.calibrations("box", 2) == []
    assert [kept.expired(kept.unix_s + later) for later in (99.0, 101.0)] == [False, True]
    with pytest.raises(InvalidFileError, match="no instrument 'bax'"):
        await service.calibrate(request.model_copy(update={"instrument": "bax"}))
    assert [(e.who, e.what) for e in await audited(bench)] == [("anna", "calibrate")]


async def test_an_instrument_is_known_once_it_was_connected(bench: Bench) -> None:
    bench.keep()
    await bench.until(bench.keeper.looked.is_set)
    await bench.recorder.commit()
    [known] = bench.store.reader.catalogue.instruments()
    assert (known.name, known.identity.serial, known.identity.firmware) == ("box", "7", "1.0")
    assert known.capabilities == bench.instrument.capabilities(0)


async def test_other_firmware_is_another_entry_and_the_first_time_stays(bench: Bench) -> None:
    bench.recorder.connected(bench.instrument)
    await bench.recorder.commit()
    [first] = bench.store.reader.catalogue.instruments()
    bench.host.now_s += 50.0
    bench.recorder.connected(bench.instrument)
    bench.instrument.firmware = "1.1"
    bench.recorder.connected(bench.instrument)
    await bench.recorder.commit()
    old, new = bench.store.reader.catalogue.instruments()
    assert old == first.model_copy(update={"last_unix_s": first.first_unix_s + 50.0})
    assert (new.identity.firmware, new.first_unix_s) == ("1.1", old.last_unix_s)


async def test_stations_are_known_as_they_are_wired(bench: Bench, service: Service) -> None:
    await service.recover()
    [station] = bench.store.reader.catalogue.stations()
    assert (station.name, station.instrument, station.channel, station.chamber) == ("S0", "box", 1, "")


async def test_cycles_are_counted_as_the_program_counts_them(bench: Bench) -> None:
    loop = Repeat(total=3, stop=3, body=(driven(0, 1e-3, 5.0), driven(1, -1e-3, 5.0)), counts=True)
    run = bench.submit(program(loop))
    bench.keep()
    await bench.until(lambda: run.info.state == "finished")
    await bench.recorder.commit()
    cycles = bench.store.reader.cycles(run.number)
    assert [(c.number, c.half_cycles, c.complete) for c in cycles] == [(n, 2, True) for n in (1, 2, 3)]
    assert cycles[0].charging_C == pytest.approx(5e-3, rel=0.3)
    assert cycles[0].t_end_s <= cycles[1].t_start_s
