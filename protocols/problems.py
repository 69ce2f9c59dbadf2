"""Collects what does not fit while a protocol is compiled."""

from __future__ import annotations

from protocols.errors import InvalidFileError, Problem
from protocols.yamlfile import Source, TreePath


class Problems:
    """Collects what does not fit; the first thing said about a place is kept."""

    def __init__(self, source: Source) -> None:
        self.found: dict[TreePath, Problem] = {}
        self._source = source

    def add(self, path: TreePath, message: str, hint: str = "") -> None:
        """Note a problem with the value at ``path``."""
        self.found.setdefault(path, self._source.problem(path, message, hint))

    def raise_if_any(self) -> None:
        """Raise InvalidFileError with all that was noted."""
        if self.found:
            # A parameter that is used twice is wrong once.
            places = {(p.file, p.line, p.column): p for p in reversed(self.found.values())}
            raise InvalidFileError(sorted(places.values(), key=lambda p: (p.line, p.column)))
