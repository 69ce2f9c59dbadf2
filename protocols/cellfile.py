"""The file that describes a cell, with units: read into :class:`protocols.cell.Cell`.

Nothing that a result hangs on has a silent default: geometry and area are always asked for. What single keys
allow but the whole does not is said by :mod:`protocols.cellchecks`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, ValidationError, model_validator

from protocols.cell import LITHIUM_C_PER_M3, AreaOf, Cell, Electrode, ElectrolyteClass, Geometry
from protocols.cellchecks import contradictions, warnings_about
from protocols.errors import InvalidFileError, Problem
from protocols.fields import VoltageWindow
from protocols.units import Amount
from protocols.validation import (
    FileModel,
    LanguageVersion,
    Line,
    Name,
    Notes,
    problems_of,
    quantity,
    read_amount,
    written_as,
    wrong,
)
from protocols.verdicts import Side
from protocols.yamlfile import Source, read_text, read_yaml

MAX_METADATA = 100
AVOGADRO_PER_MOL = 6.02214076e23

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


def _not_too_many(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAX_METADATA:
        raise wrong(f"There are more than {MAX_METADATA} entries.", "Keep long lists in a file of their own.")
    return metadata


Truth = Annotated[bool, PlainValidator(_read_truth, json_schema_input_type=bool | str)]
Part = Annotated[Amount, PlainValidator(_read_part, json_schema_input_type=written_as("fraction"))]
Temperature = Annotated[Amount, quantity("temperature", positive=True)]
Length = Annotated[Amount, quantity("length", positive=True)]
Pressure = Annotated[Amount, quantity("pressure", positive=True, or_zero=True)]
Metadata = Annotated[dict[Line, Line], AfterValidator(_not_too_many)]


class ElectrodeBlock(FileModel):
    """One electrode."""

    lithium: Annotated[Amount, quantity("length", "areal_capacity", positive=True)] | None = None
    """Thickness of dense lithium, or its areal capacity."""
    uncertainty: Part = Amount(0.1, "fraction", "10 %")
    """How far the lithium may be from what is written, relative."""

    def electrode(self) -> Electrode:
        """Return the electrode in SI."""
        if self.lithium is None:
            return Electrode(uncertainty=self.uncertainty.value)
        factor = LITHIUM_C_PER_M3 if self.lithium.kind == "length" else 1.0
        return Electrode(inventory_C_per_m2=self.lithium.value * factor, uncertainty=self.uncertainty.value)


class ElectrolyteBlock(FileModel):
    """What lies between the electrodes."""

    name: Notes = ""
    """The electrolyte in the lab's own words."""
    kind: ElectrolyteClass = Field(default="other", alias="class")
    """Gives the voltage limit of a cell with two lithium electrodes."""
    thickness: Length | None = None
    """Distance between the electrodes."""
    uncertainty: Part | None = None
    """Standard deviation of the thickness, relative; for the uncertainty of conductivities."""


class PressureBlock(FileModel):
    """Stack pressure during the test, and the pressure the cell was made with."""

    stack: Pressure | None = None
    """During the test."""
    pressing: Pressure | None = None
    """When the cell was made."""


class TemperatureWindow(FileModel):
    """The temperatures that the cell may see."""

    lowest: Temperature = Field(alias="from")
    """The lowest."""
    highest: Temperature = Field(alias="to")
    """The highest."""

    @model_validator(mode="after")
    def _in_order(self) -> TemperatureWindow:
        if self.lowest.value >= self.highest.value:
            raise wrong("'from' has to be below 'to'.")
        return self


class WiringBlock(FileModel):
    """How the cell is connected. A positive current oxidises the working electrode."""

    thin_side_on: Side | None = None
    """The electrode that the thin lithium of an asymmetric cell is wired to: it has to be the working one."""
    working_lead: Line | None = None
    """Colour or label of the lead on the working electrode."""


