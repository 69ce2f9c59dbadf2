"""Quantities of a protocol, which are per area, per mass or per capacity, for one cell: in A, C and Ω."""

from __future__ import annotations

from collections.abc import Callable

from protocols.cell import Cell
from protocols.problems import Problems
from protocols.units import Amount, KindName
from protocols.yamlfile import TreePath

_MISSING: dict[str, tuple[str, str]] = {
    "capacity": (
        "'{text}' needs the cell's capacity.",
        "Add to the cell file, for example, 'capacity: 2 mAh'.",
    ),
    "mass": (
        "'{text}' needs the mass of active material.",
        "Add to the cell file, for example, 'mass: 8 mg'.",
    ),
}


class Converter:
    """Fits quantities to a cell; notes what its file lacks."""

    def __init__(self, cell: Cell, problems: Problems) -> None:
        self._cell = cell
        self._problems = problems
        self._told: set[str] = set()
        self._factors: dict[KindName, Callable[[Amount, TreePath], float]] = {
            "current_density": lambda amount, path: cell.area_m2,
            "areal_capacity": lambda amount, path: cell.area_m2,
            "areal_resistance": lambda amount, path: 1 / cell.area_m2,
            "c_rate": lambda amount, path: self._need("capacity", cell.capacity_C, amount, path),
            "specific_current": lambda amount, path: self._need("mass", cell.mass_kg, amount, path),
            "specific_capacity": lambda amount, path: self._need("mass", cell.mass_kg, amount, path),
        }

    def si(self, amount: Amount, path: TreePath) -> float:
        """Return a quantity in A, C, Ω, … for this cell; what the cell file lacks for it is noted."""
        factor = self._factors.get(amount.kind)
        return amount.value * factor(amount, path) if factor else amount.value

    def _need(self, what: str, value: float | None, amount: Amount, path: TreePath) -> float:
        if value is not None:
            return value
        if what not in self._told:
            # One line in the cell file mends all that needs it: it is told once.
            self._told.add(what)
            message, hint = _MISSING[what]
            self._problems.add(path, message.format(text=amount.text), hint)
        # Any positive number: the problem that is noted stops the compilation.
        return 1.0
