"""The last healthy spectra of a run, whole: what a new one is compared with before guards are told of it."""

from __future__ import annotations

from typing import Literal

from pydantic import TypeAdapter

from analysis.admittance_change import compare_spectra
from protocols.frozen import Frozen
from protocols.measurements import Spectrum, SpectrumChange

DirectCurrent = Literal["none", "flows"]
"""Current changes an interface, and with it a spectrum: one at open circuit is no reference for one under
current, nor the other way round."""

NEAR_K = 5.0
"""Spectra further apart in temperature are not compared: of a cell that has little but bulk, warmth and a
resistor in parallel look alike."""


class Reference(Frozen):
    """A healthy spectrum and the temperature around the cell when it was measured, if that is known."""

    spectrum: Spectrum
    temperature_K: float | None


_REFERENCES = TypeAdapter(dict[DirectCurrent, Reference])


class ReferenceSpectra:
    """One at open circuit and one under current, each the last that was healthy."""

    def __init__(self) -> None:
        self._references: dict[DirectCurrent, Reference] = {}

    def known(self, driven: bool) -> bool:
        """Whether there is a healthy spectrum, under current or at open circuit."""
        return _class_of(driven) in self._references

    def compare(
        self, spectrum: Spectrum, driven: bool, temperature_K: float | None = None
    ) -> SpectrumChange | None:
        """Return what has happened to the cell since the last healthy spectrum; None if nothing compares.

        ``temperature_K``: around the cell; None: not known.
        """
        reference = self._references.get(_class_of(driven))
        if reference is None or _apart(reference.temperature_K, temperature_K):
            return None
        return compare_spectra(reference.spectrum, spectrum).summary()

    def accept(self, spectrum: Spectrum, driven: bool, temperature_K: float | None = None) -> None:
        """Take a healthy spectrum as the reference from now on."""
        self._references[_class_of(driven)] = Reference(spectrum=spectrum, temperature_K=temperature_K)

    def state(self) -> dict[str, object]:
        """Return the whole state, JSON-ready."""
        dumped: dict[str, object] = _REFERENCES.dump_python(self._references, mode="json")
        return dumped

    def restore(self, state: object) -> None:
        """Take over a state that :meth:`state` returned."""
        self._references = _REFERENCES.validate_python(state)


def _class_of(driven: bool) -> DirectCurrent:
    return "flows" if driven else "none"


def _apart(one_K: float | None, other_K: float | None) -> bool:
    return one_K is not None and other_K is not None and abs(one_K - other_K) > NEAR_K
