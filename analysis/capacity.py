"""Capacity of cycles: what was put into a cell, what came back, and how that changes. Pure, streaming.

A cycle is two half-cycles in a row, the one that puts charge in and the one that gets it back. In a cell that
stores charge, charging (a positive current) puts it in. Where lithium is plated on a bare electrode or to and
fro, plating the working electrode (a negative current) puts it in and stripping gets it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter

from protocols.cell import Cell
from protocols.records import HalfCycle


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cycle. Both charges are > 0, in C."""

    number: int
    """From 1."""
    put_in_C: float
    got_back_C: float

    @property
    def efficiency(self) -> float | None:
        """Coulombic efficiency; None if nothing was put in."""
        return self.got_back_C / self.put_in_C if self.put_in_C else None


@dataclass(slots=True)
class _State:
    put_in_C: float | None = None
    """Charge of the last half-cycle, if it put charge in."""
    last: Cycle | None = None
    reference: Cycle | None = None
    cycles: int = 0
    efficiencies: float = 0.0
    """Sum over the cycles."""


_STATE = TypeAdapter(_State)


def stores_charge(cell: Cell) -> bool:
    """Whether a positive current charges the cell: it holds active material besides lithium."""
    return cell.geometry == "full" or cell.capacity_C is not None or cell.mass_kg is not None


class CapacityMeter:
    """Pairs half-cycles into cycles as they close."""

    def __init__(self, cell: Cell, retention_from: int = 1) -> None:
        """``retention_from``: number of the cycle that later ones are compared with; if it got nothing back
        (a cell that begins charged), the next one that did."""
        self._sign = 1.0 if stores_charge(cell) else -1.0
        self._retention_from = retention_from
        self._s = _State()

    @property
    def last(self) -> Cycle | None:
        """The last cycle."""
        return self._s.last

    @property
    def cycles(self) -> int:
        """How many cycles there were."""
        return self._s.cycles

    @property
    def mean_efficiency(self) -> float | None:
        """Mean Coulombic efficiency of all cycles."""
        return self._s.efficiencies / self._s.cycles if self._s.cycles else None

    @property
    def retention(self) -> float | None:
        """What came back in the last cycle as a part of what came back in the reference cycle."""
        last, reference = self._s.last, self._s.reference
        if last is None or reference is None or not reference.got_back_C:
            return None
        return last.got_back_C / reference.got_back_C

    def add(self, charge_C: float, number: int | None = None) -> None:
        """Take in a half-cycle of a signed charge. ``number``: its cycle, if the program counts them."""
        s = self._s
        if charge_C * self._sign > 0.0:
            s.put_in_C = abs(charge_C)
            return
        put_in_C, s.put_in_C = s.put_in_C, None
        if put_in_C is None or not charge_C:
            return
        s.cycles += 1
        s.last = Cycle(s.cycles if number is None else number, put_in_C, abs(charge_C))
        s.efficiencies += s.last.got_back_C / put_in_C
        if s.reference is None and s.last.number >= self._retention_from:
            s.reference = s.last

    def with_open(self, charge_C: float, number: int | None) -> CapacityMeter:
        """Return a meter that has taken in a half-cycle besides; this one does not change."""
        other = object.__new__(CapacityMeter)
        other._sign, other._retention_from = self._sign, self._retention_from
        other.restore(self.state())
        other.add(charge_C, number)
        return other

    def state(self) -> dict[str, object]:
        """Return the whole state, JSON-ready."""
        dumped: dict[str, object] = _STATE.dump_python(self._s, mode="json")
        return dumped

    def restore(self, state: object) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state)


def capacity_of(meter: CapacityMeter, half_cycles: Iterable[tuple[HalfCycle, int | None]]) -> CapacityMeter:
    """Return the meter after the complete half-cycles of a run, each with its cycle's number."""
    for half_cycle, number in half_cycles:
        if half_cycle.complete:
            meter.add(half_cycle.charge_C, number)
    return meter
