"""A verdict says where in the test it fell, and the raw data around it become files."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_instrument import AREA_M2, CURRENT_A, OHM, Bench, driven, program, runs_short
from stored_runs import StoredRun, open_store

from protocols.measurements import empty_block
from protocols.nodes import Repeat
from protocols.program import Program
from protocols.records import HalfCycle
from protocols.verdicts import Verdict
from scheduler import filing
from scheduler.engine import Engine
from scheduler.filing import Filer
from scheduler.windows import MARGIN_S, Window, folder_of, is_kept, window_of, write_windows
from scheduler.worker import Worker
from storage.checksums import check_files, write_checksums
from storage.store import Store

pytestmark = pytest.mark.usefixtures("quick")

HALF_S = 120.0
TICK_S = 7.0
"""What a poll brings: not a part of a half-cycle, so that some polls bring the end of one and more."""
EVENT_S = 4 * HALF_S + 40.0
"""In the fifth half-cycle, a third of which has passed."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(tmp_path)
    yield store
    await store.close()


def cycling(cycles: int = 2) -> Program:
    body = (driven(0, CURRENT_A, HALF_S), driven(1, -CURRENT_A, HALF_S))
    return program(Repeat(body=body, stop=cycles, total=cycles, counts=True))


async def verdict_of(bench: Bench, of: Program, t_short_s: float) -> Verdict:
    bench.instrument.voltage, bench.instrument.tick_s = runs_short(t_short_s), TICK_S
    run = bench.submit(of)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    return next(v for v in bench.store.reader.verdicts(run.number) if v.kind == "short_circuit")


async def test_a_verdict_says_where_it_fell(bench: Bench) -> None:
    verdict = await verdict_of(bench, cycling(), 3 * HALF_S + 80.0)
    evidence = verdict.evidence
    in_half_cycle_s = verdict.time_s - 3 * HALF_S
    assert (evidence["guard"], evidence["step"], evidence["half_cycle"]) == ("short_circuit", "step 1", 3.0)
    assert (evidence["cycle"], evidence["plating_side"]) == (2.0, "working")
    assert evidence["current_density_A_per_m2"] == pytest.approx(-CURRENT_A / AREA_M2)
    assert evidence["half_cycle_C"] == pytest.approx(in_half_cycle_s * CURRENT_A, rel=0.02)
    assert evidence["half_cycle_C_per_m2"] == pytest.approx(float(evidence["half_cycle_C"]) / AREA_M2)
    assert evidence["half_cycle_phase"] == pytest.approx(in_half_cycle_s / HALF_S, rel=0.02)
    assert evidence["cumulative_C_per_m2"] == pytest.approx(verdict.time_s * CURRENT_A / AREA_M2, rel=0.01)


async def test_a_verdict_found_again_after_a_kill_says_the_same(bench: Bench) -> None:
    bench.instrument.voltage, bench.instrument.tick_s = runs_short(3 * HALF_S + 80.0), TICK_S
    run = bench.submit(cycling())
    bench.keep()
    await bench.until(lambda: run.progress.t_s > 2.5 * HALF_S)
    await bench.killed()
    again = bench.recover(run.number)
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    verdict = next(v for v in bench.store.reader.verdicts(run.number) if v.kind == "short_circuit")
    assert again.number == run.number
    assert verdict.evidence["half_cycle"] == 3.0
    assert verdict.evidence["cumulative_C_per_m2"] == pytest.approx(
        verdict.time_s * CURRENT_A / AREA_M2, rel=0.01
    )


def short(tier: int = 1, **changes: Any) -> Verdict:
    place: dict[str, float | str] = {
        "half_cycle": 4.0,
        "half_cycle_A": CURRENT_A,
        "half_cycle_phase": 0.35,
    }
    values: dict[str, Any] = {
        "kind": "short_circuit",
        "tier": tier,
        "time_s": EVENT_S + 5.0,
        "event_s": EVENT_S,
        "message": "R fell",
        "evidence": {"guard": "short_circuit", "criterion": "R < x", "threshold": 40.0, **place},
    }
    return Verdict.model_validate(values | changes)


