"""Spectra of a run are resolved while it goes on, by the worker, and never at the cost of the run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from arcs import SULFIDE, WIDE, arcs, noisy, spectrum_of
from scripted_instrument import CURRENT_A, Bench, driven, program, sweep

from protocols.measurements import Spectrum
from scheduler.engine import Engine
from scheduler.resolving import KIND, MOST_WAITING, Resolver, resolve_all
from scheduler.run import ActiveRun
from scheduler.worker import Worker

pytestmark = pytest.mark.usefixtures("quick")


def spectrum(frequency: np.ndarray = WIDE) -> Spectrum:
    return spectrum_of(frequency, noisy(arcs(frequency, SULFIDE), 1e-3), 10.0, 99.0)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_a_spectrum_becomes_its_processes_named_by_the_cells_class() -> None:
    (found,) = resolve_all([(1, spectrum(), "garnet")])
    assert found is not None
    peaks = found["peaks"]
    assert isinstance(peaks, list)
    resistances = [peak["resistance_ohm"] for peak in peaks]
    assert resistances == pytest.approx([part[0] for part in SULFIDE], rel=0.05)
    assert peaks[1]["name"] == "grain boundary"
    (unnamed,) = resolve_all([(1, spectrum(), "sulfide")])
    assert unnamed is not None
    assert isinstance(unnamed["peaks"], list)
    assert {peak["name"] for peak in unnamed["peaks"]} == {""}


def test_a_spectrum_of_three_points_is_not_resolved_and_the_others_are() -> None:
    found = resolve_all([(1, spectrum(WIDE[:3]), "other"), (2, spectrum(), "other")])
    assert found[0] is None
    assert found[1] is not None


async def test_an_engine_tells_what_the_spectra_of_a_run_are_made_of(bench: Bench, worker: Worker) -> None:
    engine = Engine({"box": bench.instrument}, bench.store, bench.recorder, bench.host.clock(), worker)
    bench.keeper = engine.keepers["box"]
    engine.on_end(lambda run: bench.ended.append(run.number))
    bench.watch(engine.run())
    number = bench.submit(program(sweep(0), driven(1, CURRENT_A, 5.0))).number
    await bench.until(lambda: "result" in bench.kinds(number))
    kinds = bench.kinds(number)
    assert kinds.index("spectrum") < kinds.index(KIND) < kinds.index("result")
    (data,) = bench.data(number, KIND)
    assert data["t_end_s"] == bench.store.reader.spectra(number)[0][0].t_end_s
    assert isinstance(data["peaks"], list)
    assert data["peaks"][0]["resistance_ohm"] == pytest.approx(90.0, rel=0.1)


async def test_more_spectra_than_can_wait_leave_the_oldest_and_nothing_else(
    bench: Bench, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = Resolver(bench.recorder, worker)
    run = bench.submit(program(driven(0, CURRENT_A, 5.0)))
    for _ in range(MOST_WAITING + 3):
        resolver.take(run, spectrum(WIDE[:3]))
    assert caplog.text.count("one of run") == 3


async def test_a_fault_in_the_worker_is_logged_and_the_next_spectrum_is_resolved(
    bench: Bench, worker: Worker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver(bench.recorder, worker)
    bench.watch(resolver.resolve())
    run: ActiveRun = bench.submit(program(driven(0, CURRENT_A, 5.0)))
    monkeypatch.setattr("scheduler.resolving.resolve_all", _fails)
    resolver.take(run, spectrum())
    await resolver.caught_up()
    assert "1 spectra were not resolved" in caplog.text
    monkeypatch.undo()
    resolver.take(run, spectrum())
    await resolver.caught_up()
    await bench.recorder.commit()
    assert len(bench.data(run.number, KIND)) == 1


def _fails(batch: object) -> list[object]:
    raise ArithmeticError("on purpose")
