"""What the last healthy spectra of a cell were like, for comparison with a new one.

Two spectra compare if they were measured at the same DC current (within :data:`ALIKE`), both down to about
the same frequency, and not too far apart in temperature; what the temperature changes is corrected with E_a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from pydantic import TypeAdapter

from guards.arrhenius import factor
from protocols.cell import Cell

ALIKE = 0.2
"""Part by which the larger of two currents or lowest frequencies may differ from the smaller."""
COMPARED = 4
"""The median of so many spectra is what is expected (survey of short detection, section 7)."""
REMEMBERED = 32


@dataclass(frozen=True, slots=True)
class Condition:
    """Under what a spectrum was measured."""

    current_A: float
    f_low_Hz: float
    temperature_K: float | None
    """Around the cell; None: not known."""


@dataclass(frozen=True, slots=True)
class Healthy:
    """One spectrum, or what is expected of one: see :class:`protocols.measurements.SpectrumSummary`."""

    at: Condition
    r_total_ohm: float
    r_hf_ohm: float
    r_int_ohm: float
    phase_rad: float
    """Phase at the lowest frequency, positive if capacitive."""


@dataclass(slots=True)
class _State:
    spectra: list[Healthy] = field(default_factory=list)


_STATE = TypeAdapter(_State)


class HealthySpectra:
    """The last ones, of all conditions together."""

    def __init__(self, cell: Cell, temperature_K: float) -> None:
        """``temperature_K``: how far apart in temperature two spectra may be."""
        self._cell = cell
        self._near_K = temperature_K
        self._either_direction = cell.geometry in ("symmetric", "asymmetric")
        self._s = _State()

    def add(self, spectrum: Healthy) -> None:
        """Remember a healthy spectrum."""
        self._s.spectra = [*self._s.spectra, spectrum][-REMEMBERED:]

    def begin_anew(self, spectrum: Healthy) -> None:
        """The cell has come to a new level: what compares with this spectrum is forgotten."""
        self._s.spectra = [other for other in self._s.spectra if not self._compares(other.at, spectrum.at)]
        self.add(spectrum)

    def expected(self, at: Condition) -> Healthy | None:
        """Return what a healthy cell should show under a condition; None if nothing compares."""
        alike = [other for other in self._s.spectra if self._compares(other.at, at)][-COMPARED:]
        if not alike:
            return None
        factors = [self._factor(other.at, at) for other in alike]
        return Healthy(
            at=at,
            r_total_ohm=_median([other.r_total_ohm for other in alike], factors),
            r_hf_ohm=_median([other.r_hf_ohm for other in alike], factors),
            r_int_ohm=_median([other.r_int_ohm for other in alike], factors),
            # With the resistances the time constants fall, and with them the phase at one frequency.
            phase_rad=_median([other.phase_rad for other in alike], [min(1.0, by) for by in factors]),
        )

    def temperature_factor(self, at: Condition) -> float | None:
        """Return R under a condition relative to the last spectrum that compares; None if that is unknown."""
        last = next((other.at for other in reversed(self._s.spectra) if self._same_dc(other.at, at)), None)
        if last is None or last.temperature_K is None or at.temperature_K is None:
            return None
        return self._factor(last, at)

    def state(self) -> object:
        """Return the whole state, JSON-ready."""
        return _STATE.dump_python(self._s, mode="json")

    def restore(self, state: object) -> None:
        """Take over a state that :meth:`state` returned."""
        self._s = _STATE.validate_python(state)

    def _compares(self, one: Condition, other: Condition) -> bool:
        if one.temperature_K is not None and other.temperature_K is not None:
            near = abs(one.temperature_K - other.temperature_K) <= self._near_K
        else:
            near = True
        return near and self._same_dc(one, other) and _alike(one.f_low_Hz, other.f_low_Hz)

    def _same_dc(self, one: Condition, other: Condition) -> bool:
        if self._either_direction:
            return _alike(abs(one.current_A), abs(other.current_A))
        return one.current_A * other.current_A >= 0.0 and _alike(abs(one.current_A), abs(other.current_A))

    def _factor(self, before: Condition, now: Condition) -> float:
        if before.temperature_K is None or now.temperature_K is None:
            return 1.0
        return factor(self._cell, before.temperature_K, now.temperature_K)


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= ALIKE * max(one, other)


def _median(values: Sequence[float], factors: Sequence[float]) -> float:
    return median(value * by for value, by in zip(values, factors, strict=True))
