"""JSON Schema of service.toml, so that an editor offers its words and marks what is not known.

``python -m monitor.service_schema`` writes the file in ``monitor/schema`` anew. The tables of instruments and
chambers are those of their drivers' settings; what belongs together only ``sandtime doctor`` knows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from drivers.biologic.settings import MODELS
from drivers.biologic.settings import Settings as BioLogicSettings
from drivers.espec.settings import Settings as EspecSettings
from drivers.simulation.config import CHANNELS_MAX, BoxConfig, ChamberConfig
from drivers.simulation.description import CellDescription
from drivers.simulation.presets import PRESETS
from protocols.fileschema import FileSchema
from protocols.schema import DIALECT, referenced
from scheduler.config import ServiceConfig

FOLDER = Path(__file__).parent / "schema"
NAME = "service.schema.json"

Schema = dict[str, Any]

_LIBRARY: Schema = {
    "type": "string",
    "default": "simulation",
    "description": "The word 'simulation', or the path of the vendor's EClib64.dll.",
}
_TIMES = {
    "at_s": ("at", "When, from the start of the simulation, as '2 h'."),
    "every_s": ("every", "Mean time between two of them, as '1 d'."),
    "duration_s": ("for", "How long it lasts, as '10 s'."),
    "by_s": ("by", "By how much, as '30 s'."),
}
"""Field of a fault → its word in a file."""
_SECRET: Schema = {
    "description": "A secret: where it stands, or the text itself (which is careless).",
    "anyOf": [
        {"type": "string"},
        {"$ref": "#/$defs/SecretInEnvironment"},
        {"$ref": "#/$defs/SecretInFile"},
    ],
}


class _TomlSchema(FileSchema):
    """The schema of a file without titles, which only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave them out."""
        return False


def service_schema() -> Schema:
    """Return the schema of service.toml."""
    made = _made(ServiceConfig)
    known: Schema = made["$defs"]
    known["Secret"] = _SECRET
    known["SecretInEnvironment"] = _only_key("env", "Name of an environment variable that holds it.")
    known["SecretInFile"] = _only_key("file", "Path of a file that holds it, and nothing else.")
    properties = made["properties"]
    properties["instruments"] |= _named(_driver("biologic", BioLogicSettings, known, library=_LIBRARY))
    known["BiologicSettings"]["properties"]["model"]["enum"] = list(MODELS)
    properties["chambers"] |= _named(_driver("espec", EspecSettings, known))
    properties["simulation"] |= _named(_box(known))
    properties["simulation_chambers"] |= _named(_part(ChamberConfig, known))
    _write_times_of_faults(known["ScriptedFault"])
    used = referenced({key: value for key, value in made.items() if key != "$defs"}, known)
    return {"$schema": DIALECT, "title": "sandtime service.toml", **_without_titles({**made, "$defs": used})}


def schema_text() -> str:
    """Return the text of the file."""
    return json.dumps(service_schema(), ensure_ascii=False, indent=1).replace("``", "'") + "\n"


def write_schema(folder: Path = FOLDER) -> Path:
    """Write the file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(schema_text(), encoding="utf-8")
    return folder / NAME


def _made(model: type[BaseModel]) -> Schema:
    return model.model_json_schema(schema_generator=_TomlSchema)


def _part(model: type[BaseModel], known: Schema) -> Schema:
    """Take a model's schema among the definitions; return a reference to it."""
    made = _made(model)
    known |= made.pop("$defs", {})
    known[model.__name__] = made
    return {"$ref": f"#/$defs/{model.__name__}"}


def _driver(driver: str, settings: type[BaseModel], known: Schema, **more: Schema) -> Schema:
    """Return the schema of a table that a driver reads."""
    made = _made(settings)
    made["properties"] = {
        "driver": {"const": driver, "description": "Which driver speaks to it."},
        **more,
        **made["properties"],
    }
    made["required"] = ["driver", *made.get("required", [])]
    name = f"{driver.capitalize()}Settings"
    known[name] = made
    return {"$ref": f"#/$defs/{name}"}


def _box(known: Schema) -> Schema:
    """Return the schema of a simulated instrument: a channel's table holds the keys of its cell itself."""
    reference = _part(BoxConfig, known)
    cell = _made(CellDescription)
    known |= cell.pop("$defs", {})
    channel = known["ChannelConfig"]
    own = {name: about for name, about in channel["properties"].items() if name != "cell"}
    own["preset"]["enum"] = list(PRESETS)
    channel["properties"] = {**own, **cell["properties"]}
    channel.pop("required", None)
    numbers = f"^([1-9]|1[0-{CHANNELS_MAX - 10}])$"
    box = known["BoxConfig"]["properties"]["channels"]
    for name in ("patternProperties", "propertyNames"):
        box.pop(name, None)
    box |= {"patternProperties": {numbers: {"$ref": "#/$defs/ChannelConfig"}}, "additionalProperties": False}
    return reference


def _write_times_of_faults(fault: Schema) -> None:
    """Let times of faults be texts with units, as they are written."""
    for field, (word, about) in _TIMES.items():
        del fault["properties"][field]
        fault["properties"][word] = {"type": "string", "description": about}


def _named(table: Schema) -> Schema:
    """Return the schema of tables by name."""
    return {"type": "object", "additionalProperties": table}


def _only_key(key: str, about: str) -> Schema:
    return {
        "type": "object",
        "properties": {key: {"type": "string", "description": about}},
        "required": [key],
        "additionalProperties": False,
    }


def _without_titles(node: Any) -> Any:
    """Leave out the names of our classes, which say nothing to who writes a file."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(item)
        for key, item in node.items()
        if key != "title" or not isinstance(item, str)
    }


if __name__ == "__main__":
    write_schema(*map(Path, sys.argv[1:2]))
