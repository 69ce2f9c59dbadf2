"""``$name`` in a protocol file: a whole value that a parameter gives. Nothing is computed or evaluated.

A parameter is a value, or a value with the range that ``--set`` may choose from:
``capacity: {value: 0.2 mAh/cm², from: 0.05 mAh/cm², to: 2 mAh/cm²}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal, get_args

from protocols.errors import Problem, QuantityError, nearest
from protocols.units import KINDS, KindName, parse_amount
from protocols.yamlfile import Node, Place, Source

LevelName = Literal["current", "voltage", "rate", "temperature"]
LEVELS: tuple[LevelName, ...] = get_args(LevelName)
"""Inside a ramp over one of these ``$current``, … is the level of the ramp, which the compiler puts in."""
_REFERENCE = re.compile(r"([+\-−]?)\$(\w+)(\s+(?:vs\s+ocv|rms|peak))?", re.IGNORECASE)
"""A whole value; what may stand behind a quantity may stand behind a parameter."""
_NAME = re.compile(r"[^\W\d]\w*")
_ENDS = ("from", "to")
_KEYS = ("value", *_ENDS)
_KINDS: tuple[KindName, ...] = tuple(kind for kind in KINDS if kind != "c_rate")


class Parameters:
    """The parameters of one file with the values that hold for this reading."""

    def __init__(self, source: Source, settings: Mapping[str, str]) -> None:
        """Take the defaults from the file and put ``settings`` (``--set``) over them."""
        self.problems: list[Problem] = []
        self.used: set[str] = set()
        self.doubtful: set[Place] = set()
        """Places of values that come from a parameter with a problem of its own."""
        self._broken: set[str] = set()
        self._source = source
        self._settings = settings
        self._nodes = dict(self._read_nodes())
        self._defaults = {name: str(node.value) for name, node in self._nodes.items()}
        self.texts = {**self._defaults, **settings}
        self._check_names()
        self._check_values()
        self._check_ranges()
        for name in sorted(settings.keys() - self._defaults.keys()):
            place = source.key_place(("parameters",))
            self._add(place, f"There is no parameter '{name}' to set.", nearest(name, self._defaults))

    def apply_to_file(self) -> Source:
        """Return the file with every ``$name`` replaced, and each parameter as its plain value."""
        root = self._source.root
        entries = dict(root.value) if isinstance(root.value, dict) else {}
        done = {key: item if key == "parameters" else self.apply(item) for key, item in entries.items()}
        block = entries.get("parameters")
        if block is not None and isinstance(block.value, dict):
            plain = {
                name: self._nodes.get(name) or Node(item.place, "") for name, item in block.value.items()
            }
            done["parameters"] = replace(block, value=plain)
        return Source(self._source.file, replace(root, value=done))

    def apply(self, node: Node, levels: frozenset[str] = frozenset()) -> Node:
        """Return ``node`` with every ``$name`` replaced, but for the ``levels`` of ramps around it."""
        if isinstance(node.value, str):
            return self._apply_to_text(node, node.value, levels)
        if isinstance(node.value, list):
            return replace(node, value=[self.apply(item, levels) for item in node.value])
        return replace(
            node,
            value={key: self.apply(item, levels | _levels(key, item)) for key, item in node.value.items()},
        )

    def unused(self) -> list[str]:
        """Return the names of parameters that no value refers to."""
        return [name for name in self.texts if name not in self.used]

    def _read_nodes(self) -> Iterator[tuple[str, Node]]:
        """Yield each parameter with the node of its value."""
        block = self._source.root.child("parameters")
        if block is None or not isinstance(block.value, dict):
            return
        for name, node in block.value.items():
            value = node if isinstance(node.value, str) else node.child("value")
            if value is not None and isinstance(value.value, str):
                yield name, value
            else:
                self._broken.add(name)
                message = f"The parameter '{name}' has no value."
                hint = f"Write '{name}: 0.1 mA/cm²', or '{name}: {{value: …, from: …, to: …}}'."
                self._add(block.key_places[name], message, hint)

    def _check_names(self) -> None:
        node = self._source.root.child("parameters")
        for name in node.key_places if node else ():
            if not _NAME.fullmatch(name):
                place = self._source.key_place(("parameters", name))
                self._add(place, f"'{name}' can't be the name of a parameter.", "Use letters, digits and _.")

    def _check_values(self) -> None:
        for name, text in self.texts.items():
            if _REFERENCE.fullmatch(text):
                self._broken.add(name)
                node = self._nodes.get(name)
                place = node.place if node else self._source.key_place(("parameters",))
                message = f"The parameter '{name}' is '{text}': it needs a value of its own."
                self._add(place, message, "Write the quantity itself, such as '0.1 mA/cm²'.")

    def _check_ranges(self) -> None:
        for name in self._nodes:
            block = self._source.find(("parameters", name))
            if isinstance(block.value, dict):
                for key in [key for key in block.key_places if key not in _KEYS]:
                    message = f"The key '{key}' is not known in a parameter."
                    self._add(block.key_places[key], message, nearest(key, _KEYS))
                self._check_range(name, block)

    def _check_range(self, name: str, block: Node) -> None:
        ends = {key: end for key in _ENDS if (end := block.child(key)) is not None}
        for end in ends.values():
            if not isinstance(end.value, str):
                self._add(end.place, "A single value is wanted here.", "Write for example '1 mA/cm²'.")
                return
        value = self._number(self.texts[name], self._nodes[name].place)
        low, high = (
            self._number(str(ends[key].value), ends[key].place) if key in ends else value for key in _ENDS
        )
        if value is None or low is None or high is None:
            return
        if {low[0], high[0]} != {value[0]}:
            self._add(block.place, f"Value and range of '{name}' are not of one kind.", "Use one unit.")
        elif not low[1] <= value[1] <= high[1]:
            reach = " ".join(f"{key} {ends[key].value}" for key in _ENDS if key in ends)
            message = f"The parameter '{name}' is {self.texts[name]}, outside of its range {reach}."
            self._add(self._nodes[name].place, message, "Choose a value inside, or change the range.")

    def _number(self, text: str, place: Place) -> tuple[str, float] | None:
        """Return kind and value of a quantity or of a plain number; None if it is neither, which is noted."""
        either: tuple[tuple[KindName, ...], ...] = (("c_rate",), _KINDS)
        for kinds in either:
            try:
                amount = parse_amount(text, *kinds)
            except QuantityError:
                continue
            return amount.kind, amount.value
        message = f"'{text}' is no quantity: only quantities and numbers have a range."
        self._add(place, message, "Write a number and a unit, such as '0.1 mA/cm²'.")
        return None

    def _apply_to_text(self, node: Node, text: str, levels: frozenset[str]) -> Node:
        match = _REFERENCE.fullmatch(text)
        if match is None or match[2] in levels:
            return node
        sign, name, suffix = match.groups()
        if name not in self.texts and name in self._broken:
            self.doubtful.add(node.place)
            return node
        if name not in self.texts:
            self._unknown_name(node.place, name)
            return node
        self.used.add(name)
        place = node.place if name in self._settings else self._nodes[name].place
        if name in self._broken:
            self.doubtful.add(place)
        text = _signed(sign, self.texts[name]) + (suffix or "")
        return replace(node, value=text, origin=name, place=place)

    def _unknown_name(self, place: Place, name: str) -> None:
        hint = nearest(name, self._defaults) or "Name it under 'parameters:'."
        if name in LEVELS:
            hint = f"Without a parameter of this name, ${name} is known inside a ramp over it only."
        self._add(place, f"There is no parameter '{name}'.", hint)

    def _add(self, place: Place, message: str, hint: str) -> None:
        self.problems.append(self._source.problem_at(place, message, hint))


def _levels(key: str, item: Node) -> set[str]:
    """Return the quantities that a ramp goes over, if this is one."""
    over = item.value if key == "ramp" and isinstance(item.value, dict) else {}
    return {name for name in LEVELS if name in over}


def _signed(sign: str, text: str) -> str:
    """Return a quantity's text with a sign before the reference taken into account."""
    if sign in ("", "+"):
        return text
    return text[1:].lstrip() if text.startswith(("-", "−")) else f"-{text.removeprefix('+')}"
