"""The host's clocks, injected so that tests own the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _boot() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:  # not Linux
        return ""


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic seconds for polls, time-outs and staleness; UTC only to anchor segments and events."""

    monotonic: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time
    boot: str = field(default_factory=_boot)
    """Names the start of this computer since which ``monotonic`` counts; empty if that is not known.
    Readings of two processes can be compared if it is the same."""

    def stamp(self) -> Stamp:
        """Return this moment, for another process to compare with."""
        return Stamp(self.unix(), self.monotonic(), self.boot)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment on both clocks of one computer."""

    unix_s: float
    monotonic_s: float
    boot: str

    @classmethod
    def of(cls, saved: object) -> Stamp | None:
        """Return what :meth:`state` gave, or an earlier version saved; None if that is no moment."""
        if not isinstance(saved, Mapping) or saved.get("unix_s") is None:
            return None
        boot = str(saved.get("boot", ""))
        return cls(float(saved["unix_s"]), float(saved.get("monotonic_s", 0.0)), boot)

    def state(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"unix_s": self.unix_s, "monotonic_s": self.monotonic_s, "boot": self.boot}

    def until(self, later: Stamp) -> tuple[float, bool]:
        """Return the seconds up to a later moment, and whether they are sure.

        They are by the monotonic clock if the computer ran all the time; else by UTC, which may be set.
        """
        if self.boot and self.boot == later.boot:
            return later.monotonic_s - self.monotonic_s, True
        return max(0.0, later.unix_s - self.unix_s), False

    def step_s(self, later: Stamp) -> float | None:
        """Return by how much UTC was set forward up to a later moment (< 0: back); None if nothing tells."""
        utc_s = later.unix_s - self.unix_s
        seconds, sure = self.until(later)
        if sure:
            return utc_s - seconds
        return utc_s if utc_s < 0.0 else None
