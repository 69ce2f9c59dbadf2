"""The researcher's file: steps, limits, guards, recording. It knows no instrument and no absolute current.

``load_protocol`` reads one; :func:`protocols.compile.compile_program` fits it to a cell and a channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, PlainValidator, ValidationError

from protocols.errors import InvalidFileError, Problem, QuantityError, nearest
from protocols.measurements import VerdictKind
from protocols.parameters import LEVEL, Parameters
from protocols.program import GuardSettings
from protocols.steps import AfterStep, Duration, GeisStep, RampStep, RepeatStep, Step, VoltageWindow
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
from protocols.yamlfile import Source, TreePath, read_text, read_yaml

LIBRARY = Path(__file__).parent / "library"
SLOW_WATCH_S = 5.0
"""A longer ``watch`` gives a short circuit time to do harm before a guard sees it."""

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

    voltage: Annotated[VoltageWindow, BeforeValidator(_symmetric_window)] | None = None
    current: Annotated[Amount, quantity("current", "current_density", positive=True)] | None = None


class RecordBlock(FileModel):
    """What is kept besides what guards see."""

    every: Duration | None = None
    on_voltage_change: Annotated[Amount, quantity("voltage", positive=True)] = Amount(
        0.005, "voltage", "5 mV"
    )


def _read_guard(value: object) -> dict[str, float] | bool:
    """Read the settings of a guard: ``on``, ``off``, or thresholds that differ from its own."""
    if value in ("on", "off"):
        return value == "on"
    if not isinstance(value, dict):
        raise wrong("A guard is 'on', 'off' or has thresholds.", "Write for example 'depletion: off'.")
    return {name: _read_threshold(name, text) for name, text in value.items()}


def _read_threshold(name: str, value: object) -> float:
    """Read a threshold; the last part of its name (``_V``, ``_s``, …) says of what kind it is."""
    kind = _UNITS_OF_THRESHOLDS.get(name.rpartition("_")[2], "fraction")
    try:
        return parse_amount(str(value), kind).value
    except QuantityError as error:
        raise wrong(f"{name}: {error}", error.hint) from error


GuardName = Literal["short_circuit", "depletion", "limits"]
GuardBlock = Annotated[dict[str, float] | bool, PlainValidator(_read_guard)]


class ProtocolFile(FileModel):
    """A protocol file."""

    sandtime: LanguageVersion
    name: Name
    description: str = ""
    parameters: dict[str, str] = {}
    limits: LimitsBlock = LimitsBlock()
    guards: dict[GuardName, GuardBlock] = {}
    watch: Duration = Amount(1.0, "time", "1 s")
    record: RecordBlock = RecordBlock()
    ends_on: tuple[VerdictKind, ...] = ()
    steps: Annotated[tuple[Step, ...], AfterValidator(not_empty)]
    afterwards: tuple[AfterStep, ...] = ()

    @property
    def guard_settings(self) -> GuardSettings:
        """Which guards watch, and with which thresholds."""
        off = {name for name, block in self.guards.items() if block is False}
        overrides = {name: block for name, block in self.guards.items() if isinstance(block, dict)}
        return GuardSettings(
            enabled=tuple(name for name in GuardSettings().enabled if name not in off),
            overrides={str(name): block for name, block in overrides.items()},
        )


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol file that was read without an error, with the places of everything in it."""

    content: ProtocolFile
    source: Source
    parameters: dict[str, str]
    """The values that hold, as text: defaults and settings."""
    warnings: tuple[Problem, ...] = ()

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
    return parse_protocol(read_text(path), str(path), settings)


def check_protocol(path: Path | str) -> tuple[Protocol | None, list[Problem], list[Problem]]:
    """Return the protocol, if it can be used, its errors and its warnings. Raises nothing."""
    try:
        protocol = load_protocol(path)
    except InvalidFileError as error:
        return None, list(error.problems), []
    return protocol, [], list(protocol.warnings)


def parse_protocol(text: str, file: str, settings: Mapping[str, str] = MappingProxyType({})) -> Protocol:
    """Read the text of a protocol file; ``file`` names it in messages. Raises InvalidFileError."""
    source = read_yaml(text, file)
    parameters = Parameters(source, settings)
    source = parameters.apply_to_file()
    problems = list(parameters.problems)
    try:
        content = ProtocolFile.model_validate(source.root.plain())
    except ValidationError as error:
        problems += _elsewhere(problems_of(error, source, ProtocolFile), problems)
    else:
        problems += _contradictions(content, source)
    if problems:
        raise InvalidFileError(sorted(problems, key=lambda problem: (problem.line, problem.column)))
    return Protocol(content, source, parameters.texts, tuple(_warnings(content, source, parameters)))


def _elsewhere(found: list[Problem], known: list[Problem]) -> list[Problem]:
    """Leave out what only follows from a reference that is wrong."""
    places = {(problem.line, problem.column) for problem in known}
    return [problem for problem in found if (problem.line, problem.column) not in places]


def _contradictions(content: ProtocolFile, source: Source) -> list[Problem]:
    """Return what each part allows but not the whole."""
    problems = []
    if content.guards.get("limits") is False:
        path = ("guards", "limits")
        problems.append(
            source.problem(path, "The safety limits are always on.", "Widen them under 'limits:'.")
        )
    for place, step in enumerate(content.afterwards):
        if isinstance(step, GeisStep) and step.geis.current is not None:
            path_of_current = ("afterwards", place, "geis", "current")
            message = "After the end no direct current is driven."
            problems.append(source.key_problem(path_of_current, message, "Leave 'current' out."))
    return problems + list(_ramp_problems(content.steps, ("steps",), source, in_ramp=False))


def _ramp_problems(
    steps: tuple[Step, ...], path: TreePath, source: Source, in_ramp: bool
) -> Iterator[Problem]:
    """Yield what makes ``$current`` ambiguous."""
    for place, step in enumerate(steps):
        if isinstance(step, RepeatStep):
            yield from _ramp_problems(step.repeat.steps, (*path, place, "repeat", "steps"), source, in_ramp)
        elif isinstance(step, RampStep):
            if in_ramp:
                message = f"A ramp can't stand inside a ramp: ${LEVEL} would have two meanings."
                yield source.key_problem((*path, place, "ramp"), message, "Write a 'repeat' inside the ramp.")
            elif source.root.child("parameters") and LEVEL in source.find(("parameters",)).key_places:
                message = f"Inside a ramp ${LEVEL} is the level of the ramp."
                hint = "Give the parameter another name."
                yield source.key_problem(("parameters", LEVEL), message, hint)
            yield from _ramp_problems(step.ramp.steps, (*path, place, "ramp", "steps"), source, in_ramp=True)


def _warnings(content: ProtocolFile, source: Source, parameters: Parameters) -> Iterator[Problem]:
    for name in parameters.unused():
        hint = f"Write ${name} where it is meant, or take it out."
        yield source.key_problem(("parameters", name), f"The parameter '{name}' is used nowhere.", hint)
    if content.watch.value > SLOW_WATCH_S:
        message = f"With 'watch: {content.watch.text}' guards see a short circuit late."
        yield source.problem(("watch",), message, "The usual value is 1 s.")