def stored(store: Store, verdict: Verdict, state: Any = "protected") -> StoredRun:
    """Return a run of five half-cycles at 1 Hz, E being 100 mV and in the first half-cycle 200 mV."""
    run = StoredRun(store, cycling(3), state)
    t = np.arange(1.0, HALF_S + 0.5)
    for number in range(5):
        sign = 1.0 if number % 2 == 0 else -1.0
        start_s, size_V = run.t_s, 0.2 if number == 0 else 0.1
        run.samples(
            number % 2, t, np.full(len(t), sign * size_V), np.full(len(t), sign * CURRENT_A), number // 2
        )
        if number < 4:
            run.half_cycle(half_cycle(number, sign, start_s))
    run.verdict(verdict)
    return run


def half_cycle(number: int, sign: float, start_s: float, complete: bool = True) -> HalfCycle:
    charge_C = CURRENT_A * HALF_S
    return HalfCycle(
        number=number,
        step=number % 2,
        visit=number // 2,
        t_start_s=start_s,
        t_end_s=start_s + HALF_S,
        set_current_A=sign * CURRENT_A,
        current_A=sign * CURRENT_A,
        charge_C=sign * charge_C,
        planned_charge_C=charge_C,
        complete=complete,
        overpotential_V=0.1,
        voltage_min_V=0.1,
        voltage_max_V=0.1,
        voltage_end_V=0.1,
    )


async def test_a_window_and_the_same_phase_of_the_last_half_cycle_of_its_direction(store: Store) -> None:
    run = stored(store, short())
    window = window_of(await run.reader(), run.number, 1)
    assert window.samples["t_s"][0] == max(EVENT_S - MARGIN_S, 1.0)
    assert window.samples["t_s"][-1] == run.t_s
    # The phase is that at the verdict, 5 s after the event began.
    assert window.before_event_s == pytest.approx(2 * HALF_S + 0.35 * HALF_S - 5.0, abs=1.0)
    inside = window.before["t_s"][1:]
    assert (inside.min(), inside.max()) == (2 * HALF_S + 1.0, 3 * HALF_S)
    assert (window.before["current_A"][1:] == CURRENT_A).all()


async def test_in_the_first_half_cycle_nothing_is_compared(store: Store) -> None:
    verdict = short(evidence={"half_cycle": 0.0, "half_cycle_A": CURRENT_A})
    run = stored(store, verdict)
    window = window_of(await run.reader(), run.number, 1)
    assert len(window.before["t_s"]) == 0
    assert len(window.samples["t_s"]) > 0


async def test_files_are_written_once_and_again_when_the_verdict_has_changed(
    store: Store, tmp_path: Path
) -> None:
    run = stored(store, short())
    reader = await run.reader()
    drawn: list[str] = []

    def draw(window: Window, path: Path) -> None:
        drawn.append(window.name)
        path.write_bytes(b"picture")

    assert write_windows(tmp_path, run.number, draw) is None
    assert write_windows(tmp_path, run.number, draw) is None
    folder = folder_of(tmp_path, reader.run(run.number))
    document = json.loads((folder / "1-short_circuit.json").read_text(encoding="utf-8"))
    assert drawn == ["1-short_circuit"]
    assert document["verdict"]["message"] == "R fell"
    assert document["thresholds"]["short_circuit"]["confirm_s"] > 0.0
    assert sorted(document["files"]) == sorted(
        path.name for path in folder.iterdir() if path.suffix != ".json"
    )
    write_checksums(folder.parent)
    run.verdict(short(tier=3, false_alarm=True, look={"r_ohm": OHM}))
    await run.reader()
    write_windows(tmp_path, run.number, draw)
    assert len(drawn) == 2
    assert check_files(folder.parent) == []
    assert json.loads((folder / "1-short_circuit.json").read_text())["verdict"]["false_alarm"] is True


