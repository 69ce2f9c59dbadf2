"""Capacities of full cells and of lithium plated on copper."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from analysis.capacity import CapacityMeter, Cycle
from monitor.published.extractions.record import Record
from monitor.published.extractions.registry import NotObtainedError, extraction
from scheduler.results import cycle_of


@extraction("specific_capacity")
def capacity(record: Record, cycle: int) -> float:
    """What a cycle gave back, per mass of active material."""
    mass_kg = record.program.cell.mass_kg
    if mass_kg is None:
        raise NotObtainedError("the cell file gives no mass")
    return _cycle(record, cycle).got_back_C / mass_kg


@extraction("ratio")
def retention(record: Record, cycle: int, of: int = 1) -> float:
    """What a cycle gave back as a part of what cycle ``of`` did."""
    return _cycle(record, cycle).got_back_C / _cycle(record, of).got_back_C


@extraction("ratio")
def coulombic_efficiency(record: Record, from_cycle: int = 2) -> float:
    """Mean of the cycles from one on; the first, which forms the cell, is left out unless asked for."""
    values = [
        cycle.efficiency
        for cycle in _cycles(record)
        if cycle.number >= from_cycle and cycle.efficiency is not None
    ]
    if not values:
        raise NotObtainedError("no complete cycle")
    return float(np.mean(values))


@extraction("ratio")
def cycles_until_short(record: Record, excess: float = 1.2) -> float:
    """Cycles before the first charge that never ends: it takes ``excess`` times the discharge before."""
    cycles = _cycles(record)
    for before, cycle in pairwise(cycles):
        if cycle.put_in_C > excess * before.got_back_C:
            return float(before.number)
    raise NotObtainedError(f"no short circuit in {len(cycles)} cycles")


@extraction("words")
def fading(record: Record, after_cycle: int = 5, below: float = 0.5) -> str:
    """``at once`` if less than ``below`` of the first capacity is left after a few cycles, else ``slow``."""
    return "at once" if float(retention(record, after_cycle)) < below else "slow"


def _cycles(record: Record) -> list[Cycle]:
    meter = CapacityMeter(record.program.cell)
    found: dict[int, Cycle] = {}
    for row in record.half_cycles:
        if row.complete:
            meter.add(row.charge_C, cycle_of(record.program, row))
            if meter.last is not None:
                found[meter.last.number] = meter.last
    return list(found.values())


def _cycle(record: Record, number: int) -> Cycle:
    for cycle in _cycles(record):
        if cycle.number == number:
            return cycle
    raise NotObtainedError(f"there is no complete cycle {number}")
