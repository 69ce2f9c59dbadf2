"""What a run has found so far, followed as it comes: what its decisions are taken from."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from analysis.capacity import CapacityMeter
from protocols.decisions import Findings
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.records import HalfCycle

USUAL_OHM_M2 = 0.1
"""Areal resistance that is taken for granted before anything was measured (1000 Ω cm²)."""


@dataclass(slots=True)
class _State:
    charge_C: float | None = None
    overpotential_V: float | None = None
    r_total_ohm: float | None = None
    r_hf_ohm: float | None = None
    r_int_ohm: float | None = None
    r_hf_before_ohm: float | None = None
    z_max_ohm: float | None = None
    dc_ohm: float | None = None
    spectrum_s: float = 0.0
    """Run time at the end of the last spectrum; 0 before the first."""
    since_spectrum_C: float = 0.0


_STATE = TypeAdapter(_State)


class Found:
    """Fed by the run's progress, in stream order."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._counts_cycles = program.counts_cycles
        self._capacity = CapacityMeter(program.cell, program.retention_from)
        self._s = _State()

    def follow(self, program: Program) -> None:
        """The run's program was edited: it counts its cycles as before, and more of them."""
        self._program = program

    @property
    def impedance_ohm(self) -> float:
        """Largest |Z| of the last spectrum; else the last |E/I| where E is an overpotential; else a guess."""
        s = self._s
        usual = USUAL_OHM_M2 / self._program.cell.area_m2
        return s.z_max_ohm or (s.dc_ohm if self._program.cell.shows_overpotential else None) or usual

    def driven(self, voltage_V: float, current_A: float, passed_C: float) -> None:
        """The cell was driven: newest E and I, and the charge that has passed since the last time."""
        self._s.since_spectrum_C += abs(passed_C)
        if current_A:
            self._s.dc_ohm = abs(voltage_V / current_A)

    def half_cycle(self, closed: HalfCycle) -> None:
        """A half-cycle has closed."""
        self._s.charge_C, self._s.overpotential_V = abs(closed.charge_C), closed.overpotential_V
        self._capacity.add(closed.charge_C, self._cycle(closed))

    def spectrum(self, spectrum: Spectrum, summary: SpectrumSummary) -> None:
        """A spectrum was measured."""
        s = self._s
        s.r_hf_before_ohm = s.r_hf_ohm
        s.r_total_ohm, s.r_hf_ohm, s.r_int_ohm = summary.r_total_ohm, summary.r_hf_ohm, summary.r_int_ohm
        s.z_max_ohm = float(abs(spectrum.impedance()).max())
        s.spectrum_s, s.since_spectrum_C = spectrum.t_end_s, 0.0

    def resistances_since(self, since_s: float) -> tuple[float | None, float | None]:
        """Return R_HF and R_total of the last spectrum, if it was measured after a run time."""
        s = self._s
        return (s.r_hf_ohm, s.r_total_ohm) if s.spectrum_s > since_s else (None, None)

    def findings(
        self,
        *,
        t_s: float,
        voltage_V: float | None,
        current_A: float | None,
        cycle: int,
        half_cycle: HalfCycle | None,
    ) -> Findings:
        """Return all that is known. ``half_cycle``: the one that is open, as it would be if it ended now."""
        s, capacity = self._s, self._capacity
        charge_C, overpotential_V = s.charge_C, s.overpotential_V
        if half_cycle is not None:
            charge_C, overpotential_V = abs(half_cycle.charge_C), half_cycle.overpotential_V
            capacity = capacity.with_open(half_cycle.charge_C, self._cycle(half_cycle))
        return Findings(
            voltage=voltage_V,
            current=current_A,
            charge=charge_C,
            overpotential=overpotential_V,
            resistance=s.r_total_ohm,
            resistance_hf=s.r_hf_ohm,
            resistance_interface=s.r_int_ohm,
            resistance_change=_change(s.r_hf_before_ohm, s.r_hf_ohm),
            retention=capacity.retention,
            coulombic_efficiency=capacity.last.efficiency if capacity.last else None,
            cycle=float(cycle),
            time=t_s,
            time_since_spectrum=t_s - s.spectrum_s,
            charge_since_spectrum=s.since_spectrum_C,
        )

    def state(self) -> dict[str, object]:
        """Return the whole state, JSON-ready."""
        return {"values": _STATE.dump_python(self._s, mode="json"), "capacity": self._capacity.state()}

    def restore(self, state: dict[str, object]) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state["values"])
        self._capacity.restore(state["capacity"])

    def _cycle(self, half_cycle: HalfCycle) -> int | None:
        if not self._counts_cycles:
            return None
        return self._program.cycle(half_cycle.step, half_cycle.visit)


def _change(before: float | None, now: float | None) -> float | None:
    """Return by which part of it a value has changed, in either direction."""
    return abs(now - before) / abs(before) if before and now is not None else None
