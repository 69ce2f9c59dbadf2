"""What a YAML parser finds wrong, in words for people who write a file by hand and know no YAML."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from protocols.errors import Problem

_COLON = re.compile(r":(\s|$)")
_GLUED = re.compile(r"(?<![\w:])(\w+):(?=[^\s:])")
"""A key whose colon has no space after it."""
_CLOSING = {"{": "}", "[": "]"}
_ALIGNED = "Begin it exactly below the line that it stands beside; settings stand two spaces further in."


@dataclass(frozen=True, slots=True)
class _Slip:
    """A parser's complaint with the text that it is about; places count from 0, as the parser's do."""

    lines: list[str]
    complaint: str
    context: str
    line: int
    column: int
    from_line: int
    """Where what could not be read began."""
    from_column: int

    def text(self, number: int) -> str:
        """Return a line; empty behind the last one."""
        return self.lines[number] if number < len(self.lines) else ""

    def line_before(self) -> int:
        """Return the number of the last line before this one that says something."""
        numbers = (n for n in range(self.line - 1, -1, -1) if self.text(n).split("#")[0].strip())
        return next(numbers, self.line)

    @property
    def found(self) -> str:
        """What the parser met instead of what it expected."""
        match = re.search(r"(?:found|got) \(?'(.+?)'", self.complaint)
        return match[1] if match else ""

    @property
    def opened(self) -> str:
        """The sign at which it began: a bracket or a quote."""
        return self.text(self.from_line)[self.from_column : self.from_column + 1]


_Words = tuple[int, int, str, str]
"""Line and column from 0, message, hint."""


def syntax_problem(error: Exception, text: str, file: str) -> Problem:
    """Return what is wrong with a text that can't be read as YAML."""
    if isinstance(error, ReaderError):
        before = text[: error.position]
        place = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"The character U+{error.character:04X} is not allowed."
        return Problem(file, *place, message, "Delete it: an editor may not show it.")
    mark: Any = error.problem_mark or error.context_mark if isinstance(error, MarkedYAMLError) else None
    if not isinstance(error, MarkedYAMLError) or mark is None:
        return Problem(file, 0, 0, "The file holds something that YAML does not allow.", str(error))
    start: Any = error.context_mark or mark
    slip = _Slip(
        text.splitlines(),
        str(error.problem or error.context),
        str(error.context or ""),
        mark.line,
        mark.column,
        start.line,
        start.column,
    )
    line, column, message, hint = _words(slip)
    return Problem(file, line + 1, column + 1, message, hint)


def _words(slip: _Slip) -> _Words:
    for beginning, words in _KNOWN.items():
        if slip.complaint.startswith(beginning):
            return words(slip)
    hint = "Check the indentation, the colons and the brackets on this line and the one before."
    return slip.line, slip.column, f"This can't be read as YAML: {slip.complaint}.", hint


def _colon_too_many(slip: _Slip) -> _Words:
    line = slip.text(slip.line)
    indent = len(line) - len(line.lstrip())
    if _COLON.search(line[: slip.column]):
        hint = "Put the text in quotes, or write settings in braces, as in 'rest: {for: 1 s}'."
        return slip.line, slip.column, "There is a second colon on this line.", hint
    above = slip.line_before()
    if not _COLON.search(slip.text(above)):
        return _no_colon(slip, above)
    message = "This line is indented further than the one before, which has its value already."
    return slip.line, indent, message, _ALIGNED


def _no_colon(slip: _Slip, number: int) -> _Words:
    line = slip.text(number)
    column = len(line) - len(line.lstrip(" -"))
    glued = _GLUED.search(line)
    if glued is not None:
        message = f"A space is missing after the colon of '{glued[0]}'."
        return number, glued.start(), message, f"Write '{glued[0]} …'."
    word = line[column:].split(" ")[0]
    return number, column, "There is no colon on this line.", f"Write '{word}: …'."


def _key_without_colon(slip: _Slip) -> _Words:
    return _no_colon(slip, slip.from_line)


