"""A recorded test: its DC samples and its spectra, in SI, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from drivers.recordings.rows import Floats, Rows, cleaned, invalid
from protocols.measurements import Spectrum


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What a file holds. The arrays have one element for each DC sample, in non-decreasing time."""

    name: str
    source: Path
    t_s: Floats
    """The file's own clock; it need not begin at 0."""
    voltage_V: Floats
    current_A: Floats
    step: Floats | None = None
    """The vendor's step number; it may come again."""
    cycle: Floats | None = None
    """The vendor's cycle number."""
    spectra: tuple[Spectrum, ...] = ()
    """In the order of time, on the same clock; ``step`` counts them from 0."""
    samples_before: tuple[int, ...] = ()
    """How many of the DC samples come before each spectrum."""
    inferred_current: bool = False
    """The current was not measured: a person gave it."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def t_start_s(self) -> float:
        """Time of the first sample or point of a spectrum, on the file's clock."""
        first_s: list[float] = self.t_s[:1].tolist()
        return min([*first_s, *(spectrum.t_start_s for spectrum in self.spectra)])

    def with_spectra(self, spectra: Iterable[Spectrum]) -> Recording:
        """Return the recording with more spectra, put in by their times (same clock as the samples)."""
        ordered = sorted([*self.spectra, *spectra], key=lambda spectrum: spectrum.t_start_s)
        numbered = tuple(s.model_copy(update={"step": k}) for k, s in enumerate(ordered))
        before = np.searchsorted(self.t_s, [s.t_start_s for s in numbered], side="right")
        return replace(self, spectra=numbered, samples_before=tuple(int(k) for k in before))


def recording_of(
    rows: Rows, source: Path, metadata: Mapping[str, str], current_A: float | None = None
) -> Recording:
    """Make a recording of a file's rows; rows with a frequency become spectra.

    ``current_A`` is the current of every sample where the file has none. Raises InvalidFileError if the rows
    make no sense, or if there is no current, or one too many.
    """
    rows = cleaned(rows, source)
    is_dc = rows["frequency_Hz"] == 0
    samples = rows[is_dc]
    sweeps = _sweeps(rows)
    return Recording(
        name=source.name.split(".")[0],
        source=source,
        t_s=samples["t_s"],
        voltage_V=samples["voltage_V"],
        current_A=_currents(samples, source, current_A),
        step=_numbers_or_none(samples["step"]),
        cycle=_numbers_or_none(samples["cycle"]),
        spectra=tuple(_spectrum(rows[first:stop], k) for k, (first, stop) in enumerate(sweeps)),
        samples_before=tuple(int(np.count_nonzero(is_dc[:first])) for first, _ in sweeps),
        inferred_current=current_A is not None,
        metadata=metadata,
    )


def _currents(samples: Rows, source: Path, current_A: float | None) -> Floats:
    is_measured = not np.all(np.isnan(samples["current_A"]))
    if is_measured and current_A is not None:
        raise invalid(source, "the file has a measured current", "leave out --current")
    if is_measured or not len(samples):
        measured: Floats = samples["current_A"]
        return measured
    if current_A is None:
        raise invalid(
            source,
            "the file has time and voltage but no current",
            "give the current with --current; it is marked as inferred in all that follows",
        )
    return np.full(len(samples), float(current_A))


def _numbers_or_none(column: Floats) -> Floats | None:
    return None if np.all(np.isnan(column)) else np.nan_to_num(column, nan=-1.0)


def _sweeps(rows: Rows) -> list[tuple[int, int]]:
    """Return first and stop row of each sweep.

    A sweep ends where a DC row or another step comes, or where the frequency turns back.
    """
    sweeps: list[tuple[int, int]] = []
    frequency, step = rows["frequency_Hz"].tolist(), np.nan_to_num(rows["step"], nan=-1.0).tolist()
    for row in np.flatnonzero(rows["frequency_Hz"] > 0).tolist():
        first, stop = sweeps[-1] if sweeps else (row, -1)
        if stop == row and step[row] == step[first] and not _turns_back(frequency[first : row + 1]):
            sweeps[-1] = first, row + 1
        else:
            sweeps.append((row, row + 1))
    return sweeps


def _turns_back(frequency: list[float]) -> bool:
    """Whether the last point goes against the direction of the points before it."""
    return (frequency[-1] - frequency[-2]) * (frequency[-2] - frequency[0]) < 0


def _spectrum(rows: Rows, number: int) -> Spectrum:
    return Spectrum(
        channel=0,
        step=number,
        visit=0,
        t_start_s=float(rows["t_s"][0]),
        t_end_s=float(rows["t_s"][-1]),
        frequency_Hz=tuple(rows["frequency_Hz"].tolist()),
        z_real_ohm=tuple(rows["z_real_ohm"].tolist()),
        z_imag_ohm=tuple(rows["z_imag_ohm"].tolist()),
        t_s=tuple(rows["t_s"].tolist()),
        voltage_V=_mean(rows["voltage_V"]),
        current_A=_mean(rows["current_A"]),
        amplitude=_mean(rows["amplitude_A"]),
    )


def _mean(column: Floats) -> float:
    usable = column[np.isfinite(column)]
    return float(np.mean(usable)) if len(usable) else 0.0
