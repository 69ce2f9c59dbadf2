"""How much charge a program passes, to which side, and how much of it under spectra. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from protocols.cell import Cell
from protocols.frozen import Frozen
from protocols.nodes import (
    ChargePassed,
    ConstantCurrent,
    ConstantVoltage,
    Decision,
    Geis,
    Node,
    OnPasses,
    Repeat,
    Step,
    VoltageSweep,
    inner,
    set_current_A,
)


class Charge(Frozen):
    """The signed charge that a stretch of a program passes, in C."""

    net: float = 0.0
    highest: float = 0.0
    """Largest net charge on the way (≥ 0): taken from the working electrode."""
    lowest: float = 0.0
    from_working: float = 0.0
    """All that the working electrode gives, returns not counted."""
    from_counter: float = 0.0
    """All that the counter electrode gives (≥ 0)."""

    def then(self, other: Charge) -> Charge:
        """Return the charge of both, one after the other."""
        return Charge(
            net=self.net + other.net,
            highest=max(self.highest, self.net + other.highest),
            lowest=min(self.lowest, self.net + other.lowest),
            from_working=self.from_working + other.from_working,
            from_counter=self.from_counter + other.from_counter,
        )

    def beside(self, other: Charge) -> Charge:
        """Return both together, in an order that is not known: net charges on the way are bounds."""
        return Charge(
            net=self.net + other.net,
            highest=self.highest + other.highest,
            lowest=self.lowest + other.lowest,
            from_working=self.from_working + other.from_working,
            from_counter=self.from_counter + other.from_counter,
        )

    def or_else(self, other: Charge) -> Charge:
        """Return what either of two may pass at most."""
        return Charge(
            net=max(self.net, other.net, key=abs),
            highest=max(self.highest, other.highest),
            lowest=min(self.lowest, other.lowest),
            from_working=max(self.from_working, other.from_working),
            from_counter=max(self.from_counter, other.from_counter),
        )

    def times(self, passes: int) -> Charge:
        """Return the charge of so many passes."""
        if passes <= 0:
            return Charge()
        drift = (passes - 1) * self.net
        return Charge(
            net=passes * self.net,
            highest=self.highest + max(0.0, drift),
            lowest=self.lowest + min(0.0, drift),
            from_working=passes * self.from_working,
            from_counter=passes * self.from_counter,
        )


def charge_of(nodes: tuple[Node, ...], cell: Cell) -> Charge:
    """Return the charge of nodes; of two ways of a decision what either may pass.

    Where the host, a voltage or a decision ends something early it is a bound; steps whose current is not
    known before (:func:`step_charge`) count nothing.
    """
    total = Charge()
    for node in nodes:
        total = total.then(_charge_of(node, cell))
    return total


def _charge_of(node: Node, cell: Cell) -> Charge:
    if isinstance(node, Step):
        net = step_charge(node, cell) or 0.0
        gain, loss = max(net, 0.0), max(-net, 0.0)
        return Charge(net=net, highest=gain, lowest=-loss, from_working=gain, from_counter=loss)
    if isinstance(node, Decision):
        return charge_of(node.then, cell).or_else(charge_of(node.otherwise, cell))
    if not isinstance(node, Repeat):
        return charge_of(inner(node), cell)
    every_pass = tuple(child for child in node.body if not isinstance(child, OnPasses))
    now_and_then = (child for child in node.body if isinstance(child, OnPasses))
    total = charge_of(every_pass, cell).times(node.passes)
    for child in now_and_then:
        total = total.beside(charge_of(child.body, cell).times(child.passes_in(node.start, node.stop)))
    return total


def step_charge(step: Step, cell: Cell) -> float | None:
    """Return the signed charge of one pass of a step, or a bound; None where only the voltage is given.

    The part at constant voltage of CC-CV passes at most the cell's capacity or lithium once more.
    """
    if isinstance(step, ConstantCurrent) and step.charge_C is not None:
        # A planned charge may be less than the time limit allows.
        left = max(0.0, step.charge_C - abs(step.done_C))
        return left if step.current_A > 0 else -left
    if isinstance(step, VoltageSweep):
        return None
    if isinstance(step, ConstantVoltage):
        return _charge_at_voltage(step, cell)
    return set_current_A(step) * step.remaining_s


def _charge_at_voltage(step: ConstantVoltage, cell: Cell) -> float | None:
    if not step.set_current_A:
        return None
    side = "working" if step.set_current_A > 0 else "counter"
    ends = [end.charge_C for end in step.host_ends if isinstance(end, ChargePassed)]
    most = cell.capacity_C or cell.inventory_C("working" if side == "working" else "counter")
    bounds = [abs(step.set_current_A) * step.remaining_s, *ends, *([most] if most else [])]
    return min(bounds) if step.set_current_A > 0 else -min(bounds)


@dataclass(slots=True)
class _HalfCycle:
    """Charge of neighbouring steps of one sign."""

    sign: int = 0
    driven_C: float = 0.0
    spectra_C: float = 0.0


def share_of_spectra(nodes: tuple[Node, ...], cell: Cell) -> float:
    """Return the largest part of a half-cycle's charge that passes under its spectra; 0 if there are none."""
    shares = [0.0]
    half_cycle = _HalfCycle()
    for step in _twice(nodes):
        charge_C = step_charge(step, cell)
        sign = 0 if not charge_C else (1 if charge_C > 0 else -1)
        if sign and sign != half_cycle.sign:
            shares.append(_share(half_cycle))
            half_cycle = _HalfCycle(sign)
        if isinstance(step, Geis):
            half_cycle.spectra_C += abs(charge_C or 0.0)
        else:
            half_cycle.driven_C += abs(charge_C or 0.0)
    return max(*shares, _share(half_cycle))


def _share(half_cycle: _HalfCycle) -> float:
    whole_C = half_cycle.driven_C + half_cycle.spectra_C
    # A spectrum under current without a half-cycle around it is a measurement of its own.
    return half_cycle.spectra_C / whole_C if half_cycle.driven_C else 0.0


def _twice(nodes: tuple[Node, ...]) -> Iterator[Step]:
    """Yield the steps, loops twice at most: their passes are alike, and what is at their joints counts."""
    for node in nodes:
        if isinstance(node, Step):
            yield node
        else:
            times = min(2, node.passes) if isinstance(node, Repeat) else 1
            for _ in range(times):
                yield from _twice(inner(node))
