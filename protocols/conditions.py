"""What a decision asks: ``{retention: {below: 80 %}}``. Several comparisons all have to hold."""

from __future__ import annotations

from typing import Annotated, cast

from pydantic import model_validator

from protocols.fields import CURRENTS, Count, read_fraction, text_field
from protocols.nodes import Measured
from protocols.units import Amount
from protocols.validation import FileModel, quantity, wrong

_Voltage = Annotated[Amount, quantity("voltage")]
_Current = Annotated[Amount, quantity(*CURRENTS)]
_Charge = Annotated[Amount, quantity("areal_capacity", "charge", "specific_capacity")]
_Resistance = Annotated[Amount, quantity("resistance", "areal_resistance")]
_Part = Annotated[Amount, *text_field(read_fraction, "A part, such as '80 %'.")]
_Time = Annotated[Amount, quantity("time")]


class _Comparison(FileModel):
    """``above`` or ``below`` a value."""

    @model_validator(mode="after")
    def _compares_once(self) -> _Comparison:
        if len(self.model_fields_set) != 1:
            raise wrong("Write either 'above' or 'below'.", "For example '{above: 200 mV}'.")
        return self


class CompareVoltage(_Comparison):
    """Compare a voltage."""

    above: _Voltage | None = None
    below: _Voltage | None = None


class CompareCurrent(_Comparison):
    """Compare a current."""

    above: _Current | None = None
    below: _Current | None = None


class CompareCharge(_Comparison):
    """Compare a charge."""

    above: _Charge | None = None
    below: _Charge | None = None


class CompareResistance(_Comparison):
    """Compare a resistance."""

    above: _Resistance | None = None
    below: _Resistance | None = None


class ComparePart(_Comparison):
    """Compare a part."""

    above: _Part | None = None
    below: _Part | None = None


class CompareTime(_Comparison):
    """Compare a time."""

    above: _Time | None = None
    below: _Time | None = None


class CompareCount(_Comparison):
    """Compare a number."""

    above: Count | None = None
    below: Count | None = None


class Condition(FileModel):
    """Comparisons with what was measured; all of them have to hold."""

    voltage: CompareVoltage | None = None
    """E now."""
    current: CompareCurrent | None = None
    """I now."""
    charge: CompareCharge | None = None
    """Charge of the last half-cycle."""
    overpotential: CompareVoltage | None = None
    """Mean overpotential of the last half-cycle."""
    resistance: CompareResistance | None = None
    """Of the last spectrum, at its lowest frequency."""
    resistance_hf: CompareResistance | None = None
    """Of the last spectrum, at high frequency: electrolyte and leads."""
    resistance_interface: CompareResistance | None = None
    """The difference of the two."""
    resistance_change: ComparePart | None = None
    """Relative change of the resistance at high frequency between the last two spectra."""
    retention: ComparePart | None = None
    """Capacity of the last cycle as a part of the first one's."""
    coulombic_efficiency: ComparePart | None = None
    """Of the last cycle."""
    cycle: CompareCount | None = None
    """Number of the cycle."""
    time: CompareTime | None = None
    """Since the start of the run."""
    time_since_spectrum: CompareTime | None = None
    """Since the end of the last spectrum, else since the start."""
    charge_since_spectrum: CompareCharge | None = None
    """Passed since the last spectrum, both directions added up."""

    @model_validator(mode="after")
    def _asks_something(self) -> Condition:
        if not self.model_fields_set:
            raise wrong("Nothing is asked.", "Write for example 'when: {retention: {below: 80 %}}'.")
        return self

    def comparisons(self) -> list[tuple[Measured, str, Amount | int]]:
        """Return quantity, ``above`` or ``below``, and value of each comparison that is written."""
        asked = {name: asks for name in Condition.model_fields if (asks := getattr(self, name)) is not None}
        return [
            (cast("Measured", name), word, getattr(comparison, word))
            for name, comparison in asked.items()
            for word in comparison.model_fields_set
        ]
