"""The phases of a recording: what was done to the cell, found in the data, and as a program that plays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from drivers.recordings.recording import Recording
from drivers.recordings.rows import Floats
from protocols.cell import Cell
from protocols.measurements import Spectrum
from protocols.nodes import ConstantCurrent, Geis, Rest, Step
from protocols.program import Limits, Program

LEVEL_CHANGE = 0.2
"""A current that differs by more than this part from the phase's mean begins a new phase."""
NOISE_FACTOR = 6.0
"""Smaller changes than so many standard deviations of the current's noise are noise."""
REST_FRACTION = 1e-3
"""|I| below this part of the recording's largest current is a rest (or below the noise, if that is more)."""
GAP_FACTOR = 20.0
GAP_LEAST_S = 60.0
"""An interval longer than this and than ``GAP_FACTOR`` times the usual one is a gap: nobody knows what
passed meanwhile (an EC-Lab file of one technique of several that were linked)."""

OPEN_LIMIT_V = 1000.0
OPEN_LIMIT_A = 1000.0
UNKNOWN_AMPLITUDE_A = 1e-9
"""Stands in a program for an amplitude that the file does not tell."""
LEAST_DURATION_S = 1e-6
"""Duration of a phase of a single sample; what is closer in time is the same moment."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a recording, on its own clock: DC samples ``first`` … ``stop`` − 1, or a spectrum."""

    kind: Literal["rest", "constant_current", "spectrum"]
    first: int
    stop: int
    t_start_s: float
    """End of what came before, or the first sample where that is unknown."""
    t_end_s: float
    current_A: float = 0.0
    """Median of the measured current; 0 at rest. Of a spectrum: the DC current that goes on underneath."""
    charge_C: float = 0.0
    """Signed charge of the samples."""
    spectrum: Spectrum | None = None


def phases(recording: Recording) -> tuple[Phase, ...]:
    """Return the phases in the order of time; every sample and every spectrum is in exactly one.

    DC samples are split by the vendor's step number where there is one, else where the measured current
    changes (see :func:`level_changes`); besides at spectra and at gaps.
    """
    found: list[Phase] = []
    waiting = list(zip(recording.samples_before, recording.spectra, strict=True))
    floor_A, gap_s = _rest_floor_A(recording.current_A), _gap_s(recording.t_s)
    for first, stop in _runs(recording, floor_A, gap_s):
        while waiting and waiting[0][0] <= first:
            found.append(_spectrum_phase(*waiting.pop(0)))
        t_start_s = float(recording.t_s[first])
        if found and t_start_s - found[-1].t_end_s <= gap_s:
            t_start_s = min(t_start_s, found[-1].t_end_s)
        found.append(_dc_phase(recording, first, stop, t_start_s, floor_A))
    found += [_spectrum_phase(*each) for each in waiting]
    return tuple(_with_current_underneath(found, k) for k in range(len(found)))


def program_of(recording: Recording, cell: Cell) -> Program:
    """Return the recording as a program of kind ``playback``: one step a phase, numbered like the phases.

    The planned charge of a step is the charge that really passed. Limits are the cell's, or wide open: the
    circuit of a recording can't be opened.
    """
    steps = tuple(_step(phase, index) for index, phase in enumerate(phases(recording)))
    return Program(
        protocol=recording.name,
        kind="playback",
        cell=cell,
        steps=steps,
        limits=Limits(
            voltage_min_V=-OPEN_LIMIT_V if cell.voltage_min_V is None else cell.voltage_min_V,
            voltage_max_V=OPEN_LIMIT_V if cell.voltage_max_V is None else cell.voltage_max_V,
            current_max_A=OPEN_LIMIT_A,
        ),
    )


def level_changes(current_A: Floats, floor_A: float, noise_A: float) -> list[int]:
    """Return the index at which each run of one current begins, 0 first.

    A run ends where the current, freed of single outliers, leaves the run's mean by more than
    :data:`LEVEL_CHANGE` and by more than noise. Below ``floor_A`` all is one rest. A run of one sample is the
    way from one level to the next and belongs to the next.
    """
    starts = [0]
    smooth = _without_outliers(current_A).tolist()
    mean_A, count = smooth[0], 0
    for index, value_A in enumerate(smooth):
        tolerance_A = max(LEVEL_CHANGE * abs(mean_A), NOISE_FACTOR * noise_A)
        if abs(value_A - mean_A) > tolerance_A and max(abs(value_A), abs(mean_A)) > floor_A:
            starts.append(index)
            mean_A, count = value_A, 0
        count += 1
        mean_A += (value_A - mean_A) / count
    return _without_single_samples(starts, len(smooth))


def _without_outliers(values: Floats) -> Floats:
    """Return the median of each three neighbours; steps between levels stay where they are."""
    smooth = values.copy()
    if len(values) > 2:
        smooth[1:-1] = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    return smooth


