"""What a ramp goes over: levels of one quantity, written as a ladder or one by one."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from protocols.fields import CURRENTS, PlainVoltage, StepInKelvin, TemperatureValue
from protocols.parameters import LEVELS, LevelName
from protocols.units import Amount, KindName, format_amount
from protocols.validation import FileModel, not_empty, quantity, wrong

MAX_LEVELS = 1000
CELSIUS_K = 273.15

_AnyCurrent = Annotated[Amount, quantity(*CURRENTS)]
_AnyRate = Annotated[Amount, quantity("scan_rate", positive=True)]
_RateStep = Annotated[Amount, quantity("scan_rate")]


class _Ladder(FileModel):
    """First level, distance, and the last that may be reached."""

    start: Amount = Field(alias="from")
    step: Amount
    end: Amount = Field(alias="to")

    @model_validator(mode="after")
    def _reaches_its_end(self) -> _Ladder:
        start, step, end = self.start.value, self.step.value, self.end.value
        if len({self.start.kind, self.step.kind, self.end.kind}) > 1:
            raise wrong("'from', 'step' and 'to' have to be of one kind.", "Write all three in one unit.")
        if step == 0:
            raise wrong("A ramp can't stand still.", "Write a 'step' that is not zero.")
        if (end - start) / step < 0:
            raise wrong(
                "The ramp never reaches 'to'.", "Look at the signs of 'step' and of 'to' minus 'from'."
            )
        if (end - start) / step > MAX_LEVELS:
            raise wrong(f"The ramp has more than {MAX_LEVELS} levels.", "Write a larger 'step'.")
        return self

    def levels(self) -> tuple[Amount, ...]:
        """Return the levels, first to last; ``to`` is reached but not passed."""
        # A step's width may be no exact binary number: the last level counts if it is met to 1e-9.
        steps = math.floor((self.end.value - self.start.value) / self.step.value + 1e-9)
        values = (self.start.value + k * self.step.value for k in range(steps + 1))
        kind = self.start.kind
        return tuple(Amount(value, kind, _words(value, kind)) for value in values)


def _words(value: float, kind: KindName) -> str:
    return f"{value - CELSIUS_K:.4g} °C" if kind == "temperature" else format_amount(value, kind)


class CurrentLadder(_Ladder):
    """A ladder of currents."""

    start: _AnyCurrent = Field(alias="from")
    """First level."""
    step: _AnyCurrent
    """Distance of the levels, with its sign."""
    end: _AnyCurrent = Field(alias="to")
    """Last level; it is reached but not passed."""


class VoltageLadder(_Ladder):
    """A ladder of voltages."""

    start: PlainVoltage = Field(alias="from")
    """First level."""
    step: PlainVoltage
    """Distance of the levels, with its sign."""
    end: PlainVoltage = Field(alias="to")
    """Last level; it is reached but not passed."""


class RateLadder(_Ladder):
    """A ladder of scan rates."""

    start: _AnyRate = Field(alias="from")
    """First level."""
    step: _RateStep
    """Distance of the levels, with its sign."""
    end: _AnyRate = Field(alias="to")
    """Last level; it is reached but not passed."""


class TemperatureLadder(_Ladder):
    """A ladder of temperatures."""

    start: TemperatureValue = Field(alias="from")
    """First level."""
    step: StepInKelvin
    """In K."""
    end: TemperatureValue = Field(alias="to")
    """Last level; it is reached but not passed."""


def _form(value: Any) -> str:
    return "ladder" if isinstance(value, dict | _Ladder) else "list"


def _without_zero(levels: _Ladder | tuple[Amount, ...]) -> _Ladder | tuple[Amount, ...]:
    listed = levels.levels() if isinstance(levels, _Ladder) else levels
    largest = max(abs(level.value) for level in listed)
    if any(abs(level.value) <= 1e-9 * largest for level in listed):
        raise wrong("A ramp of current can't pass zero.", "Give 'from' and 'to' one sign.")
    return levels


_CurrentLevels = Annotated[
    Annotated[CurrentLadder, Tag("ladder")]
    | Annotated[tuple[_AnyCurrent, ...], AfterValidator(not_empty), Tag("list")],
    Discriminator(_form),
    AfterValidator(_without_zero),
]
_VoltageLevels = Annotated[
    Annotated[VoltageLadder, Tag("ladder")]
    | Annotated[tuple[PlainVoltage, ...], AfterValidator(not_empty), Tag("list")],
    Discriminator(_form),
]
_RateLevels = Annotated[
    Annotated[RateLadder, Tag("ladder")]
    | Annotated[tuple[_AnyRate, ...], AfterValidator(not_empty), Tag("list")],
    Discriminator(_form),
]
_TemperatureLevels = Annotated[
    Annotated[TemperatureLadder, Tag("ladder")]
    | Annotated[tuple[TemperatureValue, ...], AfterValidator(not_empty), Tag("list")],
    Discriminator(_form),
]


class RampOver(FileModel):
    """The quantity that a ramp goes over: exactly one of the four."""

    current: _CurrentLevels | None = None
    """Also C-rates."""
    voltage: _VoltageLevels | None = None
    """Levels of voltage, $voltage in the steps."""
    rate: _RateLevels | None = None
    """Scan rates, $rate in the steps."""
    temperature: _TemperatureLevels | None = None
    """Temperatures, $temperature in the steps."""

    @model_validator(mode="after")
    def _goes_over_one(self) -> RampOver:
        written = [name for name in LEVELS if getattr(self, name) is not None]
        if len(written) != 1:
            raise wrong(
                "A ramp goes over one quantity.",
                "Write for example 'current: {from: 0.1 mA/cm², step: 0.1 mA/cm², to: 2 mA/cm²}'.",
            )
        return self

    @property
    def over(self) -> LevelName:
        """Name of the quantity."""
        return next(name for name in LEVELS if getattr(self, name) is not None)

    def levels(self) -> tuple[Amount, ...]:
        """Return the levels, first to last."""
        levels: _Ladder | tuple[Amount, ...] = getattr(self, self.over)
        return levels.levels() if isinstance(levels, _Ladder) else levels
