"""The store that a release leaves behind, as it is kept for the releases after it.

Made with the code of the release itself, before its schema changes, as by a daemon that was killed (the
write-ahead log is not folded in)::

    PYTHONPATH=. python tests/support/kept_store.py tests/storage/kept/schema-1.tar.xz

Values follow from the number of the sample by arithmetic that is exact everywhere, so that a test knows them.
"""

from __future__ import annotations

import asyncio
import lzma
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from protocols.cell import Cell
from protocols.measurements import Block, Spectrum, SpectrumSummary, empty_block
from protocols.nodes import ConstantCurrent
from protocols.program import Limits, Program
from protocols.records import Event, Gap, HalfCycle, RunInfo, RunState, Ticket
from protocols.verdicts import Verdict
from storage.seal import seal_run
from storage.store import Store
from storage.tables import SealedFile

STATES: dict[int, RunState] = {1: "finished", 2: "running", 3: "protected", 4: "queued"}
SAMPLES = {1: 1500, 2: 1300, 3: 250, 4: 0}
"""Run 1 is sealed, 2 is in chunks and journal, 3 in the journal alone."""
COMMITS = 10
GUARDS: dict[str, object] = {"short_circuit": {"n": 7}}
RESULTS: dict[str, object] = {"hours": 0.4}
VERDICT = Verdict(
    kind="short_circuit", tier=1, time_s=200.0, event_s=199.0, message="shorted", evidence={"ratio": 0.1}
)
GAP = Gap(t_from_s=100.0, t_to_s=101.5, reason="host lost")
HALF_CYCLE = HalfCycle(
    number=0,
    step=0,
    visit=0,
    t_start_s=0.0,
    t_end_s=600.0,
    set_current_A=1e-4,
    current_A=1e-4,
    charge_C=0.06,
    planned_charge_C=0.06,
    complete=True,
    overpotential_V=0.01,
    voltage_min_V=0.0,
    voltage_max_V=0.02,
    voltage_end_V=0.01,
)
SPECTRUM = Spectrum(
    channel=3,
    step=0,
    visit=0,
    t_start_s=150.0,
    t_end_s=153.0,
    frequency_Hz=(1e3, 1e2),
    z_real_ohm=(100.0, 200.0),
    z_imag_ohm=(-1.0, -2.0),
    t_s=(151.0, 152.0),
)
SUMMARY = SpectrumSummary(
    t_s=153.0,
    current_A=0.0,
    r_hf_ohm=100.0,
    r_total_ohm=200.0,
    r_int_ohm=100.0,
    phase_low_rad=-0.01,
    z_imag_low_ohm=2.0,
    f_low_Hz=100.0,
    conductance_low_S=0.005,
    kk_passed=True,
    kk_rms=1e-3,
    kk_lag1=0.1,
    noise=1e-3,
)


def info(run: int) -> RunInfo:
    """What the store says of a run."""
    return RunInfo(
        run=run,
        name=f"cell {run}",
        station=f"bench-{run}",
        protocol="plating",
        cell="LLZO",
        state=STATES[run],
        verdict=VERDICT if run == 3 else None,
        submitted_unix_s=1.7e9 + run,
        started_unix_s=None if run == 4 else 1.7e9 + 10.0,
        samples=SAMPLES[run],
    )


def program(run: int) -> Program:
    """The program of a run; runs 1 and 2 have the same."""
    step = ConstantCurrent(index=0, label="plate", current_A=-1e-4, duration_s=3600.0 * max(run, 2))
    limits = Limits(voltage_min_V=-2.0, voltage_max_V=2.0, current_max_A=1e-3)
    return Program(protocol="plating", cell=Cell(name="LLZO", area_m2=1e-4), steps=(step,), limits=limits)


def texts(run: int) -> dict[str, str]:
    """The texts that were kept with a run."""
    return {
        "protocol_text": f"sandtime: 1\nname: plating\n# {max(run, 2)}\n",
        "protocol_file": "plating.yaml",
        "cell_text": "name: LLZO\n",
        "cell_file": "cell.yaml",
    }


def ticket(run: int) -> Ticket:
    """The only ticket of a run."""
    return Ticket(run=run, segment=0, program=program(run).digest())


def samples(run: int, first: int = 0, stop: int | None = None) -> Block:
    """Samples ``first`` … ``stop`` − 1 of a run at 1 Hz."""
    k = np.arange(first, SAMPLES[run] if stop is None else stop)
    block = empty_block(len(k))
    block["channel"], block["t_s"] = run, k + 0.0625
    block["voltage_V"] = (k * 7919 % 997) / 65536.0
    block["current_A"] = (k * 104729 % 1009) / 2.0**30
    block["charge_C"] = k * k / 2.0**40
    block["visit"], block["half_cycle"], block["flags"] = k // 600, k // 600, k % 7 == 3
    return block


async def write(folder: Path, archive: Path) -> None:
    """Fill a folder and pack it as a killed daemon would leave it: the store is not closed yet."""
    store = Store(folder, clock=lambda: 1.7e9 + 5000.0)
    await store.open()
    for run in STATES:
        store.add_run(info(run), program(run), texts(run))
    for run in (1, 2, 3):
        store.save_ticket(ticket(run), program(run), "started", 0.0, 1.7e9 + 10.0)
        for part in np.array_split(samples(run), COMMITS):
            store.add_samples(part)
            await store.commit()
    _add_records(store)
    await store.seal(1, _seal)
    _pack(folder, archive)
    await store.close()


def _add_records(store: Store) -> None:
    store.add_half_cycle(2, HALF_CYCLE)
    store.add_gap(2, GAP)
    store.save_guards(2, 1000.0, GUARDS)
    store.add_spectrum(3, SPECTRUM, SUMMARY)
    store.add_verdict(3, VERDICT)
    store.save_result(1, RESULTS)
    store.add_event(3, Event(kind="note", t_s=1.0, unix_s=1.7e9, data={"text": "Ω"}))
    store.add_event(None, Event(kind="alarm", unix_s=1.7e9, data={"message": "m"}))


async def _seal(folder: Path, run: int) -> SealedFile:
    return await asyncio.to_thread(seal_run, folder, run)


def _pack(folder: Path, archive: Path) -> None:
    with lzma.open(archive, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.endswith(("-shm", ".lock")):
                tar.add(path, path.relative_to(folder).as_posix(), filter=_nobody)


def _nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(write(Path(name), Path(sys.argv[1])))
