"""What is stored of one run, read once and kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

from protocols.measurements import Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.records import HalfCycle, RunInfo
from scheduler.results import cycle_of
from storage.columns import Columns
from storage.reader import Reader


class Record:
    """One ended run."""

    def __init__(self, reader: Reader, run: int, others: Mapping[str, Record] | None = None) -> None:
        """``others``: the records of all tests of the study, by name."""
        self._reader = reader
        self._run = run
        self.others: Mapping[str, Record] = others or {}

    @cached_property
    def info(self) -> RunInfo:
        """The run."""
        return self._reader.run(self._run)

    @cached_property
    def program(self) -> Program:
        """What was run."""
        return self._reader.program(self._run)

    @property
    def area_m2(self) -> float:
        """Electrode area."""
        return self.program.cell.area_m2

    @cached_property
    def half_cycles(self) -> list[HalfCycle]:
        """All half-cycles, by number."""
        return self._reader.half_cycles(self._run)

    @cached_property
    def counted(self) -> list[HalfCycle]:
        """The complete half-cycles of the test: without activation, where the program tells it apart.

        What a fast instrument goes on with between the event that ended the test and the open circuit is
        none of it.
        """
        verdict = self.info.verdict
        end_s = math.inf if verdict is None else verdict.event_s
        complete = [row for row in self.half_cycles if row.complete and row.t_end_s <= end_s]
        if not self.program.counts_cycles:
            return complete
        return [row for row in complete if cycle_of(self.program, row)]

    @cached_property
    def spectra(self) -> list[tuple[Spectrum, SpectrumSummary]]:
        """All spectra with their summaries, by time."""
        return self._reader.spectra(self._run)

    @cached_property
    def results(self) -> dict[str, object]:
        """What the daemon itself worked out."""
        return self._reader.results(self._run) or {}

    def samples(
        self, t0: float | None = None, t1: float | None = None, columns: tuple[str, ...] | None = None
    ) -> Columns:
        """Return the samples between two times."""
        return self._reader.samples(self._run, t0, t1, columns)
