"""A run of a few hours that tests of exports and of reading share: cycles, two spectra, a gap, a verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocols.cell import Cell
from protocols.measurements import Block, Spectrum, SpectrumSummary, empty_block
from protocols.nodes import ConstantCurrent
from protocols.program import Limits, Program
from protocols.records import Event, Gap, HalfCycle, RunInfo, RunState, Ticket
from protocols.verdicts import Verdict
from storage.reader import Reader
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

HOURS = 4


def cycling() -> Block:
    """Plating and stripping of an hour each at 0.1 mA, a sample every 10 s."""
    block = empty_block(360 * HOURS)
    t_s = 10.0 * np.arange(1, len(block) + 1)
    half_cycle = ((t_s - 1) // 3600).astype(int)
    noise = np.random.default_rng(0).normal(0, 1e-5, len(block))
    block["channel"] = 1
    block["t_s"] = t_s
    block["current_A"] = np.where(half_cycle % 2, 1e-4, -1e-4)
    block["voltage_V"] = 300 * block["current_A"] + noise
    block["charge_C"] = block["current_A"] * (t_s - 3600 * half_cycle)
    block["step"] = half_cycle % 2
    block["visit"] = half_cycle // 2
    block["half_cycle"] = half_cycle
    return block


def spectrum(t_s: float) -> tuple[Spectrum, SpectrumSummary]:
    """A spectrum of two points that begins at ``t_s``."""
    whole = Spectrum(
        channel=1,
        step=1,
        visit=0,
        t_start_s=t_s,
        t_end_s=t_s + 2,
        frequency_Hz=(1e3, 1e2),
        z_real_ohm=(50.5, 80.25),
        z_imag_ohm=(-1.5, -20.0),
        t_s=(t_s, t_s + 1),
        voltage_V=0.03,
        current_A=1e-4,
    )
    few = SpectrumSummary(
        t_s=t_s,
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


def half_cycle(number: int) -> HalfCycle:
    """One of the run's half-cycles."""
    current_A = 1e-4 if number % 2 else -1e-4
    return HalfCycle(
        number=number,
        step=number % 2,
        visit=number // 2,
        t_start_s=3600.0 * number,
        t_end_s=3600.0 * (number + 1),
        set_current_A=current_A,
        current_A=current_A,
        charge_C=3600 * current_A,
        planned_charge_C=0.36,
        complete=True,
        overpotential_V=0.03,
        voltage_min_V=min(0.0, 300 * current_A),
        voltage_max_V=max(0.0, 300 * current_A),
        voltage_end_V=300 * current_A,
    )


SHORT = Verdict(
    kind="short_circuit",
    tier=1,
    time_s=14_399.0,
    event_s=14_390.0,
    message="E fell to 1 mV.",
    evidence={"criterion": "drop", "value": 0.001},
)


STATES = (
    (1.7e9, "running", ""),
    (1.7e9 + 600, "lost", "no contact with box"),
    (1.7e9 + 660, "running", ""),
    (1.7e9 + 3600 * HOURS, "protected", SHORT.message),
)
TEXTS = {
    "protocol_text": "sandtime: 1\nname: p\n",
    "protocol_file": "p.yaml",
    "cell_text": "area: 1 cm²\n",
    "cell_file": "c.yaml",
    "instrument": "box",
    "channel": "0",
}


async def sealed(folder: Path, run: int) -> SealedFile:
    """Seal in this process."""
    return seal_run(folder, run)


async def store_cycled_run(folder: Path, name: str = "=a+1", seal: bool = False) -> Reader:
    """Store the run as number 1 of a data folder. Its name begins as a formula does."""
    store = Store(folder)
    await store.open()
    await add_cycled_run(store, name)
    if seal:
        await store.seal(1, sealed)
    await store.close()
    return Reader(folder)


async def add_cycled_run(store: Store, name: str, state: RunState = "protected") -> int:
    """Store the run under the next number, and return that."""
    run = store.next_run()
    plate = ConstantCurrent(index=0, label="plate", current_A=-1e-4, duration_s=3600, charge_C=0.36)
    strip = ConstantCurrent(index=1, label="strip", current_A=1e-4, duration_s=3600, until_voltage_V=1.0)
    limits = Limits(voltage_min_V=-2, voltage_max_V=2, current_max_A=1e-3)
    program = Program(protocol="p", cell=Cell(name="c", area_m2=1e-4), steps=(plate, strip), limits=limits)
    store.add_run(_info(run, name, state), program, TEXTS)
    store.save_ticket(Ticket(run=run, segment=0, program=program.digest()), program, "ended", 0.0, 1.7e9)
    samples = cycling()
    samples["channel"] = run
    for part in np.array_split(samples, 3):
        store.add_samples(part)
        await store.commit()
    for t_s in (100.0, 200.0):
        store.add_spectrum(run, *spectrum(t_s))
    store.add_gap(run, Gap(t_from_s=1, t_to_s=2, reason="crash"))
    for number in range(HOURS):
        store.add_half_cycle(run, half_cycle(number))
    store.add_verdict(run, SHORT)
    for unix_s, told, reason in STATES:
        store.add_event(run, Event(kind="state", unix_s=unix_s, data={"state": told, "reason": reason}))
    store.save_result(run, {"hours": HOURS})
    await store.commit()
    return run


def _info(run: int, name: str, state: RunState) -> RunInfo:
    return RunInfo(
        run=run,
        name=name,
        station="A",
        protocol="p",
        cell="c",
        state=state,
        reason=SHORT.message,
        verdict=SHORT,
        submitted_unix_s=1.7e9 - 5,
        started_unix_s=1.7e9,
        ended_unix_s=1.7e9 + 3600 * HOURS,
        samples=360 * HOURS,
    )
