"""What the store holds of one run, as its results ask for it: by step of its program."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protocols.check import is_check
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.nodes import Geis, Peis, Rest, Step
from protocols.program import Program
from protocols.records import HalfCycle
from protocols.verdicts import Verdict
from storage.columns import join
from storage.run_reader import RunReader

Floats = NDArray[np.float64]
Measured = tuple[Spectrum, SpectrumSummary]

COLUMNS = ("t_s", "voltage_V", "current_A", "step", "visit")
UNMEASURABLE = 1e9
"""|E| in V and |I| in A from here on are no measurement (as in :mod:`analysis.cycles`)."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples of one run in order of time, shape (n,), without those that were no measurement."""

    t_s: Floats
    voltage_V: Floats
    current_A: Floats
    step: NDArray[np.int32]
    visit: NDArray[np.int32]

    def of(self, step: int, visit: int | None = None) -> Stretch:
        """Return the samples of one step, of all its visits or one."""
        inside = (self.step == step) & ((self.visit == visit) if visit is not None else True)
        return Stretch(*(getattr(self, name)[inside] for name in COLUMNS))

    def visits(self) -> list[int]:
        """Return which visits there are samples of, in order."""
        return [int(visit) for visit in np.unique(self.visit)]


class RecordedRun:
    """One run. Every attribute is read when it is first asked for; raises StorageError."""

    def __init__(self, reader: RunReader, run: int) -> None:
        self._reader = reader
        self._run = run

    @cached_property
    def program(self) -> Program:
        """What was to run."""
        return self._reader.program(self._run)

    @cached_property
    def half_cycles(self) -> list[HalfCycle]:
        """All half-cycles, by number."""
        return self._reader.half_cycles(self._run)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """What guards found, by time."""
        return self._reader.verdicts(self._run)

    @cached_property
    def all_spectra(self) -> list[Measured]:
        """All spectra, also those after the test and on a suspicion, but of no check before it; by time."""
        return [found for found in self._reader.spectra(self._run) if not is_check(found[0].step)]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The test's steps in the order in which they are written; each once, whatever loops are around
        it."""
        return tuple(step for step, _ in self.program.walk())

    @property
    def hours(self) -> float:
        """Run time of the newest sample."""
        last = self._reader.last_sample(self._run)
        return 0.0 if last is None else float(last["t_s"]) / 3600

    def spectra_of(self, step: int) -> list[Measured]:
        """Return the spectra that one step of the test brought, by time."""
        return [found for found in self.all_spectra if found[0].step == step]

    def spectrum_before(self, step: int) -> Measured | None:
        """Return the last spectrum at rest of the steps written before one, measured the first time."""
        before = [other.index for other in self.steps if other.index < step and self.is_at_rest(other)]
        return next((found[0] for k in reversed(before) if (found := self.spectra_of(k))), None)

    def spectrum_after(self, step: int) -> Measured | None:
        """Return the first spectrum of the steps written after one."""
        after = [other.index for other in self.steps if other.index > step]
        return next((found[0] for k in after if (found := self.spectra_of(k))), None)

    def is_at_rest(self, step: Step) -> bool:
        """Whether a step is a spectrum at open circuit, or at 0 V of a cell with two electrodes alike."""
        alike = self.program.cell.geometry in ("symmetric", "blocking")
        match step:
            case Geis():
                return not step.current_A
            case Peis():
                return not step.voltage_V and (step.relative or alike)
            case _:
                return False

    def soaks(self) -> dict[int, tuple[int, float]]:
        """Return for each step the wait for a temperature before it and that temperature, in K.

        The wait is named by its step; −1 and the cell file's temperature before the first.
        """
        found: dict[int, tuple[int, float]] = {}
        now = (-1, self.program.cell.temperature_K)
        for step in self.steps:
            waits = step.waits if isinstance(step, Rest) else None
            if waits is not None and waits.kind == "temperature":
                now = (step.index, waits.target_K)
            found[step.index] = now
        return found

    def samples(self, steps: Collection[int]) -> Stretch:
        """Return the samples of some steps. Of a long run no more than these is held in memory."""
        parts = []
        for piece in self._reader.pieces(self._run, COLUMNS):
            inside = np.isin(piece["step"], list(steps))
            parts.append({name: values[inside] for name, values in piece.items()})
        return _measured(join(parts, COLUMNS))

    def between(self, t0_s: float, t1_s: float) -> Stretch:
        """Return the samples between two run times."""
        return _measured(self._reader.samples(self._run, t0_s, t1_s, COLUMNS))


def _measured(columns: dict[str, NDArray[np.generic]]) -> Stretch:
    whole = np.ones(len(columns["t_s"]), dtype=np.bool_)
    for name in ("voltage_V", "current_A"):
        whole &= np.abs(columns[name].astype(np.float64)) < UNMEASURABLE
    return Stretch(*(columns[name][whole] for name in COLUMNS))  # type: ignore[arg-type]  # by SAMPLE's dtype


def spectrum_arrays(spectrum: Spectrum) -> tuple[Floats, NDArray[np.complex128]]:
    """Return f in Hz and Z in Ω."""
    return np.asarray(spectrum.frequency_Hz), spectrum.impedance()
