"""JSON Schema of protocol and cell files, so that an editor offers their words and marks what is not known.

``python -m protocols.schema`` writes the files in ``protocols/schema`` anew. A schema knows words, nesting
and what kind of value stands where; units, and what belongs together, only ``sandtime check`` knows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from protocols.cellfile import CellFile
from protocols.fields import FromOpenCircuit
from protocols.fileschema import FileSchema
from protocols.protocol import ProtocolFile
from protocols.validation import FileModel

FOLDER = Path(__file__).parent / "schema"
DIALECT = "http://json-schema.org/draft-07/schema#"
"""The one that editors know best."""

Schema = dict[str, Any]

_REFERENCE: Schema = {"type": "string", "pattern": r"^\$\S+$", "description": "A parameter."}
_INCLUDE: Schema = {
    "type": "string",
    "description": "Steps that stand in another file of this folder, such as 'groups/formation.yaml'.",
}
_VALUE: Schema = {"type": ["string", "number"]}
_RANGE: Schema = {
    "type": "object",
    "description": "A value, and the range that '--set' may choose from.",
    "properties": {"value": _VALUE, "from": _VALUE, "to": _VALUE},
    "required": ["value"],
    "additionalProperties": False,
}


class _EditorSchema(FileSchema):
    """The schema of a file without what only programs need."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave out titles, which only repeat the keys."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema of a key that may be left out."""
        if isinstance(schema.get("default"), FromOpenCircuit):
            return {**self.generate_inner(schema["schema"]), "default": "ocv"}
        return super().default_schema(schema)


def cell_schema() -> Schema:
    """Return the schema of a cell file."""
    return _finished(_made(CellFile), "sandtime cell file")


def protocol_schema() -> Schema:
    """Return the schema of a protocol file."""
    made = _made(ProtocolFile)
    properties = made["properties"]
    properties["parameters"]["additionalProperties"] = {"anyOf": [_VALUE, _RANGE]}
    guards = properties["guards"]
    names, guard = guards.pop("propertyNames")["enum"], guards["additionalProperties"]
    guards |= {"properties": dict.fromkeys(names, guard), "additionalProperties": False}
    version = properties.pop("sandtime")
    made = _with_references(_with_step_words(made))
    made["properties"] = {"sandtime": version, **made["properties"]}
    made["$defs"]["parameter"] = _REFERENCE
    return _finished(made, "sandtime protocol file")


def _made(model: type[FileModel]) -> Schema:
    return model.model_json_schema(schema_generator=_EditorSchema)


def _finished(made: Schema, title: str) -> Schema:
    """Return a schema with its head, and without definitions that nothing refers to."""
    known = made.pop("$defs")
    return {"$schema": DIALECT, **made, "title": title, "$defs": referenced(made, known)}


def referenced(made: Schema, known: Schema) -> Schema:
    """Return the definitions that a schema refers to, through others as well, by name in order."""
    used: Schema = {}
    todo = [*_references(made)]
    while todo:
        name = todo.pop()
        if name not in used:
            used[name] = known[name]
            todo += _references(known[name])
    return dict(sorted(used.items()))


def _references(node: Any) -> Iterator[str]:
    """Yield the name of each definition that is referred to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for item in node.values():
            yield from _references(item)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _with_step_words(made: Schema) -> Schema:
    """Return a schema whose steps are objects with all step words, of which exactly one may be written.

    Editors make more of that than of a choice between objects with one word each. In a list of steps
    ``include`` is a word too.
    """
    known = made["$defs"]
    steps: dict[str, Schema] = {}

    def change(node: Schema, key: str) -> Schema:
        words = {word: schema for member in _members(node, known) for word, schema in member.items()}
        if not words:
            return node
        listed = key == "items"
        name = "step" if "repeat" in words else "quiet_step" if listed else "spectrum"
        steps[name] = {
            "description": "A step: one word, and its settings below it.",
            "type": "object",
            "properties": {**words, **({"include": _INCLUDE} if listed else {})},
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        }
        about = {"description": node["description"]} if "description" in node else {}
        return {"$ref": f"#/$defs/{name}", **about}

    changed: Schema = _changed(made, change)
    changed["$defs"] |= steps
    return changed


def _members(node: Schema, known: Schema) -> list[Schema]:
    """Return the properties of each member if a node is a choice between steps; else nothing."""
    choice = node.get("oneOf", [])
    members = [known[member["$ref"].rpartition("/")[2]] for member in choice if "$ref" in member]
    of_one_word = all(len(member["properties"]) == len(member.get("required", ())) == 1 for member in members)
    complete = len(members) == len(choice)
    return [member["properties"] for member in members] if complete and of_one_word else []


def _with_references(made: Schema) -> Schema:
    """Return a schema that takes a parameter wherever it takes one of several words."""

    def change(node: Schema, key: str) -> Schema:
        words = {name: node[name] for name in ("enum", "const", "type") if name in node}
        if key in ("properties", "$defs") or not words.keys() & {"enum", "const"}:
            return node
        rest = {name: item for name, item in node.items() if name not in words}
        return {**rest, "anyOf": [words, {"$ref": "#/$defs/parameter"}]}

    changed: Schema = _changed(made, change)
    return changed


def _changed(node: Any, change: Callable[[Schema, str], Schema], key: str = "") -> Any:
    """Return a tree with every object in it changed, inner ones first; ``key``: where an object stands."""
    if isinstance(node, list):
        return [_changed(item, change, key) for item in node]
    if not isinstance(node, dict):
        return node
    return change({name: _changed(item, change, name) for name, item in node.items()}, key)


SCHEMAS: dict[str, Callable[[], Schema]] = {
    "protocol.schema.json": protocol_schema,
    "cell.schema.json": cell_schema,
}


def schema_text(name: str) -> str:
    """Return the text of one of the files."""
    text = json.dumps(SCHEMAS[name](), ensure_ascii=False, indent=1)
    return text.replace("``", "'") + "\n"


def write_schemas(folder: Path = FOLDER) -> list[Path]:
    """Write all files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        (folder / name).write_text(schema_text(name), encoding="utf-8")
    return [folder / name for name in SCHEMAS]


if __name__ == "__main__":
    write_schemas(*map(Path, sys.argv[1:2]))
