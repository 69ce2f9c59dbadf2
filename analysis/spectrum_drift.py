"""Spectra of a cell that changes while they are measured: flagged, and brought to one instant.

A sweep takes minutes to hours, its last decade most of that. A cell under direct current, or after a change
of temperature, is another one at its end than at its start: the spectrum belongs to no state of the cell and
fails the Kramers–Kronig test. Of a series of sweeps each frequency has been measured several times. Between
these times Z(f, t) is interpolated, frequency by frequency, and all frequencies are read at one instant: the
four-dimensional analysis of Stoynov and Savova-Stoynov, J. Electroanal. Chem. 183 (1985) 133.

It needs the time of each point and a sweep on either side of the instant. Nothing is extrapolated, and one
spectrum alone can't be corrected. What changes within the measurement of one point stays in it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.kramers_kronig import kramers_kronig
from analysis.spectrum_grid import cubic, decades, interpolated, measured
from analysis.spectrum_input import Complexes, Floats
from protocols.errors import SpectrumError
from protocols.measurements import Spectrum

STEADY = 0.01
"""A cell that changes by less than this part during a sweep was steady."""
SIGNIFICANT = 4.0
"""Standard deviations from which a change is none of the noise."""
SAME_CURRENT = 0.05
"""Part by which the direct currents of a series may differ."""
SAME_FREQUENCY = 1e-4
LINEAR_V = 5e-3
"""A cell that direct current polarises by less is as it is at open circuit: an instrument's offset of some nA
is no direct current."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """How steady the cell was during one sweep of a series."""

    under_current: bool
    """Whether direct current polarised the cell: then the spectrum is the differential one there."""
    duration_s: float
    change: float | None
    """Part by which Z changed during the sweep, where it changed most, from the neighbours; None: unknown."""
    change_std: float

    @property
    def drifts(self) -> bool:
        """Whether the cell changed more than a steady one, and than the noise."""
        return self.change is not None and self.change > max(STEADY, SIGNIFICANT * self.change_std)


def steadiness(spectra: Sequence[Spectrum]) -> list[Steadiness]:
    """Return for each spectrum of a series, in order of time, how steady the cell was.

    The change between neighbouring spectra is compared with the time that the sweep itself took. A spectrum
    without a neighbour that shares a decade of frequencies with it says nothing about its own drift here: the
    Kramers–Kronig test may.
    """
    changes = [_change_per_s(*pair) for pair in itertools.pairwise(spectra)]
    found = []
    for place, spectrum in enumerate(spectra):
        beside = [change for change in changes[max(place - 1, 0) : place + 1] if change is not None]
        duration_s = spectrum.t_end_s - spectrum.t_start_s
        rate, std = max(beside, default=(None, 0.0))
        change = None if rate is None else rate * duration_s
        found.append(
            Steadiness(abs(polarization_V(spectrum)) > LINEAR_V, duration_s, change, std * duration_s)
        )
    return found


def polarization_V(spectrum: Spectrum) -> float:
    """Return how far direct current polarised a cell, by Z′ at the lowest frequency: in V, signed."""
    f, z, _ = _by_frequency(spectrum)
    return float(spectrum.current_A * abs(z[-1].real)) if len(f) else 0.0


def corrected(spectra: Sequence[Spectrum]) -> list[Spectrum]:
    """Return each spectrum of a series as it was at the middle of its sweep, where that can be known.

    The first and the last are returned as they are, and so is one that does not fit to its neighbours.
    """
    found = list(spectra)
    for place in range(1, len(spectra) - 1):
        middle_s = (spectra[place].t_start_s + spectra[place].t_end_s) / 2
        with contextlib.suppress(SpectrumError):
            found[place] = at_instant(spectra[place - 1 : place + 2], middle_s)
    return found


def correctable(spectra: Sequence[Spectrum]) -> tuple[float, float] | None:
    """Return the first and the last instant to which a series can be brought, in s; None: to none.

    From the end of the first sweep to the start of the last one.
    """
    if len(spectra) < 2:
        return None
    first_s, last_s = max(spectra[0].t_s), min(spectra[-1].t_s)
    return (first_s, last_s) if first_s <= last_s else None


def at_instant(spectra: Sequence[Spectrum], t_s: float) -> Spectrum:
    """Return the spectrum that a drifting cell had at one instant, from sweeps before and after it.

    ``spectra``: two or more of the same frequencies and direct current, in order of time. Linear in time
    between two, cubic (with the slopes of parabolas) among more. Points that are no measured impedance in
    one of them are left out. Raises SpectrumError outside of :func:`correctable`, or if they do not fit.
    """
    reach = correctable(spectra)
    if reach is None:
        raise SpectrumError(
            "a drift is corrected between two sweeps, one after the other: one alone can't be"
        )
    if not reach[0] <= t_s <= reach[1]:
        raise SpectrumError(
            f"a drift is interpolated, from {reach[0]:.6g} to {reach[1]:.6g} s here: not to {t_s:.6g} s"
        )
    _check_currents(spectra)
    f, z, times = _stacked(spectra)
    if (np.diff(times, axis=0) <= 0).any():
        raise SpectrumError("the sweeps of a series have to follow each other: these overlap in time")
    instant = np.array([t_s])
    now = np.array([cubic(instant, times[:, point], z[:, point])[0] for point in range(len(f))])
    nearest = min(spectra, key=lambda spectrum: abs((spectrum.t_start_s + spectrum.t_end_s) / 2 - t_s))
    middles = [(spectrum.t_start_s + spectrum.t_end_s) / 2 for spectrum in spectra]
    return nearest.model_copy(
        update={
            "t_start_s": t_s,
            "t_end_s": t_s,
            "frequency_Hz": tuple(f.tolist()),
            "z_real_ohm": tuple(now.real.tolist()),
            "z_imag_ohm": tuple(now.imag.tolist()),
            "t_s": (t_s,) * len(f),
            "voltage_V": float(np.interp(t_s, middles, [spectrum.voltage_V for spectrum in spectra])),
        }
    )


def _check_currents(spectra: Sequence[Spectrum]) -> None:
    currents = [spectrum.current_A for spectrum in spectra]
    if np.ptp(currents) > SAME_CURRENT * max(abs(current) for current in currents):
        raise SpectrumError(
            f"spectra at direct currents from {min(currents):.3g} to {max(currents):.3g} A are no series: "
            "their difference is no drift"
        )


def _stacked(spectra: Sequence[Spectrum]) -> tuple[Floats, Complexes, Floats]:
    """Return f, shape (n,), and Z and the times of the points, shape (k, n), of what all have measured."""
    rows = [_by_frequency(spectrum) for spectrum in spectra]
    f = rows[0][0]
    if any(len(row[0]) != len(f) or (np.abs(row[0] / f - 1) > SAME_FREQUENCY).any() for row in rows):
        raise SpectrumError("a drift is interpolated at each frequency: these spectra have different ones")
    z, times = np.stack([row[1] for row in rows]), np.stack([row[2] for row in rows])
    whole = (z != 0).all(axis=0)
    if not whole.any():
        raise SpectrumError("no point of these spectra was measured in all of them")
    return f[whole], z[:, whole], times[:, whole]


def _by_frequency(spectrum: Spectrum) -> tuple[Floats, Complexes, Floats]:
    """Return f, Z and times from the highest frequency on."""
    f = np.asarray(spectrum.frequency_Hz)
    order = np.argsort(-f, kind="stable")
    return f[order], spectrum.impedance()[order], np.asarray(spectrum.t_s)[order]


def _change_per_s(early: Spectrum, late: Spectrum) -> tuple[float, float] | None:
    """Return how fast Z changes between two spectra, in parts per s, in the decade where it does most."""
    (f_before, before), (f, now) = measured(early), measured(late)
    apart_s = (late.t_start_s + late.t_end_s - early.t_start_s - early.t_end_s) / 2
    if len(f_before) < 2 or apart_s <= 0:
        return None
    inside = (f >= f_before[0] * (1 - 1e-6)) & (f <= f_before[-1] * (1 + 1e-6))
    if not inside.any() or f[inside][-1] < 10 * f[inside][0]:
        return None
    ratio = now[inside] / interpolated(f[inside], f_before, before)
    noise = float(np.hypot(kramers_kronig(f_before, before).noise, kramers_kronig(f, now).noise))
    parts = [part for part in decades(f[inside]) if part.any()]
    most = max(parts, key=lambda part: float(abs(np.mean(ratio[part]) - 1)))
    change = float(abs(np.mean(ratio[most]) - 1))
    return change / apart_s, noise / float(np.sqrt(most.sum())) / apart_s
