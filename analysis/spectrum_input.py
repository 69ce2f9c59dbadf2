"""What every judgement of a spectrum asks of it before it begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import SpectrumError
from protocols.measurements import Spectrum

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def usable(frequency_Hz: Floats, impedance_ohm: Complexes) -> NDArray[np.bool_]:
    """Return which points have a frequency above zero and an impedance that is a number other than zero."""
    is_number = np.isfinite(frequency_Hz) & np.isfinite(impedance_ohm.real) & np.isfinite(impedance_ohm.imag)
    return np.asarray(is_number & (frequency_Hz > 0.0) & (impedance_ohm != 0.0))


def measured_points(spectrum: Spectrum) -> tuple[Floats, Complexes, Floats]:
    """Return f in Hz, Z in Ω and the times in s of the points that are usable, from the lowest f on."""
    f, z = np.asarray(spectrum.frequency_Hz, dtype=np.float64), spectrum.impedance()
    kept = np.flatnonzero(usable(f, z))
    order = kept[np.argsort(f[kept], kind="stable")]
    return f[order], z[order], np.asarray(spectrum.t_s, dtype=np.float64)[order]


def checked(frequency_Hz: ArrayLike, impedance_ohm: ArrayLike, fewest: int) -> tuple[Floats, Complexes]:
    """Return f in Hz and Z in Ω, both of shape (n,), from the lowest frequency to the highest.

    Any order is accepted. Raises SpectrumError if the shapes differ, a point is no number, a frequency is
    not above zero or comes twice, or there are less than ``fewest`` points.
    """
    f, z = np.asarray(frequency_Hz, dtype=np.float64), np.asarray(impedance_ohm, dtype=np.complex128)
    if f.ndim != 1 or f.shape != z.shape:
        raise SpectrumError(f"{f.shape} frequencies and {z.shape} impedances make no spectrum")
    bad = np.flatnonzero(~usable(f, z))
    if len(bad):
        point = int(bad[0])
        raise SpectrumError(
            f"point {point + 1} of {len(f)} (f = {f[point]:g} Hz, Z = {z[point]:g} Ω) is no measured "
            f"impedance{_and_others(len(bad))}: leave out such points"
        )
    if len(f) < fewest:
        raise SpectrumError(f"{len(f)} points are too few to be resolved: at least {fewest} are needed")
    order = np.argsort(f)
    f, z = f[order], z[order]
    again = np.flatnonzero(np.diff(f) <= 1e-9 * f[1:])
    if len(again):
        raise SpectrumError(
            f"{f[again[0]]:g} Hz comes twice{_and_others(len(again))}: split the sweeps, or take means"
        )
    return f, z


def _and_others(count: int) -> str:
    return f", and {count - 1} more" if count > 1 else ""
