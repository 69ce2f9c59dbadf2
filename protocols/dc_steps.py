"""The steps that drive a cell: constant current and voltage, and sweeps."""

from __future__ import annotations

from pydantic import Field, model_validator

from protocols.fields import (
    OCV,
    ArealCapacity,
    Charge,
    Count,
    Current,
    CurrentSize,
    Duration,
    Level,
    Part,
    PlainVoltage,
    Rate,
    SpecificCapacity,
    Voltage,
    VoltageWidth,
)
from protocols.spectra import TimelySpectra
from protocols.units import Amount
from protocols.validation import FileModel, wrong


class ChargeEnds(FileModel):
    """Ends of a step by charge, of which one may be written."""

    areal_capacity: ArealCapacity | None = None
    """Charge per electrode area."""
    charge: Charge | None = None
    """Charge; here a C is a coulomb."""
    specific_capacity: SpecificCapacity | None = None
    """Charge per mass of active material; the cell file gives the mass."""

    @model_validator(mode="after")
    def _says_charge_once(self) -> ChargeEnds:
        written = [name for name in ChargeEnds.model_fields if getattr(self, name) is not None]
        if len(written) > 1:
            raise wrong(f"'{written[0]}' and '{written[1]}' say the same thing twice.", "Keep one of them.")
        return self

    @property
    def charge_written(self) -> Amount | None:
        """The charge that ends the step, if any."""
        return self.areal_capacity or self.charge or self.specific_capacity


class Until(ChargeEnds):
    """What ends a step of constant current; of several conditions the first that comes."""

    time: Duration | None = None
    """Longest time."""
    voltage: PlainVoltage | None = None
    """E has reached this: from below if the current is positive, else from above."""

    @model_validator(mode="after")
    def _ends(self) -> Until:
        if not self.model_fields_set:
            raise wrong("The step has no end.", "Write for example 'until: {areal_capacity: 0.2 mAh/cm²}'.")
        return self


class SteadyEnd(FileModel):
    """The current has become steady."""

    change: Part
    """Largest change of |I| within ``over``."""
    over: Duration = Amount(600.0, "time", "10 min")
    """Time over which the change is looked at."""


class UntilAtVoltage(ChargeEnds):
    """What ends a step of constant voltage; of several conditions the first that comes."""

    time: Duration | None = None
    """Longest time."""
    current: CurrentSize | None = None
    """|I| has fallen to this."""
    steady: SteadyEnd | None = None
    """The current has become steady; needs a 'time' as well."""

    @model_validator(mode="after")
    def _ends(self) -> UntilAtVoltage:
        if not self.model_fields_set:
            raise wrong("The step has no end.", "Write for example 'until: {current: 0.05 C, time: 10 h}'.")
        if self.steady is not None and self.time is None:
            raise wrong("A current may never become steady.", "Add a longest time, such as 'time: 10 h'.")
        return self


class UntilCcCv(FileModel):
    """What ends the part at constant voltage; of several conditions the first that comes."""

    time: Duration | None = None
    """Longest time of this part."""
    current: CurrentSize | None = None
    """|I| has fallen to this."""
    steady: SteadyEnd | None = None
    """The current has become steady."""

    @model_validator(mode="after")
    def _ends(self) -> UntilCcCv:
        if not self.model_fields_set:
            raise wrong("The step has no end.", "Write for example 'until: {current: 0.05 C, time: 10 h}'.")
        return self


class ConstantCurrent(FileModel):
    """Constant current; > 0 oxidises (strips) the working electrode."""

    current: Current
    until: Until
    """What ends the step; the first that comes."""
    spectra: TimelySpectra | None = None
    """Spectra while the step goes on."""


class Nucleation(FileModel):
    """Constant current in one direction, its first minute sampled densely: the dip and the plateau."""

    current: Current
    until: Until
    """What ends the step; the first that comes."""


class ConstantVoltage(FileModel):
    """Constant voltage, absolute or against the open-circuit voltage at its start."""

    voltage: Voltage
    until: UntilAtVoltage
    """What ends the step; the first that comes."""


class CcCv(FileModel):
    """Constant current to a voltage, then this voltage until the current has fallen."""

    current: Current
    voltage: PlainVoltage
    """The current ends here, and then this voltage is held."""
    until: UntilCcCv
    """What ends the part at constant voltage; the first that comes."""


class LinearSweep(FileModel):
    """E changes at one rate from one voltage to another."""

    start: Voltage = Field(default=OCV, alias="from")
    """Where it begins: a voltage, or 'ocv'."""
    end: Voltage = Field(alias="to")
    """Where it ends: a voltage, or '1 V vs ocv'."""
    rate: Rate


class CyclicVoltammetry(FileModel):
    """E goes to and fro between two voltages, at one rate after another."""

    start: Voltage = Field(default=OCV, alias="from")
    """Where it begins: a voltage, or 'ocv'."""
    first: PlainVoltage
    """First vertex."""
    second: PlainVoltage
    """Second vertex."""
    rate: Rate | None = None
    """One scan rate, such as '0.1 mV/s'."""
    rates: tuple[Rate, ...] = ()
    """Several scan rates, one after another."""
    cycles: Count = 1
    """Cycles at each rate."""

    @model_validator(mode="after")
    def _has_rates(self) -> CyclicVoltammetry:
        if (self.rate is None) == (not self.rates):
            raise wrong("Write either 'rate' or 'rates'.", "For example 'rates: [0.1 mV/s, 0.2 mV/s]'.")
        return self

    def all_rates(self) -> tuple[Amount | Level, ...]:
        """Return every rate, in order."""
        return self.rates if self.rate is None else (self.rate,)


class Tafel(FileModel):
    """A slow sweep about the open-circuit voltage: down by ``width``, then up to + ``width``."""

    width: VoltageWidth
    rate: Rate
