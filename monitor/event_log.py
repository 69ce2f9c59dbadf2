"""One line in the log for each event that somebody may ask about later: states, verdicts, gaps, changes.

It comes after the event's commit. What is alarming was said at once by who found it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from protocols.records import RunInfo
from storage.tables import StoredEvent

log = logging.getLogger(__name__)

LEVELS = {
    "state": logging.INFO,
    "open_circuit": logging.INFO,
    "look": logging.INFO,
    "reload": logging.INFO,
    "trip": logging.WARNING,
    "verdict": logging.WARNING,
    "gap": logging.WARNING,
}
"""Kind of event → level; others come too often, or are written by who tells them."""
WORDS = ("state", "message", "reason", "how", "changes", "refused")
"""What an event says in words, in this order."""


class EventLog:
    """Writes events of runs with the run, its station and its instrument."""

    def __init__(self, info: Callable[[int], RunInfo], instrument_of: Callable[[str], str]) -> None:
        """``instrument_of`` returns the instrument of a station."""
        self._info = info
        self._instrument_of = instrument_of

    def event(self, stored: StoredEvent) -> None:
        """Write one committed event."""
        level = LEVELS.get(stored.event.kind)
        if level is None or not log.isEnabledFor(level):
            return
        kind, said = stored.event.kind, _words(stored.event.data)
        if stored.run is None:
            log.log(level, "%s: %s", kind, said, extra={"event": kind})
            return
        station = self._info(stored.run).station
        about = {"event": kind, "run": stored.run, "station": station}
        extra = {**about, "instrument": self._instrument_of(station)}
        log.log(level, "run %d on %s: %s %s", stored.run, station, kind, said, extra=extra)


def _words(data: Mapping[str, object]) -> str:
    found = [data[name] for name in WORDS if data.get(name)]
    return ", ".join("; ".join(map(str, part)) if isinstance(part, list) else str(part) for part in found)
