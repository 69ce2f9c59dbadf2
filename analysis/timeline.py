"""Resolved spectra in order of time: a map of γ, and the resistance of each process from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.drt.distribution import Floats
from analysis.drt.peaks import Peak
from analysis.resolve import Resolved
from analysis.series.contour import Contour, contour
from analysis.series.resistances import ResistanceTable, resistances
from analysis.series.tracking import Track, track

LEAST = 0.01
"""A peak with a smaller part of the polarisation resistance is not followed."""


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A series of spectra; k of them."""

    t_s: Floats
    """When each ended, ascending, shape (k,); their numbers from 0 where that is not known."""
    is_time: bool
    """Whether ``t_s`` is a time."""
    tracks: tuple[Track, ...]
    table: ResistanceTable
    map: Contour


def timeline(series: Sequence[Resolved]) -> Timeline:
    """Join resolved spectra, in the order they were measured. Raises ValueError without any."""
    measured = np.array([resolved.summary.t_s for resolved in series], dtype=np.float64)
    is_time = bool(np.all(np.diff(measured) > 0)) and len(measured) > 1
    t_s = measured if is_time else np.arange(len(series), dtype=np.float64)
    tracks = track([_followed(resolved) for resolved in series], t_s.tolist())
    return Timeline(
        t_s=t_s,
        is_time=is_time,
        tracks=tuple(tracks),
        table=resistances(tracks, t_s.tolist()),
        map=contour([resolved.distribution for resolved in series], t_s.tolist()),
    )


def _followed(resolved: Resolved) -> list[Peak]:
    """Return the peaks that were measured, and matter."""
    least_ohm = LEAST * resolved.distribution.r_p_ohm
    return [peak for peak in resolved.peaks if peak.inside and peak.resistance_ohm >= least_ohm]
