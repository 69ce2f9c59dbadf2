"""How well a distribution matches the truth. The same measures for every method, on the common grid."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.signal import find_peaks

from benchmarks.eis.cases import Circuit
from benchmarks.eis.elements import Floats

SAME_PLACE = 0.15
"""Decades: a peak of an exact set lies no further from the true one."""
NEAREST = 0.5
"""Decades: within these a maximum belongs to a true peak, for its place and its area."""
NOTHING = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one method says of one spectrum."""

    gamma_ohm: Floats
    """On the common grid, :attr:`Circuit.tau_s`."""
    r_inf_ohm: float
    lower_ohm: Floats | None = None
    upper_ohm: Floats | None = None
    """The 95 % band; None where the method gives none."""


@dataclass(frozen=True, slots=True)
class Score:
    """How good that is; nan where the measure does not exist."""

    rel_l2: float
    """‖γ − truth‖/‖truth‖; for circuits with lines nan."""
    maxima: float
    """How many maxima γ has, whose prominence is ≥ 2 % of the true maximum."""
    exact: float
    """1 if each true peak has its maximum within :data:`SAME_PLACE` and there is none that should not be."""
    r_p: float
    """|∫γ/truth − 1| over the window."""
    r_inf_ohm: float
    """|R_∞ − truth| in Ω."""
    area: float
    """Mean |area/R − 1| of the peaks found, from minimum to minimum."""
    place: float
    """Mean distance of the peaks found from the true ones, in decades."""
    coverage: float
    """Share of the window in which the band holds the true γ."""


def score(circuit: Circuit, answer: Answer) -> Score:
    """Return how well an answer matches the circuit."""
    tau, gamma, truth = circuit.tau_s, answer.gamma_ohm, circuit.gamma_ohm
    highest = truth.max() if circuit.smooth else gamma.max()
    tops = maxima(gamma, circuit.prominence * highest)
    places = [top_place(tau, gamma, top) for top in tops]
    pairs = _nearest(circuit, places)
    areas = _areas(tau, gamma, tops)
    step = float(np.log(tau[1] / tau[0]))
    return Score(
        rel_l2=float(np.linalg.norm(gamma - truth) / np.linalg.norm(truth)) if circuit.smooth else NOTHING,
        maxima=len(tops),
        exact=float(_is_exact(circuit, places)),
        r_p=abs(float(np.trapezoid(gamma, dx=step)) / circuit.r_p_ohm - 1.0),
        r_inf_ohm=abs(answer.r_inf_ohm - circuit.r_inf_ohm),
        area=_mean([abs(areas[found] / circuit.peaks[true][1] - 1.0) for true, found in pairs]),
        place=_mean([abs(places[found] - np.log10(circuit.peaks[true][0])) for true, found in pairs]),
        coverage=_coverage(circuit, answer),
    )


def together(scores: list[Score]) -> Score:
    """Return the mean of the counts, and the median over the seeds of everything else."""
    columns = {name: np.array([getattr(one, name) for one in scores]) for name in Score.__dataclass_fields__}
    counts = ("maxima", "exact", "coverage")
    return Score(
        **{name: _middle(values, name in counts) for name, values in columns.items()},
    )


def maxima(gamma_ohm: Floats, prominence_ohm: float) -> list[int]:
    """Return where γ has its maxima, as places in the grid; the ends of the grid are none."""
    found, _ = find_peaks(gamma_ohm, prominence=prominence_ohm)
    return [int(top) for top in found]


def top_place(tau_s: Floats, gamma_ohm: Floats, top: int) -> float:
    """Return log10 τ of the top of the parabola through a maximum and its neighbours."""
    before, at, after = gamma_ohm[top - 1 : top + 2]
    bend = before - 2.0 * at + after
    shift = 0.5 * (before - after) / bend if bend < 0.0 else 0.0
    return float(np.log10(tau_s[top]) + shift * np.log10(tau_s[1] / tau_s[0]))


def _areas(tau_s: Floats, gamma_ohm: Floats, tops: list[int]) -> list[float]:
    """Return the area of each peak, from the lowest point on its left to the one on its right.

    At the ends of the window too: of an arc that is cut off there only the flank is seen.
    """
    if not tops:
        return []
    step = float(np.log(tau_s[1] / tau_s[0]))
    last = len(gamma_ohm) - 1
    first_low = int(np.argmin(gamma_ohm[: tops[0] + 1]))
    last_low = last - int(np.argmin(gamma_ohm[: tops[-1] - 1 : -1]))
    valleys = [int(a + np.argmin(gamma_ohm[a:b])) for a, b in pairwise(tops)]
    ends = [first_low, *valleys, last_low]
    return [float(np.trapezoid(gamma_ohm[a : b + 1], dx=step)) for a, b in pairwise(ends)]


def _nearest(circuit: Circuit, places: list[float]) -> list[tuple[int, int]]:
    """Return pairs (true peak, maximum), the closest first, each used once."""
    true = [float(np.log10(tau)) for tau, _ in circuit.peaks]
    distances = sorted(
        (abs(a - b), i, j) for i, a in enumerate(true) for j, b in enumerate(places) if abs(a - b) <= NEAREST
    )
    pairs: dict[int, int] = {}
    for _, i, j in distances:
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return sorted(pairs.items())


def _is_exact(circuit: Circuit, places: list[float]) -> bool:
    pairs = _nearest(circuit, places)
    near = [abs(places[j] - np.log10(circuit.peaks[i][0])) <= SAME_PLACE for i, j in pairs]
    used = {j for _, j in pairs}
    surplus = [place for j, place in enumerate(places) if j not in used]
    allowed = [any(np.log10(a) <= place <= np.log10(b) for a, b in circuit.optional) for place in surplus]
    return len(pairs) == len(circuit.peaks) and all(near) and all(allowed)


def _coverage(circuit: Circuit, answer: Answer) -> float:
    if answer.lower_ohm is None or answer.upper_ohm is None or not circuit.smooth:
        return NOTHING
    truth = circuit.gamma_ohm
    return float(np.mean((answer.lower_ohm <= truth) & (truth <= answer.upper_ohm)))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else NOTHING


def _middle(values: Floats, count: bool) -> float:
    known = values[~np.isnan(values)]
    if not len(known):
        return NOTHING
    return float(known.mean() if count else np.median(known))
