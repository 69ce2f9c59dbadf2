"""The JSON file of aurora-unicycler (0.4.x), checked: its fields, and the places of what is wrong in it.

An empty text stands for a value that is not set, and a number may be written as text, as its own editor does.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from protocols.errors import InvalidFileError, Problem, nearest
from protocols.fields import MAX_REPEATS
from protocols.validation import wrong
from protocols.yamlfile import MAX_BYTES, Node, Place, Source, read_yaml

SMALLEST, LARGEST = 1e-12, 1e12
"""Sizes of numbers between which every value of a test lies, in any of the file's units."""


def _number(value: object) -> object:
    """Read a number; an empty text is none."""
    if isinstance(value, str) and not value.strip():
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        raise wrong("A number is wanted here.")
    if value is None:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise wrong(f"'{value}' is no number.") from error
    if not math.isfinite(number) or (number and not SMALLEST <= abs(number) <= LARGEST):
        raise wrong(f"'{value}' is no value of an electrochemical test.")
    return number


def _rate(value: object) -> object:
    """Read a C-rate: a number, or a fraction such as ``1/5``, ``C/3`` (charge) or ``D/2`` (discharge)."""
    if not isinstance(value, str) or "/" not in value:
        return _number(value)
    above, _, below = value.replace(" ", "").partition("/")
    sign = -1.0 if above.startswith("D") else 1.0
    numbers = [_number(above.removeprefix("C").removeprefix("D") or "1"), _number(below)]
    if not all(isinstance(number, float) and number for number in numbers):
        raise wrong(f"'{value}' is no C-rate.", "Write for example 'C/3' or 0.5.")
    return _number(sign * float(str(numbers[0])) / float(str(numbers[1])))


def _end(value: float | None) -> float | None:
    """Refuse an end at zero: some exporters of unicycler write it, others take it for 'not set'."""
    if value == 0:
        raise wrong(
            "An end at 0 means 'not set' to some exporters of unicycler and 0 to others.",
            "Leave it out, or write a value that is not 0.",
        )
    return value


def _after(read: Any, check: Any) -> BeforeValidator:
    return BeforeValidator(lambda value: check(read(value)))


