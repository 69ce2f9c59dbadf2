"""Records of runs that never took place, for extractions: a reader that answers from what it was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from monitor.published.extractions import Record
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.protocol import parse_protocol
from protocols.records import HalfCycle, RunInfo
from protocols.verdicts import Verdict
from storage.columns import Columns
from storage.reader import Reader

CELL = """\
sandtime: 1
name: a cell
geometry: symmetric
area: 1 cm²
working: {lithium: 100 µm}
counter: {lithium: 100 µm}
electrolyte: {name: LLZTO, class: garnet, thickness: 500 µm}
"""
HALF_s = 3600.0


def program(steps: str, cell: str = CELL) -> Program:
    """Return the program of steps as a protocol writes them."""
    from monitor.commands.files import capabilities_for

    text = f"sandtime: 1\nname: test\nlimits: {{voltage: 5 V, current: 50 mA}}\nsteps:\n{steps}"
    return compile_program(
        parse_protocol(text, "test.yaml"), parse_cell(cell, "cell.yaml"), capabilities_for(None, None)
    )


def half_cycle(
    number: int, current_A: float, overpotential_V: float, *, step: int = 0, charge_C: float | None = None
) -> HalfCycle:
    """Return a complete half-cycle of an hour."""
    return HalfCycle(
        number=number,
        step=step,
        visit=number // 2,
        t_start_s=number * HALF_s,
        t_end_s=(number + 1) * HALF_s,
        set_current_A=current_A,
        current_A=current_A,
        charge_C=current_A * HALF_s if charge_C is None else charge_C,
        planned_charge_C=None,
        complete=True,
        overpotential_V=overpotential_V,
        voltage_min_V=0.0,
        voltage_max_V=overpotential_V,
        voltage_end_V=overpotential_V,
    )


def spectrum(
    r_hf_ohm: float, r_total_ohm: float, *, step: int = 0, visit: int = 0
) -> tuple[Spectrum, SpectrumSummary]:
    """Return a spectrum of three points that ends at these resistances."""
    whole = Spectrum(
        channel=1,
        step=step,
        visit=visit,
        t_start_s=float(visit),
        t_end_s=visit + 1.0,
        frequency_Hz=(1e6, 1e3, 1.0),
        z_real_ohm=(r_hf_ohm, (r_hf_ohm + r_total_ohm) / 2, r_total_ohm),
        z_imag_ohm=(0.0, -(r_total_ohm - r_hf_ohm) / 2, -1e-3),
        t_s=(0.0, 0.5, 1.0),
    )
    summary = SpectrumSummary(
        t_s=whole.t_end_s,
        current_A=0.0,
        r_hf_ohm=r_hf_ohm,
        r_total_ohm=r_total_ohm,
        r_int_ohm=r_total_ohm - r_hf_ohm,
        phase_low_rad=0.0,
        z_imag_low_ohm=1e-3,
        f_low_Hz=1.0,
        conductance_low_S=1 / r_total_ohm,
        kk_passed=True,
        kk_rms=0.0,
        kk_lag1=0.0,
        noise=0.0,
    )
    return whole, summary


class _Given:
    """The part of :class:`storage.reader.Reader` that records ask."""

    def __init__(
        self,
        of: Program,
        half_cycles: Sequence[HalfCycle],
        spectra: Sequence[tuple[Spectrum, SpectrumSummary]],
        samples: dict[str, list[float]],
        verdict: Verdict | None,
    ) -> None:
        self._program = of
        self._half_cycles = list(half_cycles)
        self._spectra = list(spectra)
        self._samples = {name: np.array(values) for name, values in samples.items()}
        self._verdict = verdict

    def run(self, run: int) -> RunInfo:
        return RunInfo(
            run=run,
            name="test",
            station="s1",
            protocol="test",
            cell="a cell",
            state="finished",
            verdict=self._verdict,
            submitted_unix_s=0.0,
        )

    def program(self, run: int) -> Program:
        return self._program

    def half_cycles(self, run: int) -> list[HalfCycle]:
        return self._half_cycles

    def spectra(self, run: int) -> list[tuple[Spectrum, SpectrumSummary]]:
        return self._spectra

    def samples(self, run: int, t0: float | None, t1: float | None, columns: Sequence[str] | None) -> Columns:
        t_s = self._samples["t_s"]
        inside = (t_s >= (t0 or 0.0)) & (t_s <= (np.inf if t1 is None else t1))
        return {name: self._samples[name][inside] for name in columns or self._samples}


def record(
    of: Program,
    half_cycles: Sequence[HalfCycle] = (),
    spectra: Sequence[tuple[Spectrum, SpectrumSummary]] = (),
    samples: dict[str, list[float]] | None = None,
    verdict: Verdict | None = None,
) -> Record:
    """Return the record of a run that brought this."""
    return Record(cast("Reader", _Given(of, half_cycles, spectra, samples or {}, verdict)), 1)
