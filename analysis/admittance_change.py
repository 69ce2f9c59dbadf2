"""What has happened to a cell between two spectra: a resistor in parallel, its interfaces, its contacts.

A short circuit, hard or soft, is a conductance G beside the ions' path. Whatever the cell is, the difference
of admittances ΔY(f) = 1/Z_now − 1/Z_before is then G at every frequency: real and flat. Nothing else that
happens to a cell is: an interface that activates or alloys leaves the highest frequencies (the *head* of the
spectrum, where only the bulk is left) as they were; a temperature changes ΔY in proportion to Y, which is
largest in the head; lost contact raises the head.

The head decides. Below it an arc whose resistance falls while its capacitance stays has a ΔY that is real
and flat too, for many decades. So a short is one only if the head shows the same G as the rest, and the rest
has fallen by more than warmth would explain; or if the cell has far less resistance than its bulk had. Where
G in the head is too small for the noise (a head of a few percent of the cell, a weak short), or where a cell
has next to nothing but bulk, the answer is *undecided*, not a guess. No phase is asked for: a healthy cell
may end in a phase of 3°.

Two things at once are told apart as far as they go: a short beside an interface that has fallen is a short or
undecided; a weak short beside one that has grown looks like a warmer cell (``whole_cell``), so that whoever
asks should know the temperature.

Noise comes from the Kramers–Kronig test of either spectrum; what is common to neighbouring points does not
average out (:data:`REPRODUCED`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.kramers_kronig import high_frequency_resistance, kramers_kronig
from analysis.spectrum_grid import decades, interpolated, measured
from analysis.spectrum_input import Complexes, Floats
from protocols.measurements import ChangeKind, Spectrum, SpectrumChange

REPRODUCED = 0.005
"""Part of |Z| by which two spectra of an unchanged cell differ as a whole (0.1–0.2 K, contacts, ranges)."""
SIGNIFICANT = 4.0
"""Standard deviations from which something is there."""
CHANGED = 0.03
"""Part of a resistance below which it has not changed, however little noise there is."""
HEAD = 0.1
"""The head is where Z before is R_hf within this part of it; the nearest points if these are too few, within
:data:`WIDEST_HEAD`."""
WIDEST_HEAD = 0.25
FEWEST_IN_HEAD = 3
FLAT = 0.2
"""Part of G by which ΔY may be off in a decade that is flat."""
INFORMATIVE = 1 / 6
"""A decade or a head in which G is less certain than this part of it says nothing."""
FLAT_DECADES = 3.0
BELOW_BULK = 0.6
"""Below this part of the resistance that the bulk had, no cell is healthy (shorts §2)."""
DEEP = 0.3
"""Below this part of what it had a cell is shorted, whatever its bulk: 15 K at 0.6 eV leave 0.33."""
STEEPEST = 1.5
"""Highest ratio of the activation energy of what follows to that of the bulk."""
MOVED = 9.0
"""Time constants have moved if that leaves less squared misfit, by so many variances of the noise."""
FACTORS = np.geomspace(1.0, 4.0, 57)
"""By which resistances may have grown that are tried for it: in steps of 2.5 %."""
FEWEST_POINTS = 8


@dataclass(frozen=True, slots=True)
class Change:
    """What the comparison of two spectra says, and its evidence."""

    kind: ChangeKind
    reason: str
    """In words, for people."""
    parallel_ohm: float | None = None
    """Resistor that came in parallel; of ``undecided`` the one that is possible, if any."""
    std_ohm: float | None = None
    conductance_S: float = 0.0
    """Mean of Re ΔY, by its certainty: mostly of low frequencies."""
    conductance_std_S: float = 0.0
    head_conductance_S: float = 0.0
    """Re ΔY in the head."""
    head_conductance_std_S: float = 0.0
    flat_decades: float = 0.0
    """Decades in a row in which ΔY is real and ``conductance_S``."""
    head_ratio: float = 1.0
    """Z now relative to before in the head."""
    head_ratio_std: float = 0.0
    low_ratio: float = 1.0
    """|Z| now relative to before in the lowest decade that both have."""
    noise: float = 0.0
    """σ of both spectra together relative to |Z|."""
    misfit: float = 0.0
    """Part of Z now, beyond the noise, that the best resistor in parallel leaves unexplained."""

    def summary(self) -> SpectrumChange:
        """Return what guards are told of it."""
        return SpectrumChange(
            kind=self.kind,
            reason=self.reason,
            parallel_ohm=self.parallel_ohm,
            parallel_std_ohm=self.std_ohm,
            head_ratio=self.head_ratio,
            low_ratio=self.low_ratio,
            misfit=self.misfit,
        )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both spectra at the same frequencies, ascending; and σ of ΔY."""

    f: Floats
    before: Complexes
    now: Complexes
    noise_before: float
    noise_now: float
    r_hf_ohm: float
    """Of the spectrum before."""

    @property
    def delta_S(self) -> Complexes:
        return 1 / self.now - 1 / self.before

    @property
    def sigma_S(self) -> Floats:
        """Noise of one part of ΔY at each point."""
        return np.hypot(self.noise_now / np.abs(self.now), self.noise_before / np.abs(self.before))

    @property
    def common_S(self) -> Floats:
        """What two spectra of an unchanged cell differ by in Y, at each point."""
        return REPRODUCED * np.maximum(1 / np.abs(self.now), 1 / np.abs(self.before))

    @property
    def head(self) -> NDArray[np.bool_]:
        """Where only the bulk is left of the cell before."""
        distance = np.abs(self.before - self.r_hf_ohm) / self.r_hf_ohm
        reach = max(HEAD, min(float(np.sort(distance)[FEWEST_IN_HEAD - 1]), WIDEST_HEAD))
        return np.asarray(distance <= reach)

    @property
    def ratio(self) -> Complexes:
        return self.now / self.before

    @property
    def head_ratio(self) -> float:
        return _ratio(self, self.head)[0]


