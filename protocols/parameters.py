"""``$name`` in a protocol file: a whole value that a parameter gives. Nothing is computed or evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from protocols.errors import Problem, nearest
from protocols.yamlfile import Node, Place, Source

LEVEL = "current"
"""Inside a ramp ``$current`` is the level of the ramp, which the compiler puts in."""
_REFERENCE = re.compile(r"([+\-−]?)\$(\w+)")
_NAME = re.compile(r"[^\W\d]\w*")


class Parameters:
    """The parameters of one file with the values that hold for this reading."""

    def __init__(self, source: Source, settings: Mapping[str, str]) -> None:
        """Take the defaults from the file and put ``settings`` (``--set``) over them."""
        self.problems: list[Problem] = []
        self.used: set[str] = set()
        self._source = source
        self._defaults = self._read_defaults()
        self.texts = {**self._defaults, **settings}
        self._check_names()
        for name in sorted(settings.keys() - self._defaults.keys()):
            place = source.key_place(("parameters",))
            self._add(place, f"There is no parameter '{name}' to set.", nearest(name, self._defaults))

    def apply_to_file(self) -> Source:
        """Return the file with every ``$name`` replaced outside the block ``parameters``."""
        root = self._source.root
        entries = root.value if isinstance(root.value, dict) else {}
        done = {key: item if key == "parameters" else self.apply(item) for key, item in entries.items()}
        return Source(self._source.file, replace(root, value=done))

    def apply(self, node: Node, in_ramp: bool = False) -> Node:
        """Return ``node`` with every ``$name`` replaced."""
        if isinstance(node.value, str):
            return self._apply_to_text(node, node.value, in_ramp)
        if isinstance(node.value, list):
            return replace(node, value=[self.apply(item, in_ramp) for item in node.value])
        return replace(
            node, value={key: self.apply(item, in_ramp or key == "ramp") for key, item in node.value.items()}
        )

    def unused(self) -> list[str]:
        """Return the names of parameters that no value refers to."""
        return [name for name in self.texts if name not in self.used]

    def _read_defaults(self) -> dict[str, str]:
        node = self._source.root.child("parameters")
        if node is None or not isinstance(node.value, dict):
            return {}
        return {name: item.value for name, item in node.value.items() if isinstance(item.value, str)}

    def _check_names(self) -> None:
        node = self._source.root.child("parameters")
        for name in node.key_places if node else ():
            if not _NAME.fullmatch(name):
                place = self._source.key_place(("parameters", name))
                self._add(place, f"'{name}' can't be the name of a parameter.", "Use letters, digits and _.")

    def _apply_to_text(self, node: Node, text: str, in_ramp: bool) -> Node:
        match = _REFERENCE.fullmatch(text)
        if match is None or (in_ramp and match[2] == LEVEL):
            return node
        sign, name = match.groups()
        if name not in self.texts:
            self._unknown_name(node.place, name)
            return node
        self.used.add(name)
        return replace(node, value=_signed(sign, self.texts[name]), origin=name)

    def _unknown_name(self, place: Place, name: str) -> None:
        hint = nearest(name, self._defaults) or "Name it under 'parameters:'."
        if name == LEVEL:
            hint = f"Without a parameter of this name, ${LEVEL} is known inside a ramp only."
        self._add(place, f"There is no parameter '{name}'.", hint)

    def _add(self, place: Place, message: str, hint: str) -> None:
        self.problems.append(Problem(self._source.file, place.line, place.column, message, hint))


def _signed(sign: str, text: str) -> str:
    """Return a quantity's text with a sign before the reference taken into account."""
    if sign in ("", "+"):
        return text
    return text[1:].lstrip() if text.startswith(("-", "−")) else f"-{text.removeprefix('+')}"
