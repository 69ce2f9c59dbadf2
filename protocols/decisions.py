"""What a decision is taken from: the quantities that a run has found so far. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from protocols.frozen import Frozen
from protocols.nodes import Criterion


class Findings(Frozen):
    """One field for each of :data:`protocols.nodes.Measured`, in SI; None: not known (yet).

    A half-cycle that is still open when a decision is taken counts as it is by then.
    """

    voltage: float | None = None
    """E of the newest sample."""
    current: float | None = None
    """I of the newest sample."""
    charge: float | None = None
    """|charge| of the last half-cycle."""
    overpotential: float | None = None
    """Charge-weighted mean of |E| in the last half-cycle."""
    resistance: float | None = None
    """Z′ at the lowest frequency of the last spectrum."""
    resistance_hf: float | None = None
    """Z′ of the last spectrum where −Z″ crosses zero at high frequency."""
    resistance_interface: float | None = None
    """Difference of these two."""
    resistance_change: float | None = None
    """Relative change of ``resistance_hf`` from the spectrum before to the last one: 0.1 is 10 % more."""
    retention: float | None = None
    """Charge got back in the last cycle, as a part of that of the reference cycle
    (:attr:`protocols.program.Program.retention_from`)."""
    coulombic_efficiency: float | None = None
    """Charge got back in the last cycle, as a part of that put in just before."""
    cycle: float | None = None
    """Number of the cycle, from 1, by the loops that count; 0 before the first."""
    time: float | None = None
    """Run time."""
    time_since_spectrum: float | None = None
    """Run time since the end of the last spectrum, else since the start."""
    charge_since_spectrum: float | None = None
    """Charge passed since the last spectrum, else since the start, both directions added up."""


def holds(criteria: Iterable[Criterion], findings: Findings) -> bool:
    """Return whether all criteria hold. One whose quantity is not known does not."""
    return all(_holds(criterion, findings) for criterion in criteria)


def asked_for(criteria: Iterable[Criterion], findings: Findings) -> dict[str, float | None]:
    """Return the values that criteria ask for."""
    return {criterion.quantity: getattr(findings, criterion.quantity) for criterion in criteria}


def _holds(criterion: Criterion, findings: Findings) -> bool:
    value: float | None = getattr(findings, criterion.quantity)
    if value is None:
        return False
    return value > criterion.value if criterion.comparison == "above" else value < criterion.value
