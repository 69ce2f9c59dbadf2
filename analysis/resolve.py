"""One spectrum resolved: tested, distributed over relaxation times, its processes named, a circuit fitted.

Pure, so that the command line and the worker process run the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.drt.distribution import Complexes, Distribution, Floats, Method
from analysis.drt.peaks import Peak, Ranges, find_peaks
from analysis.kramers_kronig import kramers_kronig, summarize
from analysis.spectrum_input import measured_points
from protocols.errors import SpectrumError
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.units import format_amount

if TYPE_CHECKING:
    from analysis.circuit.fitting import CircuitFit
    from analysis.circuit.tree import Circuit

MOSTLY = 0.7
"""A spectrum with this share of its points at Z″ > 0 may be one whose sign is turned."""

TIMES_NOISE, LEAST_LEFT = 5.0, 0.01
"""A distribution that leaves more of |Z| than so many times the noise, and than this part, is spoken of."""
TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
SURE = 2.0
"""An arc outside the window is spoken of if its resistance is so many standard deviations above zero."""


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """What is known of one spectrum."""

    frequency_Hz: Floats
    """Of the points that were used, ascending, shape (n,)."""
    impedance_ohm: Complexes
    """Shape (n,)."""
    summary: SpectrumSummary
    distribution: Distribution
    peaks: tuple[Peak, ...]
    """By τ, the fastest first."""
    fit: CircuitFit | None
    """None where no circuit was asked for, or none could be fitted: then a warning says why."""
    warnings: tuple[str, ...]
    """For a person, a sentence each."""

    @property
    def described_ohm(self) -> Complexes:
        """What the distribution and the elements beside it make of the spectrum, in Ω, shape (n,)."""
        left: Complexes = self.distribution.residuals * np.abs(self.impedance_ohm)
        return self.impedance_ohm - left


def resolve(
    spectrum: Spectrum,
    processes: Ranges | None = None,
    circuit: Circuit | None = None,
    *,
    method: Method = "hierarchical",
    only_valid: bool = False,
    start: Floats | None = None,
) -> Resolved:
    """Resolve one spectrum. ``processes``: see :func:`analysis.drt.peaks.find_peaks`.

    ``only_valid``: use only the part that passes the Kramers–Kronig test. ``start``: values of the circuit to
    begin its fit with, such as those of the spectrum before. Raises SpectrumError if the spectrum can't be
    resolved.
    """
    summary = summarize(spectrum)
    f, z = _points(spectrum, summary, only_valid)
    distribution = _distribution(f, z, method)
    peaks = tuple(find_peaks(distribution, processes))
    warnings = [*_of_points(spectrum, f, only_valid), *_of_validity(summary, only_valid), *_of_sign(f, z)]
    warnings += [*_of_description(distribution, f, summary.noise), *_of_peaks(peaks, f)]
    fit = None
    if circuit is not None:
        try:
            fit = _fitted(circuit, f, z, peaks, start)
            warnings += fit.warnings
        except SpectrumError as error:
            warnings.append(f"the circuit was not fitted: {error}")
    return Resolved(f, z, summary, distribution, peaks, fit, tuple(warnings))


def _points(spectrum: Spectrum, summary: SpectrumSummary, only_valid: bool) -> tuple[Floats, Complexes]:
    """Return the points to be used, the lowest frequency first. Raises SpectrumError if there are none."""
    f, z, _ = measured_points(spectrum)
    if not only_valid:
        return f, z
    if summary.valid_from_Hz is None or summary.valid_to_Hz is None:
        raise SpectrumError("no part of the spectrum passes the Kramers–Kronig test")
    kept = (f >= summary.valid_from_Hz) & (f <= summary.valid_to_Hz)
    return f[kept], z[kept]


def _distribution(f: Floats, z: Complexes, method: Method) -> Distribution:
    if method == "ridge":
        from analysis.drt.ridge import ridge

        return ridge(f, z)
    from analysis.drt.hierarchical import hierarchical

    return hierarchical(f, z)


def _fitted(
    circuit: Circuit, f: Floats, z: Complexes, peaks: tuple[Peak, ...], start: Floats | None
) -> CircuitFit:
    from analysis.circuit.fitting import fit_circuit

    arcs = [(peak.tau_s, peak.resistance_ohm) for peak in peaks if peak.inside]
    return fit_circuit(circuit, f, z, start=start, arcs=arcs)


def _of_points(spectrum: Spectrum, f: Floats, only_valid: bool) -> Iterator[str]:
    left_out = len(spectrum.frequency_Hz) - len(f)
    if left_out and only_valid:
        yield f"only the {len(f)} points from {_hertz(f[0])} to {_hertz(f[-1])} are used"
    elif left_out:
        yield f"{left_out} of {len(spectrum.frequency_Hz)} points are no measured impedance and left out"


def _of_validity(summary: SpectrumSummary, only_valid: bool) -> Iterator[str]:
    if summary.kk_passed or only_valid:
        return
    if summary.valid_from_Hz is None or summary.valid_to_Hz is None:
        yield "no part of it passes the Kramers–Kronig test: the cell changed while it was measured, or more"
        return
    drift = f"; Z drifts by {100 * summary.drift:+.0f} % over the sweep" if _is_drift(summary) else ""
    yield (
        f"it passes the Kramers–Kronig test only from {_hertz(summary.valid_from_Hz)} to"
        f" {_hertz(summary.valid_to_Hz)}{drift}: what is found elsewhere can't be trusted"
    )


def _is_sure(peak: Peak) -> bool:
    return peak.std_ohm is None or peak.resistance_ohm > SURE * peak.std_ohm


def _hertz(frequency_Hz: float) -> str:
    return format_amount(float(f"{frequency_Hz:.3g}"), "frequency")


def _seconds(tau_s: float) -> str:
    size, unit = next((entry for entry in TIME_UNITS if tau_s >= entry[0]), TIME_UNITS[-1])
    return f"{tau_s / size:.3g} {unit}"


def _is_drift(summary: SpectrumSummary) -> bool:
    return abs(summary.drift) > max(3 * summary.drift_std, 0.01)


def _of_sign(f: Floats, z: Complexes) -> Iterator[str]:
    """Recognise a file that holds −Z″ under the name of Z″: turned round, no passive cell gives such data."""
    share = float(np.mean(z.imag > 0))
    if share < MOSTLY:
        return
    if kramers_kronig(f, z.conj()).rms < 0.5 * kramers_kronig(f, z).rms:
        yield (
            f"Z″ is positive at {100 * share:.0f} % of the points, and they fit together only with its sign"
            " turned: the file probably holds −Z″. Write its heading as -Im(Z)/Ohm"
        )


def _of_description(found: Distribution, f: Floats, noise: float) -> Iterator[str]:
    """Say where a distribution does not describe its spectrum, and at which frequency most; ``f`` as used."""
    left = float(np.sqrt(np.mean(np.abs(found.residuals) ** 2) / 2))
    if left > max(TIMES_NOISE * noise, LEAST_LEFT):
        worst = float(f[np.argmax(np.abs(found.residuals))])
        yield (
            f"the distribution leaves {100 * left:.2g} % of |Z| beside {100 * noise:.2g} % of noise, most at"
            f" {_hertz(worst)}: no sum of arcs makes that (cables, a bad point, a loop)"
        )


def _of_peaks(peaks: tuple[Peak, ...], f: Floats) -> Iterator[str]:
    outside = [peak for peak in peaks if not peak.inside and _is_sure(peak)]
    fast = [peak for peak in outside if peak.tau_s < 1.0 / (2 * np.pi * f[-1])]
    slow = [peak for peak in outside if peak not in fast]
    for found, edge in ((fast, f"above {_hertz(f[-1])}"), (slow, f"below {_hertz(f[0])}")):
        if found:
            names = ", ".join(peak.name or f"τ = {_seconds(peak.tau_s)}" for peak in found)
            yield f"an arc lies outside the measured range, {edge} ({names}): its R and τ are extrapolated"
