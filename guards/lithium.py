"""Book-keeping of the lithium that was stripped from each electrode, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from guards.guard import StepFacts
from protocols.cell import Cell
from protocols.verdicts import Side, VerdictKind


@dataclass(slots=True)
class LithiumBooks:
    """Charge stripped so far, from measured charge. A positive current strips the working electrode."""

    driven: bool = False
    """Constant current flows, so that samples carry the charge."""
    step: int = -1
    visit: int = -1
    entered_s: float = 0.0
    set_current_A: float = 0.0
    visit_C: float = 0.0
    """Signed charge passed in this visit, as the last sample says."""
    counted_C: float = 0.0
    """The part of it that is already in the sums below."""
    swept_C: float = 0.0
    """Charge of sweeps under current since this visit was left: it counts in the visit if that goes on."""
    net_C: float = 0.0
    gross_working_C: float = 0.0

    def enter(self, step: StepFacts) -> None:
        """Close the visit before and open this one; a visit that goes on keeps its charge."""
        self._close(step.t_s)
        self.entered_s, self.set_current_A = step.t_s, step.set_current_A
        self.driven = step.kind == "constant_current" and step.set_current_A != 0.0
        if not self.driven:
            return
        if (step.step, step.visit) == (self.step, self.visit):
            self.visit_C += self.swept_C
            self.counted_C += self.swept_C
        else:
            self.step, self.visit, self.visit_C, self.counted_C = step.step, step.visit, 0.0, 0.0
        self.swept_C = 0.0

    @property
    def stripping(self) -> Side:
        """The electrode that the present current strips."""
        return "working" if self.set_current_A > 0.0 else "counter"

    def stripped_C(self, side: Side) -> tuple[float, float]:
        """Return net (less what was plated) and gross charge stripped from one side so far, in C."""
        now = self.visit_C - self.counted_C if self.driven else 0.0
        net = self.net_C + now
        working = self.gross_working_C + max(now, 0.0)
        return (net, working) if side == "working" else (-net, working - net)

    def _close(self, until_s: float) -> None:
        if self.driven:
            passed = self.visit_C - self.counted_C
            self.counted_C = self.visit_C
        else:
            # A sweep delivers no DC samples; its DC current (0 in a rest) flows all the time.
            passed = self.set_current_A * (until_s - self.entered_s)
            self.swept_C += passed
        self.net_C += passed
        self.gross_working_C += max(passed, 0.0)


def cause_of_runaway(cell: Cell, books: LithiumBooks) -> tuple[VerdictKind, Side | None]:
    """Return why E ran away while about the set current flowed, and for a depletion the side.

    The rule is the design's: depletion iff the inventories differ and net + ``max_loss`` × gross stripped on
    the stripping side reach its inventory less the uncertainty.
    """
    side = books.stripping
    working, counter = cell.inventory_C("working"), cell.inventory_C("counter")
    inventory, electrode = (working, cell.working) if side == "working" else (counter, cell.counter)
    if _equal(working, counter):
        return "polarization", None
    if inventory is None:
        return "contact_loss", None
    net, gross = books.stripped_C(side)
    if net + cell.max_loss * gross >= inventory * (1.0 - electrode.uncertainty):
        return "li_depletion", side
    return "contact_loss", None


def _equal(working: float | None, counter: float | None) -> bool:
    if working is None or counter is None:
        return working is counter
    return math.isclose(working, counter, rel_tol=1e-3)
