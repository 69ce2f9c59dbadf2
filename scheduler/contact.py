"""Contact with a device or a broker: since when it is as it is, and when it is tried again.

Each device has one task that connects it. What fails is tried again after a wait that grows up to a cap, and
that is drawn, so that what was lost together does not come back all at once.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from scheduler.clock import Clock
from scheduler.requests import ConnectionInfo, ConnectionKind

log = logging.getLogger(__name__)

FIRST_S, FACTOR, MAX_S = 0.5, 1.8, 60.0
JITTER = 0.5
"""A wait is shorter than its longest by a random part up to this."""

Chance = Callable[[], float]
"""Returns a random number from 0 (included) to 1 (excluded)."""


@dataclass(slots=True)
class Backoff:
    """Waits between attempts."""

    first_s: float = FIRST_S
    max_s: float = MAX_S
    factor: float = FACTOR
    chance: Chance = random.random
    _longest_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The last attempt has lasted: begin with short waits again."""
        self._longest_s = self.first_s

    def next_s(self) -> float:
        """Return how long to wait now."""
        wait_s = self._longest_s * (1.0 - JITTER * self.chance())
        self._longest_s = min(self._longest_s * self.factor, self.max_s)
        return wait_s


class Contact:
    """How the connection to one device stands. Says in the log, once each, that it is lost and found.

    A device that answers a connection and no more counts as found only once it :meth:`lasts`.
    """

    def __init__(self, name: str, kind: ConnectionKind, clock: Clock) -> None:
        self.name = name
        self.reachable = False
        self.problem = ""
        """What went wrong last, in words; empty while there is contact."""
        self._kind = kind
        self._clock = clock
        self._since = clock.stamp()
        self._told: Literal["nothing", "lost", "found"] = "nothing"
        self._next_try_s: float | None = None

    def found(self) -> None:
        """It answers."""
        self.reachable, self.problem, self._next_try_s = True, "", None

    def lasts(self) -> None:
        """It answers whatever it is asked."""
        if self._told == "found":
            return
        if self._told == "lost":
            lost_s = self._clock.monotonic() - self._since.monotonic_s
            log.warning("%s: contact again after %.0f s", self.name, lost_s)
        self._told, self._since = "found", self._clock.stamp()

    def lost(self, problem: str) -> None:
        """There is no contact, and why."""
        self.reachable, self.problem, self._next_try_s = False, problem, None
        if self._told != "lost":
            log.warning("%s: no contact: %s", self.name, problem)
            self._told, self._since = "lost", self._clock.stamp()

    def retry_in(self, seconds: float) -> None:
        """The next attempt comes then."""
        self._next_try_s = self._clock.monotonic() + seconds

    def info(self) -> ConnectionInfo:
        """Return how it stands."""
        left_s = None if self._next_try_s is None else max(0.0, self._next_try_s - self._clock.monotonic())
        return ConnectionInfo(
            name=self.name,
            kind=self._kind,
            reachable=self.reachable,
            since_unix_s=self._since.unix_s,
            problem=self.problem,
            next_try_in_s=None if self.reachable else left_s,
        )
