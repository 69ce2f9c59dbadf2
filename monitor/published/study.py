"""What a study published, and how each value of it is obtained again: ``study_*.toml``.

``[cells.NAME]`` is a cell: its preset in the simulation and, in ``file``, the words of its cell file.
``[[tests]]`` is a protocol on such a cell, fresh. ``[[tests.quantities]]`` is one published value and the
extraction (:mod:`monitor.published.extractions`) that gets it out of the test's data.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from drivers.simulation.presets import PRESETS
from monitor.published.extractions import EXTRACTIONS, check_arguments
from monitor.published.units import UNITS
from protocols.cellfile import parse_cell
from protocols.errors import InvalidFileError, Problem, SandtimeError, nearest
from protocols.protocol import find_protocol

FOLDER = Path(__file__).parent
PROTOCOLS = FOLDER / "protocols"

Relation = Literal["=", "~", ">", ">=", "<", "<=", "words"]


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Quantity(_Checked):
    """One published value."""

    name: str
    published: float | str
    unit: str = ""
    relation: Relation = "="
    """How the paper prints it: ``=`` as a figure, ``~`` as about, ``words`` as a finding in words."""
    by: str
    """Name of the extraction."""
    arguments: dict[str, Any] = {}
    note: str = ""
    clashes: str = ""
    """Which other published value it contradicts: then it is listed apart and never fitted."""

    @model_validator(mode="after")
    def _can_be_obtained(self) -> Quantity:
        if self.unit not in UNITS:
            raise ValueError(f"the unit {self.unit!r} is not known; known: {', '.join(filter(None, UNITS))}")
        check_arguments(self.by, self.arguments)
        kind = UNITS[self.unit][0]
        found = EXTRACTIONS[self.by].kind
        if self.relation == "words":
            if not isinstance(self.published, str) or found != "words":
                raise ValueError(
                    f"{self.name}: a finding in words is compared with words, {self.by} gives {found}"
                )
        elif isinstance(self.published, str) or kind != found:
            raise ValueError(f"{self.name}: {self.by} gives a {found}, but a {kind} is published")
        return self


class PublishedCell(_Checked):
    """One cell of a study."""

    label: str
    """What the paper calls it."""
    preset: str
    """Its parameter set in the simulation."""
    file: dict[str, Any]
    """Its cell file, without ``sandtime`` and ``name``."""

    @model_validator(mode="after")
    def _is_a_cell(self) -> PublishedCell:
        if self.preset not in PRESETS:
            raise ValueError(f"there is no simulated cell {self.preset!r}. {nearest(self.preset, PRESETS)}")
        try:
            parse_cell(self.text(), self.label)
        except InvalidFileError as error:
            raise ValueError(str(error)) from error
        return self

    def text(self) -> str:
        """Return the text of its cell file."""
        lines = {"name": self.label, **self.file}
        # JSON is YAML.
        written = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in lines.items()]
        return "\n".join(["sandtime: 1", *written, ""])


class PublishedTest(_Checked):
    """One protocol on one fresh cell."""

    name: str
    cell: str
    protocol: str
    """A name from the library, or of a file in ``monitor/published/protocols``."""
    settings: dict[str, str] = {}
    chamber: bool = False
    """Whether the protocol demands temperatures: the station then has a chamber of its own."""
    quantities: tuple[Quantity, ...] = Field(min_length=1)

    def path(self) -> Path:
        """Return the protocol's file. Raises InvalidFileError if there is none."""
        own = PROTOCOLS / f"{self.protocol}.yaml"
        return own if own.exists() else find_protocol(self.protocol)

    @model_validator(mode="after")
    def _has_a_protocol(self) -> PublishedTest:
        try:
            self.path()
        except SandtimeError as error:
            raise ValueError(str(error)) from error
        return self


class Study(_Checked):
    """One paper."""

    letter: str
    source: str
    """Journal, year, DOI."""
    cells: dict[str, PublishedCell]
    tests: tuple[PublishedTest, ...]

    @model_validator(mode="after")
    def _tests_name_its_cells(self) -> Study:
        for test in self.tests:
            if test.cell not in self.cells:
                raise ValueError(
                    f"test {test.name}: there is no cell {test.cell!r}. {nearest(test.cell, self.cells)}"
                )
        names = [test.name for test in self.tests]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two tests are called {', '.join(sorted(twice))}")
        return self


def load_studies(folder: Path = FOLDER) -> list[Study]:
    """Read all studies, by letter. Raises InvalidFileError that names every mistake."""
    return [load_study(file) for file in sorted(folder.glob("study_*.toml"))]


def load_study(file: Path) -> Study:
    """Read one study. Raises InvalidFileError that names every mistake."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidFileError([Problem(str(file), 0, 0, f"cannot be read as TOML: {error}")]) from error
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise InvalidFileError([_problem(file, content, detail) for detail in error.errors()]) from error


def chosen(studies: Sequence[Study], only: Sequence[str]) -> list[Study]:
    """Return the studies with the tests that ``only`` names by letter, cell or test; all if empty.

    Raises InvalidFileError for a name that fits nothing.
    """
    if not only:
        return list(studies)
    known = {name for study in studies for test in study.tests for name in _names(study, test)}
    strange = [name for name in only if name.lower() not in known]
    if strange:
        hint = "name a study by its letter, a cell or a test"
        raise InvalidFileError(
            [Problem("--only", 0, 0, f"nothing is called {strange[0]!r}. {nearest(strange[0], known)}", hint)]
        )
    wanted = {name.lower() for name in only}
    kept = [
        study.model_copy(update={"tests": tuple(t for t in study.tests if _names(study, t) & wanted)})
        for study in studies
    ]
    return [study for study in kept if study.tests]


def _names(study: Study, test: PublishedTest) -> set[str]:
    return {study.letter.lower(), test.cell.lower(), test.name.lower()}


def _problem(file: Path, content: Mapping[str, Any], detail: Any) -> Problem:
    """Return a mistake with the names of the test and the quantity that it stands in, not their numbers."""
    words, place = [], content
    for part in detail["loc"]:
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):
            place = {}
        named = isinstance(part, int) and isinstance(place, Mapping) and "name" in place
        words.append(str(place["name"]) if named else str(part))
    return Problem(str(file), 0, 0, f"{' › '.join(words)}: {detail['msg']}")
