"""The clock of a simulated instrument: real time × speed, held while its host has old data to fetch.

Without the hold a stop would come hours late at high speed, and every result would be luck (design: Joints).
"""

from __future__ import annotations

from collections.abc import Callable

TICK_S = 0.02
"""Real time after which the instrument is brought up to date at the latest."""


class HeldClock:
    """Instrument time in s since the instrument was switched on."""

    def __init__(self, monotonic: Callable[[], float], speed: float = 1.0, max_lag_s: float = 10.0) -> None:
        self._monotonic = monotonic
        self._speed = speed
        self._max_lag_s = max_lag_s
        self._last_s = monotonic()
        self._owed_s = 0.0
        self.now_s = 0.0

    def is_due(self) -> bool:
        """Whether enough time has passed to be worth bringing the instrument up to date."""
        passed_s = self._monotonic() - self._last_s
        return passed_s >= TICK_S or passed_s * self._speed >= self._max_lag_s / 2

    def accrue(self) -> None:
        """Take note of the real time that has passed; :meth:`step` then spends it."""
        real_s = self._monotonic()
        self._owed_s += (real_s - self._last_s) * self._speed
        self._last_s = real_s

    def step(self, oldest_unfetched_s: float | None, *, hosted: bool) -> bool:
        """Move on as far as allowed; False once nothing is left to spend.

        ``oldest_unfetched_s`` is the time of the oldest sample that a host has not fetched yet, None if there
        is none. With a host, and faster than real time, the clock never passes it by more than ``max_lag_s``;
        time for which it was held is not made up for.
        """
        step_s = self._owed_s
        if hosted and self._speed > 1:
            held_from_s = self.now_s if oldest_unfetched_s is None else oldest_unfetched_s
            allowed_s = held_from_s + self._max_lag_s - self.now_s
            # Many small strides would cost more than a short wait.
            step_s = min(step_s, allowed_s if allowed_s >= self._max_lag_s / 2 else 0.0)
        if step_s <= 0:
            self._owed_s = 0.0
            return False
        self.now_s += step_s
        self._owed_s -= step_s
        return True
