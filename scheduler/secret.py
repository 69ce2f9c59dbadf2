"""Passwords and tokens: named in service.toml, read from the environment or a file, and never printed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator, model_validator

from protocols.errors import InvalidFileError, Problem
from protocols.frozen import Frozen

HIDDEN = "•••"
LEAST = 4
"""A shorter secret is not hidden in texts: it would hide half of every sentence."""

_revealed: set[str] = set()


class Secret(Frozen):
    """A password or a token: a text, or ``{ env = "NAME" }``, or ``{ file = "path" }``.

    Its value is read only where it is used. A path may begin with ``$CREDENTIALS_DIRECTORY``, where systemd
    puts what its ``LoadCredential=`` names; a relative one is meant from the folder of service.toml.
    """

    env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of an environment variable that holds it."""
    file: str | None = Field(default=None, min_length=1)
    """Path of a file that holds it, and nothing else."""
    text: SecretStr | None = Field(default=None, exclude=True)
    """The secret itself, if it stands in service.toml."""

    @model_validator(mode="before")
    @classmethod
    def _one_way(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"text": given}
        if not isinstance(given, Mapping) or len(given) != 1 or "text" in given:
            raise ValueError('write { env = "NAME" }, or { file = "path" }, or the text itself')
        return given

    @field_validator("file")
    @classmethod
    def _from_the_folder_of_the_file(cls, value: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        if value is None or folder is None or value.startswith(("$", "~")):
            return value
        return str(folder / value)

    def reveal(self) -> str:
        """Return the secret. Raises InvalidFileError that names where it is missing."""
        value = self._read()
        if not value:
            raise _missing(f"{self.where} is empty")
        # As it is, and as it looks in JSON, in a Python literal and in an address.
        _revealed.update({value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value)})
        return value

    @property
    def where(self) -> str:
        """Say where it stands, in words."""
        if self.env is not None:
            return f"the environment variable {self.env}"
        return "the secret in service.toml" if self.file is None else f"the secret in {self.file}"

    def concerns(self) -> list[str]:
        """Return what is careless about how it is kept."""
        if self.text is not None:
            return ['it stands in service.toml as it is; write { file = "…" } or { env = "…" } in its place']
        if self.file is None or os.name != "posix":
            return []
        try:
            mode = _path(self.file).stat().st_mode
        except (OSError, InvalidFileError):
            return []
        return [f"{self.file} can be read by everybody: chmod 600 {self.file}"] if mode & stat.S_IROTH else []

    def _read(self) -> str:
        if self.text is not None:
            return self.text.get_secret_value()
        if self.env is not None:
            if self.env not in os.environ:
                raise _missing(f"{self.where} is not set")
            return os.environ[self.env]
        try:
            return _path(self.file or "").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise _missing(f"{self.where} can't be read: {why}") from error


def secrets_in(model: BaseModel, place: str = "") -> Iterator[tuple[str, Secret]]:
    """Yield every secret in a configuration, with its keys as ``mqtt.password``."""
    for name in type(model).model_fields:
        value, where = getattr(model, name), f"{place}{name}"
        if isinstance(value, Secret):
            yield where, value
        elif isinstance(value, BaseModel):
            yield from secrets_in(value, f"{where}.")


def hide(text: str) -> str:
    """Return a text with every secret that was read so far made unreadable."""
    for secret in sorted(_revealed, key=len, reverse=True):
        if len(secret) >= LEAST:
            text = text.replace(secret, HIDDEN)
    return text


def _path(written: str) -> Path:
    name = written.partition("/")[0]
    if name.startswith("$") and name[1:] not in os.environ:
        raise _missing(f"the environment variable {name[1:]}, which {written} begins with, is not set")
    return Path(os.path.expandvars(written)).expanduser()


def _missing(message: str) -> InvalidFileError:
    hint = "See docs/operation.md, Secrets; under systemd: LoadCredential= or EnvironmentFile= of the unit."
    return InvalidFileError([Problem("service.toml", 0, 0, message, hint)])
