"""Reads ``tests/protocols/wrong_files/*.txt``: small wrong protocol files, and what is to be said of them.

A case is a title, a text and what is expected::

    === a rest whose time has no unit
    - rest: {for: ▶5}
    ! '5' has no unit; a time is wanted here.
    ? Write for example '5 h'

``▶`` stands just before the place that has to be named (it is taken out of the text). Each ``!`` is a part
of the message and ``?`` a part of the hint for the ▶ with the same number, in the order of the file. Nothing
else may be said. A text that begins with ``- `` is the list of steps, one that begins with ``sandtime`` or
``name`` a whole file, any other the keys of a file besides its steps. ``\\t`` is a tab. Before the
expectations there may be:

    > groups/a.yaml          what follows is the text of a file that is included
    @ cell: full             fitted to this cell of the test (see test_wrong_files.py)
    @ channel: pushes only   … to this channel
    @ set: cycles=5          a setting, as with --set
    @ warning                the file is right, and this is its warning
    @ at: 3:1                the place, where no ▶ can stand; 0:0 is the whole file
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HEAD = "sandtime: 1\nname: wrong\n"
STEPS = "steps:\n- rest: {for: 1 s}\n"
FILE = "f.yaml"
MARK = "▶"


@dataclass
class Expected:
    """What has to be said about one place."""

    file: str
    line: int
    column: int
    message: str = ""
    hint: str = ""


@dataclass
class WrongFile:
    """One case."""

    title: str
    text: str = ""
    included: dict[str, str] = field(default_factory=dict)
    expected: list[Expected] = field(default_factory=list)
    cell: str = "symmetric"
    channel: str = "able"
    settings: dict[str, str] = field(default_factory=dict)
    warning: bool = False


def read_cases(path: Path) -> list[WrongFile]:
    """Return the cases of a file."""
    blocks = path.read_text(encoding="utf-8").replace("\\t", "\t").split("=== ")[1:]
    return [_case(block) for block in blocks]


def _case(block: str) -> WrongFile:
    title, *lines = block.split("\n")
    case = WrongFile(title)
    texts: dict[str, list[str]] = {FILE: []}
    places: list[Expected] = []
    said: dict[str, list[str]] = {"! ": [], "? ": []}
    for line in lines:
        if line[:2] in said:
            said[line[:2]].append(line[2:])
        elif line.startswith("? ") or line == "?":
            said["? "].append("")
        elif line.startswith("> "):
            texts[line[2:]] = []
        elif line.startswith("@ "):
            _option(case, line[2:], places)
        else:
            list(texts.values())[-1].append(line)
    whole = {name: _whole("\n".join(written).strip("\n") + "\n", name) for name, written in texts.items()}
    for name, text in whole.items():
        places += _places(name, text)
    plain = {name: text.replace(MARK, "") for name, text in whole.items()}
    case.text = plain.pop(FILE)
    case.included = plain
    assert len(places) == len(said["! "]) == len(said["? "]), f"{title}: each ▶ has one '!' and one '?'"
    for place, message, hint in zip(places, said["! "], said["? "], strict=True):
        place.message, place.hint = message, hint
    case.expected = places
    return case


def _option(case: WrongFile, line: str, places: list[Expected]) -> None:
    key, _, value = line.partition(": ")
    if key == "set":
        name, _, text = value.partition("=")
        case.settings[name] = text
    elif key == "at":
        number, column = value.split(":")
        places.append(Expected(FILE, int(number), int(column)))
    elif key == "warning":
        case.warning = True
    else:
        assert key in ("cell", "channel"), key
        setattr(case, key, value)


def _whole(text: str, name: str) -> str:
    plain = text.replace(MARK, "")
    if name != FILE or plain.lstrip().startswith(("sandtime", "name")):
        return text
    if plain.startswith("- "):
        return f"{HEAD}steps:\n{text}"
    return HEAD + text + ("" if any(line.startswith("steps") for line in plain.split("\n")) else STEPS)


def _places(name: str, text: str) -> Iterator[Expected]:
    for number, line in enumerate(text.split("\n"), start=1):
        while MARK in line:
            yield Expected(name, number, line.index(MARK) + 1)
            line = line.replace(MARK, "", 1)
