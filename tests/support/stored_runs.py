"""Runs whose data are made up: stored without an instrument, for tests of what is computed from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.kramers_kronig import summarize
from protocols.measurements import Spectrum, empty_block
from protocols.program import Program
from protocols.records import HalfCycle, RunInfo, RunState
from protocols.verdicts import Verdict
from storage.reader import Reader
from storage.store import Store

Floats = NDArray[np.float64]
Impedance = Callable[[Floats], NDArray[np.complex128]]
FREQUENCY = np.geomspace(1e6, 0.1, 71)


class StoredRun:
    """One run in a store of its own; what is added comes one after the other in time."""

    def __init__(self, store: Store, program: Program, state: RunState = "finished") -> None:
        self._store = store
        self.number = store.next_run()
        self.t_s = 0.0
        info = RunInfo(
            run=self.number,
            name="made up",
            station="s1",
            protocol=program.protocol,
            cell=program.cell.name,
            state=state,
            submitted_unix_s=0.0,
        )
        store.add_run(info, program, {})

    def samples(self, step: int, t_s: Floats, voltage_V: Floats, current_A: Floats, visit: int = 0) -> None:
        """Add the samples of one visit of a step; t_s from its start."""
        block = empty_block(len(t_s))
        block["channel"], block["step"], block["visit"] = self.number, step, visit
        block["t_s"] = self.t_s + t_s
        block["voltage_V"], block["current_A"] = voltage_V, current_A
        self._store.add_samples(block)
        self.t_s += float(t_s[-1])

    def spectrum(self, step: int, impedance: Impedance, voltage_V: float = 0.0, visit: int = 0) -> None:
        """Add a spectrum from 1 MHz to 0.1 Hz that takes 100 s."""
        z = impedance(FREQUENCY)
        times = self.t_s + np.linspace(0.0, 100.0, len(FREQUENCY))
        spectrum = Spectrum(
            channel=self.number,
            step=step,
            visit=visit,
            t_start_s=self.t_s,
            t_end_s=self.t_s + 100.0,
            frequency_Hz=tuple(FREQUENCY.tolist()),
            z_real_ohm=tuple(z.real.tolist()),
            z_imag_ohm=tuple(z.imag.tolist()),
            t_s=tuple(times.tolist()),
            voltage_V=voltage_V,
        )
        self._store.add_spectrum(self.number, spectrum, summarize(spectrum))
        self.t_s += 100.0

    def half_cycle(self, row: HalfCycle) -> None:
        """Add a half-cycle."""
        self._store.add_half_cycle(self.number, row)

    def verdict(self, verdict: Verdict) -> None:
        """Add a verdict."""
        self._store.add_verdict(self.number, verdict)

    async def reader(self) -> Reader:
        """Return a reader that sees all that was added."""
        await self._store.commit()
        return self._store.reader


async def open_store(folder: Path) -> Store:
    """Return an open store of an empty folder."""
    store = Store(folder)
    await store.open()
    return store
