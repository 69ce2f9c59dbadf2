"""JSON schema of the files that people write: as they are written, not as they are kept in memory."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from protocols.units import Amount


class FileSchema(GenerateJsonSchema):
    """Makes a schema of keys and their texts.

    The words below a field in the code describe its key: they are looked up here, and not by pydantic's
    ``use_attribute_docstrings``, which would cost each start of the daemon 8 ms a model. A key may be left
    out but has no ``null``; a default is the text that it stands for, one that says nothing is left out.
    """

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return the schema of a part of a file, with a description of each key that has one."""
        made = super().model_schema(schema)
        model = schema["cls"]
        words = {name: text for cls in reversed(model.__mro__) for name, text in _descriptions(cls).items()}
        for name, field in model.model_fields.items():
            if name in words:
                made["properties"][field.alias or name]["description"] = words[name]
        return made

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema of a key that may be left out."""
        default = schema.get("default")
        if isinstance(default, Amount):
            return {**self.generate_inner(schema["schema"]), "default": default.text}
        if isinstance(default, BaseModel) or (not default and default is not False):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of what stands there if anything does."""
        return self.generate_inner(schema["schema"])


def _descriptions(cls: type) -> dict[str, str]:
    """Return the text below each annotated field in the code of a model of a file."""
    if not issubclass(cls, BaseModel) or cls.__module__.startswith("pydantic"):
        return {}
    statements = [
        statement
        for definition in ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        if isinstance(definition, ast.ClassDef)
        for statement in definition.body
    ]
    return {
        field.target.id: " ".join(below.value.value.split())
        for field, below in pairwise(statements)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
