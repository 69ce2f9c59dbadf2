"""Spectra whose processes are known: for tests of what is found in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.measurements import Spectrum

Arcs = Sequence[tuple[float, float]]
"""Resistance in Ω and τ in s of each arc; its exponent is :data:`ALPHA`."""

ALPHA = 0.9
FREQUENCY = np.geomspace(1e6, 0.01, 81)
TWO_ARCS: Arcs = ((120.0, 1e-5), (300.0, 1e-2))
R_HF = 40.0


def impedance(arcs: Arcs = TWO_ARCS, noise: float = 1e-3, seed: int = 0) -> NDArray[np.complex128]:
    """Return R_HF and the arcs in series at :data:`FREQUENCY`, with noise relative to |Z| on each part."""
    jw = 2j * np.pi * FREQUENCY
    z = R_HF + sum(ohm / (1 + (jw * tau) ** ALPHA) for ohm, tau in arcs)
    random = np.random.default_rng(seed)
    parts = random.normal(size=(2, len(FREQUENCY)))
    return np.asarray(z + np.abs(z) * noise * (parts[0] + 1j * parts[1]))


def spectrum_of(z: NDArray[np.complex128], t_s: float = 0.0, step: int = 0) -> Spectrum:
    """Return a spectrum at :data:`FREQUENCY` that took 300 s."""
    times = t_s + np.linspace(0.0, 300.0, len(z))
    return Spectrum(
        channel=0,
        step=step,
        visit=0,
        t_start_s=t_s,
        t_end_s=t_s + 300.0,
        frequency_Hz=tuple(FREQUENCY.tolist()),
        z_real_ohm=tuple(z.real.tolist()),
        z_imag_ohm=tuple(z.imag.tolist()),
        t_s=tuple(times.tolist()),
    )


def write_spectra(path: Path, *spectra: NDArray[np.complex128], spacing_s: float = 3600.0) -> Path:
    """Write spectra below each other into a csv with an index and times."""
    lines = ["index,time/s,freq/Hz,Re(Z)/Ohm,Im(Z)/Ohm"]
    for index, z in enumerate(spectra):
        for place, (f, value) in enumerate(zip(FREQUENCY, z, strict=True)):
            lines.append(f"{index},{index * spacing_s + place},{f},{value.real},{value.imag}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
