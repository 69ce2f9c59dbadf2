"""The last healthy spectra of a run, whole: what a new one is compared with before guards are told of it."""

from __future__ import annotations

from typing import Literal

from pydantic import TypeAdapter

from analysis.admittance_change import compare_spectra
from protocols.measurements import Spectrum, SpectrumChange

DirectCurrent = Literal["none", "flows"]
"""Current changes an interface, and with it a spectrum: one at open circuit is no reference for one under
current, nor the other way round."""

_SPECTRA = TypeAdapter(dict[DirectCurrent, Spectrum])


class ReferenceSpectra:
    """One at open circuit and one under current, each the last that was healthy."""

    def __init__(self) -> None:
        self._spectra: dict[DirectCurrent, Spectrum] = {}

    def compare(self, spectrum: Spectrum, driven: bool) -> SpectrumChange | None:
        """Return what has happened to the cell since the last healthy spectrum; None if there is none."""
        reference = self._spectra.get(_class_of(driven))
        return None if reference is None else compare_spectra(reference, spectrum).summary()

    def accept(self, spectrum: Spectrum, driven: bool) -> None:
        """Take a healthy spectrum as the reference from now on."""
        self._spectra[_class_of(driven)] = spectrum

    def state(self) -> dict[str, object]:
        """Return the whole state, JSON-ready."""
        dumped: dict[str, object] = _SPECTRA.dump_python(self._spectra, mode="json")
        return dumped

    def restore(self, state: object) -> None:
        """Take over a state that :meth:`state` returned."""
        self._spectra = _SPECTRA.validate_python(state)


def _class_of(driven: bool) -> DirectCurrent:
    return "flows" if driven else "none"
