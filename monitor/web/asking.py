"""Who asks, as every route that changes something wants to know."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Header

from scheduler.audit import UNKNOWN

MAX_NAME = 300
"""Longest name of a user, percent-encoded."""


def asking(x_sandtime_user: Annotated[str, Header(max_length=MAX_NAME)] = "") -> str:
    """Return who asks, as the client says: there are no users yet, and the token alone decides."""
    return unquote(x_sandtime_user) or UNKNOWN


Who = Annotated[str, Depends(asking)]
