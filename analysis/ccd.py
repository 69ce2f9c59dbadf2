"""Critical current density, from stored half-cycles and verdicts alone.

A ramp is passed step by step until the cell fails. Both numbers are kept because the literature quotes one or
the other without saying which: j_passed, the highest current density whose full cycle was completed, and
j_failed, the one in which the cell failed. The cumulative areal capacity to failure is the more reproducible
figure. Ramps of constant capacity and of constant time give different numbers and are not to be compared
(Klimpel and Kravchyk, Commun. Chem. 2023, s42004-023-01002-4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from protocols.frozen import Frozen
from protocols.records import HalfCycle
from protocols.verdicts import Verdict

END_OF_RAMP = "end of the ramp"
UNFINISHED = "unfinished"


class CcdResult(Frozen):
    """What a ramp says, in A/m² and C/m² of electrode area."""

    j_passed_A_per_m2: float | None
    """Highest |j| of a full cycle (both directions) completed before the failure, below ``j_failed`` if that
    is known; None: not one."""
    j_failed_A_per_m2: float | None
    """|j| of the half-cycle of the failure; None: there was none, and the CCD is at least ``j_passed``."""
    end: str
    """Kind of the verdict that ended it, :data:`END_OF_RAMP`, or :data:`UNFINISHED` (stopped by a person)."""
    failed_half_cycle: int | None
    """Number of the half-cycle of the failure."""
    cumulative_C_per_m2: float
    """|charge| of both directions up to the end of the ramp, per area."""


def critical_current_density(
    half_cycles: Sequence[HalfCycle], verdicts: Sequence[Verdict], area_m2: float
) -> CcdResult:
    """Work out the result of a ramp from its half-cycles in order and all verdicts of the run.

    A failure belongs to the half-cycle in which its event began; if it began at rest, to the next one that
    was driven. Raises ValueError if the area is not positive.
    """
    if area_m2 <= 0.0:
        raise ValueError(f"an electrode area of {area_m2} m² makes no current density: give the cell's area")
    verdict = min((v for v in verdicts if v.stops), key=lambda v: v.time_s, default=None)
    failed = None if verdict is None else _half_cycle_of(half_cycles, verdict)
    before = half_cycles if failed is None else [row for row in half_cycles if row.number < failed.number]
    passed = [abs(first.set_current_A) for first, second in pairwise(before) if _full_cycle(first, second)]
    if failed is not None:
        passed = [current for current in passed if current < abs(failed.set_current_A) * (1.0 - 1e-6)]
    charge = sum(abs(row.charge_C) for row in before) + (abs(failed.charge_C) if failed else 0.0)
    return CcdResult(
        j_passed_A_per_m2=max(passed) / area_m2 if passed else None,
        j_failed_A_per_m2=abs(failed.set_current_A) / area_m2 if failed else None,
        end=verdict.kind if verdict else _quiet_end(half_cycles),
        failed_half_cycle=failed.number if failed else None,
        cumulative_C_per_m2=charge / area_m2,
    )


def _half_cycle_of(half_cycles: Sequence[HalfCycle], verdict: Verdict) -> HalfCycle | None:
    """Return the half-cycle of a failure: the first that ends after the event, else the last that began."""
    begun = [row for row in half_cycles if row.t_start_s <= verdict.time_s]
    after = [row for row in begun if row.t_end_s >= verdict.event_s]
    return next(iter(after), begun[-1] if begun else None)


def _full_cycle(first: HalfCycle, second: HalfCycle) -> bool:
    opposite = math.isclose(first.set_current_A, -second.set_current_A, rel_tol=1e-6)
    return opposite and first.complete and second.complete


def _quiet_end(half_cycles: Sequence[HalfCycle]) -> str:
    return END_OF_RAMP if half_cycles and half_cycles[-1].complete else UNFINISHED
