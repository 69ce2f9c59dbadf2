"""From pydantic's errors to problems with a line, a column and words for people who do not program."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from protocols.errors import Problem, QuantityError, nearest
from protocols.units import KINDS, Amount, KindName, example, parse_amount
from protocols.yamlfile import GLUED, Source, TreePath

if TYPE_CHECKING:
    from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

T = TypeVar("T")
LANGUAGE = "1"
"""Version of the language of protocol and cell files."""
MAX_NAME = 100
MAX_LINE = 200
MAX_NOTES = 4000
_OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "ocv": ("rest",),
    "wait": ("rest", "wait_for_person"),
    "pause": ("rest", "wait_for_person"),
    "cc": ("constant_current",),
    "charge": ("constant_current", "cc_cv"),
    "discharge": ("constant_current",),
    "cv": ("constant_voltage", "cyclic_voltammetry"),
    "cccv": ("cc_cv",),
    "lsv": ("linear_sweep",),
    "eis": ("geis", "peis"),
    "loop": ("repeat",),
    "cycle": ("repeat",),
    "cycles": ("repeat",),
}
"""What other programs and papers call a step."""


class FileModel(BaseModel):
    """A part of a file that a person writes: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True)

    @classmethod
    def model_json_schema(
        cls,
        by_alias: bool | None = True,
        ref_template: str = "#/$defs/{model}",
        schema_generator: type[GenerateJsonSchema] | None = None,
        mode: JsonSchemaMode = "validation",
        *,
        union_format: Literal["any_of", "primitive_type_array"] = "any_of",
    ) -> dict[str, Any]:
        """Return the JSON schema of the file as it is written: for editors and for programs that write it."""
        # Imported here, as pydantic's own is slow to import and only editors ask for it.
        from protocols.fileschema import FileSchema

        generator = schema_generator or FileSchema
        return super().model_json_schema(by_alias, ref_template, generator, mode, union_format=union_format)


def wrong(message: str, hint: str = "") -> PydanticCustomError:
    """Return an error to raise in a validator, with words that reach the person as they are."""
    return PydanticCustomError("wrong", "{message}", {"message": message, "hint": hint})


def not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    """Refuse an empty list."""
    if not items:
        raise wrong("The list is empty.", "Write at least one entry, or take the key out.")
    return items


def _read_version(value: object) -> str:
    if value != LANGUAGE:
        raise wrong(f"'{value}' is no version that this sandtime reads.", f"Write 'sandtime: {LANGUAGE}'.")
    return LANGUAGE


