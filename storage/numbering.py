"""The columns of a sealed file: the stored ones under BDF's names, and those that follow from them."""

from __future__ import annotations

from pathlib import Path

from protocols.program import Program
from storage import parquet
from storage.bdf import LOSSLESS, Clock, CycleCounter, StepCounter
from storage.columns import Columns

LAST = ("step_count", "step_id", "visit", "cycle_count")


class Numbering:
    """Completes samples that follow one another."""

    def __init__(self, program: Program, clock: Clock, before: Path | None = None) -> None:
        """``before``: the sealed file whose samples come before them, if any. Raises StorageError."""
        self._clock = clock
        last = None if before is None else parquet.last_row(before, LAST)
        if last is None:
            self._steps, self._cycles = StepCounter(), CycleCounter(program)
        else:
            steps, step, visit, cycle = last
            self._steps, self._cycles = StepCounter(steps, (step, visit)), CycleCounter(program, cycle)

    def complete(self, samples: Columns) -> Columns:
        """Return all columns of the next samples, under the names that a file has."""
        return {
            **{LOSSLESS[name]: values for name, values in samples.items()},
            "unix_time_second": self._clock(samples["t_s"]),
            "cycle_count": self._cycles.count(samples),
            "step_count": self._steps.count(samples),
        }
