"""Rests and spectra: what may run between half-cycles, after the end and on a suspicion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from protocols.fields import (
    OCV,
    Count,
    Current,
    CurrentPeak,
    Density,
    Drift,
    Duration,
    FrequencyRange,
    Voltage,
    VoltagePeak,
    text_field,
)
from protocols.units import Amount
from protocols.validation import FileModel, not_empty, read_amount, wrong


def only_key(value: Any) -> str | None:
    """Return the only key of a step as it is written; None if it has none or several."""
    return next(iter(value)) if isinstance(value, dict) and len(value) == 1 else None


@dataclass(frozen=True, slots=True)
class Interval:
    """How often spectra come."""

    unit: Literal["cycles", "half-cycles", "time", "charge"]
    count: int = 0
    amount: Amount | None = None


def _read_interval(value: object) -> Interval:
    counted = re.fullmatch(r"(\d{1,6})\s+(cycle|half-cycle)s?", value) if isinstance(value, str) else None
    if counted is not None:
        if int(counted[1]) < 1:
            raise wrong(f"'{value}' is never.", "Write for example '5 cycles'.")
        return Interval("cycles" if counted[2] == "cycle" else "half-cycles", int(counted[1]))
    amount = read_amount(value, "time", "charge", "areal_capacity", "specific_capacity")
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' has to be more than zero.", "Write for example '2 h'.")
    return Interval("time" if amount.kind == "time" else "charge", amount=amount)


Every = Annotated[
    Interval,
    *text_field(_read_interval, "How often: '5 cycles', '3 half-cycles', '2 h' or '0.1 mAh/cm²'."),
]


class RestUntil(FileModel):
    """What ends a rest; the first that comes."""

    drift: Drift
    """E changes more slowly than this."""
    time: Duration
    """Longest time."""
    over: Duration = Amount(600.0, "time", "10 min")
    """Time over which the change is looked at."""


class Rest(FileModel):
    """Open circuit for a time, or until the open-circuit voltage is steady."""

    duration: Duration | None = Field(default=None, alias="for")
    """How long."""
    until: RestUntil | None = None
    """Until E is steady, instead of 'for'."""

    @model_validator(mode="after")
    def _has_one_end(self) -> Rest:
        if (self.duration is None) == (self.until is None):
            raise wrong(
                "A rest has either 'for' or 'until'.",
                "Write 'for: 1 h', or 'until: {drift: 1 mV/h, time: 12 h}'.",
            )
        return self


def _amplitude(value: object) -> object:
    return value if isinstance(value, dict) else {"peak": value}


class Amplitude(FileModel):
    """The peak of a galvanostatic spectrum, or the wanted answer."""

    peak: CurrentPeak | None = None
    """Peak of the current; for rms write '10 µA rms'."""
    response: VoltagePeak | None = None
    """Wanted peak of the voltage: the current follows from the last |Z|."""
    largest: CurrentPeak | None = None
    """Largest peak of the current that may be used for it."""

    @model_validator(mode="after")
    def _is_known(self) -> Amplitude:
        if self.peak is None and (self.response is None or self.largest is None):
            raise wrong(
                "A wanted response needs 'response' and 'largest'.",
                "Write 'amplitude: {response: 10 mV, largest: 0.1 mA/cm²}', or a current.",
            )
        return self


class _Spectrum(FileModel):
    """What both kinds of spectra have."""

    frequency: FrequencyRange
    """First and last frequency."""
    points_per_decade: Density = 10
    """Frequencies in each decade."""
    average: Count = 1
    """Periods averaged at each frequency."""


class Geis(_Spectrum):
    """A galvanostatic impedance spectrum, at open circuit or with a direct current going on underneath."""

    current: Current | None = None
    """Direct current underneath: 'same' inside another step; none if not written."""
    amplitude: Annotated[Amplitude, BeforeValidator(_amplitude, json_schema_input_type=Amplitude | str)]
    """Peak of the current, or '{response: 10 mV, largest: 0.1 mA/cm²}'."""


class Peis(_Spectrum):
    """A potentiostatic impedance spectrum, about the open-circuit voltage or another one."""

    voltage: Voltage = OCV
    """Voltage about which it is measured: 'ocv' if not written."""
    amplitude: VoltagePeak
    """Peak of the voltage; for rms write '10 mV rms'."""


class RestStep(FileModel):
    """``rest``."""

    rest: Rest


class GeisStep(FileModel):
    """``geis``."""

    geis: Geis


class PeisStep(FileModel):
    """``peis``."""

    peis: Peis


SpectrumStep = Annotated[
    Annotated[RestStep, Tag("rest")] | Annotated[GeisStep, Tag("geis")] | Annotated[PeisStep, Tag("peis")],
    Discriminator(only_key),
]


class TimelySpectra(FileModel):
    """Spectra inside a step of constant current."""

    every: Every
    """A time or a charge: '1 h' or '0.1 mAh/cm²'."""
    steps: Annotated[tuple[SpectrumStep, ...], AfterValidator(not_empty)]
    """Rests and spectra; 'current: same' measures under current."""

    @model_validator(mode="after")
    def _in_time(self) -> TimelySpectra:
        if self.every.unit not in ("time", "charge"):
            raise wrong("Inside a step spectra come after a time or a charge.", "Write 'every: 1 h'.")
        return self


class PassSpectra(FileModel):
    """Spectra between the passes of a repeat, or inside its half-cycles."""

    after_cycles: Annotated[tuple[Count, ...], AfterValidator(not_empty)] | None = None
    """After these passes, counted from 1."""
    every: Every | None = None
    steps: Annotated[tuple[SpectrumStep, ...], AfterValidator(not_empty)]
    """Rests and spectra; 'current: same' measures under current."""

    @model_validator(mode="after")
    def _come_once(self) -> PassSpectra:
        if (self.after_cycles is None) == (self.every is None):
            raise wrong(
                "Write either 'after_cycles' or 'every'.",
                "For example 'after_cycles: [1, 10, 100]', 'every: 5 cycles', 'every: 2 h'.",
            )
        return self
