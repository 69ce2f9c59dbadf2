"""A trip on a simulated instrument behind its real wire: a short that is gone was a false alarm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scripted_guard import Judge, Script, found
from simulated_server import ADDRESS, Server

from protocols.cell import Cell
from protocols.nodes import ConstantCurrent, Geis, Rest
from protocols.program import GuardSettings, Limits, Program
from protocols.records import RunInfo
from protocols.verdicts import Verdict
from scheduler.clock import Clock
from scheduler.keeper import Keeper
from scheduler.recorder import Recorder
from scheduler.run import ActiveRun
from storage.store import Store

CURRENT_A = 1e-3
SECONDS = 600.0
HEALTHY_S = 100.0
"""So long under current the cell is healthy."""
MAH_PER_S = CURRENT_A * 1e3 / 3600.0
GONE_CHANNEL, HARD_CHANNEL = 0, 1
# On 1 cm²; the soft short is as deep as a hard one, lasts 8 s of current and heals at once at open circuit.
CONFIG = f"""
[simulation.box1]
address = "{ADDRESS}"
[simulation.box1.channels.1]
area_cm2 = 1.0
soft_from_mAh_per_cm2 = {120 * MAH_PER_S}
soft_to_mAh_per_cm2 = {128 * MAH_PER_S}
soft_residual = 0.02
soft_form_s = 0.1
soft_heal_s = 0.1
[simulation.box1.channels.2]
area_cm2 = 1.0
lifetime_mAh_per_cm2 = {120 * MAH_PER_S}
"""


def low_resistance(script: Script) -> Judge:
    """Return a judge that calls a short when R has fallen, and knows what R and R_HF were before."""
    before_ohm: list[float] = []

    def judge(t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        ohm = voltage_V / current_A
        if charge_C < HEALTHY_S * CURRENT_A:
            before_ohm.append(ohm)
        if ohm > 0.3 * before_ohm[-1]:
            return None
        r_hf_ohm = script.spectra[0].r_hf_ohm
        evidence = {"current_A": current_A, "healthy_ohm": before_ohm[-1], "healthy_r_hf_ohm": r_hf_ohm}
        return found("short_circuit", 1, t_s, **evidence)

    return judge


PROGRAM = Program(
    protocol="test",
    cell=Cell(name="cell", area_m2=1e-4),
    steps=(
        Rest(index=0, label="rest", duration_s=10.0),
        Geis(
            index=1,
            label="spectrum",
            amplitude_A=1e-4,
            frequency_start_Hz=1e5,
            frequency_end_Hz=1.0,
            points_per_decade=8,
        ),
        ConstantCurrent(
            index=2,
            label="plating",
            duration_s=SECONDS,
            current_A=CURRENT_A,
            charge_C=CURRENT_A * SECONDS,
            ends_by="time",
        ),
    ),
    limits=Limits(voltage_min_V=-1.5, voltage_max_V=1.5, current_max_A=0.01),
    guards=GuardSettings(enabled=("limits",)),
)


@dataclass
class Bench:
    """A store, and a keeper that works on a simulated box."""

    store: Store
    recorder: Recorder
    keeper: Keeper
    over: asyncio.Event
    """A run has ended."""


@asynccontextmanager
async def bench_on_a_box(folder: Path, speed: float = 500.0) -> AsyncIterator[Bench]:
    """Give a store and a keeper that works on a simulated box."""
    server, store = Server(folder, speed, CONFIG), Store(folder / "data")
    await server.start()
    await store.open()
    recorder = Recorder(store, Clock())
    try:
        async with server.connected() as instrument:
            over = asyncio.Event()
            keeper = Keeper(instrument, recorder, Clock(), lambda run: over.set())
            task = asyncio.create_task(keeper.keep(), name="keep")
            try:
                yield Bench(store, recorder, keeper, over)
            finally:
                task.cancel()
                await asyncio.wait([task])
    finally:
        await store.close()
        await server.end()


async def run_on(channel: int, bench: Bench) -> ActiveRun:
    """Run the program on a channel to its end."""
    store = bench.store
    info = RunInfo(
        run=store.next_run(),
        name="test",
        station="s",
        protocol="test",
        cell="cell",
        state="queued",
        submitted_unix_s=0.0,
        simulated=True,
    )
    store.add_run(info, PROGRAM, {})
    run = ActiveRun(info, PROGRAM, store, bench.recorder, Clock())
    bench.keeper.submit(channel, run)
    async with asyncio.timeout(60.0):
        await bench.over.wait()
    await bench.recorder.commit()
    return run


@pytest.mark.parametrize("channel", [GONE_CHANNEL, HARD_CHANNEL])
async def test_a_short_that_is_gone_at_open_circuit_goes_on_and_a_hard_one_ends(
    tmp_path: Path, channel: int
) -> None:
    script = Script()
    script.samples = (low_resistance(script),)
    with script.followed():
        async with bench_on_a_box(tmp_path) as bench:
            run = await run_on(channel, bench)
            reader = bench.store.reader
            (verdict,) = reader.verdicts(run.number)
            samples = reader.samples(run.number)
            (half_cycle,) = reader.half_cycles(run.number)
    assert isinstance(verdict.look["r_ohm"], float) and isinstance(verdict.look["r_hf_ohm"], float)
    plating = samples["charge_C"][samples["step"] == 2]
    if channel == HARD_CHANNEL:
        assert run.info.state == "protected" and run.info.open_circuit_confirmed
        assert not verdict.false_alarm
        assert verdict.look["r_ohm"] < 0.1 * float(verdict.evidence["healthy_ohm"])
        assert plating[-1] < 0.3 * CURRENT_A * SECONDS
    else:
        assert run.info.state == "finished", run.info.reason
        assert verdict.false_alarm
        assert plating[-1] == pytest.approx(CURRENT_A * SECONDS, rel=2e-3)
        assert half_cycle.charge_C == pytest.approx(CURRENT_A * SECONDS, rel=2e-3)
        assert half_cycle.complete


async def test_a_spectrum_under_current_is_counted_as_current(tmp_path: Path) -> None:
    def suspects(t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        return found("soft_short", 2, t_s) if charge_C >= HEALTHY_S * CURRENT_A else None

    script = Script(samples=(suspects,))
    with script.followed():
        async with bench_on_a_box(tmp_path) as bench:
            run = await run_on(GONE_CHANNEL, bench)
            reader = bench.store.reader
            samples = reader.samples(run.number)
            # The test's own, the look's under current, and since that compares with nothing one at rest.
            _, (spectrum, summary), (at_rest, _) = reader.spectra(run.number)
            (half_cycle,) = reader.half_cycles(run.number)
    assert run.info.state == "finished", run.info.reason
    assert script.looked == [("soft_short", True)]
    assert spectrum.current_A == pytest.approx(CURRENT_A)
    assert summary.current_A == pytest.approx(CURRENT_A)
    assert at_rest.current_A == 0.0
    driven = samples["t_s"][samples["step"] == 2]
    # The circuit of a simulated cell is open for no time between two segments; a stop that comes between two
    # samples leaves up to one interval that only the instrument knows of.
    assert np.diff(driven).max() == pytest.approx(at_rest.t_end_s - spectrum.t_start_s, abs=2.1)
    rested_s = at_rest.t_end_s - spectrum.t_end_s
    assert half_cycle.t_end_s - half_cycle.t_start_s == pytest.approx(SECONDS + rested_s, abs=1.0)
    assert half_cycle.charge_C == pytest.approx(CURRENT_A * SECONDS, abs=CURRENT_A)
    assert samples["charge_C"][-1] == pytest.approx(CURRENT_A * SECONDS, rel=1e-4)
    assert half_cycle.planned_charge_C == pytest.approx(CURRENT_A * SECONDS)
