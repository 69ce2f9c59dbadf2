"""Book-keeping of the lithium that was stripped from each electrode, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from guards.guard import StepFacts
from guards.runaway import Shape
from protocols.cell import Cell
from protocols.verdicts import Side, VerdictKind

Whence = Literal["this run", "the electrolyte's class", ""]

_SAMPLED = ("constant_current", "constant_voltage", "voltage_sweep")
"""Steps whose samples carry their charge."""
_MEASURED_LOSS_FACTOR = 1.5
"""A loss that the run itself has shown may be so much larger the next time,"""
_MEASURED_LOSS_MARGIN = 0.02
"""and by this part of what is stripped, for the error of a measured charge."""


@dataclass(slots=True)
class Emptied:
    """The last time a side was stripped until it was empty, which shows how much it had lost by then."""

    net_C: float
    gross_C: float
    loss: float | None = None
    """Part of what was stripped since the time before that never came back; None: it was the first time."""


@dataclass(slots=True)
class LithiumBooks:
    """Charge stripped so far, from measured charge. A positive current strips the working electrode."""

    driven: bool = False
    """Current flows, so that samples carry the charge."""
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
    emptied: dict[Side, Emptied] = field(default_factory=dict)

    def enter(self, step: StepFacts) -> None:
        """Close the visit before and open this one; a visit that goes on keeps its charge."""
        self._close(step.t_s)
        self.entered_s, self.set_current_A = step.t_s, step.set_current_A
        self.driven = step.kind in _SAMPLED
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

    def note_empty(self, side: Side) -> None:
        """Take notice that a side has just been stripped until nothing was left."""
        net, gross = self.stripped_C(side)
        before = self.emptied.get(side)
        loss = None
        if before is not None and gross > before.gross_C:
            loss = min(max((before.net_C - net) / (gross - before.gross_C), 0.0), 1.0)
        self.emptied[side] = Emptied(net, gross, loss)

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


@dataclass(frozen=True, slots=True)
class Cause:
    """Why E ran away, and the numbers that decided."""

    kind: VerdictKind
    reason: str
    """In words, for people."""
    side: Side | None = None
    """Of a depletion."""
    implied_loss: float | None = None
    """Part of each stripped charge that must have been lost if the side is empty now; < 0: more was stripped
    than ever was there."""
    likely_loss: float | None = None
    """Such a loss is likely in this cell."""
    loss_from: Whence = ""
    shape: Shape = "unresolved"
    """Of the rise of R."""


def cause_of_runaway(cell: Cell, books: LithiumBooks, likely_loss: float, shape: Shape) -> Cause:
    """Return why E ran away while about the set current flowed.

    The rule is the design's: never a depletion unless the inventories differ and net + ``max_loss`` × gross
    stripped on the stripping side reach its inventory less the uncertainty. Between that and a loss that is
    likely (``depletion.Thresholds.likely_loss``, or as this run has shown), the shape of the rise decides.
    """
    side = books.stripping
    working, counter = cell.inventory_C("working"), cell.inventory_C("counter")
    if _equal(working, counter):
        return Cause("polarization", _ALIKE if working is not None else _UNKNOWN)
    inventory = working if side == "working" else counter
    if inventory is None:
        return Cause("contact_loss", f"How much lithium the {side} electrode has is not known")
    return _judge(side, _left(cell, books, side, inventory, likely_loss), shape)


_ALIKE = "Both electrodes hold the same lithium: such a cell can't show whether one of them ran out"
_UNKNOWN = "The cell file does not say how much lithium there is, so whether it ran out can't be told"


@dataclass(frozen=True, slots=True)
class _Left:
    """What the stripping side may have left."""

    needed_C: float
    """Lost lithium that is needed for it to be empty,"""
    surely_C: float
    """and without the uncertainty of the inventory."""
    gross_C: float
    max_loss: float
    likely_loss: float
    from_run: bool

    def cause(self, kind: VerdictKind, reason: str, side: Side | None = None) -> Cause:
        """Return a cause with the numbers that decided."""
        implied = self.surely_C / self.gross_C if self.gross_C > 0.0 else None
        whence: Whence = "this run" if self.from_run else "the electrolyte's class"
        return Cause(kind, reason, side, implied, self.likely_loss, whence)


def _left(cell: Cell, books: LithiumBooks, side: Side, inventory_C: float, likely_loss: float) -> _Left:
    net, gross = books.stripped_C(side)
    emptied = books.emptied.get(side)
    if emptied is None:
        uncertainty = (cell.working if side == "working" else cell.counter).uncertainty
        needed = inventory_C * (1.0 - uncertainty) - net
        likely = min(likely_loss, cell.max_loss)
        return _Left(needed, inventory_C - net, gross, cell.max_loss, likely, from_run=False)
    since = gross - emptied.gross_C
    needed = emptied.net_C - net
    shown = likely_loss if emptied.loss is None else emptied.loss
    likely = min(shown * _MEASURED_LOSS_FACTOR + _MEASURED_LOSS_MARGIN, 1.0)
    most = cell.max_loss if emptied.loss is None else min(2.0 * likely, max(likely, cell.max_loss))
    return _Left(needed, needed, since, most, likely, from_run=emptied.loss is not None)


def _judge(side: Side, left: _Left, shape: Shape) -> Cause:
    if left.needed_C > left.max_loss * left.gross_C:
        return left.cause("contact_loss", f"The {side} electrode must still have lithium")
    if left.surely_C > left.likely_loss * left.gross_C and shape in _OF_CONTACT:
        return left.cause("contact_loss", f"The {side} electrode may be empty, but {_OF_CONTACT[shape]}")
    return left.cause("li_depletion", f"The {side} electrode can have lost what it still needed", side)


_OF_CONTACT: dict[Shape, str] = {
    "step": "R rose at once, as when a contact breaks",
    "slow": "R rose slowly, as when voids grow",
    "slowing": "R rose ever more slowly, as when contact is lost",
}


def _equal(working: float | None, counter: float | None) -> bool:
    if working is None or counter is None:
        return working is counter
    return math.isclose(working, counter, rel_tol=1e-3)
