"""The steps of a protocol file, as they are written: one word, and its settings below it.

A new kind of step is a model here or beside it (:mod:`protocols.dc_steps`, :mod:`protocols.spectra`), a
member of :data:`Step`, and a case in :mod:`protocols.compile`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from protocols.conditions import Condition
from protocols.dc_steps import (
    CcCv,
    ConstantCurrent,
    ConstantVoltage,
    CyclicVoltammetry,
    LinearSweep,
    Nucleation,
    Tafel,
)
from protocols.fields import Count, Difference, Duration, Part, Temperature, Text
from protocols.ramps import RampOver
from protocols.spectra import GeisStep, PassSpectra, PeisStep, RestStep, SpectrumStep, only_key
from protocols.units import Amount
from protocols.validation import FileModel, not_empty


class Stable(FileModel):
    """The cell itself has come to the temperature: its resistance at high frequency no longer changes."""

    change: Part = Amount(0.01, "fraction", "1 %")
    """Largest change between two spectra."""
    every: Duration = Amount(900.0, "time", "15 min")
    """Time between two spectra."""
    spectrum: SpectrumStep
    """What is measured at the cell."""


class SetTemperature(FileModel):
    """The chamber goes to a temperature, and the cell soaks in it at open circuit."""

    target: Temperature = Field(alias="to")
    """Temperature of the chamber, such as '60 °C'."""
    within: Difference = Amount(0.5, "temperature", "0.5 K")
    """So near has the chamber to be, such as '0.5 K'."""
    held: Duration = Field(default=Amount(600.0, "time", "10 min"), alias="for")
    """So long the chamber has to be within it without a break."""
    soak: Duration | None = None
    """Least time after that."""
    at_most: Duration = Amount(43200.0, "time", "12 h")
    """The run fails if it takes longer."""
    stable: Stable | None = None
    """Wait for the cell itself as well, by spectra."""


class Repeat(FileModel):
    """Steps repeated a number of times."""

    times: Count
    """How often: a whole number."""
    counts: Literal["cycles"] | None = None
    """``cycles``: each pass is a cycle of the test, numbered on through all repeats that count."""
    steps: Annotated[tuple[Step, ...], AfterValidator(not_empty)]
    """What is repeated."""
    spectra: PassSpectra | None = None
    """Spectra after some passes, or inside the half-cycles."""


class Ramp(RampOver):
    """Steps repeated at one level after another of one quantity; in them ``$current`` is the level."""

    steps: Annotated[tuple[Step, ...], AfterValidator(not_empty)]
    """What runs at each level."""


def _way(value: Any) -> str:
    return "steps" if isinstance(value, list | tuple) else "jump"


Jump = Literal["leave", "end"]
"""``leave``: go on after the innermost repeat or ramp; ``end``: the test is over."""
Way = Annotated[
    Annotated[Jump, Tag("jump")] | Annotated[tuple["Step", ...], Tag("steps")], Discriminator(_way)
]


class If(FileModel):
    """Go one way or the other, by what was measured."""

    when: Condition
    """What has to hold."""
    then: Way
    """If it holds: steps, 'leave' or 'end'."""
    otherwise: Way = ()
    """If it does not, or was not measured yet: steps, 'leave' or 'end'."""


class WaitForPerson(FileModel):
    """Open circuit until a person says go on (``sandtime resume``)."""

    message: Text
    """What the person is asked to do."""
    at_most: Duration = Amount(30 * 86400.0, "time", "30 d")
    """The run fails if nobody has come by then."""


class ConstantCurrentStep(FileModel):
    """``constant_current``."""

    constant_current: ConstantCurrent


class ConstantVoltageStep(FileModel):
    """``constant_voltage``."""

    constant_voltage: ConstantVoltage


class CcCvStep(FileModel):
    """``cc_cv``."""

    cc_cv: CcCv


class NucleationStep(FileModel):
    """``nucleation``."""

    nucleation: Nucleation


class LinearSweepStep(FileModel):
    """``linear_sweep``."""

    linear_sweep: LinearSweep


class CyclicVoltammetryStep(FileModel):
    """``cyclic_voltammetry``."""

    cyclic_voltammetry: CyclicVoltammetry


class TafelStep(FileModel):
    """``tafel``."""

    tafel: Tafel


class TemperatureStep(FileModel):
    """``temperature``."""

    temperature: SetTemperature


class RepeatStep(FileModel):
    """``repeat``."""

    repeat: Repeat


class RampStep(FileModel):
    """``ramp``."""

    ramp: Ramp


class IfStep(FileModel):
    """``if``."""

    decision: If = Field(alias="if")


class MessageStep(FileModel):
    """``message``."""

    message: Text


class WaitForPersonStep(FileModel):
    """``wait_for_person``."""

    wait_for_person: WaitForPerson


Step = Annotated[
    Annotated[RestStep, Tag("rest")]
    | Annotated[ConstantCurrentStep, Tag("constant_current")]
    | Annotated[ConstantVoltageStep, Tag("constant_voltage")]
    | Annotated[CcCvStep, Tag("cc_cv")]
    | Annotated[NucleationStep, Tag("nucleation")]
    | Annotated[LinearSweepStep, Tag("linear_sweep")]
    | Annotated[CyclicVoltammetryStep, Tag("cyclic_voltammetry")]
    | Annotated[TafelStep, Tag("tafel")]
    | Annotated[GeisStep, Tag("geis")]
    | Annotated[PeisStep, Tag("peis")]
    | Annotated[TemperatureStep, Tag("temperature")]
    | Annotated[RampStep, Tag("ramp")]
    | Annotated[RepeatStep, Tag("repeat")]
    | Annotated[IfStep, Tag("if")]
    | Annotated[MessageStep, Tag("message")]
    | Annotated[WaitForPersonStep, Tag("wait_for_person")],
    Discriminator(only_key),
]

DrivenStep = (
    ConstantCurrentStep
    | ConstantVoltageStep
    | CcCvStep
    | NucleationStep
    | LinearSweepStep
    | CyclicVoltammetryStep
    | TafelStep
)
HALF_CYCLES = (ConstantCurrentStep, CcCvStep, NucleationStep)
"""Steps that are a half-cycle each."""
