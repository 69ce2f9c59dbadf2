"""The clock of a simulated instrument: real time × speed, held while its host has something to do.

Without the hold a stop would come hours late at high speed, and every result would be luck (design: Joints).
What the host has to do is told by :class:`drivers.simulation.attention.Attention`.
"""

from __future__ import annotations

from collections.abc import Callable

TICK_S = 0.02
"""Real time after which the instrument is brought up to date at the latest."""


class HeldClock:
    """Instrument time in s since the instrument's first list of techniques."""

    def __init__(self, monotonic: Callable[[], float], speed: float = 1.0, max_lag_s: float = 10.0) -> None:
        self.now_s = 0.0
        self.accelerated = speed > 1
        self.real_s = monotonic
        """Real time."""
        self._speed = speed
        self._max_lag_s = max_lag_s
        self._whole_strides = speed * TICK_S >= max_lag_s
        """Whether a stride is too short in real time to be cut: then where one ends is no matter of luck."""
        self._last_s = monotonic()
        self._owed_s = 0.0

    def is_due(self) -> bool:
        """Whether enough time has passed to be worth bringing the instrument up to date."""
        passed_s = self.real_s() - self._last_s
        return passed_s >= TICK_S or self._owed_s + passed_s * self._speed >= self._max_lag_s / 2

    def accrue(self) -> None:
        """Take note of the real time that has passed; :meth:`step` then spends it."""
        real_s = self.real_s()
        self._owed_s += (real_s - self._last_s) * self._speed
        self._last_s = real_s

    def step(self, unseen_s: float | None, *, hosted: bool, stands: bool = False) -> bool:
        """Move on as far as allowed; False once nothing can be spent.

        ``unseen_s`` is the time of the oldest sample that a host has not acted on yet, None if there is none.
        With a host, and faster than real time, the clock never passes it by more than ``max_lag_s``. While it
        ``stands`` it does not move at all. Time for which it was held is not made up for.
        """
        if stands:
            self._owed_s = 0.0
            return False
        if not (hosted and self.accelerated):
            return self._spend(self._owed_s)
        return self._stride(unseen_s) if self._whole_strides else self._step_within(unseen_s)

    def return_to(self, time_s: float) -> None:
        """Something happened inside the last stride that the host has to see first: go on from there."""
        self.now_s = min(self.now_s, time_s)

    def _stride(self, unseen_s: float | None) -> bool:
        """Make a whole stride, once the host has acted on all that came of the one before."""
        if unseen_s is not None:
            self._owed_s = min(self._owed_s, self._max_lag_s)
        ready = unseen_s is None and self._owed_s >= self._max_lag_s
        return ready and self._spend(self._max_lag_s)

    def _step_within(self, unseen_s: float | None) -> bool:
        """Go on to where the oldest sample that the host has not acted on lets the clock go."""
        allowed_s = (self.now_s if unseen_s is None else unseen_s) + self._max_lag_s - self.now_s
        # Many small strides would cost more than a short wait.
        if allowed_s < self._max_lag_s / 2:
            self._owed_s = 0.0
            return False
        return self._spend(min(self._owed_s, allowed_s))

    def _spend(self, step_s: float) -> bool:
        if step_s <= 0:
            return False
        self.now_s += step_s
        self._owed_s -= step_s
        return True
