"""When a channel writes a record, and what it looks like (User's Guide 6.11 §7, 300 series)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.biologic.constants import TechniqueId

FloatArray = NDArray[np.float64]

_TIME, _CYCLE = [("high", "<u4"), ("low", "<u4")], [("cycle", "<u4")]
_E, _I = [("E", "<f4")], [("I", "<f4")]
_OF_E = np.dtype(_TIME + _E)
_HOLD = np.dtype(_TIME + _E + _I)
_STEPS = np.dtype(_TIME + _E + _I + _CYCLE)
_SCAN = np.dtype(_TIME + _I + _E + _CYCLE)
_LAYOUTS = {
    TechniqueId.OCV: _OF_E,
    TechniqueId.GEIS: _HOLD,
    TechniqueId.PEIS: _HOLD,
    TechniqueId.VSCAN: _SCAN,
    TechniqueId.VSCANLIMIT: _SCAN,
}


def layout(identity: TechniqueId) -> np.dtype[np.void]:
    """Return the words of one record of a technique's process 0."""
    return _LAYOUTS.get(identity, _STEPS)


def due_times(taken: int, first_s: float, interval_s: float, end_s: float) -> FloatArray:
    """Return the times of the records by dT that come due until ``end_s``; ``taken`` are there already.

    The first is taken at ``first_s`` (one time base after the start), so that no two have the same time.
    """
    if end_s < first_s:
        return np.empty(0)
    if interval_s <= 0:
        return np.full(1, first_s) if taken == 0 else np.empty(0)
    # The margin is above the rounding of times and below any interval.
    due = math.floor(end_s / interval_s + 1e-9) + 1
    return np.asarray(np.minimum(np.maximum(np.arange(taken, due) * interval_s, first_s), end_s))


def changed(values: FloatArray, kept: NDArray[np.bool_], last: float, change: float) -> NDArray[np.bool_]:
    """Return ``kept``, and besides where a value differs by ``change`` from the record before."""
    chosen = kept.copy()
    for place, value in enumerate(values.tolist()):
        if kept[place] or abs(value - last) >= change:
            chosen[place] = True
            last = value
    return chosen