async def test_a_csv_holds_every_sample_of_the_window_with_units_in_its_names(
    store: Store, tmp_path: Path
) -> None:
    run = stored(store, short())
    reader = await run.reader()
    write_windows(tmp_path, run.number, None)
    path = folder_of(tmp_path, reader.run(run.number)) / "1-short_circuit.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    window = window_of(reader, run.number, 1)
    assert [float(row["test_time_second"]) for row in rows] == window.samples["t_s"].tolist()
    at_event = next(row for row in rows if float(row["time_from_event_second"]) == 0.0)
    assert float(at_event["resistance_ohm"]) == pytest.approx(0.1 / CURRENT_A)


async def test_a_window_waits_for_its_end_while_the_run_goes_on(store: Store, tmp_path: Path) -> None:
    run = stored(store, short(tier=2), "running")
    reader = await run.reader()
    assert write_windows(tmp_path, run.number, None) == EVENT_S + 5.0 + MARGIN_S
    assert not folder_of(tmp_path, reader.run(run.number)).exists()
    run.samples(0, np.array([0.0, MARGIN_S]), np.zeros(2), np.zeros(2))
    await run.reader()
    assert write_windows(tmp_path, run.number, None) is None
    assert (folder_of(tmp_path, reader.run(run.number)) / "1-short_circuit.csv").exists()


def test_what_was_only_reported_has_no_files() -> None:
    assert [is_kept(short(tier=tier)) for tier in (0, 1, 2, 3)] == [True, True, True, False]
    assert is_kept(short(tier=3, false_alarm=True))


class InProcess(Worker):
    """Runs jobs here: what is tested is when they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.fault: Exception | None = None

    async def run(self, job: Any, *args: Any, **kwargs: Any) -> Any:
        if self.fault is not None:
            raise self.fault
        if job is write_windows:
            self.asked.append(args[1])
        return job(*args, **kwargs)


async def test_an_engine_writes_the_window_of_a_stop_before_the_run_is_sealed(bench: Bench) -> None:
    worker = InProcess()
    engine = Engine({"box": bench.instrument}, bench.store, bench.recorder, bench.host.clock(), worker)
    bench.keeper = engine.keepers["box"]
    bench.instrument.voltage, bench.instrument.tick_s = runs_short(3 * HALF_S + 80.0), TICK_S
    bench.watch(engine.run())
    run = bench.submit(cycling())
    await bench.until(lambda: not bench.store.reader.unsealed() and bool(bench.data(run.number, "result")))
    folder = folder_of(bench.folder, bench.store.reader.run(run.number))
    assert {path.name for path in folder.iterdir()} >= {
        "1-short_circuit.csv",
        "1-short_circuit-before.csv",
        "1-short_circuit.json",
    }


async def test_after_a_restart_the_window_of_a_suspicion_is_still_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "LOOK_S", 0.001)
    run = stored(bench.store, short(tier=2), "running")
    await run.reader()
    await bench.killed()
    worker = InProcess()
    filer = Filer(bench.store, bench.recorder, worker, None)
    bench.watch(filer.keep())
    sample = empty_block(1)
    sample["channel"], sample["t_s"] = run.number, EVENT_S + 5.0 + MARGIN_S
    bench.store.add_samples(sample)
    await bench.recorder.commit()
    await bench.until(lambda: worker.asked == [run.number])
    folder = folder_of(bench.folder, bench.store.reader.run(run.number))
    await bench.until((folder / "1-short_circuit.json").exists)


async def test_a_fault_in_writing_ends_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    run = stored(bench.store, short())
    await run.reader()
    worker = InProcess()
    worker.fault = ArithmeticError("on purpose")
    filer = Filer(bench.store, bench.recorder, worker, None)
    await filer.write(run.number)
    assert f"the data around a verdict of run {run.number} could not be written" in caplog.text
