"""Where a fit begins: values that come near a spectrum, found without a guess from a person.

A circuit's parts are taken as if they stood in series, which holds for most and nearly for a chain of arcs
within each other. Their sizes are then linear, and only the times of arcs and of diffusion are not: all their
combinations on a coarse grid are tried, each with the sizes that fit best. For circuits of another kind there
are random values of the right order of magnitude.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from analysis.circuit.elements import Sweep
from analysis.circuit.tree import Circuit, Element, Node, Series, elements

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

ARC_ALPHA = 0.88
TAIL_ALPHA = 0.9
COARSE, FINE = 300, 3000
"""Most combinations of times that are tried, at first and where the first start has led nowhere."""
COARSE_STARTS, FINE_STARTS = 2, 6
LEAST_SHARE = 0.01
"""What no start goes below, of |Z|: an element that is absent from the start would never be found."""
TIMES_A_DECADE = 2
UNLIKE_DECADES = 0.8
DRAWS = 60
_SEED = 1


@dataclass(frozen=True, slots=True)
class Site:
    """What one or two elements add to a spectrum, as if in series with the rest."""

    element: Element
    partner: Element | None = None
    """The capacitance across ``element``, in an arc."""

    @property
    def group(self) -> str:
        """Sites of one group are alike: it does not matter which is which."""
        return f"arc {self.partner.kind.letters}" if self.partner else self.element.kind.letters

    @property
    def timed(self) -> bool:
        """Whether it has a time."""
        return self.partner is not None or self.element.kind.letters in ("Wo", "Ws", "G")

    @property
    def alpha(self) -> float:
        """Return the exponent of the start."""
        capacitance = self.partner or self.element
        return 1.0 if capacitance.kind.letters == "C" else ARC_ALPHA if self.partner else TAIL_ALPHA

    def column(self, f: Floats, tau_s: float) -> Complexes:
        """Return its Z at unit size."""
        s = 2j * np.pi * f
        if self.partner is not None:
            return np.asarray(1 / (1 + (s * tau_s) ** self.alpha))
        if self.element.kind.letters in ("C", "CPE"):
            return np.asarray(s**-self.alpha)
        second = (tau_s,) if self.timed else ()
        return self.element.kind.impedance(Sweep(f), 1.0, *second)

    def values(self, size: float, tau_s: float) -> dict[str, tuple[float, ...]]:
        """Return the parameters of its elements."""
        name, letters = self.element.name, self.element.kind.letters
        if self.partner is not None:
            q = tau_s**self.alpha / size
            capacitance = (q, self.alpha) if self.partner.kind.letters == "CPE" else (q,)
            return {name: (size,), self.partner.name: capacitance}
        if letters in ("C", "CPE"):
            return {name: (1 / size, self.alpha)[: len(self.element.kind.suffixes)]}
        return {name: (size, tau_s) if self.timed else (size,)}


def sites(node: Node) -> Iterator[Site]:
    """Yield the sites of a circuit, in the order of the text but for capacitances."""
    if isinstance(node, Element):
        yield Site(node)
        return
    left: Sequence[Node] = node.parts
    if not isinstance(node, Series):
        arc = _arc(node.parts)
        if arc is not None:
            yield arc
            left = [part for part in node.parts if part is not arc.partner]
            for part in left:
                yield from (site for site in sites(part) if site.element is not arc.element)
            return
    for part in left:
        yield from sites(part)


def _arc(branches: Sequence[Node]) -> Site | None:
    """Return the arc of branches in parallel: a capacitance, and the first resistor of another branch."""
    for branch in branches:
        if isinstance(branch, Element) and branch.kind.letters in ("C", "CPE"):
            others = (element for other in branches if other is not branch for element in elements(other))
            resistor = next((element for element in others if element.kind.letters == "R"), None)
            return Site(resistor, branch) if resistor else None
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """The columns of all sites at all times, and which of them make a combination."""

    sites: tuple[Site, ...]
    columns: Complexes
    """Shape (n, columns)."""
    combinations: NDArray[np.intp]
    """Columns of each combination, shape (combinations, sites)."""
    taus_s: Floats
    """Time of each column; 0 where it has none."""


def grid_starts(
    circuit: Circuit, f: Floats, z: Complexes, arcs: Sequence[tuple[float, float]] | None = None
) -> Iterator[Floats]:
    """Yield starts, the most promising first; none like another of the same grid.

    ``arcs``: (τ in s, resistance in Ω) that are known. The largest are given to the circuit's arcs, for one
    start more, the first.
    """
    if arcs:
        given = _given_grid(circuit, f, arcs)
        yield _start(circuit, given, given.combinations[0], _sizes(given, z)[0][0], dict(arcs))
    tried = 0
    for combinations, most in ((COARSE, COARSE_STARTS), (FINE, FINE_STARTS)):
        grid = _grid(circuit, f.tobytes(), combinations)
        sizes, squares = _sizes(grid, z)
        # For few arcs the second grid is no finer than the first, and goes on where that has ended.
        begin = COARSE_STARTS if len(squares) == tried else 0
        for place in itertools.islice(_unlike(grid, squares, begin + most), begin, None):
            yield _start(circuit, grid, grid.combinations[place], sizes[place], {})
        tried = len(squares)


def random_starts(circuit: Circuit, f: Floats, z: Complexes, most: int) -> list[Floats]:
    """Return the best of some random starts of the right order of magnitude; the same ones each time."""
    rng = np.random.default_rng(_SEED)
    size = np.abs(z)
    drawn = [_draw(circuit, rng, f, size) for _ in range(DRAWS)]
    misfit = [float(np.sum(np.abs(circuit.impedance(f, values) - z) ** 2 / size**2)) for values in drawn]
    return [drawn[place] for place in np.argsort(misfit)[:most]]


def _draw(circuit: Circuit, rng: np.random.Generator, f: Floats, size: Floats) -> Floats:
    values: list[float] = []
    for element in circuit.elements:
        omega = 2 * np.pi * float(np.exp(rng.uniform(np.log(f.min()), np.log(f.max()))))
        ohm = float(np.exp(rng.uniform(np.log(size.min() / 3), np.log(size.max() * 3))))
        alpha = float(rng.uniform(0.7, 1.0))
        values += {
            "R": (ohm,),
            "C": (1 / (ohm * omega),),
            "L": (ohm / omega,),
            "CPE": (omega**-alpha / ohm, alpha),
            "W": (ohm * math.sqrt(omega),),
        }.get(element.kind.letters, (ohm, 1 / omega))
    return np.array(values)


def _groups(circuit: Circuit) -> dict[str, int]:
    """Return how many sites with a time each group has."""
    return dict(Counter(site.group for site in sites(circuit.root) if site.timed))


@lru_cache(maxsize=32)
def _grid(circuit: Circuit, frequencies: bytes, most: int) -> _Grid:
    """Return the grid of a circuit at some frequencies: fewer times for many arcs."""
    f = np.frombuffer(frequencies)
    times = round(TIMES_A_DECADE * math.log10(f.max() / f.min())) + 1
    groups = _groups(circuit)
    fewest = max(groups.values(), default=1)
    times = max(times, fewest, 3)
    while times > fewest and math.prod(math.comb(times, k) for k in groups.values()) > most:
        times -= 1
    edge = 0.5 / (2 * np.pi * f.max()), 2 / (2 * np.pi * f.min())
    between = np.geomspace(*edge, times + 2)[1:-1]
    return _grid_of(circuit, f, dict.fromkeys(groups, between), groups)


def _given_grid(circuit: Circuit, f: Floats, arcs: Sequence[tuple[float, float]]) -> _Grid:
    """Return the grid whose only combination has the times given; at low frequency where none is left."""
    groups = _groups(circuit)
    left = [tau for tau, _ in sorted(arcs, key=lambda arc: arc[1])]
    middle, low_end = 1 / (2 * np.pi * np.sqrt(f.min() * f.max())), 1 / (2 * np.pi * f.min())
    taus = {}
    for group, count in groups.items():
        chosen = [left.pop() for _ in range(count) if left] if group.startswith("arc") else []
        spare = np.geomspace(middle, low_end, count - len(chosen) + 1)[1:].tolist()
        taus[group] = np.array(sorted([*chosen, *spare]))
    return _grid_of(circuit, f, taus, groups)


def _grid_of(circuit: Circuit, f: Floats, taus: dict[str, Floats], groups: dict[str, int]) -> _Grid:
    """Return the columns of each site at each of its times; within a group times ascend."""
    found = tuple(sites(circuit.root))
    tau_of: list[float] = []
    columns: list[Complexes] = []
    first = []
    for site in found:
        first.append(len(columns))
        for tau in taus[site.group].tolist() if site.timed else [0.0]:
            columns.append(site.column(f, tau))
            tau_of.append(tau)
    choices = [itertools.combinations(range(len(taus[group])), count) for group, count in groups.items()]
    combinations = []
    for choice in itertools.islice(itertools.product(*choices), FINE):
        left = {group: iter(steps) for group, steps in zip(groups, choice, strict=True)}
        steps = [next(left[site.group]) if site.timed else 0 for site in found]
        combinations.append([begin + step for begin, step in zip(first, steps, strict=True)])
    return _Grid(
        found,
        np.stack(columns, axis=1),
        np.array(combinations, dtype=np.intp),
        np.array(tau_of),
    )


def _sizes(grid: _Grid, z: Complexes) -> tuple[Floats, Floats]:
    """Return the best sizes of every combination's columns, shape (combinations, sites), and what is left.

    All from one product of the weighted columns; sizes below :data:`LEAST_SHARE` of |Z| are drawn up to it.
    """
    weight = 1 / np.abs(z)
    columns = grid.columns * weight[:, np.newaxis]
    matrix = np.concatenate([columns.real, columns.imag])
    length = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
    matrix /= length
    target = np.concatenate([z.real, z.imag]) * np.concatenate([weight, weight])
    product, projection = matrix.T @ matrix, matrix.T @ target
    picked = grid.combinations
    squares = product[picked[:, :, np.newaxis], picked[:, np.newaxis, :]]
    squares = squares + 1e-9 * np.eye(picked.shape[1])
    right = projection[picked]
    solved = np.linalg.solve(squares, right[:, :, np.newaxis])[:, :, 0]
    least = LEAST_SHARE * np.sqrt(len(z))
    solved = np.maximum(solved, least)
    left = -2 * np.einsum("ks,ks->k", solved, right) + np.einsum("ks,kst,kt->k", solved, squares, solved)
    return solved / length[picked], left


def _unlike(grid: _Grid, squares: Floats, most: int) -> Iterator[int]:
    """Yield the best combinations in turn; none whose times are all near those of one before."""
    places = np.log10(np.maximum(grid.taus_s, np.finfo(float).tiny))[grid.combinations]
    left = squares.copy()
    for _ in range(most):
        place = int(np.argmin(left))
        if np.isinf(left[place]):
            return
        yield place
        left[np.abs(places - places[place]).max(axis=1) <= UNLIKE_DECADES] = np.inf


def _start(
    circuit: Circuit, grid: _Grid, columns: NDArray[np.intp], sizes: Floats, resistances: dict[float, float]
) -> Floats:
    """Return the values of a combination; an arc whose time has a known resistance gets that."""
    named: dict[str, tuple[float, ...]] = {}
    for site, column, size in zip(grid.sites, columns.tolist(), sizes.tolist(), strict=True):
        tau = float(grid.taus_s[column])
        named |= site.values(resistances.get(tau, size) if site.partner else size, tau)
    return np.array([value for element in circuit.elements for value in named[element.name]])
