"""What a run's samples and spectra say of the cell itself: before the test, and when it was seen last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from guards.contact_check import Shown
from protocols.check import SeenCell, is_check
from protocols.measurements import Spectrum, SpectrumSummary
from scheduler.waiting import ClimateOfRun

MOST_SAMPLES = 1000
"""Of a check: more come only of an input that is open, and say nothing new."""
RESTED_S = 60.0
"""E counts as that of a cell at rest after so long at open circuit."""


@dataclass(slots=True)
class _Last:
    """What the cell was like when it was seen last; in s, V, Ω, Hz."""

    rests_since_s: float | None = None
    t_s: float = 0.0
    voltage_V: float = 0.0
    r_hf_ohm: float | None = None
    from_Hz: float | None = None


_LAST = TypeAdapter(_Last)


class CellMeter:
    """Fed by the run's progress, in stream order. What a check shows is not saved: it is told again."""

    def __init__(self) -> None:
        self._last = _Last()
        self.begin_check()

    def begin_check(self) -> None:
        """A check begins, or begins again."""
        self.taken_over = False
        """An earlier daemon began it: what that had fetched and not stored is lost."""
        self._t_s: list[float] = []
        self._voltage_V: list[float] = []
        self._driven: tuple[float, float] | None = None
        self._spectrum: tuple[Spectrum, SpectrumSummary] | None = None

    def samples(
        self, step: int, rests: bool, t_s: Sequence[float], volts: Sequence[float], current_A: Sequence[float]
    ) -> None:
        """Take in samples of one step, in order of time."""
        last = self._last
        if not rests:
            last.rests_since_s = None
        elif last.rests_since_s is None:
            last.rests_since_s = t_s[0]
        last.t_s, last.voltage_V = t_s[-1], volts[-1]
        if is_check(step):
            self._take_check(rests, t_s, volts, current_A)

    def spectrum(self, spectrum: Spectrum, summary: SpectrumSummary, at_open_circuit: bool) -> None:
        """Take in a spectrum."""
        last = self._last
        last.rests_since_s = last.rests_since_s if at_open_circuit else None
        last.t_s, last.voltage_V = spectrum.t_end_s, spectrum.voltage_V
        last.r_hf_ohm, last.from_Hz = summary.r_hf_ohm, max(spectrum.frequency_Hz)
        if is_check(spectrum.step):
            self._spectrum = spectrum, summary

    def _take_check(
        self, rests: bool, t_s: Sequence[float], volts: Sequence[float], current_A: Sequence[float]
    ) -> None:
        if not rests:
            self._driven = volts[-1], current_A[-1]
        elif len(self._t_s) < MOST_SAMPLES:
            self._t_s += t_s
            self._voltage_V += volts

    def shown(self, wanted: str, least_A: float, ended_by_limit: str) -> Shown:
        """Return what the check has shown. ``least_A``: less is no current of a pulse."""
        measured = np.isfinite(self._voltage_V)
        t_s, volts = np.array(self._t_s)[measured], np.array(self._voltage_V)[measured]
        open_V = float(volts[len(volts) // 2 :].mean()) if len(volts) else None
        spectrum, summary = self._spectrum or (None, None)
        return Shown(
            voltage_V=open_V,
            noise_V=_noise(t_s, volts),
            spectrum=spectrum,
            summary=summary,
            pulse_ohm=self._pulse_ohm(open_V, least_A),
            ended_by_limit=ended_by_limit,
            wanted=wanted,
        )

    def lacks(self, wanted: str) -> bool:
        """Whether nothing came of what was to be measured besides E."""
        return {"spectrum": self._spectrum is None, "pulse": self._driven is None}.get(wanted, False)

    def _pulse_ohm(self, open_V: float | None, least_A: float) -> float | None:
        if self._driven is None or open_V is None:
            return None
        voltage_V, current_A = self._driven
        return (voltage_V - open_V) / current_A if abs(current_A) > least_A else None

    def seen(self, unix_s: float, climate: ClimateOfRun | None) -> SeenCell | None:
        """Return the cell as it is left now; None if nothing was seen by which it can be recognised."""
        last = self._last
        rested = last.rests_since_s is not None and last.t_s - last.rests_since_s >= RESTED_S
        if not rested and last.r_hf_ohm is None:
            return None
        return SeenCell(
            unix_s=unix_s,
            open_V=last.voltage_V if rested else None,
            r_hf_ohm=last.r_hf_ohm,
            from_Hz=last.from_Hz,
            temperature_K=None if climate is None else climate.temperature_K,
        )

    def state(self) -> dict[str, object]:
        """Return what is saved, JSON-ready."""
        dumped: dict[str, object] = _LAST.dump_python(self._last, mode="json")
        return dumped

    def restore(self, state: object) -> None:
        """Take over a state that :meth:`state` returned; None of an older version says nothing."""
        if state is not None:
            self._last = _LAST.validate_python(state)


def _noise(t_s: np.ndarray, volts: np.ndarray) -> float:
    """Return the standard deviation of E around its linear trend; 0 of too few samples."""
    if len(volts) < 3 or t_s[-1] <= t_s[0]:
        return 0.0
    trend = np.polynomial.Polynomial.fit(t_s, volts, 1)
    return float(np.std(volts - trend(t_s)))
