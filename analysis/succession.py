"""What happened to a cell from one spectrum of a series to the next, and during each of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.admittance_change import Change, compare_spectra
from analysis.spectrum_drift import LINEAR_V, Steadiness, polarization_V, steadiness
from protocols.errors import SpectrumError
from protocols.measurements import Spectrum


@dataclass(frozen=True, slots=True)
class Succession:
    """A series of k spectra, in order of time."""

    changes: tuple[Change, ...]
    """From each spectrum to the next, k − 1 of them."""
    steadiness: tuple[Steadiness, ...]
    """During each, k of them."""


def succession(spectra: Sequence[Spectrum]) -> Succession:
    """Compare each spectrum with the next; not where another direct current polarises the cell."""
    changes = [_change(before, now) for before, now in itertools.pairwise(spectra)]
    return Succession(tuple(changes), tuple(steadiness(spectra)))


def _change(before: Spectrum, now: Spectrum) -> Change:
    if abs(polarization_V(before) - polarization_V(now)) > LINEAR_V:
        return Change("undecided", "they were measured at different direct currents")
    try:
        return compare_spectra(before, now)
    except SpectrumError as error:
        return Change("undecided", str(error))
