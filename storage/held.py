"""A reader for many questions about one state of the store, as a new daemon has them about each run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from protocols.measurements import Block
from storage import chunks, journal
from storage.reader import Reader


class HeldReader(Reader):
    """Answers from the state of the store at its making, over one connection; reads the journal once.

    To ask each of a thousand runs for its samples would else mean to read the samples of all of them a
    thousand times. For one thread at a time; to be closed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._held = self._engine.connect()
        self._covered: dict[int, int] = {}
        with self._snapshot() as connection:
            self._tails, _ = journal.tails(connection)

    def close(self) -> None:
        """Let go of the connection."""
        self._held.close()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        yield self._held

    def _in_journal(self, connection: Connection, run: int) -> Iterator[Block]:
        tail = self._tails.get(run)
        if tail is not None:
            if run not in self._covered:
                self._covered[run] = chunks.head(connection, run).journal
            yield tail.after(self._covered[run]).samples
