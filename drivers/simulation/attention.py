"""What an instrument's requests tell of its host: what it has acted on, and whether it is at work.

A real instrument needs nothing of this. An accelerated one must not let hours pass while its host judges what
it was given, or decides what follows a list of techniques.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.instrument import SIMULATED_WAIT_S

HOLD_S = SIMULATED_WAIT_S + 1.0
"""Real time after a host's last word on a channel for which its next list is waited for. Longer than the host
counts on: its command is on its way for a while."""


class Attention:
    """Follows the requests of the hosts of one instrument, by the indices of its channels.

    A host asks channel after channel. When it asks one that runs *again*, though it had all of its data, it
    has acted on all that it was given before: a new round begins.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._asked: set[int] = set()
        self._given: dict[int, float] = {}
        self._awaited: dict[int, float] = {}

    @property
    def at_work(self) -> bool:
        """Whether a list has ended that the host may follow by another one, or may not have seen end."""
        now_s = self._monotonic()
        return any(until_s > now_s for until_s in self._awaited.values())

    def speaks_to(self, index: int) -> None:
        """A host has asked something of a channel, or told it something."""
        if index in self._awaited:
            self._awaited[index] = self._monotonic() + HOLD_S

    def asks(self, index: int, *, has_all: bool) -> bool:
        """A host asks for a channel's data; ``has_all``: it runs, and no record of it waits.

        Returns whether a new round begins.
        """
        begins = has_all and index in self._asked
        if begins:
            # Whoever asks the others for more, and not this one any longer, has finished with it.
            self._awaited = {ended: s for ended, s in self._awaited.items() if ended in self._asked}
            self._asked.clear()
            self._given.clear()
        self._asked.add(index)
        return begins

    def gives(self, index: int, oldest_s: float) -> None:
        """A channel's records are given to a host, the oldest of this time."""
        self._given.setdefault(index, oldest_s)

    def unseen_s(self, index: int, oldest_s: float | None) -> float | None:
        """Return the time of a channel's oldest record that no host has acted on, as far as one can tell.

        ``oldest_s`` is that of the oldest one that was not given to any.
        """
        return self._given.get(index, oldest_s)

    def starts(self, index: int) -> None:
        """A list was started."""
        self._awaited.pop(index, None)
        self._given.pop(index, None)

    def ends(self, index: int) -> None:
        """A list that a host takes an interest in has ended, or was stopped by it."""
        self._awaited[index] = self._monotonic() + HOLD_S

    def forget(self) -> None:
        """No host is connected any more."""
        self._asked.clear()
        self._awaited.clear()
        self._given.clear()
