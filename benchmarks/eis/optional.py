"""Parts of ``analysis`` that this comparison measures if they are there."""

from __future__ import annotations

import importlib
from typing import Any


def part(module: str, name: str) -> Any:
    """Return a function of a module by its name; None if the module is not there."""
    try:
        return getattr(importlib.import_module(f"analysis.{module}"), name)
    except ModuleNotFoundError:
        return None
