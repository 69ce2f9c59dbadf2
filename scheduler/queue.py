"""Which run is next on which station: first come, first served, one run at a time."""

from __future__ import annotations

from collections import deque

from protocols.records import RunInfo


class StationQueue:
    """The runs of one station: at most one occupies it, the others wait."""

    def __init__(self, station: str) -> None:
        self.station = station
        self.occupant: int | None = None
        """Run that is alive here, or was protected and is not yet acknowledged."""
        self.needs_acknowledgement = False
        self._waiting: deque[int] = deque()

    def add(self, run: int) -> None:
        """Queue a run."""
        self._waiting.append(run)

    def remove(self, run: int) -> bool:
        """Take a waiting run out; returns whether it was waiting."""
        if run not in self._waiting:
            return False
        self._waiting.remove(run)
        return True

    def next(self) -> int | None:
        """Return the run that may start now and let it occupy the station, or None."""
        if self.occupant is not None or not self._waiting:
            return None
        self.occupant = self._waiting.popleft()
        return self.occupant

    def is_next(self, run: int) -> bool:
        """Whether a run waits for nobody else here."""
        return self.occupant is None and bool(self._waiting) and self._waiting[0] == run

    def occupy(self, run: int) -> None:
        """A run that an earlier daemon started is alive here."""
        self.occupant = run

    def leave(self, info: RunInfo) -> None:
        """The occupant has ended. A protected one keeps the station until a person acknowledges it.

        So does one that a person stopped, or that failed, where others wait: whoever opens a circuit does not
        expect the next run to close it at once.
        """
        if self.occupant != info.run:
            return
        held = info.state == "protected" or (info.state in ("stopped", "failed") and bool(self._waiting))
        self.needs_acknowledgement = held and not info.acknowledged
        if not self.needs_acknowledgement:
            self.occupant = None

    def acknowledge(self, run: int) -> None:
        """A person has seen the protected run."""
        if self.occupant == run:
            self.occupant, self.needs_acknowledgement = None, False

    def why_waiting(self, run: int) -> str:
        """Say what a waiting run waits for; empty if it does not wait."""
        if run not in self._waiting:
            return ""
        if self.needs_acknowledgement:
            ended = f"run {self.occupant} on {self.station} was protected, stopped or failed"
            return f"a person: {ended}; to acknowledge it: sandtime ack {self.occupant}"
        ahead = [str(number) for number in list(self._waiting)[: self._waiting.index(run)]]
        if self.occupant is not None:
            ahead.insert(0, str(self.occupant))
        if not ahead:
            return f"the first look at the instrument of {self.station}"
        return f"run{'s' if len(ahead) > 1 else ''} {', '.join(ahead)} on {self.station}"
