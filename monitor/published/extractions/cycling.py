"""Galvanostatic tests of Li | Li cells: overpotential, life, cause, critical current density, spikes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analysis.ccd import CcdResult, critical_current_density
from monitor.published.extractions.record import Record
from monitor.published.extractions.registry import EXTRACTIONS, NotObtainedError, extraction
from protocols.records import HalfCycle

FloatArray = NDArray[np.float64]

FIRST_MINUTE_S = 60.0
MICROVOLT = 1e-6
TREND = 0.05
"""A smaller change of the overpotential between a test's first and last quarter is none."""


@extraction("voltage")
def overpotential(
    record: Record, hours: float | None = None, cycle: int | None = None, from_hours: float = 0.0
) -> float:
    """Mean of |E| over a half-cycle's charge: of the one at a time, those of a cycle, else the median of all.

    Cycles are counted from 1 over the whole run, activation included.
    """
    if hours is not None:
        return _half_cycle_at(record, hours * 3600).overpotential_V
    if cycle is not None:
        rows = record.half_cycles[2 * cycle - 2 : 2 * cycle]
    else:
        rows = [row for row in record.counted if row.t_start_s >= from_hours * 3600]
    return float(np.median([row.overpotential_V for row in _some(rows)]))


@extraction("voltage")
def overpotential_largest(record: Record) -> float:
    """Largest overpotential of a half-cycle."""
    return max(row.overpotential_V for row in _some(record.counted))


@extraction("voltage")
def voltage_at(record: Record, hours: float) -> float:
    """|E| at a time since the first current."""
    start_s = _some(record.half_cycles)[0].t_start_s
    columns = record.samples(start_s + hours * 3600 - 300, start_s + hours * 3600, ("voltage_V",))
    if not len(columns["voltage_V"]):
        raise NotObtainedError(f"no sample {hours:g} h after the first current")
    return float(abs(columns["voltage_V"][-1]))


