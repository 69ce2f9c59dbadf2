"""What is kept of the lab's queue besides its runs: what each run asked for, and what is in maintenance."""

from __future__ import annotations

from pydantic import Field

from protocols.frozen import Frozen

PRIORITY_MAX = 100
"""Priorities go from minus this to plus this; without a word a run has 0."""


class Request(Frozen):
    """What a run asked of the queue when it was submitted, and what was found for it."""

    run: int
    priority: int = Field(default=0, ge=-PRIORITY_MAX, le=PRIORITY_MAX)
    """Higher ones first."""
    station: str = ""
    """The one that is wanted; empty: any that can do it."""
    needs: tuple[str, ...] = ()
    """Wishes as they were written (:mod:`protocols.wishes`)."""
    chamber: str = ""
    """The chamber that is wanted; empty: any, or none."""
    not_before_unix_s: float | None = None
    after: int | None = None
    """The run of the same series that has to finish before."""
    settings: dict[str, str] = {}
    """Parameters of the protocol that were changed."""
    programs: dict[str, str] = {}
    """Kind of station (digest of its capabilities) → digest of the program for it; empty: it does not fit."""


class Maintenance(Frozen):
    """A station or an instrument on which no run starts. What runs there goes on."""

    name: str
    """Of the station, or of the instrument with all its stations."""
    reason: str
    since_unix_s: float
    until_unix_s: float | None = None
    """None: until a person ends it."""
    who: str

    def holds(self, now_unix_s: float) -> bool:
        """Whether it is not over yet."""
        return self.until_unix_s is None or now_unix_s < self.until_unix_s
