"""Values with standard deviations, and what follows for a number that is computed of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A value and its standard deviation, independent of those of other values."""

    value: float
    std: float | None = None
    """None: not known. It is left out where it would be needed, and named."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number that is computed of measured ones, with all that it needs to be compared."""

    value: float
    std: float | None
    """Standard deviation from what is known of the measured values; None: nothing is."""
    unit: str
    method: str
    """How it was computed, in the field's words."""
    geometry: str
    """Of what: the lengths and areas it stands on; empty where there are none."""
    without: tuple[str, ...] = ()
    """What has no uncertainty of its own in ``std``, because nobody said it."""


def propagated(
    function: Callable[..., float], **values: Uncertain
) -> tuple[float, float | None, tuple[str, ...]]:
    """Return a function of values, its standard deviation and the names of the values that had none.

    By the first terms of the function's expansion (ISO/IEC Guide 98-3, GUM, 5.1.2), slopes from differences
    over one standard deviation on either side. Where the function has no value there (raises ValueError),
    one side is taken. Raises what the function raises for the values themselves.
    """
    at = {name: uncertain.value for name, uncertain in values.items()}
    value = function(**at)
    known = {name: uncertain.std for name, uncertain in values.items() if uncertain.std is not None}
    without = tuple(name for name in values if name not in known)
    if not known:
        return value, None, without
    parts = [_part(function, at, name, std) for name, std in known.items()]
    return value, math.hypot(*parts), without


def _part(function: Callable[..., float], at: dict[str, float], name: str, std: float) -> float:
    """Return what one standard deviation of one value does; infinite if there is no value on either side."""
    if not std:
        return 0.0
    ends = []
    for side in (std, -std):
        try:
            ends.append((function(**at | {name: at[name] + side}), side))
        except ValueError:
            ends.append((function(**at), 0.0))
    (above, up), (below, down) = ends
    return (above - below) / (up - down) * std if up > down else math.inf