@dataclass(frozen=True, slots=True)
class _Band:
    """ΔY in a range of frequencies."""

    decades: float
    real_S: float
    imaginary_S: float
    std_S: float

    def holds(self, conductance_S: float) -> bool:
        """Whether this conductance is all there is to ΔY here."""
        tolerance = max(SIGNIFICANT * self.std_S, FLAT * abs(conductance_S))
        return abs(self.real_S - conductance_S) <= tolerance and abs(self.imaginary_S) <= tolerance

    def tells(self, conductance_S: float) -> bool:
        """Whether this conductance would be seen here."""
        return self.std_S <= INFORMATIVE * abs(conductance_S)


def compare_spectra(before: Spectrum, now: Spectrum) -> Change:
    """Say what has happened between two spectra of one cell, at the same DC current and any frequencies.

    They are compared over the range that both have: the earlier one is interpolated in ln f. Points that are
    no measured impedance are left out, and those in which the leads' inductance shows.
    """
    pair = _pair(before, now)
    if pair is None or np.log10(pair.f[-1] / pair.f[0]) < FLAT_DECADES:
        return Change("undecided", f"the spectra have less than {FLAT_DECADES:g} decades of a cell in common")
    bands = [band for band in (_band(pair, inside) for inside in decades(pair.f)) if band is not None]
    head = _band(pair, pair.head) if pair.head.sum() >= FEWEST_IN_HEAD else None
    evidence = _evidence(pair, bands, head)
    if not _has_changed(pair):
        return replace(evidence, kind="none", reason="no part of the spectrum has changed beyond the noise")
    conductance_S = evidence.conductance_S
    is_there = conductance_S > SIGNIFICANT * evidence.conductance_std_S
    if is_there and all(band.holds(conductance_S) for band in bands if band.tells(conductance_S)):
        return _flat(pair, head, evidence)
    return _not_flat(pair, evidence)


def _evidence(pair: _Pair, bands: list[_Band], head: _Band | None) -> Change:
    """Return what is seen, not judged yet."""
    weights = np.array([band.std_S**-2 for band in bands])
    conductance_S = float(weights @ [band.real_S for band in bands] / weights.sum())
    ratio, ratio_std = _ratio(pair, pair.head)
    return Change(
        kind="undecided",
        reason="",
        conductance_S=conductance_S,
        conductance_std_S=float(weights.sum() ** -0.5),
        head_conductance_S=0.0 if head is None else head.real_S,
        head_conductance_std_S=np.inf if head is None else head.std_S,
        flat_decades=_flat_decades(bands, conductance_S),
        head_ratio=ratio,
        head_ratio_std=ratio_std,
        low_ratio=_ratio(pair, decades(pair.f)[0])[0],
        noise=float(np.hypot(pair.noise_before, pair.noise_now)),
        misfit=_misfit(pair),
    )


