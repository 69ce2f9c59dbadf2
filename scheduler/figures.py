"""How keepers and commits keep up: a few numbers that they count, read by metrics and watchdog."""

from __future__ import annotations

import math
from collections import Counter

from scheduler.clock import Clock
from scheduler.histogram import Histogram

LATENESS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
COMMIT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


class PollFigures:
    """Of one keeper."""

    def __init__(self, clock: Clock) -> None:
        self.polls = 0
        """Polls that were answered."""
        self.lateness = Histogram(LATENESS_S)
        """How much later than intended its turns began, in s."""
        self._clock = clock
        self._began_s = -math.inf
        self._due_s: float | None = None

    def due_in(self, seconds: float) -> None:
        """The next turn is meant to begin in so many seconds."""
        self._due_s = self._clock.monotonic() + seconds

    def begin(self) -> None:
        """A turn begins, or the contact that turns follow."""
        self._began_s = self._clock.monotonic()
        if self._due_s is not None:
            # Sooner than intended, where somebody wanted something, is not late.
            self.lateness.observe(max(0.0, self._began_s - self._due_s))
        self._due_s = None

    @property
    def idle_s(self) -> float:
        """Time since its last turn began."""
        return self._clock.monotonic() - self._began_s


class CommitFigures:
    """Of the one who commits."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        """Commits by what came of them, ``ok`` or ``failed``."""
        self.took = Histogram(COMMIT_S)
        """How long they took, in s."""

    def note(self, seconds: float, *, failed: bool) -> None:
        """A commit has ended."""
        self.count["failed" if failed else "ok"] += 1
        self.took.observe(seconds)
