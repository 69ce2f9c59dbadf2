"""The values of protocol files: how each is read, and what an editor is told about it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from protocols.parameters import LevelName
from protocols.units import Amount, KindName
from protocols.validation import FileModel, quantity, read_amount, wrong

MAX_REPEATS = 1_000_000
MAX_TEXT = 500
MOST_OF_A_WHOLE = 2.0
MAX_POINTS = 100
"""Of a spectrum, in a decade of frequency."""
MAX_TIME_S = 100 * 365.25 * 86400
"""Longer than any test; a date that lies later can't be told."""

CURRENTS: tuple[KindName, ...] = ("current", "current_density", "c_rate", "specific_current")


@dataclass(frozen=True, slots=True)
class Level:
    """``$current`` or ``-$current`` inside a ramp: the level that the ramp is at."""

    name: LevelName
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Same:
    """``same``: the current of the step that a spectrum interrupts."""


@dataclass(frozen=True, slots=True)
class FromOpenCircuit:
    """A voltage counted from the open-circuit voltage: ``ocv``, or ``10 mV vs ocv``."""

    offset: Amount


OCV = FromOpenCircuit(Amount(0.0, "voltage", "0 V"))


def text_field(reader: Callable[[object], object], words: str) -> tuple[PlainValidator, WithJsonSchema]:
    """Return the validators of a field that is written as text: what reads it, and words for editors."""
    return PlainValidator(reader), WithJsonSchema({"type": ["string", "number"], "description": words})


def _level(value: object, name: LevelName) -> Level | None:
    """Read ``$name`` or ``-$name`` where a ramp has left it in place."""
    match = re.fullmatch(r"([+\-−]?)\$" + name, value) if isinstance(value, str) else None
    return None if match is None else Level(name, -1 if match[1] in ("-", "−") else 1)


def _without_sign(level: Level) -> Level:
    """Refuse a sign where the quantity has none."""
    if level.sign < 0:
        raise wrong(f"A {level.name} takes no sign.", f"Write '${level.name}'.")
    return level


def _read_current(value: object) -> Amount | Level | Same:
    if value == "same":
        return Same()
    level = _level(value, "current")
    if level is not None:
        return level
    amount = read_amount(value, *CURRENTS)
    if amount.value == 0:
        raise wrong("A current of zero drives nothing.", "Write a 'rest' step instead.")
    return amount


def _read_size_of_current(value: object) -> Amount:
    amount = read_amount(value, *CURRENTS)
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' has to be more than zero: the size of the current is meant.")
    return amount


def _read_voltage(value: object) -> Amount | Level | FromOpenCircuit:
    level = _level(value, "voltage")
    if level is not None:
        return level
    if not isinstance(value, str):
        return read_amount(value, "voltage")
    if value.strip().lower() == "ocv":
        return OCV
    plain, against, _ = re.sub(r"\s+", " ", value).lower().partition(" vs ocv")
    if against:
        return FromOpenCircuit(read_amount(value[: len(plain)], "voltage"))
    return read_amount(value, "voltage")


def _read_rate(value: object) -> Amount | Level:
    level = _level(value, "rate")
    if level is not None:
        return _without_sign(level)
    amount = read_amount(value, "scan_rate")
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' has to be more than zero.", "The vertices say in which direction.")
    return amount


def _read_temperature(value: object) -> Amount | Level:
    level = _level(value, "temperature")
    return read_temperature(value) if level is None else _without_sign(level)


def read_temperature(value: object) -> Amount:
    """Read a temperature above absolute zero."""
    amount = read_amount(value, "temperature")
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' is below absolute zero.")
    return amount


def read_kelvin(value: object) -> Amount:
    """Read a difference of temperatures, in K: °C would be read as a temperature."""
    if isinstance(value, str) and "K" not in value:
        raise wrong(f"'{value}' is no difference of temperatures in K.", "Write for example '0.5 K'.")
    return read_amount(value, "temperature")


def _read_difference(value: object) -> Amount:
    amount = read_kelvin(value)
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' has to be more than zero.")
    return amount


def _read_part(value: object) -> Amount:
    amount = read_fraction(value)
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' has to be more than zero.")
    return amount


def read_fraction(value: object) -> Amount:
    """Read a part of a whole; 80 without its sign would be eighty times the whole."""
    amount = read_amount(value, "fraction")
    if amount.value > MOST_OF_A_WHOLE:
        raise wrong(f"'{amount.text}' is {amount.value:g} times the whole.", f"Write '{amount.text} %'.")
    return amount


def _read_width(value: object) -> Amount:
    amount = read_amount(value, "voltage")
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' has to be more than zero.", "The sweep goes to both sides of it.")
    return amount