def _flat(pair: _Pair, head: _Band | None, evidence: Change) -> Change:
    """Judge a ΔY that is real and flat over decades: a resistor in parallel, if the head says so too."""
    conductance_S = evidence.conductance_S
    found = replace(
        evidence,
        parallel_ohm=1 / conductance_S,
        std_ohm=evidence.conductance_std_S / conductance_S**2,
    )
    flat = f"ΔY is real and flat over {evidence.flat_decades:.1f} decades"
    is_long = evidence.flat_decades >= FLAT_DECADES
    lowest_ohm = float(pair.now[decades(pair.f)[0]].real.mean())
    if is_long and lowest_ohm < BELOW_BULK * pair.r_hf_ohm and evidence.low_ratio < DEEP:
        return replace(
            found,
            kind="parallel_resistor",
            reason=f"{flat}, and {lowest_ohm:.4g} Ω are less than the {pair.r_hf_ohm:.4g} Ω of the bulk",
        )
    if head is not None and not head.holds(conductance_S):
        return _not_flat(pair, evidence)
    if not is_long:
        return replace(found, reason=f"{flat}, which are too few")
    if head is None or not head.tells(conductance_S) or head.real_S <= SIGNIFICANT * head.std_S:
        return replace(found, reason=f"{flat}, but the noise hides it where only the bulk is left")
    if not _is_steeper_than_heat(pair, evidence):
        return replace(
            found, reason=f"{flat}, but a cell of nearly only bulk shows the same when it warms up"
        )
    return replace(found, kind="parallel_resistor", reason=f"{flat}, at the highest frequencies too")


def _not_flat(pair: _Pair, evidence: Change) -> Change:
    """Say what has changed where ΔY is no conductance: the head tells."""
    ratio, head_S = evidence.head_ratio, evidence.head_conductance_S
    if abs(ratio - 1.0) <= max(SIGNIFICANT * evidence.head_ratio_std, CHANGED):
        return replace(
            evidence, kind="interface", reason="the bulk is as it was, what comes at lower frequencies is not"
        )
    if ratio > 1.0 and not _times_moved(pair):
        return replace(
            evidence,
            kind="contact",
            reason=f"the resistance at high frequencies is {ratio:.3g} times as high",
        )
    # In proportion to Y, ΔY is largest in the head. If not, more than one thing has happened.
    certain_S = SIGNIFICANT * evidence.head_conductance_std_S
    if ratio < 1.0 and certain_S < head_S < evidence.conductance_S + certain_S:
        return replace(
            evidence,
            parallel_ohm=1 / head_S,
            std_ohm=evidence.head_conductance_std_S / head_S**2,
            reason="a resistor in parallel beside an interface that has changed, or a change of all parts",
        )
    return replace(
        evidence, kind="whole_cell", reason="the bulk has changed too: temperature, or pressure on the cell"
    )


def _pair(before: Spectrum, now: Spectrum) -> _Pair | None:
    """Bring two spectra together; None where they have too little in common."""
    early, late = measured(before), measured(now)
    if min(len(early[0]), len(late[0])) < FEWEST_POINTS:
        return None
    noise_before, noise_now = (kramers_kronig(*spectrum).noise for spectrum in (early, late))
    f, z = late
    inside = (f >= early[0][0] * (1 - 1e-6)) & (f <= early[0][-1] * (1 + 1e-6))
    f, z = f[inside], z[inside]
    earlier = interpolated(f, *early)
    leads = SIGNIFICANT * max(noise_before, noise_now, REPRODUCED)
    cell = (z.imag <= leads * np.abs(z)) & (earlier.imag <= leads * np.abs(earlier))
    r_hf_ohm = high_frequency_resistance(*early)
    if cell.sum() < FEWEST_POINTS or r_hf_ohm <= 0.0:
        return None
    return _Pair(f[cell], earlier[cell], z[cell], noise_before, noise_now, r_hf_ohm)


