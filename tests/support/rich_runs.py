"""A data folder with ended runs that hold something of everything."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np

from protocols.cell import Cell
from protocols.measurements import Block, Spectrum, SpectrumSummary, empty_block
from protocols.nodes import Rest
from protocols.program import Limits, Program
from protocols.records import Event, Gap, HalfCycle, RunInfo, RunState, Ticket
from protocols.verdicts import Verdict
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

PROTOCOL = "sandtime: 1\r\nname: p # Ω, and a line break of Windows\r\n"
CELL = "sandtime: 1\nname: c\n"
INCLUDED = {"warm_up.yaml": "steps: []\n", "../secret.yaml": "outside\n"}
PROGRAM = Program(
    protocol="p",
    cell=Cell(name="c", area_m2=1e-4),
    steps=(Rest(index=0, label="rest", duration_s=4000),),
    limits=Limits(voltage_min_V=-1, voltage_max_V=1, current_max_A=1),
)
ROWS = 1500


def samples(run: int, rows: int = ROWS) -> Block:
    """Return samples of a run, one a second."""
    block = empty_block(rows)
    rng = np.random.default_rng(run)
    block["channel"] = run
    block["t_s"] = np.arange(rows)
    block["voltage_V"] = rng.normal(0.1, 1e-5, rows)
    block["current_A"] = rng.normal(0, 1e-9, rows)
    return block


def spectrum(run: int) -> tuple[Spectrum, SpectrumSummary]:
    """Return a spectrum with its summary."""
    whole = Spectrum(
        channel=run,
        step=0,
        visit=0,
        t_start_s=10.0,
        t_end_s=12.0,
        frequency_Hz=(1e3, 1e2),
        z_real_ohm=(50.5, 80.25),
        z_imag_ohm=(-1.5, -20.0),
        t_s=(10.0, 11.0),
    )
    few = SpectrumSummary(
        t_s=10.0,
        current_A=0,
        r_hf_ohm=50,
        r_total_ohm=80,
        r_int_ohm=30,
        phase_low_rad=-0.2,
        z_imag_low_ohm=20,
        f_low_Hz=100,
        conductance_low_S=0.01,
        kk_passed=True,
        kk_rms=1e-3,
        kk_lag1=0,
        noise=1e-3,
    )
    return whole, few


def half_cycle() -> HalfCycle:
    """Return a half-cycle."""
    return HalfCycle(
        number=0,
        step=0,
        visit=0,
        t_start_s=0,
        t_end_s=10,
        set_current_A=1,
        current_A=1,
        charge_C=10,
        planned_charge_C=None,
        complete=True,
        overpotential_V=0.1,
        voltage_min_V=0,
        voltage_max_V=1,
        voltage_end_V=1,
    )


def add_run(
    store: Store, run: int, name: str = "Li|LLZO", state: RunState = "finished", block: Block | None = None
) -> None:
    """Queue a run with something of everything that is stored."""
    info = RunInfo(
        run=run,
        name=name,
        station="A",
        protocol="p",
        cell="c",
        state=state,
        submitted_unix_s=1000.0 + run,
        started_unix_s=1001.0,
    )
    texts = {"protocol_text": PROTOCOL, "cell_text": CELL, "instrument": "vsp", "channel": "3"}
    store.add_run(info, PROGRAM, {**texts, "included": json.dumps(INCLUDED)})
    ticket = Ticket(run=run, segment=0, program=PROGRAM.digest(), folder=store.identity)
    store.save_ticket(ticket, PROGRAM, "ended", 0.0, 1.7e9)
    store.add_samples(samples(run) if block is None else block)
    store.add_spectrum(run, *spectrum(run))
    store.add_half_cycle(run, half_cycle())
    verdict = Verdict(
        kind="short_circuit", tier=1, time_s=9.0, event_s=8.0, message="E fell", evidence={"value": 0.01}
    )
    store.add_verdict(run, verdict)
    store.add_gap(run, Gap(t_from_s=1, t_to_s=2, reason="the daemon was killed"))
    store.add_event(run, Event(kind="state", t_s=None, unix_s=1.0, data={"state": "running"}))
    store.add_event(run, Event(kind="note", t_s=5.0, unix_s=2.0, data={"k": 1}))
    store.save_result(run, {"hours": 0.4})


async def write(folder: Path, run: int) -> SealedFile:
    """Seal as the worker does."""
    return await asyncio.to_thread(seal_run, folder, run)


async def make_data(folder: Path, runs: int = 1) -> None:
    """Make a data folder with runs 1 … ``runs`` that are sealed."""
    store = Store(folder)
    await store.open()
    for run in range(1, runs + 1):
        add_run(store, store.next_run())
        await store.seal(run, write)
    await store.close()
