"""Which samples are in the journal and in no chunk yet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection

from protocols.measurements import Block
from storage import chunks, frames, journal
from storage.chunks import CHUNK_S, CHUNK_SAMPLES, Head
from storage.frames import Grouped
from storage.journal import OfRun

JOURNAL_ROWS = 2000
"""A run that brings too little for a chunk holds at most so many journal rows back from being deleted."""

MERGED_ROWS = 32
"""So many journal rows are merged to one, in which a run's samples are found sooner."""

THICK = 2
"""Rows with so many samples a run, as fast sampling brings, are found soon enough without."""

RUNS_PER_COMMIT = 20
"""Chunks of at most so many runs are written in one commit, so that runs begun together do not delay it."""

LOOSE_BLOCKS = 50
"""Blocks of a tail are joined from so many on: an array of one sample takes three times its 52 bytes."""


@dataclass(slots=True)
class Tail:
    """One run's samples that no chunk holds, in order."""

    first_row: int
    """Oldest journal row that is still needed for them."""
    t_first_s: float
    t_last_s: float
    blocks: list[Block] = field(default_factory=list)
    n: int = 0

    def add(self, samples: Block) -> None:
        """Take in the next samples."""
        self.blocks.append(samples)
        if len(self.blocks) >= LOOSE_BLOCKS:
            self.blocks = [frames.join(self.blocks)]
        self.n += len(samples)
        self.t_last_s = float(samples["t_s"][-1])

    @property
    def due(self) -> bool:
        """Whether they fill a chunk."""
        return self.n >= CHUNK_SAMPLES or self.t_last_s - self.t_first_s >= CHUNK_S


class Tails:
    """The tails of all runs, as the journal in the database holds them.

    Belongs to the transaction that it takes part in: after a rollback it is loaded anew.
    """

    def __init__(self, connection: Connection) -> None:
        self._tails: dict[int, Tail] = {}
        self._heads: dict[int, Head] = {}
        self._unmerged: list[tuple[int, Grouped]] = []
        self._first_row = journal.oldest(connection)
        self._newest_row = 0
        found, self._torn = journal.tails(connection)
        for run, stored in found.items():
            self._newest_row = max(self._newest_row, int(stored.rows[-1]))
            self._load(run, stored.after(self.head(connection, run).journal))

    def _load(self, run: int, stored: OfRun) -> None:
        """Take in what no chunk covers of a run."""
        if len(stored.rows):
            t_s = float(stored.samples["t_s"][0])
            self._tails[run] = Tail(int(stored.rows[0]), t_s, t_s)
            self._tails[run].add(stored.samples)

    def add(self, connection: Connection, row: int, grouped: Grouped) -> None:
        """Take in a journal row that was just written."""
        thin = len(grouped.samples) < THICK * len(grouped.index)
        # Only rows that follow each other may be merged: a run's samples stay in their order.
        self._unmerged = [*self._unmerged, (row, grouped)] if thin else []
        self._take(connection, row, grouped)

    def _take(self, connection: Connection, row: int, grouped: Grouped) -> None:
        """Take in a journal row, without what chunks cover already."""
        self._newest_row = row
        for run, samples in grouped.by_run():
            if row <= self.head(connection, run).journal:
                continue
            tail = self._tails.get(run)
            if tail is None:
                t_s = float(samples["t_s"][0])
                tail = self._tails[run] = Tail(row, t_s, t_s)
            tail.add(samples)

    def write_due(self, connection: Connection) -> None:
        """Write the chunks that are due, and those of runs that hold old journal rows back."""
        oldest = self._newest_row - JOURNAL_ROWS
        due = (run for run, tail in self._tails.items() if tail.due or tail.first_row <= oldest)
        self.write(connection, list(itertools.islice(due, RUNS_PER_COMMIT)))
        if len(self._unmerged) >= MERGED_ROWS:
            self._merge(connection)

    def write(self, connection: Connection, runs: Sequence[int]) -> None:
        """Write all samples of these runs to chunks; delete the journal rows that nobody needs any more."""
        written = [run for run in runs if run in self._tails]
        for run in written:
            samples = frames.join(self._tails.pop(run).blocks)
            self._heads[run] = chunks.append(connection, run, self._heads[run], self._newest_row, samples)
        if written:
            self._discard(connection)

    def head(self, connection: Connection, run: int) -> Head:
        """Return how far the chunks of a run reach."""
        if run not in self._heads:
            self._heads[run] = chunks.head(connection, run)
        return self._heads[run]

    def holds(self, run: int) -> bool:
        """Whether the run has samples that no chunk holds."""
        return run in self._tails

    def _merge(self, connection: Connection) -> None:
        """Make one journal row of those of the last commits, without what chunks cover already."""
        merged, self._unmerged = self._unmerged, []
        blocks = []
        for row, grouped in merged:
            covered = [run for run, head in self._heads.items() if head.journal >= row]
            samples = grouped.samples
            blocks.append(samples[~np.isin(samples["channel"], covered)] if covered else samples)
        journal.merge(connection, [row for row, _ in merged], journal.group(blocks))

    def _discard(self, connection: Connection) -> None:
        # The newest row stays: the next one is numbered after it.
        needed = min((tail.first_row for tail in self._tails.values()), default=self._newest_row)
        needed = min(needed, self._newest_row)
        # Torn rows stay: they are what ``verify`` reports.
        journal.discard(connection, self._first_row, needed, but=self._torn)
        self._first_row = needed
