"""Which of several alike parts is which: the faster one comes first.

A fit does not care which of two arcs is called R1, CPE1. So that a value means the same in every spectrum of
a series, parts of equal build are put in the order of their times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analysis.circuit.tree import Circuit, Element, Node, Series, Values, elements

Floats = NDArray[np.float64]

_LARGEST_LOG = 300.0


def in_order_of_time(circuit: Circuit, values: Floats) -> NDArray[np.intp]:
    """Return the permutation of the values that puts alike parts in order, the fastest first."""
    by_element = circuit.by_element(values)
    order = list(_places(circuit, circuit.root, by_element))
    return np.array(order, dtype=np.intp)


def arc_times(circuit: Circuit, values: Floats) -> dict[str, float]:
    """Return the time of each part that relaxes, in s, by its text.

    Parts are branches in parallel with a resistance and a capacitance, and elements with a time of their own.
    """
    by_element = circuit.by_element(values)
    times = {}
    for node in _relaxing(circuit.root):
        time = time_of(node, by_element)
        if time is not None:
            times[node.text] = time
    return times


def time_of(node: Node, values: Values) -> float | None:
    """Return the time of a part in s; None if it has none.

    τ of diffusion and of Gerischer; (RQ)^(1/α) of the first resistor and the first capacitance elsewhere.
    """
    if isinstance(node, Element):
        return values[node.name][1] if node.kind.letters in ("Wo", "Ws", "G") else None
    found: dict[str, tuple[float, ...]] = {}
    for element in elements(node):
        letters = "C" if element.kind.letters == "CPE" else element.kind.letters
        found.setdefault(letters, values[element.name])
    if "R" not in found or "C" not in found:
        return None
    q, alpha = found["C"][0], found["C"][1] if len(found["C"]) > 1 else 1.0
    return math.exp(min(math.log(found["R"][0] * q) / alpha, _LARGEST_LOG))


def _relaxing(node: Node) -> Iterator[Node]:
    if isinstance(node, Element):
        if node.kind.letters in ("Wo", "Ws", "G"):
            yield node
        return
    if not isinstance(node, Series):
        yield node
    for part in node.parts:
        yield from _relaxing(part)


def _places(circuit: Circuit, node: Node, values: Values) -> Iterator[int]:
    """Yield where the values of a node come from, its alike parts in order of time."""
    if isinstance(node, Element):
        where = circuit.places[node.name]
        yield from range(where.start, where.stop)
        return
    parts = list(node.parts)
    alike: dict[str, list[int]] = {}
    for place, part in enumerate(parts):
        if time_of(part, values) is not None:
            alike.setdefault(_build(part), []).append(place)
    for places in alike.values():
        fast_first = sorted((parts[place] for place in places), key=lambda part: time_of(part, values) or 0.0)
        for place, part in zip(places, fast_first, strict=True):
            parts[place] = part
    for part in parts:
        yield from _places(circuit, part, values)


def _build(node: Node) -> str:
    """Return how a part is built, without the numbers of its elements."""
    if isinstance(node, Element):
        return node.kind.letters
    inner = ",".join(_build(part) for part in node.parts)
    return f"{'s' if isinstance(node, Series) else 'p'}({inner})"
