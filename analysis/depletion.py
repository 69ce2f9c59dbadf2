"""How much lithium an asymmetric cell lost, from stored half-cycles alone."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.frozen import Frozen
from protocols.records import HalfCycle
from protocols.verdicts import Side


class LithiumLoss(Frozen):
    """Lithium that can no longer be reached (consumed or isolated) on the electrode that ran out."""

    side: Side
    cycles: int
    """Complete cycles."""
    net_stripped_C: float
    """Stripped less plated on that side, to the end of the run."""
    lost_C: float
    lost_per_cycle_C: float | None
    """None if not one cycle was completed."""


def lithium_loss(half_cycles: Sequence[HalfCycle], side: Side, inventory_C: float) -> LithiumLoss:
    """Return inventory − net stripped at the end, and the same per cycle (design: Depletion).

    To be asked once lithium ran out on ``side``; before that, part of the result is still there. A positive
    charge strips the working electrode.
    """
    sign = 1.0 if side == "working" else -1.0
    net = sign * sum(row.charge_C for row in half_cycles)
    cycles = sum(row.complete for row in half_cycles) // 2
    lost = inventory_C - net
    return LithiumLoss(
        side=side,
        cycles=cycles,
        net_stripped_C=net,
        lost_C=lost,
        lost_per_cycle_C=lost / cycles if cycles else None,
    )
