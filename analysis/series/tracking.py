"""Peaks of consecutive spectra joined to tracks: what is the same process, from one spectrum to the next.

A process is known by its time constant, which moves slowly, and by its resistance. From spectrum to spectrum
the peaks are given to the processes so that the sum of the squared distances in ln τ and ln R from where each
is expected is smallest (the assignment problem: Kuhn, Nav. Res. Logist. Q. 2 (1955) 83, here solved by
scipy). Expected is what the last three values of a process say, so that two may pass each other. What stays
over begins or ends a process, or is one of two things that a plain assignment does not know:

- Two processes come so close that they have one peak: both go on with it, *merged*, and only the sum of
  their resistances is known.
- A merged peak parts again: each part goes to the process whose resistance before it fits, and where that
  does not tell, to the one that was on its way there.

A process that ends close to another one, while that one grows by as much, can't be told from a merger.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.drt.peaks import Peak

RECENT = 3
"""Values of a process from which it is said where it goes."""
FURTHEST = 10.0
"""Longest extrapolation of a motion, in spectra as they were spaced."""
CAP = 9.0
"""The most that a jump of R adds to a squared distance: a resistance may fall in one moment, by a short."""
ROUTE = 1.0
"""The most that the way a process was on adds where a merged peak parts: R tells first."""
FEWEST = 1e-12
"""Ω and s below which a logarithm would say too much."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How much a process may change from one spectrum to the next, beside its motion."""

    ln_tau: float = 0.5
    ln_resistance: float = 0.3
    gate: float = 3.0
    """A peak further than this many ``ln_tau`` is another process."""
    gap: int = 1
    """Spectra in a row in which a process may be missing without having ended."""

    def __post_init__(self) -> None:
        if min(self.ln_tau, self.ln_resistance, self.gate) <= 0 or self.gap < 0:
            raise ValueError("tolerances have to be above zero, and the gap not below it")


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One process over the spectra in which it was seen; arrays of shape (n,)."""

    name: str
    """What most of its peaks are called; ``process 1`` … in the order of τ where they have no name."""
    index: NDArray[np.intp]
    """Of the spectra, ascending."""
    t_s: Floats
    tau_s: Floats
    resistance_ohm: Floats
    """Where ``merged``: that of all processes in the peak together."""
    std_ohm: Floats
    """nan where the peak had none."""
    merged: NDArray[np.bool_]

    def alone(self) -> Floats:
        """Return the resistances in Ω with nan where only a sum is known."""
        return np.where(self.merged, np.nan, self.resistance_ohm)


@dataclass(slots=True, eq=False)
class _Process:
    """A process while the spectra go by."""

    seen: list[tuple[int, float, Peak, bool]] = field(default_factory=list)
    """Index and time of each spectrum, the peak, whether it was merged. The first never is."""

    def expected(self, t_s: float) -> tuple[float, float]:
        """Return ln τ at a time, moved on as in the last few spectra, and ln R, of which noise would make a
        motion: its median in them."""
        own = [(when, *_place(peak)) for _, when, peak, merged in self.seen if not merged][-RECENT:]
        (first_s, first_tau, _), (last_s, last_tau, _) = own[0], own[-1]
        ln_ohm = float(np.median([ohm for _, _, ohm in own]))
        if len(own) < 2:
            return last_tau, ln_ohm
        spacing_s = (last_s - first_s) / (len(own) - 1)
        spectra = min((t_s - last_s) / spacing_s, FURTHEST)
        return last_tau + spectra * (last_tau - first_tau) / (len(own) - 1), ln_ohm


@dataclass(slots=True, eq=False)
class _Group:
    """Processes that have one peak: mostly one."""

    members: list[_Process]
    missed: int = 0

    def expected(self, t_s: float) -> tuple[float, float]:
        """Return ln τ and ln R of the peak at a time; a merged one is expected where it was."""
        if len(self.members) == 1:
            return self.members[0].expected(t_s)
        return _place(self.members[0].seen[-1][2])

    def see(self, index: int, t_s: float, peak: Peak) -> None:
        self.missed = 0
        for process in self.members:
            process.seen.append((index, t_s, peak, len(self.members) > 1))


def track(
    peaks_per_spectrum: Sequence[Sequence[Peak]],
    times: Sequence[float],
    tolerances: Tolerances = Tolerances(),
) -> list[Track]:
    """Join the peaks of spectra in order of time, one list each, to tracks; by τ of their first peak.

    ``times`` in s, ascending. Every peak given is in at least one track: leave out before what is not to
    count (peaks outside the window, too small ones). Raises ValueError if times and spectra do not fit.
    """
    _check(peaks_per_spectrum, times)
    alive: list[_Group] = []
    processes: list[_Process] = []
    for index, (peaks, t_s) in enumerate(zip(peaks_per_spectrum, times, strict=True)):
        step = _Step(alive, list(peaks), index, t_s, tolerances)
        alive = step.run()
        processes += step.born
    return _named(sorted(processes, key=lambda process: process.seen[0][2].tau_s))


def _check(peaks_per_spectrum: Sequence[Sequence[Peak]], times: Sequence[float]) -> None:
    if len(peaks_per_spectrum) != len(times):
        raise ValueError(f"{len(peaks_per_spectrum)} spectra with {len(times)} times are no series")
    if any(late <= early for early, late in itertools.pairwise(times)):
        raise ValueError(
            "the spectra of a series have to be in order of time, each later than the one before"
        )


class _Step:
    """From one spectrum to the next."""

    def __init__(
        self, groups: list[_Group], peaks: list[Peak], index: int, t_s: float, tolerances: Tolerances
    ) -> None:
        self._groups = groups
        self._peaks = peaks
        self._index = index
        self._t_s = t_s
        self._tolerances = tolerances
        self._peak_of: dict[_Group, Peak] = {}
        self._free: list[Peak] = []
        self.born: list[_Process] = []

    def run(self) -> list[_Group]:
        """Give the peaks to the groups; return the groups that are alive after it."""
        self._assign()
        self._merge()
        self._part()
        for group in self._groups:
            if group in self._peak_of:
                group.see(self._index, self._t_s, self._peak_of[group])
            else:
                group.missed += 1
        for peak in self._free:
            process = _Process()
            self.born.append(process)
            self._groups.append(_Group([process]))
            self._groups[-1].see(self._index, self._t_s, peak)
        return [group for group in self._groups if group.missed <= self._tolerances.gap]

    def _assign(self) -> None:
        """One peak to one group, at the smallest cost; no pair dearer than an end and a beginning."""
        from scipy.optimize import linear_sum_assignment

        groups, peaks = self._groups, self._peaks
        left_out = self._tolerances.gate**2 + CAP
        cost = np.full((len(groups) + len(peaks),) * 2, left_out / 2)
        cost[len(groups) :, len(peaks) :] = 0.0
        for row, group in enumerate(groups):
            for column, peak in enumerate(peaks):
                cost[row, column] = self._distance(group.expected(self._t_s), peak)
        for row, column in zip(*linear_sum_assignment(cost), strict=True):
            if row < len(groups) and column < len(peaks):
                self._peak_of[groups[row]] = peaks[column]
        taken = {id(peak) for peak in self._peak_of.values()}
        self._free = [peak for peak in peaks if id(peak) not in taken]

    def _distance(self, expected: tuple[float, float], peak: Peak) -> float:
        """Return the squared distance in tolerances; beyond the gate more than any pair may cost."""
        far = (_place(peak)[0] - expected[0]) / self._tolerances.ln_tau
        if abs(far) > self._tolerances.gate:
            return 10 * (self._tolerances.gate**2 + CAP)
        return far**2 + min(self._unlike(expected[1], peak), CAP)

    def _unlike(self, ln_ohm: float, peak: Peak) -> float:
        """Return the squared distance of a peak's R, in the tolerance and its standard deviation."""
        relative = (peak.std_ohm or 0.0) / max(peak.resistance_ohm, FEWEST)
        return (_place(peak)[1] - ln_ohm) ** 2 / (self._tolerances.ln_resistance**2 + relative**2)

    def _merge(self) -> None:
        """Groups without a peak join another whose peak holds the resistances of both."""
        for lost in [group for group in self._groups if group not in self._peak_of]:
            found = min(self._mergers(lost), key=lambda entry: entry[0], default=None)
            if found is None:
                continue
            _, other, peak = found
            self._groups.remove(lost)
            other.members += lost.members
            self._peak_of[other] = peak
            self._free = [free for free in self._free if free is not peak]

    def _mergers(self, lost: _Group) -> Iterator[tuple[float, _Group, Peak]]:
        """Return with whom, in which peak and how unlike the sum of R is to that of the peak."""
        ln_tau, ln_ohm = lost.expected(self._t_s)
        for other in self._groups:
            if other is lost:
                continue
            of_other = other.expected(self._t_s)
            together = math.log(math.exp(ln_ohm) + math.exp(of_other[1]))
            own = self._peak_of.get(other)
            for peak in self._free if own is None else [own]:
                unlike = self._unlike(together, peak)
                is_sum = unlike < (CAP if own is None else self._unlike(of_other[1], peak))
                if is_sum and unlike < CAP and self._near(ln_tau, peak) and self._near(of_other[0], peak):
                    yield unlike, other, peak

    def _near(self, ln_tau: float, peak: Peak) -> bool:
        return abs(_place(peak)[0] - ln_tau) <= self._tolerances.gate * self._tolerances.ln_tau

    def _part(self) -> None:
        """A merged group whose peak has a new one beside it comes apart, if both make up its resistance."""
        for peak in list(self._free):
            for group in [group for group in self._groups if len(group.members) > 1]:
                own = self._peak_of.get(group)
                if own is None or not self._are_parts(group, own, peak):
                    continue
                ours, theirs = self._best_division(group, own, peak)
                group.members = ours
                self._groups.append(_Group(theirs))
                self._peak_of[self._groups[-1]] = peak
                self._free = [free for free in self._free if free is not peak]
                break

    def _are_parts(self, group: _Group, own: Peak, other: Peak) -> bool:
        """Whether two peaks make up the one that a group had before."""
        ln_tau, ln_ohm = group.expected(self._t_s)
        just_merged = len({id(member.seen[-1][2]) for member in group.members}) > 1
        whole = math.log(max(own.resistance_ohm + other.resistance_ohm, FEWEST))
        alike = abs(whole - ln_ohm) < math.sqrt(CAP) * self._tolerances.ln_resistance
        return not just_merged and alike and self._near(ln_tau, other)

    def _best_division(self, group: _Group, own: Peak, other: Peak) -> tuple[list[_Process], list[_Process]]:
        """Return which members have which of two peaks."""
        members = group.members
        divisions = [
            ([m for m, chosen in zip(members, mask, strict=True) if chosen],
             [m for m, chosen in zip(members, mask, strict=True) if not chosen])
            for mask in itertools.product((True, False), repeat=len(members))
            if any(mask) and not all(mask)
        ]  # fmt: skip
        return min(divisions, key=lambda pair: self._strange(pair[0], own) + self._strange(pair[1], other))

    def _strange(self, members: list[_Process], peak: Peak) -> float:
        """Return how badly a peak fits to some members: by R as it was, and a little by where they went."""
        ln_ohm = math.log(sum(math.exp(member.expected(self._t_s)[1]) for member in members))
        ways = [
            (_place(peak)[0] - member.expected(self._t_s)[0]) / self._tolerances.ln_tau for member in members
        ]
        return self._unlike(ln_ohm, peak) + min(float(np.mean(np.square(ways))) / CAP, ROUTE)


