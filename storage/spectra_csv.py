"""Spectra as a table in the Battery Data Format's names."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from protocols.measurements import Spectrum
from storage.files import whole_file

EIS_COLUMNS = (
    "index",
    "frequency_hertz",
    "real_impedance_ohm",
    "imaginary_impedance_ohm",
    "test_time_second",
    "voltage_volt",
    "current_ampere",
)


def write_spectra_csv(path: Path, spectra: Iterable[Spectrum]) -> None:
    """Write spectra one after the other, a row a point, with the DC voltage and current of each sweep."""
    with whole_file(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(EIS_COLUMNS)
        for index, whole in enumerate(spectra):
            points = zip(whole.frequency_Hz, whole.z_real_ohm, whole.z_imag_ohm, whole.t_s, strict=True)
            writer.writerows((index, *point, whole.voltage_V, whole.current_A) for point in points)