@extraction("words")
def course(record: Record, from_hours: float = 0.0) -> str:
    """Whether the overpotential ``rises``, ``falls`` or stays ``flat`` from the first to the last quarter."""
    rows = _some([row for row in record.counted if row.t_start_s >= from_hours * 3600])
    values = np.array([row.overpotential_V for row in rows])
    quarter = max(len(values) // 4, 1)
    change = float(np.median(values[-quarter:]) / np.median(values[:quarter])) - 1
    return "flat" if abs(change) < TREND else "rises" if change > 0 else "falls"


@extraction("words")
def steadiness(record: Record, limit: float = 0.1) -> str:
    """``fluctuating`` if |E| in the median half-cycle scatters about a straight line by more than ``limit``.

    The standard deviation from the line counts, relative to the mean: an even rise or fall is none.
    """
    scatter = []
    for row in _some(record.counted):
        volts = _size_V(record, row)
        if len(volts) > 2:
            number = np.arange(len(volts))
            line = np.polyval(np.polyfit(number, volts, 1), number)
            scatter.append(float(np.std(volts - line) / np.mean(volts)))
    if not scatter:
        raise NotObtainedError("too few samples in a half-cycle")
    return "fluctuating" if float(np.median(scatter)) > limit else "steady"


@extraction("words")
def kind_of_short(record: Record, depth: float = 0.1) -> str:
    """``micro_short`` if |E| falls suddenly by a part ``depth`` and comes back, else as :func:`cause`.

    Sudden means from one sample to the next, within a half-cycle and after its first minute.
    """
    for row in _some(record.half_cycles):
        volts = _size_V(record, row)
        if len(volts) < 3:
            continue
        steps = volts[1:] / np.maximum(volts[:-1], MICROVOLT)
        falls = np.flatnonzero(steps < 1 - depth)
        if len(falls) and (steps[falls[0] + 1 :] > 1 / (1 - depth)).any():
            return "micro_short"
    return str(cause(record))


@extraction("time")
def life(record: Record) -> float:
    """Time from the first half-cycle that counts to the event that ended the test, else to the last one."""
    rows = record.counted or _some(record.half_cycles)
    verdict = record.info.verdict
    end_s = rows[-1].t_end_s if verdict is None else verdict.event_s
    return end_s - rows[0].t_start_s


@extraction("time")
def polarisation_onset(record: Record, factor: float = 1.5) -> float:
    """Time since the first current at which |E| has grown by ``factor`` from what it was after a minute."""
    row = _some(record.half_cycles)[0]
    columns = record.samples(row.t_start_s + FIRST_MINUTE_S, row.t_end_s, ("t_s", "voltage_V"))
    volts = np.abs(columns["voltage_V"])
    above = np.nonzero(volts > factor * volts[:1])[0]
    if not len(above):
        raise NotObtainedError(f"|E| never grows by a factor of {factor:g}")
    return float(columns["t_s"][above[0]]) - row.t_start_s


@extraction("words")
def cause(record: Record) -> str:
    """Kind of the verdict that ended the run, or ``none``."""
    verdict = record.info.verdict
    return "none" if verdict is None else verdict.kind


@extraction("ratio")
def cycles_done(record: Record) -> float:
    """Complete cycles of the test."""
    return float(len(record.counted) // 2)


@extraction("ratio")
def ratio_to(record: Record, test: str, of: str) -> float:
    """A value of this test over the same of another one of the study."""
    if test not in record.others:
        raise NotObtainedError(f"test {test} was not run")
    value, other = (EXTRACTIONS[of].function(one) for one in (record, record.others[test]))
    return float(value) / float(other)


@extraction("current_density")
def ccd_passed(record: Record) -> float:
    """Highest |j| of a full cycle that was completed."""
    found = _ccd(record).j_passed_A_per_m2
    if found is None:
        raise NotObtainedError("no full cycle was completed")
    return found


@extraction("current_density")
def ccd_failed(record: Record) -> float:
    """|j| at which the cell failed."""
    found = _ccd(record).j_failed_A_per_m2
    if found is None:
        raise NotObtainedError("the cell did not fail")
    return found


@extraction("words")
def ccd_end(record: Record) -> str:
    """What ended the ramp."""
    return _ccd(record).end


@extraction("words")
def depleted_side(record: Record) -> str:
    """The electrode whose lithium ran out, or ``none``."""
    verdict = record.info.verdict
    return verdict.side or "none" if verdict is not None and verdict.kind == "li_depletion" else "none"


@extraction("current_density")
def spike_onset(record: Record, height_mV: float) -> float:
    """Lowest |j| whose half-cycle begins with a spike of at least ``height_mV``; without activation."""
    spiky = [row for row in record.counted if _spike_V(record, row) >= height_mV * 1e-3]
    if not spiky:
        raise NotObtainedError(f"no half-cycle begins with a spike of {height_mV:g} mV")
    return min(abs(row.set_current_A) for row in spiky) / record.area_m2


@extraction("words")
def spikes(record: Record, height_mV: float) -> str:
    """Whether V_sp grows with the current: ``grow``, ``do not grow`` or ``none``."""
    rows = [row for row in record.counted if row.set_current_A < 0]
    heights = [_spike_V(record, row) for row in rows]
    if not heights or max(heights) < height_mV * 1e-3:
        return "none"
    return "grow" if all(b >= 0.9 * a for a, b in pairwise(heights)) else "do not grow"


@extraction("words")
def start_of_plating(record: Record) -> str:
    """Shape of E after the first current: ``dip, then plateau`` or ``no dip``."""
    row = _some(record.half_cycles)[0]
    return "dip, then plateau" if _spike_V(record, row) > 0 else "no dip"


def _size_V(record: Record, row: HalfCycle) -> FloatArray:
    """Return |E| of the samples of a half-cycle after its first minute, shape (n,)."""
    columns = record.samples(row.t_start_s + FIRST_MINUTE_S, row.t_end_s, ("voltage_V",))
    return np.asarray(np.abs(columns["voltage_V"]), dtype=float)


def _spike_V(record: Record, row: HalfCycle) -> float:
    """Return by how much |E| falls, at most, from a peak in the first minute of a half-cycle.

    E may rise again afterwards, beyond that peak: concentration does so for minutes.
    """
    end_s = row.t_start_s + 10 * FIRST_MINUTE_S
    columns = record.samples(row.t_start_s, min(end_s, row.t_end_s), ("t_s", "voltage_V"))
    volts = columns["voltage_V"] * np.sign(row.set_current_A)
    early = np.where(columns["t_s"] <= row.t_start_s + FIRST_MINUTE_S, volts, -np.inf)
    return float(np.max(np.maximum.accumulate(early) - volts, initial=0.0))


def _ccd(record: Record) -> CcdResult:
    verdicts = [] if record.info.verdict is None else [record.info.verdict]
    return critical_current_density(record.half_cycles, verdicts, record.area_m2)


def _half_cycle_at(record: Record, t_s: float) -> HalfCycle:
    """Return the complete half-cycle at a time since the first counted one, else the last before it."""
    start_s = _some(record.counted)[0].t_start_s
    begun = [row for row in record.counted if row.t_start_s - start_s <= t_s]
    if t_s > begun[-1].t_end_s - start_s + 2 * (begun[-1].t_end_s - begun[-1].t_start_s):
        raise NotObtainedError(f"the test had ended {t_s / 3600:g} h after its start")
    return begun[-1]


def _some(rows: list[HalfCycle]) -> list[HalfCycle]:
    if not rows:
        raise NotObtainedError("there is no half-cycle to look at")
    return rows
