"""The file that describes a cell, with units: read into :class:`protocols.cell.Cell`.

Nothing that a result hangs on has a silent default: geometry and area are always asked for.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import Field, PlainValidator, ValidationError, model_validator

from protocols.cell import LITHIUM_C_PER_M3, Cell, Electrode, ElectrolyteClass, Geometry
from protocols.errors import InvalidFileError
from protocols.fields import VoltageWindow
from protocols.units import Amount
from protocols.validation import FileModel, LanguageVersion, Name, problems_of, quantity, read_amount, wrong
from protocols.yamlfile import read_text, read_yaml

_TRUTH = {"yes": True, "true": True, "no": False, "false": False}


def _read_truth(value: object) -> bool:
    if not isinstance(value, str) or value.lower() not in _TRUTH:
        raise wrong(f"'{value}' is neither yes nor no.", "Write 'yes' or 'no'.")
    return _TRUTH[value.lower()]


def _read_part(value: object) -> Amount:
    part = read_amount(value, "fraction")
    if not 0 <= part.value <= 1:
        raise wrong(f"'{part.text}' is not between 0 and 100 %.")
    return part


Part = Annotated[Amount, PlainValidator(_read_part)]
Temperature = Annotated[Amount, quantity("temperature", positive=True)]
Length = Annotated[Amount, quantity("length", positive=True)]
Pressure = Annotated[Amount, quantity("pressure")]


class ElectrodeBlock(FileModel):
    """One electrode."""

    lithium: Annotated[Amount, quantity("length", "areal_capacity", positive=True)] | None = None
    """Thickness of dense lithium, or its areal capacity."""
    uncertainty: Part = Amount(0.1, "fraction", "10 %")

    def electrode(self) -> Electrode:
        """Return the electrode in SI."""
        if self.lithium is None:
            return Electrode(uncertainty=self.uncertainty.value)
        factor = LITHIUM_C_PER_M3 if self.lithium.kind == "length" else 1.0
        return Electrode(inventory_C_per_m2=self.lithium.value * factor, uncertainty=self.uncertainty.value)


class ElectrolyteBlock(FileModel):
    """What lies between the electrodes."""

    name: str = ""
    kind: ElectrolyteClass = Field(default="other", alias="class")
    thickness: Length | None = None


class PressureBlock(FileModel):
    """Stack pressure during the test, and the pressure the cell was made with."""

    stack: Pressure | None = None
    pressing: Pressure | None = None


class TemperatureWindow(FileModel):
    """The temperatures that the cell may see."""

    lowest: Temperature = Field(alias="from")
    highest: Temperature = Field(alias="to")


class CellFile(FileModel):
    """A cell file."""

    sandtime: LanguageVersion
    name: Name
    geometry: Geometry
    area: Annotated[Amount, quantity("area", positive=True)] | None = None
    diameter: Length | None = None
    working: ElectrodeBlock = ElectrodeBlock()
    counter: ElectrodeBlock = ElectrodeBlock()
    electrolyte: ElectrolyteBlock = ElectrolyteBlock()
    mass: Annotated[Amount, quantity("mass", positive=True)] | None = None
    capacity: Annotated[Amount, quantity("charge", positive=True)] | None = None
    pressure: PressureBlock = PressureBlock()
    temperature: Temperature = Amount(298.15, "temperature", "25 °C")
    voltage_window: VoltageWindow | None = None
    temperature_window: TemperatureWindow | None = None
    contains_liquid: Annotated[bool, PlainValidator(_read_truth)] = False
    max_loss: Part = Amount(0.5, "fraction", "50 %")

    @model_validator(mode="after")
    def _has_one_size(self) -> CellFile:
        if (self.area is None) == (self.diameter is None):
            raise wrong("A cell has an 'area' or a 'diameter'.", "Write for example 'area: 0.785 cm²'.")
        return self

    def area_m2(self) -> float:
        """Return the electrode area in m²."""
        if self.diameter is not None:
            return math.pi / 4 * self.diameter.value**2
        return _value(self.area) or 0.0

    def cell(self) -> Cell:
        """Return the cell in SI."""
        window, temperatures = self.voltage_window, self.temperature_window
        return Cell(
            name=self.name,
            geometry=self.geometry,
            area_m2=self.area_m2(),
            working=self.working.electrode(),
            counter=self.counter.electrode(),
            electrolyte=self.electrolyte.name,
            electrolyte_class=self.electrolyte.kind,
            electrolyte_thickness_m=_value(self.electrolyte.thickness),
            mass_kg=_value(self.mass),
            capacity_C=_value(self.capacity),
            stack_pressure_Pa=_value(self.pressure.stack),
            pressing_pressure_Pa=_value(self.pressure.pressing),
            temperature_K=self.temperature.value,
            voltage_min_V=_value(window.lowest) if window else None,
            voltage_max_V=_value(window.highest) if window else None,
            temperature_min_K=_value(temperatures.lowest) if temperatures else None,
            temperature_max_K=_value(temperatures.highest) if temperatures else None,
            contains_liquid=self.contains_liquid,
            max_loss=self.max_loss.value,
        )


def load_cell(path: Path | str) -> Cell:
    """Read a cell file. Raises InvalidFileError with every problem found."""
    return parse_cell(read_text(Path(path)), str(path))


def parse_cell(text: str, file: str) -> Cell:
    """Read the text of a cell file; ``file`` names it in messages. Raises InvalidFileError."""
    source = read_yaml(text, file)
    try:
        return CellFile.model_validate(source.root.plain()).cell()
    except ValidationError as error:
        raise InvalidFileError(problems_of(error, source, CellFile)) from error


def _value(amount: Amount | None) -> float | None:
    return None if amount is None else amount.value