def _whole(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong("A whole number is wanted here.")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Optional = Annotated[float | None, BeforeValidator(_number)]
Rate = Annotated[float | None, BeforeValidator(_rate)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0)]
OptionalPositive = Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(_number)]
Time = Annotated[Annotated[float, Field(gt=0)] | None, _after(_number, _end)]
End = Annotated[float | None, _after(_number, _end)]
RateEnd = Annotated[float | None, _after(_rate, _end)]
Frequency = Annotated[float, BeforeValidator(_number), Field(ge=1e-5, le=1e7)]
Count = Annotated[int, BeforeValidator(_whole), Field(gt=0, le=MAX_REPEATS)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Unicycler(_Part):
    """What wrote the file."""

    version: str = ""


class Sample(_Part):
    """The cell."""

    name: str = "$NAME"
    capacity_mAh: OptionalPositive = None


class Record(_Part):
    """When a sample is kept."""

    time_s: Positive
    voltage_V: OptionalPositive = None
    current_mA: OptionalPositive = None


class Safety(_Part):
    """Limits that end the test."""

    max_voltage_V: Optional = None
    min_voltage_V: Optional = None
    max_current_mA: Optional = None
    min_current_mA: Optional = None
    max_capacity_mAh: Optional = None
    delay_s: Optional = None

    @model_validator(mode="after")
    def _can_be_kept(self) -> Safety:
        if self.max_capacity_mAh is not None:
            raise wrong("A limit of capacity ('max_capacity_mAh') has no word in a sandtime protocol.")
        low_V, high_V = self.min_voltage_V, self.max_voltage_V
        if (low_V is None) != (high_V is None):
            missing = "min_voltage_V" if low_V is None else "max_voltage_V"
            raise wrong("A voltage limit has two sides in a sandtime protocol.", f"Add '{missing}' here.")
        if low_V is not None and high_V is not None and low_V >= high_V:
            raise wrong("'min_voltage_V' has to be below 'max_voltage_V'.")
        if (self.max_current_mA or 1.0) <= 0 or (self.min_current_mA or -1.0) >= 0:
            raise wrong("Current limits have to lie on both sides of 0 mA.")
        if 0 in (self.max_current_mA, self.min_current_mA):
            raise wrong("A current limit of 0 mA has no word in a sandtime protocol.")
        return self


class _Step(_Part):
    id: str | None = None


class OpenCircuitVoltage(_Step):
    """Rest."""

    step: Literal["open_circuit_voltage"]
    until_time_s: Positive


class ConstantCurrent(_Step):
    """Constant current, > 0 charges; ``rate_C`` goes before ``current_mA``."""

    step: Literal["constant_current"]
    rate_C: Rate = None
    current_mA: Optional = None
    until_time_s: Time = None
    until_voltage_V: End = None

    @model_validator(mode="after")
    def _is_whole(self) -> ConstantCurrent:
        if not self.rate_C and not self.current_mA:
            raise wrong("The step has no current.", "Write 'rate_C' or 'current_mA', not 0.")
        if self.until_time_s is None and self.until_voltage_V is None:
            raise wrong("The step has no end.", "Write 'until_time_s' or 'until_voltage_V'.")
        return self


class ConstantVoltage(_Step):
    """Constant voltage; ``until_rate_C`` goes before ``until_current_mA``."""

    step: Literal["constant_voltage"]
    voltage_V: Number
    until_time_s: Time = None
    until_rate_C: RateEnd = None
    until_current_mA: End = None

    @model_validator(mode="after")
    def _is_whole(self) -> ConstantVoltage:
        if self.until_time_s is None and self.until_rate_C is None and self.until_current_mA is None:
            message = "The step has no end."
            raise wrong(message, "Write 'until_time_s', 'until_rate_C' or 'until_current_mA'.")
        return self


class ImpedanceSpectroscopy(_Step):
    """A spectrum. The amplitude is the peak: its exporter for EC-Lab writes it as Va."""

    step: Literal["impedance_spectroscopy"]
    amplitude_V: OptionalPositive = None
    amplitude_mA: OptionalPositive = None
    start_frequency_Hz: Frequency
    end_frequency_Hz: Frequency
    points_per_decade: Count = 10
    measures_per_point: Count = 1
    drift_correction: bool | None = None

    @model_validator(mode="after")
    def _can_be_kept(self) -> ImpedanceSpectroscopy:
        if (self.amplitude_V is None) == (self.amplitude_mA is None):
            raise wrong("Write either 'amplitude_V' or 'amplitude_mA'.")
        if self.drift_correction:
            raise wrong("Drift correction has no word in a sandtime protocol.")
        return self


class VoltageScan(_Step):
    """A sweep from one voltage to another."""

    step: Literal["voltage_scan"]
    start_voltage_V: Number
    end_voltage_V: Number
    scan_rate_mV_per_s: Positive

    @model_validator(mode="after")
    def _goes_somewhere(self) -> VoltageScan:
        if self.start_voltage_V == self.end_voltage_V:
            raise wrong("The scan goes nowhere.", "Write two voltages that differ.")
        return self


class Loop(_Step):
    """Back to a tag, or to a step by its number from 1; ``cycle_count`` passes in all."""

    step: Literal["loop"]
    loop_to: Annotated[int | str, BeforeValidator(_whole)] = 1
    cycle_count: Count


class Tag(_Step):
    """A place to go back to."""

    step: Literal["tag"]
    tag: str = Field(min_length=1)


DrivenOrRest = OpenCircuitVoltage | ConstantCurrent | ConstantVoltage | ImpedanceSpectroscopy | VoltageScan
AnyStep = Annotated[DrivenOrRest | Loop | Tag, Field(discriminator="step")]


class UnicyclerFile(_Part):
    """The whole file."""

    unicycler: Unicycler = Unicycler()
    sample: Sample = Sample()
    record: Record
    safety: Safety = Safety()
    method: tuple[AnyStep, ...] = Field(min_length=1)


def parse_unicycler(text: str, file: str) -> tuple[UnicyclerFile, Source]:
    """Return the file's content and the places in it. Raises InvalidFileError with every problem found."""
    content = _read_json(text, file)
    source = _places(text, file)
    try:
        return UnicyclerFile.model_validate(content), source
    except ValidationError as error:
        raise InvalidFileError([_problem(details, source) for details in error.errors()]) from error


def problem(source: Source, path: tuple[str | int, ...], message: str, hint: str = "") -> Problem:
    """Return a problem with what stands at ``path``, with its line and its JSON path."""
    place = "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return source.key_problem(path, f"{place}: {message}", hint)


def _read_json(text: str, file: str) -> object:
    if len(text) > MAX_BYTES:
        raise InvalidFileError([Problem(file, 0, 0, f"The file is larger than {MAX_BYTES // 1000} kB.")])
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        message = f"This can't be read as JSON: {error.msg}."
        raise InvalidFileError([Problem(file, error.lineno, error.colno, message)]) from error
    except (ValueError, RecursionError) as error:
        message = f"This can't be read as JSON: {error}."
        raise InvalidFileError([Problem(file, 0, 0, message)]) from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"'{twice}' is written twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _places(text: str, file: str) -> Source:
    """Return where everything stands. JSON is YAML, but for corners where no place is known."""
    try:
        return read_yaml(text, file)
    except InvalidFileError:
        return Source(file, Node(Place(0, 0), ""))


def _problem(details: ErrorDetails, source: Source) -> Problem:
    # The third part of a path below a step is the step's kind, which pydantic adds.
    loc = details["loc"]
    path = tuple(key for place, key in enumerate(loc) if not (loc[0] == "method" and place == 2))
    kind, context = details["type"], details.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return problem(source, path, "This key is not known.", _known(loc))
        case "missing":
            return problem(source, path, "This is missing.")
        case "wrong":
            return problem(source, path, str(context["message"]), str(context["hint"]))
        case "union_tag_invalid":
            known = [word.strip("'") for word in str(context["expected_tags"]).split(", ")]
            hint = nearest(str(context["tag"]), known)
            return problem(source, path, f"There is no step '{context['tag']}'.", hint)
        case _:
            return problem(source, path, f"{details['msg']}.")


def _known(loc: tuple[str | int, ...]) -> str:
    """Return the nearest key that is known where an unknown one stands."""
    parts: dict[str, type[BaseModel]] = {
        "unicycler": Unicycler,
        "sample": Sample,
        "record": Record,
        "safety": Safety,
    }
    model: type[BaseModel] = UnicyclerFile
    if len(loc) > 1 and loc[0] in parts:
        model = parts[str(loc[0])]
    elif len(loc) > 2:
        model = _STEPS[str(loc[2])]
    return nearest(str(loc[-1]), model.model_fields)


_STEPS: dict[str, type[_Step]] = {
    "open_circuit_voltage": OpenCircuitVoltage,
    "constant_current": ConstantCurrent,
    "constant_voltage": ConstantVoltage,
    "impedance_spectroscopy": ImpedanceSpectroscopy,
    "voltage_scan": VoltageScan,
    "loop": Loop,
    "tag": Tag,
}
