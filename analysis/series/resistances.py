"""The resistance of each process over time, and per area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.drt.distribution import Floats
from analysis.series.tracking import Track

Sides = Literal["both", "one"]
"""A cell with two electrodes alike shows both its interfaces as one arc. The areal specific resistance R·A is
then that of *both* together, R·A/2 that of *one*. Both are in print under the same name: a number without
its convention is worth a factor of two. What there is once in a cell (bulk, grain boundaries, one working
interface against a counter electrode that does not show) has only R·A."""


@dataclass(frozen=True, slots=True, eq=False)
class ResistanceTable:
    """One row a spectrum, one column a process: k rows, p columns; nan where a process has no value."""

    names: tuple[str, ...]
    t_s: Floats
    """Shape (k,)."""
    resistance_ohm: Floats
    """Shape (k, p). nan where the process was not seen, or where only a sum is known (``sum_ohm``)."""
    std_ohm: Floats
    """Shape (k, p); nan where there is none."""
    sum_ohm: Floats
    """Shape (k, p). Where a process shares its peak with others: what they have together; else nan."""

    def areal(
        self, area_m2: float, area_std_m2: float = 0.0, sides: Sequence[Sides] | Sides = "both"
    ) -> ArealResistance:
        """Return the table per area; ``sides`` of all processes or one a process.

        The area's uncertainty is common to all rows: two rows compare better than their ``std`` says, and as
        well as their ``std_ohm``. Raises ValueError for an area that is none.
        """
        conventions = (sides,) * len(self.names) if isinstance(sides, str) else tuple(sides)
        if not area_m2 > 0.0 or not area_std_m2 >= 0.0 or len(conventions) != len(self.names):
            raise ValueError(
                f"an area of {area_m2:g} ± {area_std_m2:g} m² and {len(conventions)} conventions for "
                f"{len(self.names)} processes give no areal resistance"
            )
        share = np.array([1.0 if side == "both" else 0.5 for side in conventions])
        std = np.hypot(self.std_ohm * area_m2, self.resistance_ohm * area_std_m2)
        return ArealResistance(self.resistance_ohm * area_m2 * share, std * share, conventions)


@dataclass(frozen=True, slots=True, eq=False)
class ArealResistance:
    """Areal specific resistances (ASR) of a table, and what they are of."""

    asr_ohm_m2: Floats
    """Shape (k, p)."""
    std_ohm_m2: Floats
    """Shape (k, p): of resistance and area together; nan where the resistance has none."""
    sides: tuple[Sides, ...]
    """Of each process: whether it is that of both interfaces together, R·A, or of one, R·A/2."""


def resistances(tracks: Sequence[Track], times: Sequence[float]) -> ResistanceTable:
    """Put tracks into a table with one row for each spectrum of their series, of time ``times`` in s.

    Raises ValueError if a track has more spectra than there are times.
    """
    shape = len(times), len(tracks)
    ohm, std, together = (np.full(shape, np.nan) for _ in range(3))
    for column, tracked in enumerate(tracks):
        if len(tracked.index) and tracked.index[-1] >= len(times):
            raise ValueError(f"{tracked.name} was seen in spectrum {tracked.index[-1]} of {len(times)}")
        ohm[tracked.index, column] = tracked.alone()
        std[tracked.index, column] = _where(~tracked.merged, tracked.std_ohm)
        together[tracked.index, column] = _where(tracked.merged, tracked.resistance_ohm)
    names = tuple(tracked.name for tracked in tracks)
    return ResistanceTable(names, np.asarray(times, dtype=np.float64), ohm, std, together)


def _where(chosen: NDArray[np.bool_], values: Floats) -> Floats:
    return np.where(chosen, values, np.nan)