def _band(pair: _Pair, inside: NDArray[np.bool_]) -> _Band | None:
    """Return the weighted mean of ΔY over points; None without any."""
    if not inside.any():
        return None
    weights = (pair.sigma_S[inside] ** 2 + pair.common_S[inside] ** 2) ** -1.0
    share = weights / weights.sum()
    random_S = float(np.sqrt(np.sum((share * pair.sigma_S[inside]) ** 2)))
    mean_S = complex(np.sum(share * pair.delta_S[inside]))
    width = float(np.log10(pair.f[inside][-1] / pair.f[inside][0]))
    common_S = float(np.sum(share * pair.common_S[inside]))
    return _Band(width, mean_S.real, mean_S.imag, float(np.hypot(random_S, common_S)))


def _ratio(pair: _Pair, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return |Z now / Z before| over points and its standard deviation; 1 and infinity without any."""
    if not inside.any():
        return 1.0, np.inf
    ratio = float(abs(np.mean(pair.ratio[inside])))
    random = np.hypot(pair.noise_before, pair.noise_now) / np.sqrt(inside.sum())
    return ratio, ratio * float(np.hypot(random, REPRODUCED))


def _misfit(pair: _Pair) -> float:
    """Return the root mean square of what no resistor in parallel explains, without the noise's part."""
    changed = pair.ratio - 1.0
    conductance_S = -float(np.sum(np.conj(pair.now) * changed).real / np.sum(np.abs(pair.now) ** 2))
    left = np.abs(changed + conductance_S * pair.now) ** 2
    noise = 2.0 * (pair.noise_before**2 + pair.noise_now**2)
    return float(np.sqrt(max(np.mean(left) - noise, 0.0)))


def _flat_decades(bands: list[_Band], conductance_S: float) -> float:
    """Return the length of the longest range whose decades all say this conductance, and can tell."""
    longest = reached = 0.0
    for band in bands:
        is_flat = band.tells(conductance_S) and band.holds(conductance_S)
        reached = reached + band.decades if is_flat else 0.0
        longest = max(longest, reached)
    return longest


def _has_changed(pair: _Pair) -> bool:
    random = np.hypot(pair.noise_before, pair.noise_now)
    for inside in decades(pair.f):
        noise = float(np.hypot(random / np.sqrt(max(inside.sum(), 1)), REPRODUCED))
        if inside.any() and abs(np.mean(pair.ratio[inside]) - 1) > max(SIGNIFICANT * noise, CHANGED):
            return True
    return False


def _is_steeper_than_heat(pair: _Pair, evidence: Change) -> bool:
    """Whether what follows the bulk has fallen by more than a temperature that changed the bulk would do.

    If the bulk is left with the part a, a resistor in parallel leaves less than a² to the rest: a times the
    part that is left of the whole. Arrhenius leaves a^r, with the ratio r of the activation energies.
    """
    low = decades(pair.f)[0]
    whole = float(np.mean(np.abs(pair.before[low]))) / pair.r_hf_ohm
    if whole <= 1.0:
        return False
    left, left_std = _ratio(pair, low)
    rest = (left * whole - evidence.head_ratio) / (whole - 1)
    rest_std = float(np.hypot(left_std * whole, evidence.head_ratio_std)) / (whole - 1)
    return bool(rest + SIGNIFICANT / 2 * rest_std < evidence.head_ratio**STEEPEST)


def _times_moved(pair: _Pair) -> bool:
    """Whether time constants have grown with the resistances, as they do with temperature.

    Capacitances stay: what is not the bulk is then a multiple of what it was, at a frequency higher by the
    same factor. Where contact is lost the area shrinks, resistance and capacitance with it: the times stay.
    """
    bulk_ohm = pair.r_hf_ohm * pair.head_ratio
    moved, stayed = np.inf, np.inf
    for factor in FACTORS:
        reach = pair.f * factor <= pair.f[-1]
        here, now = pair.f[reach], pair.now[reach]
        later = bulk_ohm + factor * (interpolated(here * factor, pair.f, pair.before) - pair.r_hf_ohm)
        same = bulk_ohm + factor * (pair.before[reach] - pair.r_hf_ohm)
        moved = min(moved, float(np.mean(np.abs(later / now - 1) ** 2)))
        stayed = min(stayed, float(np.mean(np.abs(same / now - 1) ** 2)))
    noise = float(np.hypot(np.hypot(pair.noise_before, pair.noise_now), REPRODUCED))
    return len(pair.f) * (stayed - moved) > MOVED * noise**2
