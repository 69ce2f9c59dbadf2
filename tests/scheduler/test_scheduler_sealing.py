"""Runs that go on are sealed day by day, and no fault of sealing ends anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scripted_instrument import CURRENT_A, Bench, driven, program

from protocols.errors import StorageError
from protocols.measurements import empty_block
from protocols.records import RunInfo
from scheduler.engine import Engine
from scheduler.sealing import PAUSE_S, Sealer
from scheduler.worker import Worker

DAY_ROWS = 9720
"""Samples of 27 h, one every 10 s."""


class InProcess(Worker):
    """A worker that works here, and fails while ``fault`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Exception | None = None
        self.asked = 0

    async def run(self, job: Any, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return job(*args, **kwargs)


async def days(bench: Bench, first: int) -> None:
    """Store another 27 h of run 1."""
    block = empty_block(DAY_ROWS)
    block["channel"] = 1
    block["t_s"] = 10.0 * np.arange(first, first + DAY_ROWS)
    for piece in np.array_split(block, 20):
        bench.store.add_samples(piece)
        await bench.store.commit()


async def going_on(bench: Bench, worker: Worker) -> Sealer:
    """Return a sealer of a bench on which run 1 has gone on for 27 h."""
    info = RunInfo(
        run=1, name="r", station="A", protocol="p", cell="c", state="running", submitted_unix_s=0.0
    )
    bench.store.add_run(info, program(driven(0, CURRENT_A, 10.0)), {})
    await days(bench, 0)
    return Sealer(bench.store, worker, bench.host.clock())


async def test_a_run_that_goes_on_is_sealed_every_day_but_once_an_hour_at_most(bench: Bench) -> None:
    worker = InProcess()
    sealer = await going_on(bench, worker)
    await sealer.look()
    assert len(bench.store.reader.parts(1)) == 1
    await days(bench, DAY_ROWS)
    bench.host.now_s += PAUSE_S - 1.0
    await sealer.look()
    assert worker.asked == 1
    bench.host.now_s += 2.0
    await sealer.look()
    assert len(bench.store.reader.parts(1)) == 2
    bench.host.now_s += 2 * PAUSE_S
    await sealer.look()
    assert worker.asked == 2
    assert bench.store.reader.count(1) == 2 * DAY_ROWS
    assert bench.store.reader.verify(1) == []


@pytest.mark.parametrize("fault", [StorageError("the disk is full"), ValueError("a bug")])
async def test_a_failure_is_logged_and_tried_again_after_an_hour(
    bench: Bench, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    worker = InProcess()
    sealer = await going_on(bench, worker)
    worker.fault = fault
    await sealer.look()
    assert str(fault) in caplog.text
    worker.fault = None
    await sealer.look()
    assert worker.asked == 1
    bench.host.now_s += PAUSE_S + 1.0
    await sealer.look()
    assert len(bench.store.reader.parts(1)) == 1


async def test_an_engine_seals_runs_that_go_on(bench: Bench) -> None:
    worker = InProcess()
    await going_on(bench, worker)
    engine = Engine({}, bench.store, bench.recorder, bench.host.clock(), worker)
    bench.watch(engine.run())
    await bench.until(lambda: len(bench.store.reader.parts(1)) == 1)