def _block_goes_on(slip: _Slip) -> _Words:
    if slip.found in "}],":
        message = f"There is no bracket that this '{slip.found}' belongs to."
        return slip.line, slip.column, message, "Take it out, or write the opening bracket."
    if slip.found == "<scalar>" and slip.text(slip.line)[: slip.column].strip():
        message = "Something stands behind the text in quotes."
        return slip.line, slip.column, message, "Put the whole value in quotes, or none of it."
    above = slip.line_before()
    glued = re.match(r"(\s*)-\w", slip.text(above))
    if glued is not None:
        return above, len(glued[1]), "A space is missing after the '-'.", "Write '- rest: …'."
    message = "The indentation of this line fits none of the lines above it."
    return slip.line, slip.column, message, _ALIGNED


def _flow_goes_on(slip: _Slip) -> _Words:
    closing = _CLOSING.get(slip.opened, "")
    if slip.found in ("}", "]"):
        message = f"The '{slip.opened}' in column {slip.from_column + 1} is closed by '{slip.found}' here."
        return slip.line, slip.column, message, f"Write '{closing}'."
    if slip.line == slip.from_line and slip.found == ":":
        message = "There is a second colon here, and no comma before it."
        return slip.line, slip.column, message, "Write commas between settings: {for: 1 s, over: 1 min}."
    if slip.line == slip.from_line and slip.found != "<stream end>":
        message = "A colon or a comma is missing before this."
        return slip.line, slip.column, message, "Write for example {until: {time: 1 h}, current: 1 mA}."
    message = (
        f"This '{slip.opened}' is not closed: a ',' or '{closing}' is missing before line {slip.line + 1}."
    )
    return slip.from_line, slip.from_column, message, f"Write '{closing}' where the brackets end."


def _tab_or_sign(slip: _Slip) -> _Words:
    sign = slip.text(slip.line)[slip.column : slip.column + 1]
    if sign == "\t":
        return slip.line, slip.column, "There is a tab here.", "Indent with spaces: YAML takes no tabs."
    return slip.line, slip.column, f"A text can't begin with '{sign}'.", "Put it in quotes."


def _open_quote(slip: _Slip) -> _Words:
    message = f"The quote {slip.opened} that begins here is never closed."
    return slip.from_line, slip.from_column, message, f"Write {slip.opened} at the end of the text."


def _no_name(slip: _Slip) -> _Words:
    message = f"A text can't begin with '{slip.opened}'."
    return slip.from_line, slip.from_column, message, "Put it in quotes."


def _long_text(slip: _Slip) -> _Words:
    message = f"A text that is begun by '{slip.opened}' goes on in the next line."
    return slip.from_line, slip.from_column, message, "Put it in quotes, if the sign is part of it."


def _escape(slip: _Slip) -> _Words:
    message = "A backslash in double quotes begins a special sign, and this is none."
    return slip.line, slip.column, message, "Use single quotes: '…'."


def _list_on_the_line(slip: _Slip) -> _Words:
    message = "A list can't begin on the line of its key."
    return slip.line, slip.column, message, "Begin it in the next line, or write [one, two]."


def _before_the_start(slip: _Slip) -> _Words:
    if slip.text(0).startswith(" "):
        message = "This line begins further left than the first one."
        return slip.line, slip.column, message, "Begin the file at the left edge."
    message = "This can't follow what stands above it."
    return slip.line, slip.column, message, "A file is 'key: value' lines that begin at the left edge."


def _no_value(slip: _Slip) -> _Words:
    message = f"There is no value before this '{slip.found}'."
    return slip.line, slip.column, message, "Write one, or take the comma or bracket out."


_KNOWN: dict[str, Callable[[_Slip], _Words]] = {
    "mapping values are not allowed": _colon_too_many,
    "could not find expected ':'": _key_without_colon,
    "expected <block end>": _block_goes_on,
    "expected ',' or": _flow_goes_on,
    "found character": _tab_or_sign,
    "found unexpected end of stream": _open_quote,
    "expected alphabetic or numeric character": _no_name,
    "expected chomping or indentation": _long_text,
    "expected a comment or a line break": _long_text,
    "expected indentation indicator": _long_text,
    "found unknown escape": _escape,
    "expected escape sequence": _escape,
    "expected '!'": _no_name,
    "expected ' '": _no_name,
    "expected '>'": _no_name,
    "expected URI": _no_name,
    "sequence entries are not allowed": _list_on_the_line,
    "expected '<document start>'": _before_the_start,
    "expected the node content": _no_value,
}
"""How a complaint begins, and who puts it into words."""
