"""A circuit as a tree: elements in series and in parallel, its impedance and the derivatives of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.circuit.elements import Kind, Sweep, arc

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

Values = Mapping[str, tuple[float, ...]]
"""Parameters by the name of their element."""

_ARC = ["R", "CPE"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of a circuit. All are positive; an exponent is at most 1."""

    name: str
    unit: str
    exponent: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """A leaf."""

    kind: Kind
    name: str

    @property
    def text(self) -> str:
        """Return the element's name."""
        return self.name

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the element's parameters: ``R1``; ``CPE1_Q`` and ``CPE1_alpha``."""
        pairs = zip(self.kind.suffixes, self.kind.units, strict=True)
        return tuple(
            Parameter(f"{self.name}_{suffix}" if suffix else self.name, unit, suffix == "alpha")
            for suffix, unit in pairs
        )


@dataclass(frozen=True, slots=True)
class Series:
    """Parts through which the same current flows."""

    parts: tuple[Node, ...]

    @property
    def text(self) -> str:
        """Return the parts with hyphens between them."""
        return "-".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class Parallel:
    """Branches at the same voltage."""

    parts: tuple[Node, ...]

    @property
    def text(self) -> str:
        """Return ``p(…,…)``."""
        return f"p({','.join(part.text for part in self.parts)})"


Node = Element | Series | Parallel


def elements(node: Node) -> Iterator[Element]:
    """Yield the elements under a node in the order of the text."""
    if isinstance(node, Element):
        yield node
    else:
        for part in node.parts:
            yield from elements(part)


@dataclass(frozen=True)
class Circuit:
    """An equivalent circuit. Values are given in the order of :attr:`parameters`, all > 0."""

    root: Node

    def __hash__(self) -> int:
        return hash(self.text)

    @cached_property
    def text(self) -> str:
        """The circuit in impedance.py's notation; parsing it gives this circuit again."""
        return self.root.text

    @cached_property
    def elements(self) -> tuple[Element, ...]:
        """The elements in the order of the text."""
        return tuple(elements(self.root))

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters of all elements in the order of the text."""
        return tuple(parameter for element in self.elements for parameter in element.parameters)

    @cached_property
    def places(self) -> Mapping[str, slice]:
        """Where the parameters of an element stand among all."""
        found, begin = {}, 0
        for element in self.elements:
            found[element.name] = slice(begin, begin + element.kind.size)
            begin += element.kind.size
        return found

    def by_element(self, values: Sequence[float] | Floats) -> Values:
        """Return the values of each element. Raises ValueError unless there is one for each parameter."""
        if len(values) != len(self.parameters):
            raise ValueError(f"{self.text} has {len(self.parameters)} parameters, not {len(values)}")
        numbers = np.asarray(values, dtype=float).tolist()
        return {name: tuple(numbers[place]) for name, place in self.places.items()}

    @cached_property
    def exponents(self) -> tuple[bool, ...]:
        """Which parameters are exponents."""
        return tuple(parameter.exponent for parameter in self.parameters)

    def impedance(self, frequency_Hz: Floats, values: Sequence[float] | Floats) -> Complexes:
        """Return Z in Ω at each f in Hz, shape (n,)."""
        return _impedance(self.root, _sweep(frequency_Hz), self.by_element(values))

    def jacobian(self, frequency_Hz: Floats, values: Sequence[float] | Floats) -> Complexes:
        """Return ∂Z/∂parameter, shape (n, parameters)."""
        numbers = np.asarray(values, dtype=float)
        _, rows = self.derive(_sweep(frequency_Hz), numbers.tolist())
        return np.asarray((rows / np.where(self.exponents, 1.0, numbers)[:, np.newaxis]).T)

    def derive(self, sweep: Sweep, values: list[float]) -> tuple[Complexes, Complexes]:
        """Return Z, shape (n,), and a row for each parameter, shape (parameters, n).

        A row is ∂Z/∂ln p, and ∂Z/∂α for an exponent.
        """
        if len(values) != len(self.parameters):
            raise ValueError(f"{self.text} has {len(self.parameters)} parameters, not {len(values)}")
        rows = np.empty((len(values), len(sweep.f)), dtype=np.complex128)
        z, _ = _derive(self.root, sweep, values, rows, 0)
        return z, rows


def _sweep(frequency_Hz: Floats) -> Sweep:
    return Sweep(np.asarray(frequency_Hz, dtype=float))


def _impedance(node: Node, sweep: Sweep, values: Values) -> Complexes:
    if isinstance(node, Element):
        return node.kind.impedance(sweep, *values[node.name])
    parts = [_impedance(part, sweep, values) for part in node.parts]
    return _sum(parts) if isinstance(node, Series) else 1 / _sum([1 / part for part in parts])


def _derive(
    node: Node, sweep: Sweep, values: list[float], rows: Complexes, begin: int
) -> tuple[Complexes, int]:
    """Fill the rows of a node from ``begin`` on; return its Z and the first row behind.

    The chain rule: ∂Z/∂Z_k of a part is 1 in series and (Z/Z_k)² in parallel.
    """
    if isinstance(node, Element):
        end = begin + node.kind.size
        numbers = values[begin:end]
        z = node.kind.impedance(sweep, *numbers)
        node.kind.derive(rows[begin:end], sweep, z, *numbers)
        return z, end
    if _is_arc(node):
        return arc(rows[begin : begin + 3], sweep, *values[begin : begin + 3]), begin + 3
    parts, edges = [], [begin]
    for part in node.parts:
        z, end = _derive(part, sweep, values, rows, edges[-1])
        parts.append(z)
        edges.append(end)
    if isinstance(node, Series):
        return _sum(parts), edges[-1]
    inverses = [1 / z for z in parts]
    whole = 1 / _sum(inverses)
    for inverse, first, last in zip(inverses, edges, edges[1:], strict=False):
        share = whole * inverse
        rows[first:last] *= share * share
    return whole, edges[-1]


def _is_arc(node: Series | Parallel) -> bool:
    """Whether a node is p(R,CPE), of which most circuits are made."""
    letters = [part.kind.letters for part in node.parts if isinstance(part, Element)]
    return letters == _ARC and len(node.parts) == 2 and isinstance(node, Parallel)


def _sum(parts: Sequence[Complexes]) -> Complexes:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