def _place(peak: Peak) -> tuple[float, float]:
    """Return ln τ and ln R."""
    return math.log(max(peak.tau_s, FEWEST)), math.log(max(peak.resistance_ohm, FEWEST))


def _named(processes: list[_Process]) -> list[Track]:
    tracks, used = [], Counter[str]()
    for number, process in enumerate(processes, start=1):
        names = Counter(peak.name for _, _, peak, _ in process.seen if peak.name)
        name = names.most_common(1)[0][0] if names else f"process {number}"
        used[name] += 1
        tracks.append(_finished(process, name if used[name] == 1 else f"{name} ({used[name]})"))
    return tracks


def _finished(process: _Process, name: str) -> Track:
    peaks = [peak for _, _, peak, _ in process.seen]
    return Track(
        name=name,
        index=np.array([index for index, _, _, _ in process.seen], dtype=np.intp),
        t_s=np.array([t_s for _, t_s, _, _ in process.seen]),
        tau_s=np.array([peak.tau_s for peak in peaks]),
        resistance_ohm=np.array([peak.resistance_ohm for peak in peaks]),
        std_ohm=np.array([np.nan if peak.std_ohm is None else peak.std_ohm for peak in peaks]),
        merged=np.array([merged for _, _, _, merged in process.seen], dtype=np.bool_),
    )
