"""``- include: groups/formation.yaml``: steps that stand in another file of the protocol's folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from protocols.errors import InvalidFileError, Problem, nearest
from protocols.yamlfile import MAX_NODES, Node, Place, Source, read_text, read_yaml

MAX_FILES = 20
MAX_NESTING = 5
KEYS = ("sandtime", "description", "steps")
_PATH = re.compile(r"[\w. +-]+(/[\w. +-]+)*\.ya?ml")

Reader = Callable[[str], str]
"""Name of a file, relative to the protocol's folder → its text. Raises InvalidFileError."""


def folder_reader(folder: Path) -> Reader:
    """Return the reader of a folder; it reads nothing outside of it, also not through a link."""
    inside = folder.resolve()

    def read(name: str) -> str:
        try:
            path = (inside / name).resolve()
        except (OSError, RuntimeError) as error:
            # Before Python 3.13 links that lead to each other are a RuntimeError.
            raise InvalidFileError([Problem(name, 0, 0, "The link leads nowhere.")]) from error
        if not path.is_relative_to(inside):
            raise InvalidFileError([Problem(name, 0, 0, "The file is outside of the protocol's folder.")])
        if not path.is_file():
            there = (file.relative_to(inside).as_posix() for file in _beside(path))
            raise InvalidFileError([Problem(name, 0, 0, "There is no such file.", nearest(name, there))])
        return read_text(path)

    return read


def _beside(path: Path) -> Iterator[Path]:
    """Yield the protocol files in the folder of a file that was not found."""
    if path.parent.is_dir():
        yield from path.parent.glob("*.y*ml")


def stored_reader(texts: dict[str, str]) -> Reader:
    """Return the reader of texts that came along with a protocol."""

    def read(name: str) -> str:
        if name not in texts:
            raise InvalidFileError([Problem(name, 0, 0, "The included file did not come along.")])
        return texts[name]

    return read


def _stand_in(place: Place) -> Node:
    """Return a right step for an include that failed, so that nothing else is said about its place."""
    return Node(place, {"rest": Node(place, {"for": Node(place, "1 s")})})


class Includes:
    """Puts the steps of included files in the place of their ``include``."""

    def __init__(self, source: Source, read: Reader) -> None:
        self.texts: dict[str, str] = {}
        """Every file that was read, by its name."""
        self._groups: dict[str, Source] = {}
        self.problems: list[Problem] = []
        self._source = source
        self._read = read
        self._size = source.root.size

    def expanded(self) -> Source:
        """Return the file with everything included."""
        return replace(self._source, root=self._expand(self._source.root, ()))

    def _expand(self, node: Node, within: tuple[str, ...]) -> Node:
        if isinstance(node.value, dict):
            return replace(node, value={key: self._expand(item, within) for key, item in node.value.items()})
        if isinstance(node.value, list):
            items = [part for item in node.value for part in self._expand_item(item, within)]
            return replace(node, value=items)
        return node

    def _expand_item(self, item: Node, within: tuple[str, ...]) -> Iterator[Node]:
        if not isinstance(item.value, dict) or set(item.value) != {"include"}:
            yield self._expand(item, within)
            return
        written = item.value["include"]
        name = str(written.value) if isinstance(written.value, str) else ""
        try:
            self._check(name, within)
            yield from self._steps_of(name, written.place, within)
        except InvalidFileError as error:
            self._note(written.place, error)
            yield _stand_in(item.place)

    def _check(self, name: str, within: tuple[str, ...]) -> None:
        message = hint = ""
        if not _PATH.fullmatch(name) or ".." in PurePosixPath(name).parts:
            message = f"'{name}' can't be included."
            hint = "Write the name of a file in the protocol's folder, such as 'groups/formation.yaml'."
        elif name in within:
            message = f"'{name}' includes itself: {' → '.join([*within, name])}."
        elif len(within) >= MAX_NESTING or (len(self.texts) >= MAX_FILES and name not in self.texts):
            message = f"At most {MAX_FILES} files may be included, {MAX_NESTING} deep."
        if message:
            raise InvalidFileError([Problem("", 0, 0, message, hint)])

    def _steps_of(self, name: str, place: Place, within: tuple[str, ...]) -> list[Node]:
        group = self._group(name)
        self._size += group.root.size
        if self._size > MAX_NODES:
            raise InvalidFileError([Problem("", 0, 0, f"All files together hold over {MAX_NODES} values.")])
        steps = group.root.child("steps")
        if steps is None or not isinstance(steps.value, list):
            raise InvalidFileError([Problem(name, 0, 0, "An included file needs a list 'steps'.")])
        return [part for item in steps.value for part in self._expand_item(item, (*within, name))]

    def _group(self, name: str) -> Source:
        """Return a file, read once however often it is included."""
        if name not in self._groups:
            self.texts[name] = self._read(name)
            self._groups[name] = read_yaml(self.texts[name], name, included=True)
            self._check_keys(self._groups[name])
        return self._groups[name]

    def _check_keys(self, group: Source) -> None:
        for key, place in group.root.key_places.items():
            if key not in KEYS:
                hint = nearest(key, KEYS)
                message = f"The key '{key}' is not known in an included file."
                self.problems.append(group.problem_at(place, message, hint))

    def _note(self, place: Place, error: InvalidFileError) -> None:
        """Note what is wrong; a problem without a file of its own is one of the ``include`` line."""
        for problem in error.problems:
            own = bool(problem.file and problem.line)
            words = f"{problem.file}: {problem.message}" if problem.file else problem.message
            self.problems.append(problem if own else self._source.problem_at(place, words, problem.hint))