def _read_duration(value: object) -> Amount:
    amount = read_amount(value, "time")
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' has to be more than zero.")
    if amount.value > MAX_TIME_S:
        raise wrong(f"'{amount.text}' is more than a hundred years.", "Look at the unit.")
    return amount


def _read_count(value: object) -> int:
    whole = isinstance(value, str) and re.fullmatch(r"\d{1,7}", value)
    if not whole or not 1 <= int(str(value)) <= MAX_REPEATS:
        raise wrong(f"A whole number from 1 to {MAX_REPEATS} is wanted here.", "Write for example '10'.")
    return int(str(value))


def _read_density(value: object) -> int:
    count = _read_count(value)
    if count > MAX_POINTS:
        raise wrong(f"More than {MAX_POINTS} points in a decade.", "The usual number is 6 to 10.")
    return count


def _peak(value: object, *kinds: KindName) -> Amount:
    """Read an amplitude: the peak, unless ``rms`` is written after it."""
    plain, _, form = value.rpartition(" ") if isinstance(value, str) else (value, "", "")
    amount = read_amount(plain if form in ("rms", "peak") else value, *kinds)
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' has to be more than zero.")
    return replace(amount, value=amount.value * math.sqrt(2)) if form == "rms" else amount


def _read_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        raise wrong(f"A text of up to {MAX_TEXT} characters is wanted here.")
    return value.strip()


Duration = Annotated[Amount, *text_field(_read_duration, "A time, such as '10 min'.")]
Charge = Annotated[Amount, quantity("charge", positive=True)]
ArealCapacity = Annotated[Amount, quantity("areal_capacity", positive=True)]
SpecificCapacity = Annotated[Amount, quantity("specific_capacity", positive=True)]
PlainVoltage = Annotated[Amount, quantity("voltage")]
Frequency = Annotated[Amount, quantity("frequency", positive=True)]
Drift = Annotated[Amount, quantity("scan_rate", positive=True)]
Current = Annotated[
    Amount | Level | Same,
    *text_field(
        _read_current, "A current: '0.1 mA/cm²', '10 µA', '0.5 C', '100 mA/g', or '$current' in a ramp."
    ),
]
CurrentSize = Annotated[
    Amount, *text_field(_read_size_of_current, "The size of a current, such as '0.05 C'.")
]
Voltage = Annotated[
    Amount | Level | FromOpenCircuit,
    *text_field(_read_voltage, "A voltage: '4.2 V', 'ocv' (open-circuit voltage) or '10 mV vs ocv'."),
]
VoltageWidth = Annotated[Amount, *text_field(_read_width, "A voltage to both sides, such as '150 mV'.")]
Rate = Annotated[Amount | Level, *text_field(_read_rate, "A scan rate, such as '0.1 mV/s'.")]
Temperature = Annotated[Amount | Level, *text_field(_read_temperature, "A temperature, such as '60 °C'.")]
TemperatureValue = Annotated[Amount, *text_field(read_temperature, "A temperature, such as '60 °C'.")]
StepInKelvin = Annotated[Amount, *text_field(read_kelvin, "A difference of temperatures, such as '10 K'.")]
Difference = Annotated[
    Amount, *text_field(_read_difference, "A difference of temperatures, such as '0.5 K'.")
]
Part = Annotated[Amount, *text_field(_read_part, "A part, such as '1 %'.")]
Count = Annotated[int, *text_field(_read_count, "A whole number, such as '10'.")]
Density = Annotated[int, *text_field(_read_density, "Points in a decade of frequency, such as '10'.")]
Text = Annotated[str, *text_field(_read_text, "A text for people.")]
CurrentPeak = Annotated[
    Amount,
    *text_field(lambda value: _peak(value, *CURRENTS), "Peak of a current; for rms write '10 µA rms'."),
]
VoltagePeak = Annotated[
    Amount,
    *text_field(lambda value: _peak(value, "voltage"), "Peak of a voltage; for rms write '10 mV rms'."),
]


class VoltageWindow(FileModel):
    """A lowest and a highest voltage."""

    lowest: PlainVoltage = Field(alias="from")
    """The lowest."""
    highest: PlainVoltage = Field(alias="to")
    """The highest."""

    @model_validator(mode="after")
    def _in_order(self) -> VoltageWindow:
        if self.lowest.value >= self.highest.value:
            raise wrong("'from' has to be below 'to'.")
        return self


class FrequencyRange(FileModel):
    """First and last frequency of a spectrum."""

    start: Frequency = Field(alias="from")
    """First frequency, usually the highest."""
    end: Frequency = Field(alias="to")
    """Last frequency."""
