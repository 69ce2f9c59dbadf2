"""Where in a program a cell is.

A program is a tree; its leaves (steps) are numbered from 0 in the order they are written. A leaf inside loops
is passed many times: ``loops`` holds the pass (from 0) of each loop around it, outermost first. One integer,
``visit``, holds the same numbers for the column of a sample: the mixed-radix number of ``loops`` with the
loops' total counts as radices.
"""

from __future__ import annotations

from protocols.frozen import Frozen


class Position(Frozen):
    """A place in a program, from the instrument's own counters as far as it has them."""

    step: int
    """Number of the leaf."""
    loops: tuple[int, ...] = ()
    """Pass of each loop around the leaf, outermost first, from 0."""
    time_s: float = 0.0
    """Time done in this visit of the step."""
    charge_C: float = 0.0
    """Signed charge passed in this visit of the step."""
    over: bool = False
    """This visit of the step is over, whatever its time and charge."""
    finished: bool = False
    """The program, or the segment that it was started as, has been passed to its end."""
    reference_V: float | None = None
    """E at which this visit began: what a voltage relative to open circuit is meant from."""


def visit_number(loops: tuple[int, ...], totals: tuple[int, ...]) -> int:
    """Return the visit of a leaf from the passes of the loops around it (both outermost first)."""
    visit = 0
    for done, total in zip(loops, totals, strict=True):
        visit = visit * total + done
    return visit


def loops_of(visit: int, totals: tuple[int, ...]) -> tuple[int, ...]:
    """Return the passes of the loops around a leaf, the inverse of :func:`visit_number`."""
    loops = []
    for total in reversed(totals):
        visit, done = divmod(visit, total)
        loops.append(done)
    return tuple(reversed(loops))
