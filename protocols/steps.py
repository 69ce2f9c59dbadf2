"""The steps of a protocol file, as they are written: one word, and its settings below it.

A new kind of step is a model here, a member of :data:`Step`, and a case in :mod:`protocols.compile`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, PlainValidator, Tag, model_validator

from protocols.parameters import LEVEL
from protocols.units import Amount
from protocols.validation import FileModel, not_empty, quantity, read_amount, wrong

MAX_REPEATS = 1_000_000
MAX_LEVELS = 1000


@dataclass(frozen=True, slots=True)
class Level:
    """``$current`` or ``-$current`` inside a ramp: the level that the ramp is at."""

    sign: int


def _read_current(value: object) -> Amount | Level:
    if value == f"${LEVEL}":
        return Level(1)
    if value in (f"-${LEVEL}", f"−${LEVEL}"):
        return Level(-1)
    amount = read_amount(value, "current", "current_density")
    if amount.value == 0:
        raise wrong("A current of zero drives nothing.", "Write a 'rest' step instead.")
    return amount


def _read_amplitude(value: object) -> Amount:
    """Read an amplitude: the peak, unless ``rms`` is written after it."""
    plain, _, form = value.rpartition(" ") if isinstance(value, str) else (value, "", "")
    amount = read_amount(plain if form in ("rms", "peak") else value, "current", "current_density")
    if amount.value <= 0:
        raise wrong(f"'{amount.text}' has to be more than zero.")
    return replace(amount, value=amount.value * math.sqrt(2)) if form == "rms" else amount


def _read_count(value: object) -> int:
    if (
        not isinstance(value, str)
        or not re.fullmatch(r"\d{1,7}", value)
        or not 1 <= int(value) <= MAX_REPEATS
    ):
        raise wrong(f"A whole number from 1 to {MAX_REPEATS} is wanted here.", "Write for example '10'.")
    return int(value)


Duration = Annotated[Amount, quantity("time", positive=True)]
Voltage = Annotated[Amount, quantity("voltage")]
Frequency = Annotated[Amount, quantity("frequency", positive=True)]
Current = Annotated[Amount | Level, PlainValidator(_read_current)]
Amplitude = Annotated[Amount, PlainValidator(_read_amplitude)]
Count = Annotated[int, PlainValidator(_read_count)]


class VoltageWindow(FileModel):
    """A lowest and a highest voltage."""

    lowest: Voltage = Field(alias="from")
    highest: Voltage = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> VoltageWindow:
        if self.lowest.value >= self.highest.value:
            raise wrong("'from' has to be below 'to'.")
        return self


class Rest(FileModel):
    """Open circuit for a time."""

    duration: Duration = Field(alias="for")


class Until(FileModel):
    """What ends a step; of several conditions the first that comes."""

    time: Duration | None = None
    areal_capacity: Annotated[Amount, quantity("areal_capacity", positive=True)] | None = None
    charge: Annotated[Amount, quantity("charge", positive=True)] | None = None
    voltage: Voltage | None = None

    @model_validator(mode="after")
    def _ends(self) -> Until:
        if not self.model_fields_set:
            raise wrong("The step has no end.", "Write for example 'until: {areal_capacity: 0.2 mAh/cm²}'.")
        if self.areal_capacity and self.charge:
            raise wrong("'areal_capacity' and 'charge' say the same thing twice.", "Keep one of them.")
        return self


class ConstantCurrent(FileModel):
    """Constant current; > 0 oxidises (strips) the working electrode."""

    current: Current
    until: Until


class Sweep(FileModel):
    """First and last frequency."""

    start: Frequency = Field(alias="from")
    end: Frequency = Field(alias="to")


class Geis(FileModel):
    """A galvanostatic impedance spectrum, at open circuit or with a direct current going on underneath."""

    current: Current | None = None
    amplitude: Amplitude
    frequency: Sweep
    points_per_decade: Count = 10
    average: Count = 1


class RampLevels(FileModel):
    """The levels of a ramp: first, distance, and the highest that may be reached."""

    start: Annotated[Amount, quantity("current", "current_density")] = Field(alias="from")
    step: Annotated[Amount, quantity("current", "current_density")]
    end: Annotated[Amount, quantity("current", "current_density")] = Field(alias="to")

    @model_validator(mode="after")
    def _reaches_its_end(self) -> RampLevels:
        if len({self.start.kind, self.step.kind, self.end.kind}) > 1:
            raise wrong("'from', 'step' and 'to' have to be all currents or all current densities.")
        if self.step.value == 0 or self.start.value * self.end.value <= 0:
            raise wrong("A ramp can't stand still or pass zero.", "Give 'from' and 'to' one sign.")
        steps = (self.end.value - self.start.value) / self.step.value
        if steps < 0:
            raise wrong(
                "The ramp never reaches 'to'.", "Look at the signs of 'step' and of 'to' minus 'from'."
            )
        if steps > MAX_LEVELS:
            raise wrong(f"The ramp has more than {MAX_LEVELS} levels.", "Write a larger 'step'.")
        return self

    def levels(self) -> list[float]:
        """Return the levels in SI, first to last; ``to`` is reached but not passed."""
        # A step's width may be no exact binary number: the last level counts if it is met to 1e-9.
        steps = math.floor((self.end.value - self.start.value) / self.step.value + 1e-9)
        return [self.start.value + k * self.step.value for k in range(steps + 1)]


class Ramp(FileModel):
    """Steps repeated at one level of current after another; in them ``$current`` is the level."""

    current: RampLevels
    steps: Annotated[tuple[Step, ...], AfterValidator(not_empty)]


class Repeat(FileModel):
    """Steps repeated a number of times."""

    times: Count
    steps: Annotated[tuple[Step, ...], AfterValidator(not_empty)]


class RestStep(FileModel):
    """``rest``."""

    rest: Rest


class ConstantCurrentStep(FileModel):
    """``constant_current``."""

    constant_current: ConstantCurrent


class GeisStep(FileModel):
    """``geis``."""

    geis: Geis


class RampStep(FileModel):
    """``ramp``."""

    ramp: Ramp


class RepeatStep(FileModel):
    """``repeat``."""

    repeat: Repeat


def _kind(value: Any) -> str | None:
    """Return the only key of a step as it is written."""
    return next(iter(value)) if isinstance(value, dict) and len(value) == 1 else None


_RestTag = Annotated[RestStep, Tag("rest")]
_GeisTag = Annotated[GeisStep, Tag("geis")]

Step = Annotated[
    _RestTag
    | Annotated[ConstantCurrentStep, Tag("constant_current")]
    | _GeisTag
    | Annotated[RampStep, Tag("ramp")]
    | Annotated[RepeatStep, Tag("repeat")],
    Discriminator(_kind),
]
AfterStep = Annotated[_RestTag | _GeisTag, Discriminator(_kind)]
"""What may run after the end: rests and spectra at open circuit."""

Ramp.model_rebuild()
Repeat.model_rebuild()
