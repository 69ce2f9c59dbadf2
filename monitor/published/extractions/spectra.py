"""Resistances from stored spectra."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from monitor.published.extractions.record import Record
from monitor.published.extractions.registry import NotObtainedError, extraction
from protocols.measurements import Spectrum, SpectrumSummary

Part = Literal["interface", "hf", "total"]


@extraction("resistance")
def resistance(record: Record, part: Part, after_cycle: int | None = None, index: int = 0) -> float:
    """R of a spectrum: the one after a cycle, else by its number (0: the first, −1: the last).

    ``hf``: where −Z″ crosses zero; ``total``: Z′ at the lowest frequency; ``interface``: the difference.
    """
    summary = _spectrum(record, after_cycle, index)[1]
    return {"interface": summary.r_int_ohm, "hf": summary.r_hf_ohm, "total": summary.r_total_ohm}[part]


@extraction("areal_resistance")
def areal_resistance(record: Record, part: Part, after_cycle: int | None = None, index: int = 0) -> float:
    """The same times the electrode area."""
    return float(resistance(record, part, after_cycle, index)) * record.area_m2


@extraction("words")
def resistance_course(record: Record, part: Part, change: float = 0.02) -> str:
    """How R goes from spectrum to spectrum: ``falls``, ``rises``, ``flat``, or ``up and down``."""
    values = [float(resistance(record, part, index=index)) for index in range(len(record.spectra))]
    if len(values) < 2:
        raise NotObtainedError("less than two spectra")
    steps = [(b - a) / a for a, b in pairwise(values)]
    up, down = any(s > change for s in steps), any(s < -change for s in steps)
    if up and down:
        return "up and down"
    total = values[-1] / values[0] - 1
    return "flat" if abs(total) <= change else "rises" if total > 0 else "falls"


def _spectrum(record: Record, after_cycle: int | None, index: int) -> tuple[Spectrum, SpectrumSummary]:
    found = record.spectra
    if after_cycle is not None:
        found = [pair for pair in found if record.program.cycle(pair[0].step, pair[0].visit) == after_cycle]
        index = 0
    try:
        return found[index]
    except IndexError:
        where = f"after cycle {after_cycle}" if after_cycle is not None else f"number {index}"
        raise NotObtainedError(f"there is no spectrum {where}; there are {len(record.spectra)}") from None
