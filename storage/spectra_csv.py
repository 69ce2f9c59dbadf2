"""Spectra as a table in the Battery Data Format's names."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from protocols.measurements import Spectrum
from storage.files import whole_file

EIS_COLUMNS = ("index", "frequency_hertz", "real_impedance_ohm", "imaginary_impedance_ohm")


def write_spectra_csv(path: Path, spectra: Iterable[Spectrum]) -> None:
    """Write spectra one after the other."""
    with whole_file(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(EIS_COLUMNS)
        for index, spectrum in enumerate(spectra):
            points = zip(spectrum.frequency_Hz, spectrum.z_real_ohm, spectrum.z_imag_ohm, strict=True)
            writer.writerows((index, *point) for point in points)
