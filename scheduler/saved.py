"""Values of a saved state, read back."""

from __future__ import annotations


def number(value: object) -> float | None:
    """Return a saved number, or None. Raises ValueError if it is neither."""
    return None if value is None else float(str(value))


def table(value: object) -> dict[str, object]:
    """Return a saved table. Raises TypeError if it is none."""
    if not isinstance(value, dict):
        raise TypeError("a saved state must be a table")
    return value
