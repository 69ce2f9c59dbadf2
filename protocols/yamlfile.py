"""YAML as people write it, with the place of everything.

A file is read into nodes whose scalars are all text; what ``on``, ``1e3`` or ``12:30`` mean is for the model
of the file to say, not for YAML. Nothing is constructed, tags are refused, and size, nesting and aliases are
bounded, so that a stranger's file can do no more than be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, events
from ruamel.yaml.error import YAMLError

from protocols.errors import InvalidFileError, Problem
from protocols.yamlwords import syntax_problem

MAX_BYTES = 256_000
MAX_DEPTH = 40
MAX_NODES = 20_000
"""Counted with every alias written out."""

_UNREADABLE = (YAMLError, ValueError, OverflowError, AssertionError)
# ruamel.yaml lets the last three out on escapes and directives that no one writes by accident.
GLUED = re.compile(r"(\w+):\S")
"""A key that took its value in, as no space stands after its colon."""
_SURROGATE = re.compile("[\ud800-\udfff]")

TreePath = tuple[str | int, ...]
"""Keys and list indices from the root of a file to a value."""


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both from 1."""

    line: int
    column: int
    file: str = ""
    """Name of the included file; empty: the file itself."""


@dataclass(slots=True)
class Node:
    """A scalar, list or mapping of a file, and where it begins."""

    place: Place
    value: str | list[Node] | dict[str, Node]
    key_places: dict[str, Place] = field(default_factory=dict)
    origin: str = ""
    """Name of the parameter that the text came from."""
    size: int = 1

    def plain(self) -> Any:
        """Return the value as str, list and dict."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def child(self, key: str | int) -> Node | None:
        """Return what stands under a key or index, if there is such a thing."""
        if isinstance(self.value, dict) and isinstance(key, str):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]
        return None


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: turns paths into places."""

    file: str
    root: Node

    def find(self, path: TreePath) -> Node:
        """Return the deepest node on ``path``. Keys that the file does not have are passed over."""
        node = self.root
        for key in path:
            node = node.child(key) or node
        return node

    def key_place(self, path: TreePath) -> Place:
        """Return where the deepest key on ``path`` that the file has is written."""
        node, place = self.root, self.root.place
        for key in path:
            child = node.child(key)
            if child is not None:
                place = node.key_places.get(str(key), child.place)
                node = child
        return place

    def keys_on(self, path: TreePath) -> list[str]:
        """Return the keys on ``path`` that the file has."""
        node, keys = self.root, []
        for key in path:
            child = node.child(key)
            if child is not None and isinstance(key, str):
                keys.append(key)
            node = child or node
        return keys

    def problem(self, path: TreePath, message: str, hint: str = "") -> Problem:
        """Return a problem with the value at ``path``."""
        node = self.find(path)
        origin = f" (from the parameter {node.origin})" if node.origin else ""
        return self.problem_at(node.place, message + origin, hint)

    def key_problem(self, path: TreePath, message: str, hint: str = "") -> Problem:
        """Return a problem with the last key of ``path``."""
        return self.problem_at(self.key_place(path), message, hint)

    def problem_at(self, place: Place, message: str, hint: str = "") -> Problem:
        """Return a problem with what stands at a place."""
        return Problem(place.file or self.file, place.line, place.column, message, hint)


