"""Collects the points of one spectrum from several blocks. Pure."""

from __future__ import annotations

import numpy as np

from drivers.biologic.decode import SweepRows
from protocols.measurements import Spectrum
from protocols.nodes import Geis, Peis


class Sweep:
    """One spectrum on its way: whole when every frequency of the step has arrived."""

    def __init__(self, channel: int, step: Geis | Peis, visit: int, start_s: float) -> None:
        self._channel = channel
        self._step = step
        self._visit = visit
        self._start_s = start_s
        self._missing = len(step.frequencies())
        self._parts: list[SweepRows] = []

    @property
    def complete(self) -> bool:
        """Whether all points have arrived."""
        return self._missing <= 0

    def add(self, rows: SweepRows) -> list[Spectrum]:
        """Add points; return the spectrum with the last of them, else nothing."""
        self._parts.append(rows)
        self._missing -= len(rows.t_s)
        return self._spectrum() if self.complete else []

    def _spectrum(self) -> list[Spectrum]:
        frequency_Hz, t_s, voltage_V, current_A = (
            np.concatenate([getattr(part, name) for part in self._parts])
            for name in ("frequency_Hz", "t_s", "voltage_V", "current_A")
        )
        impedance_ohm = np.concatenate([part.impedance_ohm for part in self._parts])
        # A point without current has no impedance.
        good = np.isfinite(impedance_ohm) & np.isfinite(voltage_V) & np.isfinite(current_A)
        if not good.any():
            return []
        spectrum = Spectrum(
            channel=self._channel,
            step=self._step.index,
            visit=self._visit,
            t_start_s=self._start_s,
            t_end_s=self._start_s + float(t_s[-1]),
            frequency_Hz=tuple(frequency_Hz[good].tolist()),
            z_real_ohm=tuple(impedance_ohm.real[good].tolist()),
            z_imag_ohm=tuple(impedance_ohm.imag[good].tolist()),
            t_s=tuple((self._start_s + t_s[good]).tolist()),
            voltage_V=float(voltage_V[good].mean()),
            current_A=float(current_A[good].mean()),
            amplitude=self._step.amplitude_A if isinstance(self._step, Geis) else self._step.amplitude_V,
        )
        return [spectrum]
