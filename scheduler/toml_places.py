"""Where in a TOML file a key stands: the standard library's reader does not say it."""

from __future__ import annotations

import re
from collections.abc import Iterable

Path = tuple[str, ...]

_PART = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[\w-]+)"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_HEADER = re.compile(rf"(\[\[?)[ \t]*({_KEY.pattern})")
_BLANK = re.compile(r"[ \t\r]*")
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?!")'
    r"|'''.*?'''(?!')"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)
"""What decides where a value ends: strings, comments, brackets, ends of lines."""
_ERROR = re.compile(r"^(?P<message>.*?) \(at line (?P<line>\d+), column (?P<column>\d+)\)$", re.DOTALL)


def place_of(text: str, path: Iterable[object]) -> tuple[int, int]:
    """Return line and column, 1-based, of the key at ``path``, or of the nearest one around it.

    (0, 0) if nothing of it is written. What stands in an inline table is found at that table's key.
    """
    wanted = tuple(str(part) for part in path)
    known = _places(text)
    for length in range(len(wanted), 0, -1):
        if wanted[:length] in known:
            start = known[wanted[:length]]
            return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return 0, 0


def place_in_message(message: str) -> tuple[str, int, int]:
    """Return what the standard library says of a text that is no TOML, and where; 0 where it does not say."""
    found = _ERROR.match(message)
    if found is None:
        return message, 0, 0
    return found["message"], int(found["line"]), int(found["column"])


def _places(text: str) -> dict[Path, int]:
    """Return the offset of each key and table that is written."""
    known: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    at = 0
    while at < len(text):
        at = _after(_BLANK, text, at)
        header, key = _HEADER.match(text, at), _KEY.match(text, at)
        if header is not None:
            table = _table(_parts(header[2]), counts, is_array=header[1] == "[[")
            _note(known, (), table, header.start(2))
        elif key is not None:
            _note(known, table, _parts(key[0]), at)
        at = _end_of_value(text, at)
    return known


def _note(known: dict[Path, int], table: Path, parts: Path, start: int) -> None:
    """Remember a key, and the tables that its dots make."""
    for length in range(1, len(parts) + 1):
        known.setdefault((*table, *parts[:length]), start)


def _parts(key: str) -> Path:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, key))


def _table(parts: Path, counts: dict[Path, int], *, is_array: bool) -> Path:
    """Return a table's path, with the numbers of the entries of arrays that it lies in."""
    found: Path = ()
    for part in parts[:-1]:
        found = _entry((*found, part), counts)
    found = (*found, parts[-1])
    if is_array:
        counts[found] = counts.get(found, 0) + 1
    return _entry(found, counts)


def _entry(path: Path, counts: dict[Path, int]) -> Path:
    return (*path, str(counts[path] - 1)) if path in counts else path


def _end_of_value(text: str, at: int) -> int:
    """Return where the next line begins that is not inside a value."""
    depth = 0
    for token in _TOKEN.finditer(text, at):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        elif token[0] == "\n" and depth <= 0:
            return token.end()
    return len(text)


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()
