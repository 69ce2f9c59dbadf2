"""Samples as columns of the Battery Data Format (battery-data-alliance/battery-data-format, ontology 1.3.0).

BDF gives names, units and types. Where its "charging" is meant we write a positive current; which reaction
that is at which electrode stands in :data:`CONVENTIONS`, since for a cell with lithium on both sides it is
not in the word.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.program import Program
from storage.columns import Columns, length
from storage.tables import StoredTicket

C_PER_AH = 3600.0

Clock = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Run times (t_s) → UTC, both in s."""

LOSSLESS = {
    "t_s": "test_time_second",
    "voltage_V": "voltage_volt",
    "current_A": "current_ampere",
    "charge_C": "visit_charge_coulomb",
    "step": "step_id",
    "visit": "visit",
    "half_cycle": "half_cycle",
    "flags": "flags",
}
"""Stored column → its name in a sealed file. BDF's where the meaning is the same, else our own."""

DESCRIPTIONS = {
    "test_time_second": "s; time since the start of the run on the instrument's clock",
    "voltage_volt": "V; working electrode against counter electrode",
    "current_ampere": "A; > 0 oxidises (strips) the working electrode",
    "unix_time_second": "s; UTC, from one anchor a segment",
    "cycle_count": (
        "1; pass of the loop that counts cycles, from 1 (0: before the first); "
        "half_cycle // 2 + 1 where no loop does"
    ),
    "step_count": "1; steps passed so far, from 1, never reset",
    "step_id": "1; number of the step in the program, from 0",
    "visit": "1; which pass of the step, all loops around it counted",
    "half_cycle": "1; number of the half-cycle",
    "flags": "bits; 1: during an impedance sweep, 2: out of range, 4: current not measured but given",
    "visit_charge_coulomb": "C; signed charge passed in this visit of the step",
    "net_capacity_ah": "Ah; charging minus discharging capacity since the start of the run",
    "charging_capacity_ah": "Ah; charge passed with current > 0 since the start of the run",
    "discharging_capacity_ah": "Ah; charge passed with current < 0 since the start of the run",
    "frequency_hertz": "Hz",
    "real_impedance_ohm": "ohm; Z'",
    "imaginary_impedance_ohm": "ohm; Z'' (< 0: capacitive)",
    "index": "1; number of the spectrum in the run, from 0",
}

CONVENTIONS = {
    "current": (
        "A positive current oxidises the working electrode: it strips lithium from it and plates the counter "
        "electrode; it charges a full cell whose working electrode is the positive one. In an asymmetric "
        "cell the thin electrode is the working electrode. BDF calls a positive current charging."
    ),
    "voltage": "Working electrode against counter electrode.",
    "impedance": "Z = Z' + i Z''; a capacitive Z'' is negative.",
}


def utc(tickets: Sequence[StoredTicket], otherwise_unix_s: float) -> Clock:
    """Return the function from run time to UTC: one anchor a segment; without any, one a run."""
    begun = sorted((t for t in tickets if t.state in ("started", "ended")), key=lambda t: t.offset_s)
    offsets = np.array([t.offset_s for t in begun] or [0.0])
    anchors = np.array([t.anchor_unix_s for t in begun] or [otherwise_unix_s])

    def to_unix(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        segment = np.maximum(np.searchsorted(offsets, t_s, side="right") - 1, 0)
        return np.asarray(anchors[segment] + (t_s - offsets[segment]))

    return to_unix


class StepCounter:
    """Counts the steps of a run whose samples come piece by piece, in order."""

    def __init__(self, steps: int = 0, visit: tuple[int, int] = (-1, -1)) -> None:
        """``steps`` have passed before, the last of them being ``visit`` (step and visit)."""
        self._steps = steps
        self._visit = visit

    def count(self, samples: Columns) -> NDArray[np.int32]:
        """Return the step_count of the next samples: steps passed so far, from 1."""
        if not length(samples):
            return np.zeros(0, np.int32)
        starts = np.zeros(length(samples), dtype=np.int32)
        starts[[start for start, _ in _stretches(samples)]] = 1
        starts[0] = _visit(samples, 0) != self._visit
        counts = self._steps + np.cumsum(starts, dtype=np.int32)
        self._steps, self._visit = int(counts[-1]), _visit(samples, -1)
        return np.asarray(counts, dtype=np.int32)


class ChargeCounter:
    """Adds up the charge of a run whose samples come piece by piece, in order."""

    def __init__(self) -> None:
        self._visits_C: dict[tuple[int, int], float] = {}
        self._charging_C = 0.0
        self._discharging_C = 0.0

    def count(self, samples: Columns) -> Columns:
        """Return the capacities of the next samples, summed since the run's start."""
        passed = self._passed(samples)
        charging = self._charging_C + np.cumsum(np.maximum(passed, 0.0))
        discharging = self._discharging_C + np.cumsum(np.maximum(-passed, 0.0))
        if length(samples):
            self._charging_C, self._discharging_C = float(charging[-1]), float(discharging[-1])
        return {
            "net_capacity_ah": (charging - discharging) / C_PER_AH,
            "charging_capacity_ah": charging / C_PER_AH,
            "discharging_capacity_ah": discharging / C_PER_AH,
        }

    def _passed(self, samples: Columns) -> NDArray[np.float64]:
        """Return the charge that passed between each sample and the one before it in its visit."""
        charge = samples["charge_C"]
        passed = np.diff(charge, prepend=0.0)
        for start, stop in _stretches(samples):
            visit = _visit(samples, start)
            passed[start] = charge[start] - self._visits_C.get(visit, 0.0)
            self._visits_C[visit] = float(charge[stop - 1])
        return np.asarray(passed)


class CycleCounter:
    """Numbers the cycles of a run whose samples come piece by piece, in order."""

    def __init__(self, program: Program, last: int = 0) -> None:
        """``last`` is the cycle of the sample before."""
        self._program = program
        self._counts = program.counts_cycles
        self._steps = {step.index for step, _ in program.walk()}
        self._last = last

    def count(self, samples: Columns) -> NDArray[np.int32]:
        """Return the number of the cycle: as the program counts them, else two half-cycles each, from 1.

        What runs after the test, or was put into it on a suspicion, belongs to the cycle before.
        """
        if not self._counts or not length(samples):
            return np.asarray(samples["half_cycle"] // 2 + 1, dtype=np.int32)
        starts = [start for start, _ in _stretches(samples)]
        numbers = [self._cycle(*_visit(samples, start)) for start in starts]
        lengths = np.diff([*starts, length(samples)])
        return np.repeat(np.asarray(numbers, dtype=np.int32), lengths)

    def _cycle(self, step: int, visit: int) -> int:
        if step in self._steps:
            self._last = self._program.cycle(step, visit)
        return self._last


def _stretches(samples: Columns) -> list[tuple[int, int]]:
    """Return start and stop of each stretch of samples in one visit of a step."""
    if not length(samples):
        return []
    changes = np.flatnonzero((np.diff(samples["step"]) != 0) | (np.diff(samples["visit"]) != 0)) + 1
    return list(itertools.pairwise([0, *changes.tolist(), length(samples)]))


def _visit(samples: Columns, row: int) -> tuple[int, int]:
    return int(samples["step"][row]), int(samples["visit"][row])
