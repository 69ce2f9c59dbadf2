"""The host's clocks, injected so that tests own the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic seconds for polls, time-outs and staleness; UTC only to anchor segments and events."""

    monotonic: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time
