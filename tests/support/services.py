"""What a test needs besides Python."""

from __future__ import annotations

import os

import pytest


def needs(service: str, present: bool) -> None:
    """Skip a test whose service is absent; fail where CI has to have it."""
    if present:
        return
    if os.environ.get("SANDTIME_REQUIRE") == "all":
        pytest.fail(f"{service} is missing, and SANDTIME_REQUIRE=all")
    pytest.skip(f"{service} is not installed here")
