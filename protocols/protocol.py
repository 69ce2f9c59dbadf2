"""The researcher's file: steps, limits, guards, recording. It knows no instrument and no absolute current.

``load_protocol`` reads one; :func:`protocols.compile.compile_program` fits it to a cell and a channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationError, WithJsonSchema

from protocols.contradictions import contradictions, warnings
from protocols.errors import InvalidFileError, Problem, QuantityError, nearest
from protocols.fields import CURRENTS, Count, Duration, VoltageWindow, read_kelvin
from protocols.includes import Includes, Reader, folder_reader, stored_reader
from protocols.parameters import Parameters
from protocols.program import GuardName, GuardSettings
from protocols.spectra import SpectrumStep
from protocols.steps import Step
from protocols.units import Amount, KindName, parse_amount
from protocols.validation import (
    FileModel,
    LanguageVersion,
    Name,
    not_empty,
    problems_of,
    quantity,
    read_amount,
    wrong,
)
from protocols.verdicts import VerdictKind
from protocols.yamlfile import Source, read_text, read_yaml

LIBRARY = Path(__file__).parent / "library"
_MOST_REVERSE = 0.1
"""Of the current before (design: Depletion)."""
_UNITS_OF_THRESHOLDS: dict[str, KindName] = {
    "V": "voltage",
    "A": "current",
    "s": "time",
    "C": "charge",
    "Hz": "frequency",
    "ohm": "resistance",
    "K": "temperature",
}


def _symmetric_window(value: object) -> object:
    """Let one voltage stand for a window that is symmetric about zero."""
    if not isinstance(value, str):
        return value
    size = read_amount(value.removeprefix("±").strip(), "voltage")
    if size.value <= 0:
        raise wrong("A single voltage means ± this voltage: write it without a sign.")
    return {"from": f"-{size.text}", "to": size.text}


class LimitsBlock(FileModel):
    """Safety limits: always on, open the circuit."""

    voltage: (
        Annotated[
            VoltageWindow, BeforeValidator(_symmetric_window, json_schema_input_type=VoltageWindow | str)
        ]
        | None
    ) = None
    """Lowest and highest E; a single voltage means ± this."""
    current: Annotated[Amount, quantity("current", "current_density", positive=True)] | None = None
    """Largest |I|."""


class DenseBlock(FileModel):
    """Denser samples at the start of each step of constant current, as a nucleation spike needs them."""

    duration: Duration = Field(default=Amount(60.0, "time", "1 min"), alias="for")
    """So long from the start of each step."""
    every: Duration = Amount(0.1, "time", "0.1 s")
    """Time between two samples."""


class RecordBlock(FileModel):
    """What is kept besides what guards see."""

    every: Duration | None = None
    """Interval of the samples that are kept for good; all of them if not written."""
    on_voltage_change: Annotated[Amount, quantity("voltage", positive=True)] = Amount(
        0.005, "voltage", "5 mV"
    )
    """A sample is kept besides when E has changed by this."""
    on_current_change: Annotated[Amount, quantity(*CURRENTS, positive=True)] | None = None
    """At constant voltage."""
    dense: DenseBlock | None = None
    """Denser samples at the start of each step of constant current."""


class SuspicionBlock(FileModel):
    """What to do when a guard suspects something that is no reason yet to end the test."""

    steps: tuple[SpectrumStep, ...] = ()
    """At open circuit."""
    then: Literal["go_on", "pause"] = "go_on"
    """Go on, or pause until a person says 'sandtime resume'."""


def _read_guard(value: object) -> dict[str, float] | bool:
    """Read the settings of a guard: ``on``, ``off``, or thresholds that differ from its own."""
    if value in ("on", "off"):
        return value == "on"
    if not isinstance(value, dict):
        raise wrong("A guard is 'on', 'off' or has thresholds.", "Write for example 'depletion: off'.")
    return {name: _read_setting(name, text) for name, text in value.items()}


def _read_setting(name: str, value: object) -> float:
    match name:
        case "look":
            return _read_look(value)
        case "reverse_pulse":
            return _read_reverse_pulse(value)
        case _:
            return _read_threshold(name, value)


def _read_look(value: object) -> float:
    """Read whether to look at a cell before its short circuit is final."""
    if value not in ("on", "off"):
        raise wrong("look: This is 'on' or 'off'.", "Without 'look', a short circuit is looked at.")
    return float(value == "on")


def _read_reverse_pulse(value: object) -> float:
    """Read the size of a reverse pulse."""
    fraction = _read_threshold("reverse_pulse", value)
    if not 0.0 <= fraction <= _MOST_REVERSE:
        message = f"reverse_pulse: {value} of the current before is too much to be a small pulse."
        raise wrong(message, f"Write at most {_MOST_REVERSE:g}.")
    return fraction


def threshold_kind(name: str) -> KindName:
    """Return of what kind a guard's threshold is, by the last part of its name; a ratio has none."""
    return _UNITS_OF_THRESHOLDS.get(name.rpartition("_")[2], "fraction")


def _read_threshold(name: str, value: object) -> float:
    """Read a threshold; the last part of its name (``_V``, ``_s``, …) says of what kind it is."""
    kind = threshold_kind(name)
    if kind == "temperature":
        return read_kelvin(value).value
    try:
        return parse_amount(str(value), kind).value
    except QuantityError as error:
        raise wrong(f"{name}: {error}", error.hint) from error


GuardBlock = Annotated[
    dict[str, float] | bool,
    PlainValidator(_read_guard),
    WithJsonSchema({"anyOf": [{"enum": ["on", "off"]}, {"type": "object"}]}),
]


