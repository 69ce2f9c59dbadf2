"""What comes back from an instrument: blocks of samples, spectra; and what is found in them: verdicts."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from protocols.frozen import Frozen

SAMPLE = np.dtype(
    [
        ("channel", "<i4"),
        ("t_s", "<f8"),
        ("voltage_V", "<f8"),
        ("current_A", "<f8"),
        ("charge_C", "<f8"),
        ("step", "<i4"),
        ("visit", "<i4"),
        ("half_cycle", "<i4"),
        ("flags", "<u4"),
    ]
)
"""One sample. ``channel`` is the instrument's channel index as it leaves a driver and the run's number in
the store. ``t_s``: seconds since the segment's start as it leaves a driver, since the run's start after the
engine. ``charge_C``: signed charge passed in this visit of the step, and ``half_cycle``: both written by the
engine, 0 from a driver. ``step`` and ``visit``: see :mod:`protocols.position`."""

COLUMNS: tuple[str, ...] = tuple(name for name in SAMPLE.names or () if name != "channel")
"""The columns that are stored for a run."""

Block = NDArray[np.void]
"""A structured array of dtype :data:`SAMPLE`."""

FLAG_EIS = 1
"""The sample was taken during an impedance sweep (never shown to DC guards)."""
FLAG_OVERFLOW = 2
"""The instrument reported E or I out of its range."""
FLAG_INFERRED = 4
"""The current was not measured but given by a person (replay of time and voltage alone)."""


def empty_block(rows: int = 0) -> Block:
    """Return a zeroed block of ``rows`` samples."""
    return np.zeros(rows, dtype=SAMPLE)


class Spectrum(Frozen):
    """One impedance spectrum, whole, in the order it was measured.

    Arrays are tuples of equal length n ≥ 1: frequency in Hz, Z′ and Z″ in Ω (capacitive: Z″ < 0), and the
    time of each point in seconds on the same clock as the samples of the same stream.
    """

    channel: int
    """Channel index as it leaves a driver; the run's number in the store."""
    step: int
    visit: int
    t_start_s: float
    t_end_s: float
    frequency_Hz: tuple[float, ...]
    z_real_ohm: tuple[float, ...]
    z_imag_ohm: tuple[float, ...]
    t_s: tuple[float, ...]
    voltage_V: float = 0.0
    """Mean DC voltage during the sweep."""
    current_A: float = 0.0
    """DC current during the sweep (0: at open circuit)."""
    amplitude: float = 0.0
    """Peak amplitude of the excitation, in A (GEIS) or V (PEIS)."""

    def impedance(self) -> NDArray[np.complex128]:
        """Z as a complex array, shape (n,), in Ω."""
        return np.asarray(self.z_real_ohm) + 1j * np.asarray(self.z_imag_ohm)


class SpectrumSummary(Frozen):
    """The few numbers of a spectrum that guards judge and people plot over time. Ω, rad, S, Hz."""

    t_s: float
    current_A: float
    r_hf_ohm: float
    """Z′ where −Z″ crosses zero at high frequency, else at the highest frequency."""
    r_total_ohm: float
    """Z′ at the lowest frequency."""
    r_int_ohm: float
    """``r_total_ohm − r_hf_ohm``."""
    phase_low_rad: float
    """Phase of Z at the lowest frequency; capacitive < 0."""
    z_imag_low_ohm: float
    """−Z″ at the lowest frequency."""
    f_low_Hz: float
    conductance_low_S: float
    """Re Y at the lowest frequency, for differences: a soft short adds a conductance in parallel."""
    kk_passed: bool
    kk_rms: float
    """Root mean square of the Kramers–Kronig residuals relative to |Z|."""
    kk_lag1: float
    """Lag-1 autocorrelation of the residuals: noise ≈ −0.2, drift or a step > 0.5."""
    noise: float
    """Estimated σ of the noise relative to |Z|."""
    drift: float = 0.0
    """Relative change of |Z| from the first point to the last one that the residuals tell of."""
    drift_std: float = 0.0
    valid_from_Hz: float | None = None
    """Lowest frequency of the widest part that passes the test; None: no part does."""
    valid_to_Hz: float | None = None


ChangeKind = Literal["parallel_resistor", "interface", "contact", "whole_cell", "none", "undecided"]
"""``parallel_resistor``: a short, hard or soft. ``whole_cell``: all resistances have changed, the bulk's too:
temperature, or pressure. ``contact``: so have they, but upwards and with unchanged time constants, as if the
area had shrunk."""


MISFIT_OF_A_SHORT = 0.025
"""Part of the change that a resistor in parallel leaves unexplained at most, if nothing else has happened."""
LEAST_MISFIT = 0.003
"""What two spectra of one cell differ by besides, relative to |Z|."""


class SpectrumChange(Frozen):
    """What has happened to a cell between a healthy spectrum and a later one at the same DC current."""

    kind: ChangeKind
    reason: str
    """In words, for people."""
    parallel_ohm: float | None = None
    """Resistor that came in parallel; of ``undecided`` the one that is possible, if any."""
    parallel_std_ohm: float | None = None
    head_ratio: float = 1.0
    """Z now relative to before where only the bulk is left."""
    low_ratio: float = 1.0
    """|Z| now relative to before in the lowest decade that both have."""
    misfit: float = 0.0
    """Part of Z now, beyond the noise, that the best resistor in parallel leaves unexplained."""

    @property
    def may_be_short(self) -> bool:
        """Whether a resistor in parallel is possible.

        Such a spectrum is no measure for later ones, or a short that grows slowly would become its own.
        """
        possible = self.kind == "undecided" and self.parallel_ohm is not None
        return possible or self.kind == "parallel_resistor"

    @property
    def is_resistor_alone(self) -> bool:
        """Whether a resistor in parallel is all there is to the change.

        An interface that activates while the cell warms up by a few kelvin looks nearly like it.
        """
        largest = max(LEAST_MISFIT, MISFIT_OF_A_SHORT * (1.0 - self.low_ratio))
        return self.kind == "parallel_resistor" and self.misfit <= largest


def as_json(model: BaseModel) -> dict[str, Any]:
    """Return a model as plain JSON-ready values."""
    return model.model_dump(mode="json")