def read_text(path: Path) -> str:
    """Return the text of a file. Raises InvalidFileError if it can't be read, is huge or no UTF-8."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidFileError([Problem(str(path), 0, 0, f"can't be read: {error.strerror}.")]) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        hint = "Save the file as UTF-8 in your editor."
        raise InvalidFileError([Problem(str(path), line, 1, "This is no UTF-8 text.", hint)]) from error


def read_yaml(text: str, file: str, included: bool = False) -> Source:
    """Read one YAML document whose root is a mapping. Raises InvalidFileError with every problem found.

    ``included``: the nodes become part of another file and remember where they come from.
    """
    if len(text) > MAX_BYTES:
        raise InvalidFileError([Problem(file, 0, 0, f"The file is larger than {MAX_BYTES // 1000} kB.")])
    builder = _Builder(file, YAML(typ="safe", pure=True).parse(text), included)
    try:
        root = builder.document()
    except _UNREADABLE as error:
        raise InvalidFileError([*builder.problems, syntax_problem(error, text, file)]) from error
    if builder.problems:
        raise InvalidFileError(builder.problems)
    return Source(file, root)


class _Builder:
    """Makes nodes from the events of a YAML parser."""

    def __init__(self, file: str, stream: Iterator[Any], included: bool) -> None:
        self.file = file
        self._file_of_places = file if included else ""
        self.problems: list[Problem] = []
        self._stream = stream
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def document(self) -> Node:
        """Return the root of the only document."""
        next(self._stream)
        start = next(self._stream)
        if isinstance(start, events.StreamEndEvent):
            raise InvalidFileError([Problem(self.file, 1, 1, "The file is empty.")])
        event = next(self._stream)
        root = self._node(event, 0)
        if not isinstance(root.value, dict):
            raise self._refusal(event, "The file has to begin with 'key: value' lines.")
        next(self._stream)
        end = next(self._stream)
        if not isinstance(end, events.StreamEndEvent):
            raise self._refusal(end, "The file holds more than one document.", "Remove the line '---'.")
        return root

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._refusal(event, f"Nested more than {MAX_DEPTH} deep.")
        node = self._alias(event) if isinstance(event, events.AliasEvent) else self._new_node(event, depth)
        if self._nodes > MAX_NODES:
            raise self._refusal(event, f"The file holds more than {MAX_NODES} values.")
        return node

    def _alias(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            message = f"'*{event.anchor}' stands for nothing that was named before."
            raise self._refusal(event, message, "Put the text in quotes, if the sign is part of it.")
        self._nodes += node.size
        return node

    def _new_node(self, event: Any, depth: int) -> Node:
        if event.ctag is not None:
            raise self._refusal(event, "Tags such as '!!name' are not allowed.", "Leave the tag out.")
        self._nodes += 1
        before = self._nodes
        node = Node(_place(event, self._file_of_places), "")
        if isinstance(event, events.MappingStartEvent):
            self._fill_mapping(node, depth)
        elif isinstance(event, events.SequenceStartEvent):
            node.value = [self._node(item, depth + 1) for item in self._until(events.SequenceEndEvent)]
        elif _SURROGATE.search(event.value):
            raise self._refusal(event, "The text holds half of a character.", "Write the character itself.")
        else:
            node.value = event.value
        node.size = 1 + self._nodes - before
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _fill_mapping(self, node: Node, depth: int) -> None:
        entries: dict[str, Node] = {}
        for event in self._until(events.MappingEndEvent):
            if not isinstance(event, events.ScalarEvent):
                raise self._refusal(
                    event, "A key has to be a word.", "Put text that begins with [ or { in quotes."
                )
            value = self._node(next(self._stream), depth + 1)
            # A key in quotes is meant as it stands.
            if not event.style and (glued := GLUED.match(event.value)):
                message = f"A space is missing after the colon of '{glued[1]}:'."
                self.problems.append(self._problem(event, message, f"Write '{glued[1]}: …'."))
                continue
            if event.value in entries:
                first = f"It stands in line {node.key_places[event.value].line} too."
                self.problems.append(self._problem(event, f"'{event.value}' is written twice.", first))
                continue
            entries[event.value] = value
            node.key_places[event.value] = _place(event, self._file_of_places)
        node.value = entries

    def _until(self, end: type[Any]) -> Iterator[Any]:
        while not isinstance(event := next(self._stream), end):
            yield event

    def _problem(self, event: Any, message: str, hint: str = "") -> Problem:
        place = _place(event)
        return Problem(self.file, place.line, place.column, message, hint)

    def _refusal(self, event: Any, message: str, hint: str = "") -> InvalidFileError:
        return InvalidFileError([*self.problems, self._problem(event, message, hint)])


def _place(event: Any, file: str = "") -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1, file)
