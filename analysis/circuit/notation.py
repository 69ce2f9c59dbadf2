"""Equivalent circuits as people write them.

impedance.py's notation: a hyphen joins in series, ``p(…,…)`` in parallel: ``R0-p(R1,CPE1)-W1``. Boukamp's
(Solid State Ionics 20 (1986) 31), where each bracket changes from series to parallel and back, is read as
well if its brackets say which is which: ``( )`` in parallel, ``[ ]`` in series, ``Q`` for CPE:
``R(RQ)(Q[RW])``. Numbers may be left out; they are put in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.circuit.elements import KINDS
from analysis.circuit.tree import Circuit, Element, Node, Parallel, Series
from protocols.errors import CircuitError, nearest

LONGEST = 400
"""Characters."""
MOST_ELEMENTS = 30
DEEPEST = 10
"""Brackets within brackets."""

_STANDARD = re.compile(r"(?P<letters>[A-Za-z]+)(?P<number>_?[0-9]{0,3})|(?P<sign>[-,()])")
_BOUKAMP = re.compile(r"(?P<letters>CPE|Wo|Ws|[RCLQWG])(?P<number>[0-9]{0,3})|(?P<sign>[][()])")
_PARALLEL = "p"
_HINT = "Write hyphens in series and p( , ) in parallel, such as R0-p(R1,CPE1)-W1."


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    column: int
    letters: str = ""
    number: str = ""


def parse_circuit(text: str) -> Circuit:
    """Read a circuit. Raises CircuitError, with the column, if it is none, is too large or too deep."""
    if len(text) > LONGEST:
        raise CircuitError(text[:40] + "…", 1, f"longer than {LONGEST} characters", "No spectrum holds that.")
    boukamp = not re.search(r"[-,]|p\s*\(", text) and bool(re.search(r"[][()]", text))
    tokens = _tokens(text, _BOUKAMP if boukamp else _STANDARD)
    named = _numbered(text, tokens)
    parser = _Parser(text, named)
    root = parser.boukamp("") if boukamp else parser.series()
    parser.end()
    return Circuit(root)


def _tokens(text: str, pattern: re.Pattern[str]) -> list[_Token]:
    found, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = pattern.match(text, at)
        if match is None:
            known = f"Known are: {', '.join(KINDS)}. {_HINT}"
            raise CircuitError(text, at + 1, f"'{text[at]}' is not understood", known)
        letters = "CPE" if match["letters"] == "Q" else match["letters"] or ""
        found.append(_Token(match[0], at + 1, letters, match["number"] or ""))
        at = match.end()
    if not found:
        raise CircuitError(text, 1, "there is no element in it", _HINT)
    return found


def _numbered(text: str, tokens: Sequence[_Token]) -> list[_Token]:
    """Return the tokens with a name for each element. Raises CircuitError for unknown and equal names."""
    taken = _names(text, tokens)
    depth, named = 0, []
    for token in tokens:
        depth += (token.text in "([") - (token.text in ")]")
        if token.letters in KINDS and not token.number:
            # R0 is by custom the resistance in series with all others.
            lowest = 0 if token.letters == "R" and depth == 0 else 1
            number = next(n for n in range(lowest, len(taken) + 99) if f"{token.letters}{n}" not in taken)
            taken.add(f"{token.letters}{number}")
            token = _Token(token.text, token.column, token.letters, str(number))
        named.append(token)
    return named


def _names(text: str, tokens: Sequence[_Token]) -> set[str]:
    """Return the names that are written out."""
    named = [token for token in tokens if token.letters and token.letters != _PARALLEL]
    taken: set[str] = set()
    for token in named:
        if token.letters not in KINDS:
            hint = nearest(token.letters, KINDS)
            raise CircuitError(text, token.column, f"there is no element '{token.letters}'", hint)
        name = token.letters + token.number
        if token.number and name in taken:
            raise CircuitError(text, token.column, f"{name} is there already", "Give each its own number.")
        if token.number:
            taken.add(name)
    if len(named) > MOST_ELEMENTS:
        column = named[MOST_ELEMENTS].column
        raise CircuitError(text, column, f"more than {MOST_ELEMENTS} elements", "No spectrum holds that.")
    return taken


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, tokens: Sequence[_Token]) -> None:
        self._text, self._tokens, self._at, self._depth = text, tokens, 0, 0

    def series(self) -> Node:
        """Read parts with hyphens between them."""
        parts = [self._part()]
        while self._take("-"):
            parts.append(self._part())
        return _joined(Series, parts)

    def boukamp(self, closing: str) -> Node:
        """Read parts one after another in Boukamp's notation, up to a bracket that closes."""
        parts = []
        while self._next not in ("", ")", "]"):
            parts.append(self._boukamp_part())
        if not parts:
            raise self._wrong("there is nothing between the brackets" if closing else "an element is missing")
        if closing == ")" and len(parts) == 1:
            raise self._wrong("a single branch is in parallel with nothing")
        return _joined(Parallel if closing == ")" else Series, parts)

    def end(self) -> None:
        """Raise CircuitError unless all has been read."""
        if self._at < len(self._tokens):
            raise self._wrong(f"'{self._next}' is not expected here")

    @property
    def _next(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _part(self) -> Node:
        if self._next == "(":
            raise self._wrong("a bracket alone", "Write p( for branches in parallel.")
        if self._next != _PARALLEL:
            return self._element()
        self._at += 1
        self._open("(")
        branches = [self.series()]
        while self._take(","):
            branches.append(self.series())
        self._close(")")
        if len(branches) == 1:
            self._at -= 1
            raise self._wrong("a single branch is in parallel with nothing")
        return _joined(Parallel, branches)

    def _boukamp_part(self) -> Node:
        if self._next not in ("(", "["):
            return self._element()
        closing = ")" if self._next == "(" else "]"
        self._open(self._next)
        inner = self.boukamp(closing)
        self._close(closing)
        return inner

    def _element(self) -> Element:
        token = self._tokens[self._at] if self._next else None
        if token is None or token.letters not in KINDS:
            raise self._wrong("an element is missing")
        self._at += 1
        return Element(KINDS[token.letters], token.letters + token.number)

    def _open(self, bracket: str) -> None:
        if not self._take(bracket):
            raise self._wrong(f"'{bracket}' is missing")
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong(f"more than {DEEPEST} brackets within each other")

    def _close(self, bracket: str) -> None:
        if not self._take(bracket):
            raise self._wrong(f"'{bracket}' is missing")
        self._depth -= 1

    def _take(self, sign: str) -> bool:
        taken = self._next == sign
        self._at += taken
        return taken

    def _wrong(self, message: str, hint: str = _HINT) -> CircuitError:
        at_end = self._at >= len(self._tokens)
        column = len(self._text.rstrip()) + 1 if at_end else self._tokens[self._at].column
        return CircuitError(self._text, column, message, hint)


def _joined(kind: type[Series] | type[Parallel], parts: Iterable[Node]) -> Node:
    """Return the parts as one node; what is joined in the same way inside is drawn up into it."""
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    return flat[0] if len(flat) == 1 else kind(tuple(flat))