class CellFile(FileModel):
    """A cell file."""

    sandtime: LanguageVersion
    """Version of the language."""
    name: Name
    """What the cell is called in results."""
    identity: Line | None = None
    """What is written on the cell, to know it again."""
    barcode: Line | None = None
    """The same as a barcode; one of the two is enough."""
    geometry: Geometry
    """Symmetric: lithium alike on both sides. Asymmetric: less on the working electrode. Full: the cathode is
    the working electrode. Half: lithium on the counter electrode only. Blocking: no lithium."""
    area: Annotated[Amount, quantity("area", positive=True)] | None = None
    """Electrode area; or write 'diameter'."""
    diameter: Length | None = None
    """Diameter of a round electrode; or write 'area'."""
    area_uncertainty: Part | None = None
    """Standard deviation of the area, relative; for the uncertainty of conductivities."""
    area_of: AreaOf | None = None
    """Which electrode area or diameter is of: current densities refer to it."""
    working: ElectrodeBlock = ElectrodeBlock()
    """The working electrode."""
    counter: ElectrodeBlock = ElectrodeBlock()
    """The counter electrode."""
    wiring: WiringBlock = WiringBlock()
    """How the cell is connected."""
    electrolyte: ElectrolyteBlock = ElectrolyteBlock()
    """What lies between the electrodes."""
    mass: Annotated[Amount, quantity("mass", positive=True)] | None = None
    """Mass of the active material of the working electrode."""
    capacity: (
        Annotated[Amount, quantity("charge", "areal_capacity", "specific_capacity", positive=True)] | None
    ) = None
    """Nominal capacity: a charge, or per area of the electrode, or per 'mass'."""
    expected_resistance: (
        Annotated[Amount, quantity("areal_resistance", "resistance", positive=True)] | None
    ) = None
    """What the cell is expected to have, between its leads or times its area; accuracy is checked with it."""
    pressure: PressureBlock = PressureBlock()
    """Pressures."""
    temperature: Temperature = Amount(298.15, "temperature", "25 °C")
    """Temperature of the test."""
    activation_energy: Annotated[Amount, quantity("energy", "molar_energy", positive=True)] | None = None
    """E_a of the cell's resistance; with it a change of temperature is told from a short circuit."""
    voltage_window: VoltageWindow | None = None
    """Voltages that the cell may see."""
    temperature_window: TemperatureWindow | None = None
    """Temperatures that the cell may see."""
    contains_liquid: Truth = False
    """Whether there is any liquid in the cell: yes or no."""
    max_loss: Part = Amount(0.5, "fraction", "50 %")
    """Largest part of each stripped charge that may never come back."""
    fixture: Line | None = None
    """The housing or press that holds the cell."""
    notes: Notes = ""
    """Anything to remember."""
    metadata: Metadata = {}
    """Free entries, 'key: text' each; they go into the results as they are."""

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

    def capacity_C(self) -> float | None:
        """Return the nominal capacity in C; None if unknown, or if it is per mass and the mass unknown."""
        if self.capacity is None:
            return None
        if self.capacity.kind == "specific_capacity":
            return None if self.mass is None else self.capacity.value * self.mass.value
        return self.capacity.value * (self.area_m2() if self.capacity.kind == "areal_capacity" else 1.0)

    def expected_resistance_ohm_m2(self) -> float | None:
        """Return the expected areal resistance in Ω m²; None if unknown."""
        expected = self.expected_resistance
        if expected is None:
            return None
        return expected.value * (self.area_m2() if expected.kind == "resistance" else 1.0)

    def activation_energy_J(self) -> float | None:
        """Return the activation energy for one particle in J; None if unknown."""
        energy = self.activation_energy
        if energy is None:
            return None
        return energy.value / (AVOGADRO_PER_MOL if energy.kind == "molar_energy" else 1.0)

    def cell(self) -> Cell:
        """Return the cell in SI."""
        window, temperatures = self.voltage_window, self.temperature_window
        return Cell(
            name=self.name,
            identity=self.identity or self.barcode or "",
            geometry=self.geometry,
            area_m2=self.area_m2(),
            area_uncertainty=_value(self.area_uncertainty),
            area_of=self.area_of,
            working=self.working.electrode(),
            counter=self.counter.electrode(),
            thin_side_on=self.wiring.thin_side_on,
            working_lead=self.wiring.working_lead or "",
            electrolyte=self.electrolyte.name,
            electrolyte_class=self.electrolyte.kind,
            electrolyte_thickness_m=_value(self.electrolyte.thickness),
            electrolyte_thickness_uncertainty=_value(self.electrolyte.uncertainty),
            mass_kg=_value(self.mass),
            capacity_C=self.capacity_C(),
            expected_resistance_ohm_m2=self.expected_resistance_ohm_m2(),
            stack_pressure_Pa=_value(self.pressure.stack),
            pressing_pressure_Pa=_value(self.pressure.pressing),
            temperature_K=self.temperature.value,
            activation_energy_J=self.activation_energy_J(),
            voltage_min_V=_value(window.lowest) if window else None,
            voltage_max_V=_value(window.highest) if window else None,
            temperature_min_K=_value(temperatures.lowest) if temperatures else None,
            temperature_max_K=_value(temperatures.highest) if temperatures else None,
            contains_liquid=self.contains_liquid,
            max_loss=self.max_loss.value,
            fixture=self.fixture or "",
            notes=self.notes,
            metadata=self.metadata,
        )


def load_cell(path: Path | str) -> Cell:
    """Read a cell file. Raises InvalidFileError with every problem found."""
    return parse_cell(read_text(Path(path)), str(path))


def check_cell(path: Path | str) -> tuple[Cell | None, list[Problem], list[Problem]]:
    """Return the cell, if it can be used, its errors and its warnings. Raises nothing."""
    try:
        cell, warnings = cell_of(read_yaml(read_text(Path(path)), str(path)))
    except InvalidFileError as error:
        return None, list(error.problems), []
    return cell, [], warnings


def parse_cell(text: str, file: str) -> Cell:
    """Read the text of a cell file; ``file`` names it in messages. Raises InvalidFileError."""
    return cell_of(read_yaml(text, file))[0]


def cell_of(source: Source) -> tuple[Cell, list[Problem]]:
    """Return the cell that a file or a row of a sheet describes, and warnings. Raises InvalidFileError."""
    try:
        content = CellFile.model_validate(source.root.plain())
    except ValidationError as error:
        raise InvalidFileError(problems_of(error, source, CellFile)) from error
    cell = content.cell()
    problems = contradictions(cell, source)
    if problems:
        raise InvalidFileError(problems)
    return cell, warnings_about(cell, source)


def _value(amount: Amount | None) -> float | None:
    return None if amount is None else amount.value
