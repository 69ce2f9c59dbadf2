"""Which samples a protocol's ``record`` keeps when they are sealed. Pure.

Kept are: one sample every ``record_s``; one whenever E has changed by ``record_dE_V`` since the one kept
before, or I by ``record_dI_A`` at constant voltage; those of the dense start of a step of constant current;
the first and the last of each stretch of a visit, and those on both sides of a time without samples; all in
some stretches of time (around verdicts); and between each two of these the one of the smallest and the one
of the largest E, unless an end of the stretch has it: no dip is lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from protocols import tree
from protocols.nodes import ConstantCurrent, ConstantVoltage
from protocols.program import Program
from storage.columns import Columns, length

AROUND_VERDICT_S = 1800.0
"""Run time before an event and after its verdict in which all samples are kept."""

Stretches = Sequence[tuple[float, float]]
Mask = NDArray[np.bool_]

STRETCH = ("step", "visit", "half_cycle", "flags")
"""Columns that are the same all over a stretch."""


class Recording:
    """When a sample is kept, as a program says."""

    def __init__(self, program: Program) -> None:
        steps = [
            step
            for nodes in (program.steps, program.afterwards, program.on_suspicion)
            for step, _ in tree.walk(nodes)
        ]
        self._dense_s = {s.index: s.dense_s for s in steps if isinstance(s, ConstantCurrent) and s.dense_s}
        self._constant_voltage = [s.index for s in steps if isinstance(s, ConstantVoltage)]
        self._dE_V = math.inf if program.record_dE_V is None else program.record_dE_V
        self._dI_A = math.inf if program.record_dI_A is None else program.record_dI_A
        self._every_s = program.record_s
        # A sample that comes a little early must not be passed over for the next.
        self._early_s = 0.5 * program.watch_s

    def thin(self, pieces: Iterable[Columns], whole: Stretches) -> Iterator[Columns]:
        """Yield what is kept of pieces of samples in order; all of it in the stretches of time ``whole``."""
        for piece in pieces:
            mask = self.kept(piece, whole)
            yield piece if mask.all() else {name: values[mask] for name, values in piece.items()}

    def kept(self, samples: Columns, whole: Stretches = ()) -> Mask:
        """Return which of some samples in order of time are kept; the first and the last always are."""
        if self._every_s is None or length(samples) < 3:
            return np.ones(length(samples), dtype=np.bool_)
        mask = self._asked_for(samples, self._edges(samples) | _inside(samples["t_s"], whole))
        return mask | _extremes(samples["voltage_V"], mask)

    def _edges(self, samples: Columns) -> Mask:
        """Return the first and last of each stretch, the sides of gaps, and the dense starts of steps."""
        t_s = samples["t_s"]
        changes = np.diff(t_s) > 2.0 * (self._every_s or 0.0)
        for name in STRETCH:
            changes |= np.diff(samples[name]) != 0
        edges = np.concatenate(([True], changes)) | np.concatenate((changes, [True]))
        starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
        begun_s = np.repeat(t_s[starts], np.diff(np.append(starts, len(t_s))))
        for step, dense_s in self._dense_s.items():
            edges |= (samples["step"] == step) & (t_s - begun_s <= dense_s)
        return np.asarray(edges)

    def _asked_for(self, samples: Columns, always: Mask) -> Mask:
        """Return what the conditions keep besides those that are ``always`` kept, each seen from the last."""
        due_s = (self._every_s or 0.0) - self._early_s
        # Off constant voltage, no change of I is asked for.
        at_voltage = np.isin(samples["step"], self._constant_voltage)
        current = np.where(at_voltage, samples["current_A"], 0.0)
        columns = (samples["t_s"], samples["voltage_V"], current, always)
        kept = []
        t_kept = e_kept = i_kept = 0.0
        for t, e, i, must in zip(*(column.tolist() for column in columns), strict=True):
            keep = (
                must or t - t_kept >= due_s or abs(e - e_kept) >= self._dE_V or abs(i - i_kept) >= self._dI_A
            )
            kept.append(keep)
            if keep:
                t_kept, e_kept, i_kept = t, e, i
        return np.array(kept, dtype=np.bool_)


def _inside(t_s: NDArray[np.float64], stretches: Stretches) -> Mask:
    inside = np.zeros(len(t_s), dtype=np.bool_)
    for begin_s, end_s in stretches:
        inside |= (t_s >= begin_s) & (t_s <= end_s)
    return inside


def _extremes(voltage: NDArray[np.float64], kept: Mask) -> Mask:
    """Return the samples of the smallest and of the largest E between each two that are kept."""
    stretch = np.cumsum(kept) - 1
    return _lowest(voltage, stretch, kept) | _lowest(-voltage, stretch, kept)


def _lowest(voltage: NDArray[np.float64], stretch: NDArray[np.int64], kept: Mask) -> Mask:
    starts = np.flatnonzero(kept)
    lowest = np.fmin.reduceat(voltage, starts)
    ends = voltage[np.append(starts[1:], starts[-1])]
    # Ends that are no numbers compare with nothing.
    is_beyond = ~(lowest >= np.fmin(voltage[starts], ends))
    candidates = np.flatnonzero(is_beyond[stretch] & (voltage == lowest[stretch]) & ~kept)
    _, first = np.unique(stretch[candidates], return_index=True)
    low = np.zeros(len(voltage), dtype=np.bool_)
    low[candidates[first]] = True
    return low
