"""What several spectra say together, as a JSON document and in words. Keys end with their unit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.print_style import quantity

if TYPE_CHECKING:
    from analysis.admittance_change import Change
    from analysis.spectrum_drift import Steadiness
    from analysis.succession import Succession
    from analysis.timeline import Timeline

OHM_M2_TO_OHM_CM2 = 1e4
WORDS = {
    "parallel_resistor": "a resistor came in parallel",
    "interface": "the interfaces changed",
    "contact": "contact was lost",
    "whole_cell": "the whole cell changed",
}


def of_timeline(timeline: Timeline, area_m2: float | None) -> dict[str, Any]:
    """Return each process over time; per area, of both sides together, where the area is known."""
    table = timeline.table
    areal = None if area_m2 is None else table.areal(area_m2)
    processes = []
    for column, tracked in enumerate(timeline.tracks):
        process = {
            "name": tracked.name,
            "index": tracked.index.tolist(),
            "tau_s": plain(tracked.tau_s),
            "resistance_ohm": plain(table.resistance_ohm[tracked.index, column]),
            "std_ohm": plain(table.std_ohm[tracked.index, column]),
            "sum_ohm": plain(table.sum_ohm[tracked.index, column]),
        }
        if areal is not None:
            process["asr_ohm_cm2"] = plain(areal.asr_ohm_m2[tracked.index, column] * OHM_M2_TO_OHM_CM2)
            process["asr_std_ohm_cm2"] = plain(areal.std_ohm_m2[tracked.index, column] * OHM_M2_TO_OHM_CM2)
        processes.append(process)
    return {"t_s": plain(timeline.t_s) if timeline.is_time else None, "processes": processes}


def of_succession(succession: Succession) -> dict[str, Any]:
    """Return what happened between the spectra, and during each."""
    return {
        "changes": [
            {
                "from": place,
                "to": place + 1,
                "kind": change.kind,
                "reason": change.reason,
                "parallel_ohm": finite(change.parallel_ohm),
                "std_ohm": finite(change.std_ohm),
            }
            for place, change in enumerate(succession.changes)
        ],
        "steadiness": [
            {
                "under_current": steady.under_current,
                "duration_s": steady.duration_s,
                "change": finite(steady.change),
                "change_std": finite(steady.change_std),
                "drifts": steady.drifts,
            }
            for steady in succession.steadiness
        ],
    }


def told(succession: Succession) -> list[str]:
    """Return a line for each change and each unsteady spectrum."""
    changes = [
        f"! {place} → {place + 1}: {_change(change)}"
        for place, change in enumerate(succession.changes)
        if change.kind in WORDS
    ]
    unsteady = [_unsteady(place, steady) for place, steady in enumerate(succession.steadiness)]
    return [*changes, *(line for line in unsteady if line)]


def plain(values: np.ndarray) -> list[float | None]:
    """Return an array as a JSON list; what is no number is null."""
    return [finite(value) for value in values.tolist()]


def finite(value: float | None) -> float | None:
    """Return a number, None where it is none."""
    return value if value is not None and math.isfinite(value) else None


def _change(change: Change) -> str:
    size = ""
    if change.kind == "parallel_resistor" and change.parallel_ohm is not None:
        size = f", {quantity(change.parallel_ohm, 'Ω')}"
        size += "" if change.std_ohm is None else f" ± {quantity(change.std_ohm, 'Ω', 2)}"
    return f"{WORDS[change.kind]}{size}: {change.reason}"


def _unsteady(place: int, steady: Steadiness) -> str:
    under = "measured under direct current" if steady.under_current else ""
    drifting = ""
    if steady.drifts and steady.change is not None:
        drifting = f"the cell changed by {100 * steady.change:.2g} % while it was measured (--corrected)"
    found = "; ".join(part for part in (under, drifting) if part)
    return f"! {place}: {found}" if found else ""