class ProtocolFile(FileModel):
    """A protocol file."""

    sandtime: LanguageVersion
    """Version of the language: 1."""
    name: Name
    """What the test is called in results."""
    description: str = ""
    """What the test is for."""
    parameters: dict[str, str] = {}
    """Values that '--set' may change, written $name below."""
    limits: LimitsBlock = LimitsBlock()
    """Safety limits: always on, open the circuit."""
    guards: dict[GuardName, GuardBlock] = {}
    """Watchers: on, off, or thresholds that differ from their own."""
    watch: Duration = Amount(1.0, "time", "1 s")
    """How often the guards look."""
    record: RecordBlock = RecordBlock()
    """What is kept besides what guards see."""
    ends_on: tuple[VerdictKind, ...] = ()
    """Verdicts that are a planned end: the run is finished, not protected."""
    on_suspicion: SuspicionBlock = SuspicionBlock()
    """What to do when a guard suspects something."""
    retention_from: Count = 1
    """The cycle whose capacity is 100 % for ``retention``."""
    steps: Annotated[tuple[Step, ...], AfterValidator(not_empty)]
    """What is done, in order."""
    afterwards: tuple[SpectrumStep, ...] = ()
    """At open circuit, however the test ended: rests and small spectra."""

    @property
    def guard_settings(self) -> GuardSettings:
        """Which guards watch, and with which thresholds."""
        off = {name for name, block in self.guards.items() if block is False}
        overrides = {str(name): dict(block) for name, block in self.guards.items() if isinstance(block, dict)}
        # What the engine does after a verdict stands with the guard that finds it, but is no threshold of it.
        look = overrides.get("short_circuit", {}).pop("look", 1.0)
        return GuardSettings(
            enabled=tuple(name for name in GuardSettings().enabled if name not in off),
            reverse_pulse=overrides.get("depletion", {}).pop("reverse_pulse", 0.0),
            look=bool(look),
            overrides={name: block for name, block in overrides.items() if block},
        )


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol file that was read without an error, with the places of everything in it."""

    content: ProtocolFile
    source: Source
    parameters: dict[str, str]
    """The values that hold, as text: defaults and settings."""
    warnings: tuple[Problem, ...] = ()
    included: dict[str, str] = field(default_factory=dict)
    """The texts of the files that it includes, by name."""

    @property
    def name(self) -> str:
        """Name of the protocol."""
        return self.content.name

    @property
    def description(self) -> str:
        """What the test is for."""
        return self.content.description


def library_protocols() -> list[str]:
    """Return the names of the protocols that come with sandtime."""
    return sorted(path.stem for path in LIBRARY.glob("*.yaml"))


def find_protocol(path_or_name: Path | str) -> Path:
    """Return the file of a protocol; a bare name means the library. Raises InvalidFileError."""
    path = Path(path_or_name)
    if path.is_file() or path.suffix or path.parent != Path():
        return path
    if path.name in library_protocols():
        return LIBRARY / f"{path.name}.yaml"
    message = f"There is neither a file nor a protocol in the library named '{path.name}'."
    raise InvalidFileError([Problem(path.name, 0, 0, message, nearest(path.name, library_protocols()))])


def load_protocol(path_or_name: Path | str, settings: Mapping[str, str] = MappingProxyType({})) -> Protocol:
    """Read a protocol file, or one of the library by its bare name.

    ``settings``: values of parameters that replace the file's, with their units. Raises InvalidFileError with
    every problem found.
    """
    path = find_protocol(path_or_name)
    return _parse(read_text(path), str(path), settings, folder_reader(path.parent))


def check_protocol(path: Path | str) -> tuple[Protocol | None, list[Problem], list[Problem]]:
    """Return the protocol, if it can be used, its errors and its warnings. Raises nothing."""
    try:
        protocol = load_protocol(path)
    except InvalidFileError as error:
        return None, list(error.problems), []
    return protocol, [], list(protocol.warnings)


def parse_protocol(
    text: str,
    file: str,
    settings: Mapping[str, str] = MappingProxyType({}),
    included: Mapping[str, str] = MappingProxyType({}),
) -> Protocol:
    """Read the text of a protocol file; ``file`` names it in messages. Raises InvalidFileError.

    ``included``: the texts of the files that it includes, by name.
    """
    return _parse(text, file, settings, stored_reader(dict(included)))


def _parse(text: str, file: str, settings: Mapping[str, str], read: Reader) -> Protocol:
    includes = Includes(read_yaml(text, file), read)
    source = includes.expanded()
    parameters = Parameters(source, settings)
    source = parameters.apply_to_file()
    problems = includes.problems + parameters.problems
    try:
        content = ProtocolFile.model_validate(source.root.plain())
    except ValidationError as error:
        told = {_place(problem) for problem in problems}
        told |= {(place.file or file, place.line, place.column) for place in parameters.doubtful}
        # What only follows from a reference that is wrong is left out.
        problems += [new for new in problems_of(error, source, ProtocolFile) if _place(new) not in told]
    else:
        problems += contradictions(content, source)
    if problems:
        unique = dict.fromkeys(problems)
        raise InvalidFileError(sorted(unique, key=lambda found: _order(found, file)))
    warned = tuple(warnings(content, source, parameters.unused()))
    return Protocol(content, source, parameters.texts, warned, includes.texts)


def _order(problem: Problem, file: str) -> tuple[bool, str, int, int]:
    """Put the file itself before those that it includes, and lines in order."""
    return problem.file != file, problem.file, problem.line, problem.column


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column
