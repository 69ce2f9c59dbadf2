"""``[checks]`` of service.toml: what is looked at before a test starts."""

from __future__ import annotations

from typing import Literal

from protocols.frozen import Frozen


class ChecksConfig(Frozen):
    """See docs/before_a_start.md."""

    before_start: bool = True
    """Check cell and contacts before each test."""
    calibration: Literal["ignore", "warn", "require"] = "warn"
    """What a channel needs that has no valid calibration: nothing, a note in the check (if any channel of the
    lab was ever calibrated), or a person who says that it may start all the same."""
