"""What each key of a cell file allows but the whole does not, and what is allowed but doubtful."""

from __future__ import annotations

import math
from collections.abc import Iterator

from protocols.cell import Cell
from protocols.errors import Problem
from protocols.measurements import Side
from protocols.yamlfile import Source, TreePath

SAME_LITHIUM = 0.01
"""Inventories that differ by less, relative, are meant to be equal: 50 µm and 10.3 mAh/cm²."""


def contradictions(cell: Cell, source: Source) -> list[Problem]:
    """Return every contradiction between the keys of a file, in the order of its lines."""
    found = [*_lithium(cell, source), *_wiring(cell, source), *_others(cell, source)]
    return sorted(found, key=lambda problem: (problem.line, problem.column))


def warnings_about(cell: Cell, source: Source) -> list[Problem]:
    """Return what is allowed but may not be meant."""
    found = [*_doubts(cell, source)]
    return sorted(found, key=lambda problem: (problem.line, problem.column))


def has(source: Source, *path: str) -> bool:
    """Whether the file has a value at ``path``."""
    node = source.root
    for key in path:
        child = node.child(key)
        if child is None:
            return False
        node = child
    return True


def thinner(cell: Cell) -> Side | None:
    """Return the side with less lithium; None if they are equal or one is not known."""
    working, counter = cell.working.inventory_C_per_m2, cell.counter.inventory_C_per_m2
    if working is None or counter is None or math.isclose(working, counter, rel_tol=SAME_LITHIUM):
        return None
    return "working" if working < counter else "counter"


def _lithium(cell: Cell, source: Source) -> Iterator[Problem]:
    """Yield lithium that the geometry does not have."""
    thin = thinner(cell)
    if cell.geometry == "symmetric" and thin is not None:
        message = "A symmetric cell has the same lithium on both sides."
        yield _about_lithium(source, "counter", message, "Write 'geometry: asymmetric', or mend a thickness.")
    if cell.geometry == "asymmetric" and thin == "counter" and cell.thin_side_on is None:
        message = "The thin electrode is the working electrode, but 'working' has more lithium here."
        hint = "Swap the leads at the cell, and the two lines 'working' and 'counter' in this file."
        yield _about_lithium(source, "working", message, hint)
    if cell.geometry == "blocking":
        for side in ("working", "counter"):
            if has(source, side, "lithium"):
                hint = "Take 'lithium' out, or write the geometry that the cell has."
                yield _about_lithium(source, side, "A blocking cell has no lithium electrode.", hint)
    if cell.geometry == "half" and has(source, "working", "lithium"):
        message = "The working electrode of a half cell has no lithium metal; its counter electrode has."
        hint = "With lithium on both sides write 'symmetric' or 'asymmetric'; else move it to 'counter'."
        yield _about_lithium(source, "working", message, hint)


def _about_lithium(source: Source, side: str, message: str, hint: str) -> Problem:
    return source.problem((side, "lithium"), message, hint)


def _wiring(cell: Cell, source: Source) -> Iterator[Problem]:
    """Yield a wiring that contradicts the geometry or the lithium on each side."""
    wired, thin = cell.thin_side_on, thinner(cell)
    if wired is None:
        return
    path: TreePath = ("wiring", "thin_side_on")
    if cell.geometry != "asymmetric":
        message = f"A {cell.geometry} cell has no thin side."
        yield source.key_problem(path, message, "Take it out, or write 'geometry: asymmetric'.")
    elif thin is not None and thin != wired:
        message = f"The thin side is on '{wired}', but '{thin}' is the one with less lithium."
        yield source.problem(path, message, "Look at the cell, then mend this line or the two thicknesses.")
    elif wired == "counter":
        message = "The thin electrode is the working electrode, but here it is on the counter electrode."
        hint = "Swap the leads at the cell, write 'thin_side_on: working', and swap 'working' and 'counter'."
        yield source.problem(path, message, hint)


def _others(cell: Cell, source: Source) -> Iterator[Problem]:
    if has(source, "capacity") and cell.capacity_C is None:
        message = "A capacity per mass needs the 'mass' of the working electrode's active material."
        yield source.problem(("capacity",), message, "Add for example 'mass: 12 mg'.")
    if has(source, "identity") and has(source, "barcode"):
        message = "'identity' and 'barcode' say the same thing twice."
        yield source.key_problem(("barcode",), message, "Keep one of them.")
    lowest, highest = cell.temperature_min_K, cell.temperature_max_K
    if lowest is not None and highest is not None and not lowest <= cell.temperature_K <= highest:
        path: TreePath = ("temperature",) if has(source, "temperature") else ("temperature_window",)
        message = f"The test's temperature, {cell.temperature_K - 273.15:g} °C, is outside the window."
        yield source.key_problem(path, message, "Mend 'temperature' (25 °C if not written) or the window.")


def _doubts(cell: Cell, source: Source) -> Iterator[Problem]:
    if cell.area_of is None and cell.geometry in ("asymmetric", "full", "half"):
        path: TreePath = ("diameter",) if has(source, "diameter") else ("area",)
        message = "It is not said which electrode this is the size of; current densities refer to it."
        yield source.key_problem(path, message, "Add 'area_of: working', counter, smaller or electrolyte.")
    if cell.geometry == "asymmetric" and thinner(cell) is None:
        unknown = None in (cell.working.inventory_C_per_m2, cell.counter.inventory_C_per_m2)
        what = "does not say the lithium of both sides" if unknown else "has the same lithium on both sides"
        message = f"This asymmetric cell {what}: a depletion can't be told."
        yield source.problem(("geometry",), message, "Write 'lithium' below 'working' and 'counter'.")
    if cell.geometry == "full" and has(source, "working", "lithium"):
        message = "The working electrode of a full cell is the cathode; 'lithium' is for lithium metal."
        yield source.key_problem(("working", "lithium"), message, "Write its capacity as 'capacity'.")
