"""One tree of exceptions. A message says what happened, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar


class SandtimeError(Exception):
    """Something went wrong that a person can act on."""

    exit_code: ClassVar[int] = 1
    """Exit code of the command line for this kind of error (design: The command line)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file that a person wrote."""

    file: str
    line: int
    """1-based; 0 where the whole file is meant."""
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" + (f"\n    {self.hint}" if self.hint else "")


class InvalidFileError(SandtimeError):
    """A protocol, cell or configuration file holds mistakes."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class QuantityError(SandtimeError):
    """A text is no quantity, or not of the kind that is wanted. ``hint`` says what to write."""

    exit_code = 3

    def __init__(self, message: str, hint: str) -> None:
        self.hint = hint
        super().__init__(message)


class SpectrumError(SandtimeError):
    """A spectrum does not allow what is asked of it: too few points, or values that are no impedance."""

    exit_code = 3


class CircuitError(SandtimeError):
    """A text is no equivalent circuit. ``column``: where in it, 1-based; ``hint`` says what to write."""

    exit_code = 2

    def __init__(self, text: str, column: int, message: str, hint: str) -> None:
        self.column, self.hint = column, hint
        super().__init__(f"circuit '{text}', column {column}: {message}" + (f"\n    {hint}" if hint else ""))


class UsageError(SandtimeError):
    """A command was asked for what makes no sense."""

    exit_code = 2


class UnreachableError(SandtimeError):
    """The daemon or an instrument does not answer."""

    exit_code = 4


class InstrumentError(SandtimeError):
    """An instrument refused a command or reports a fault."""

    exit_code = 5


class NotAllowedError(SandtimeError):
    """The command is not permitted here."""

    exit_code = 7


class BusyError(SandtimeError):
    """The station, the instrument or the data folder is in use."""

    exit_code = 8


class StorageError(SandtimeError):
    """Data could not be stored or read."""


class NotFoundError(StorageError):
    """There is no run with this number."""

    exit_code = 2


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint: the known word nearest to ``word``, else all of them."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Known are: {', '.join(words)}." if words else ""
