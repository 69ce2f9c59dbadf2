"""What a person asks of a run that waits, and what is left of a run when it has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_instrument import CURRENT_A, Bench, ScriptedClimate, driven, program

from protocols.cell import Cell, Electrode
from protocols.errors import NotAllowedError
from protocols.nodes import Person, Repeat, Rest
from protocols.program import Program
from protocols.records import RunInfo
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.results import results_of
from scheduler.service import Service
from scheduler.worker import Worker

pytestmark = pytest.mark.usefixtures("quick")

CONFIG = ServiceConfig.model_validate(
    {
        "data": Path(),
        "checks": {"before_start": False},
        "instruments": {"box": {"driver": "scripted"}},
        "chambers": {"oven": {"driver": "scripted"}},
        "stations": {"S0": {"instrument": "box", "channel": 1, "chamber": "oven"}},
    }
)
WAITING = program(
    Rest(index=0, label="ask", duration_s=1e4, host_ends=(Person(message="look at it"),)),
    driven(1, CURRENT_A, 5.0),
)


def stored(bench: Bench, whole: Program) -> int:
    """Store a run as an earlier daemon has left it in its queue."""
    number = bench.store.next_run()
    info = RunInfo(
        run=number,
        name="test",
        station="S0",
        protocol="test",
        cell="cell",
        state="queued",
        submitted_unix_s=0.0,
    )
    bench.store.add_run(info, whole, {})
    return number


@pytest.fixture
async def service(bench: Bench) -> AsyncIterator[Service]:
    clock, worker = bench.host.clock(), Worker()
    engine = Engine({}, bench.store, bench.recorder, clock, worker)
    engine.keepers["box"] = bench.keeper
    engine.climates["oven"] = ScriptedClimate()  # type: ignore[assignment]  # as much of it as runs need
    yield Service(CONFIG, engine, bench.store, bench.recorder, clock)
    worker.close()


async def test_resume_ends_a_step_that_waits_for_a_person(bench: Bench, service: Service) -> None:
    number = stored(bench, WAITING)
    await bench.recorder.commit()
    await service.recover()
    service.begin()
    bench.keep()
    await bench.until(lambda: service.info(number).state == "running")
    assert service.info(number).waits_for == service.waits_for(number)
    assert "look at it" in service.waits_for(number)
    assert service.resume(number).state == "running"
    await bench.until(lambda: number in bench.ended)
    assert bench.store.reader.run(number).state == "finished"


async def test_a_run_that_waits_for_nobody_is_not_resumed(bench: Bench, service: Service) -> None:
    number = stored(bench, program(driven(0, CURRENT_A, 1e4)))
    await bench.recorder.commit()
    await service.recover()
    service.begin()
    bench.keep()
    await bench.until(lambda: service.info(number).state == "running")
    with pytest.raises(NotAllowedError, match="is running, not paused"):
        service.resume(number)


# Results


def cycled(cell: Cell) -> Program:
    """Charge 10 s and discharge 8 s, three times; the last discharge takes 6 s."""
    up, down = driven(0, CURRENT_A, 10.0), driven(1, -CURRENT_A, 8.0)
    loop = Repeat(total=2, stop=2, body=(up, down), counts=True)
    last = (driven(2, CURRENT_A, 10.0), driven(3, -CURRENT_A, 6.0))
    return program(loop, *last, cell=cell)


async def results(bench: Bench, whole: Program) -> dict[str, object]:
    run = bench.submit(whole)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    return results_of(bench.store.reader, run.number)


async def test_a_full_cell_has_capacity_efficiency_and_retention(bench: Bench) -> None:
    found = await results(bench, cycled(Cell(name="full", geometry="full", area_m2=1e-4)))
    # The last pair is measured like the others, but stands in no loop that counts.
    assert found["cycles"] == 2
    assert found["coulombic_efficiency"] == pytest.approx((0.8 + 0.8 + 0.6) / 3, rel=1e-3)
    assert found["capacity_retention"] == pytest.approx(0.75, rel=1e-3)
    assert found["capacity_mAh"] == pytest.approx(6e-3 / 3.6, rel=1e-3)


async def test_a_symmetric_cell_has_cycles_alone(bench: Bench) -> None:
    rich = Electrode(inventory_C_per_m2=1e6)
    found = await results(bench, cycled(Cell(name="sym", area_m2=1e-4, working=rich, counter=rich)))
    assert found["cycles"] == 2
    assert not {"coulombic_efficiency", "capacity_retention", "capacity_mAh"} & set(found)