def _read_name(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= MAX_NAME:
        raise wrong(f"A name of up to {MAX_NAME} characters is wanted here.")
    return value


def _read_line(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= MAX_LINE:
        raise wrong(f"One line of up to {MAX_LINE} characters is wanted here.")
    return value


def _read_notes(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_NOTES or not _is_text(value):
        raise wrong(f"A text of up to {MAX_NOTES} characters is wanted here.")
    return value


def _is_text(value: str) -> bool:
    return value.replace("\n", "").replace("\t", "").isprintable()


Plain = str | float
"""A text, for a schema: an editor takes an unquoted ``12`` for a number, these files do not."""
LanguageVersion = Annotated[str, PlainValidator(_read_version, json_schema_input_type=Literal["1", 1])]
Name = Annotated[str, PlainValidator(_read_name, json_schema_input_type=Plain)]
Line = Annotated[str, PlainValidator(_read_line, json_schema_input_type=Plain)]
Notes = Annotated[str, PlainValidator(_read_notes, json_schema_input_type=Plain)]


def read_amount(value: object, *kinds: KindName) -> Amount:
    """Read a quantity in a validator."""
    if not isinstance(value, str):
        raise wrong("A single quantity is wanted here.", example(kinds))
    if value.lstrip("+-−").startswith("$"):
        # A parameter would have been put in: this is the level of a ramp.
        hint = "Its own current, voltage, rate or temperature ('to') is all that a step takes from a ramp."
        raise wrong(f"'{value}', the level of a ramp, can't stand here.", hint)
    try:
        return parse_amount(value, *kinds)
    except QuantityError as error:
        raise wrong(str(error), error.hint) from error


def written_as(*kinds: KindName) -> Any:
    """Return the type, for a JSON schema, of a quantity as it stands in a file."""
    words = " or ".join(KINDS[kind].words for kind in kinds) + ", with its unit"
    examples: list[Any] = [f"0.1 {KINDS[kind].usual[0]}" for kind in kinds]
    if "fraction" in kinds:
        return Annotated[str | float, Field(description=words, examples=examples)]
    return Annotated[str, Field(description=words, examples=examples)]


def quantity(*kinds: KindName, positive: bool = False, or_zero: bool = False) -> PlainValidator:
    """Return the validator of a field that holds a quantity of one of ``kinds``.

    ``positive``: refuse what is not above zero; with ``or_zero`` zero itself is allowed.
    """

    def read(value: object) -> Amount:
        amount = read_amount(value, *kinds)
        if positive and (amount.value < 0 if or_zero else amount.value <= 0):
            raise wrong(
                f"'{amount.text}' is below zero." if or_zero else f"'{amount.text}' has to be more than zero."
            )
        return amount

    return PlainValidator(read, json_schema_input_type=written_as(*kinds))


def problems_of(error: ValidationError, source: Source, model: type[BaseModel]) -> list[Problem]:
    """Return one problem for each of pydantic's errors, in the order of the file."""
    problems = [_problem(details, source, model) for details in _without_echoes(error.errors())]
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column))


def _without_echoes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a key is missing where it was written, but misspelt."""
    unknown = [details["loc"] for details in errors if details["type"] == "extra_forbidden"]
    return [
        details
        for details in errors
        if details["type"] != "missing"
        or not any(
            path[:-1] == details["loc"][:-1]
            and difflib.get_close_matches(str(path[-1]), [str(details["loc"][-1])])
            for path in unknown
        )
    ]


def _problem(details: ErrorDetails, source: Source, model: type[BaseModel]) -> Problem:
    path = tuple(key for key in details["loc"] if key != "[key]")
    kind = details["type"]
    if kind in ("extra_forbidden", "union_tag_invalid", "union_tag_not_found"):
        return _ABOUT_KEYS[kind](details, path, source, model)
    if kind == "missing":
        return _missing(path, source)
    if details["input"] == "":
        return source.key_problem(path, f"'{path[-1]}' has no value.", _words(details)[1])
    message, hint = _words(details)
    make = source.key_problem if "[key]" in details["loc"] else source.problem
    return make(path, message, hint)


def _words(details: ErrorDetails) -> tuple[str, str]:
    """Return message and hint for an error about a value."""
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "wrong":
        return str(context["message"]), str(context["hint"])
    if kind == "literal_error":
        known = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return f"'{value}' is not known here.", nearest(str(value), known)
    if kind in ("int_parsing", "int_from_float", "int_type"):
        return f"'{value}' is no whole number.", "Write for example '10'."
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        if isinstance(value, str) and (glued := GLUED.match(value)):
            return f"A space is missing after the colon of '{glued[1]}:'.", f"Write '{glued[1]}: …'."
        return "Settings are wanted here.", "Write 'key: value' lines below, indented, or {key: value}."
    if kind in ("list_type", "tuple_type"):
        return "A list is wanted here.", "Begin each entry with '- ', or write [one, two]."
    if kind == "string_type":
        return "A single text is wanted here.", ""
    return f"'{value}': {details['msg']}.", ""


def _missing(path: TreePath, source: Source) -> Problem:
    *above, key = path
    names = source.keys_on(tuple(above))
    owner = f"'{names[-1]}'" if names else "The file"
    place = source.key_place(tuple(above)) if above else source.root.place
    hint = f"Add '{key}: …' here."
    return Problem(source.file, place.line, place.column, f"{owner} needs '{key}'.", hint)


def _unknown_key(details: ErrorDetails, path: TreePath, source: Source, model: type[BaseModel]) -> Problem:
    known = _known_keys(model, path[:-1])
    hint = nearest(str(path[-1]), known)
    if str(path[-1])[:1].isdigit():
        hint = "The decimal sign is a point: write '3.65 V', not '3,65 V'."
    return source.key_problem(path, f"The key '{path[-1]}' is not known here.", hint)


def _unknown_step(details: ErrorDetails, path: TreePath, source: Source, model: type[BaseModel]) -> Problem:
    context = details.get("ctx", {})
    known = [word.strip("'") for word in str(context["expected_tags"]).split(", ")]
    tag = str(context["tag"])
    meant = [word for word in _OTHER_WORDS.get(tag.lower(), ()) if word in known]
    hint = f"Here it is called {' or '.join(repr(word) for word in meant)}." if meant else nearest(tag, known)
    return source.key_problem((*path, tag), f"There is no step '{tag}' here.", hint)


def _no_step(details: ErrorDetails, path: TreePath, source: Source, model: type[BaseModel]) -> Problem:
    value = details["input"]
    if isinstance(value, str) and (glued := GLUED.match(value)):
        message = f"A space is missing after the colon of '{glued[1]}:'."
        return source.problem(path, message, f"Write '{glued[1]}: …'.")
    hint = "Write for example '- rest: {for: 1 min}'."
    if isinstance(value, dict) and len(value) > 1:
        first = next(iter(value))
        hint = f"Indent the settings of '{first}' below it, and begin the next step with its own '- '."
        if "include" in value:
            hint = "An 'include' has no settings: write it alone in its entry."
    return source.problem(path, "A step is one word with its settings.", hint)


_ABOUT_KEYS: dict[str, Callable[[ErrorDetails, TreePath, Source, type[BaseModel]], Problem]] = {
    "extra_forbidden": _unknown_key,
    "union_tag_invalid": _unknown_step,
    "union_tag_not_found": _no_step,
}


def _known_keys(model: type[BaseModel], path: TreePath) -> set[str]:
    """Return the keys that the model at ``path`` below ``model`` knows."""
    models = [model]
    for key in path:
        below = [m for parent in models for m in _models_under(parent, key)]
        models = below or models
    return {name for m in models for name in _fields(m)}


def _models_under(model: type[BaseModel], key: str | int) -> list[type[BaseModel]]:
    annotation = _fields(model).get(str(key))
    return [] if annotation is None else models_in(annotation)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return the annotation of each key as it is written in the file."""
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that stand in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]