def _without_single_samples(starts: Sequence[int], count: int) -> list[int]:
    """Let each run of one sample join the run after it, the last one the run before it."""
    kept = [0]
    for before, start in pairwise(starts):
        if start - before > 1:
            kept.append(start)
    if len(kept) > 1 and kept[-1] == count - 1:
        kept.pop()
    return kept


def _noise_A(current_A: Floats) -> float:
    """Return the standard deviation of the current's noise, from the median of the differences."""
    if len(current_A) < 2:
        return 0.0
    return float(1.4826 / math.sqrt(2) * np.median(np.abs(np.diff(current_A))))


def _rest_floor_A(current_A: Floats) -> float:
    if not len(current_A):
        return 0.0
    largest_A = float(np.max(np.abs(_without_outliers(current_A))))
    return max(REST_FRACTION * largest_A, NOISE_FACTOR * _noise_A(current_A))


def _gap_s(t_s: Floats) -> float:
    usual_s = float(np.median(np.diff(t_s))) if len(t_s) > 1 else 0.0
    return max(GAP_LEAST_S, GAP_FACTOR * usual_s)


def _runs(recording: Recording, floor_A: float, gap_s: float) -> list[tuple[int, int]]:
    """Return first and stop sample of each run of DC samples that is one phase."""
    count = len(recording.t_s)
    gaps = np.flatnonzero(np.diff(recording.t_s) > gap_s) + 1
    hard = sorted({0, count, *recording.samples_before, *gaps.tolist()})
    noise_A = _noise_A(recording.current_A)
    starts: list[int] = []
    for first, stop in pairwise(hard):
        if recording.step is None:
            changes = level_changes(recording.current_A[first:stop], floor_A, noise_A)
        else:
            changes = [0, *(np.flatnonzero(np.diff(recording.step[first:stop])) + 1).tolist()]
        starts += [first + change for change in changes]
    return list(pairwise([*starts, count]))


def _dc_phase(recording: Recording, first: int, stop: int, t_start_s: float, floor_A: float) -> Phase:
    t_s, current_A = recording.t_s[first:stop], recording.current_A[first:stop]
    median_A = float(np.median(current_A))
    is_rest = abs(median_A) <= floor_A
    charge_C = float(current_A[0] * (t_s[0] - t_start_s) + np.trapezoid(current_A, t_s))
    return Phase(
        kind="rest" if is_rest else "constant_current",
        first=first,
        stop=stop,
        t_start_s=t_start_s,
        t_end_s=float(t_s[-1]),
        current_A=0.0 if is_rest else median_A,
        charge_C=charge_C,
    )


def _spectrum_phase(samples_before: int, spectrum: Spectrum) -> Phase:
    return Phase(
        kind="spectrum",
        first=samples_before,
        stop=samples_before,
        t_start_s=spectrum.t_start_s,
        t_end_s=spectrum.t_end_s,
        spectrum=spectrum,
    )


def _with_current_underneath(found: Sequence[Phase], index: int) -> Phase:
    """Return the phase; a spectrum gets the current of the neighbour whose current went on during it.

    A mean current during a sweep at rest (of a potentiostatic one above all) is a response and not a
    current that was set.
    """
    phase = found[index]
    if phase.spectrum is None:
        return phase
    mean_A = phase.spectrum.current_A
    for neighbour in (*found[max(index - 1, 0) : index], *found[index + 1 : index + 2]):
        level_A = neighbour.current_A
        if level_A != 0 and abs(mean_A - level_A) <= LEVEL_CHANGE * abs(level_A):
            return replace(phase, current_A=level_A)
    return phase


def _step(phase: Phase, index: int) -> Step:
    label = f"{phase.kind.replace('_', ' ')} from {phase.t_start_s:g} s"
    if phase.spectrum is not None:
        return _geis(phase.spectrum, phase.current_A, index, label)
    duration_s = max(phase.t_end_s - phase.t_start_s, LEAST_DURATION_S)
    if phase.kind == "rest":
        return Rest(index=index, label=label, duration_s=duration_s)
    return ConstantCurrent(
        index=index,
        label=label,
        current_A=phase.current_A,
        duration_s=duration_s,
        charge_C=abs(phase.charge_C),
    )


def _geis(spectrum: Spectrum, current_A: float, index: int, label: str) -> Geis:
    first_Hz, last_Hz = spectrum.frequency_Hz[0], spectrum.frequency_Hz[-1]
    decades = abs(math.log10(last_Hz / first_Hz))
    intervals = len(spectrum.frequency_Hz) - 1
    return Geis(
        index=index,
        label=label,
        current_A=current_A,
        amplitude_A=spectrum.amplitude if spectrum.amplitude > 0 else UNKNOWN_AMPLITUDE_A,
        frequency_start_Hz=first_Hz,
        frequency_end_Hz=last_Hz,
        points_per_decade=max(1, round(intervals / decades)) if decades > 0 else 1,
    )
