"""The names under which data files ask for extractions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from monitor.published.extractions.record import Record
from monitor.published.units import Kind
from protocols.errors import SandtimeError, nearest

Function = Callable[..., float | str]


class NotObtainedError(SandtimeError):
    """A run does not hold what is asked of it."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """One way to get a value out of a run."""

    kind: Kind
    function: Function

    def __call__(self, record: Record, arguments: Mapping[str, Any]) -> float | str:
        """Return the value in SI, or words. Raises NotObtainedError."""
        return self.function(record, **arguments)


EXTRACTIONS: dict[str, Extraction] = {}
"""Name → extraction; the name is that of its function."""


def extraction(kind: Kind) -> Callable[[Function], Function]:
    """Register a function of a record and of named arguments."""

    def register(function: Function) -> Function:
        EXTRACTIONS[function.__name__] = Extraction(kind, function)
        return function

    return register


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise ValueError unless there is an extraction that takes these arguments."""
    if name not in EXTRACTIONS:
        raise ValueError(f"there is no extraction {name!r}. {nearest(name, EXTRACTIONS)}")
    signature = inspect.signature(EXTRACTIONS[name].function)
    try:
        signature.bind(None, **arguments)
    except TypeError as error:
        raise ValueError(f"{name}{signature}: {error}") from error
