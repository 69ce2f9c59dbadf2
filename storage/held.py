"""A reader for many questions about one state of the store, as a new daemon has them about each run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select
from sqlmodel import SQLModel, col

from protocols.errors import StorageError
from protocols.measurements import COLUMNS, Block, Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.records import ENDED
from storage import chunks, journal, tables
from storage.chunks import Head
from storage.columns import Columns, of_block
from storage.reader import Reader, program_of
from storage.tables import StoredTicket

HELD: tuple[type[SQLModel], ...] = (tables.Run, tables.Verdict, tables.Guards)
"""Tables that are read at once for all runs that go on."""


class HeldReader(Reader):
    """Answers from the state of the store at its making, over one connection; reads the journal once.

    What a new daemon asks of each run that goes on is read for all of them with one query each: a thousand
    runs would else take thousands, and each would read the samples of all of them. For one thread at a time;
    to be closed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._held = self._engine.connect()
        self._rows_of: dict[type[SQLModel], dict[int, list[Row[Any]]]] = {}
        self._programs: dict[str, Program] = {}
        with self._snapshot() as connection:
            self._tails, _ = journal.tails(connection)
            self._heads = chunks.heads(connection, self._alive())
            self._until_s = chunks.ends(connection, self._alive())
        self._tickets = {row.run: row for row in self._rows(self._newest_tickets())}
        run, number = col(tables.HalfCycle.run), func.max(col(tables.HalfCycle.number)).label("number")
        last = select(run, number).where(run.in_(self._alive())).group_by(run)
        self._half_cycles = {row.run: int(row.number) for row in self._rows(last)}
        self._with_spectra = {row.run for row in self._rows(select(col(tables.Spectrum.run)).distinct())}

    def close(self) -> None:
        """Let go of the connection."""
        self._held.close()

    def program(self, run: int) -> Program:
        """Return the program of a run."""
        digest = self._run(run).program
        if digest is None:
            raise StorageError(f"run {run} in {self._folder} was stored without its program")
        return self._program(digest)

    def last_ticket(self, run: int) -> StoredTicket | None:
        """Return a run's newest segment, None before its first."""
        if run not in self._heads:
            return super().last_ticket(run)
        row = self._tickets.get(run)
        return None if row is None else self._ticket(row, self._program(row.digest))

    def last_half_cycle(self, run: int) -> int:
        """Return the number of the last half-cycle that is stored of a run, −1 if none is."""
        return self._half_cycles.get(run, -1) if run in self._heads else super().last_half_cycle(run)

    def spectra_after(self, run: int, t_s: float) -> list[tuple[Spectrum, SpectrumSummary]]:
        """Return a run's spectra that ended after a run time, by time."""
        return super().spectra_after(run, t_s) if run in self._with_spectra else []

    def pieces(
        self, run: int, columns: Sequence[str] = COLUMNS, t0: float = -math.inf, t1: float = math.inf
    ) -> Iterator[Columns]:
        """Yield a run's samples piece by piece as they are stored: all pieces that overlap t0 … t1."""
        if run in self._heads and self._until_s.get(run, -math.inf) < t0:
            for block in self._in_journal(self._held, run):
                yield of_block(block, columns)
        else:
            yield from super().pieces(run, columns, t0, t1)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        yield self._held

    def _head(self, connection: Connection, run: int) -> Head:
        return self._heads[run] if run in self._heads else super()._head(connection, run)

    def _in_journal(self, connection: Connection, run: int) -> Iterator[Block]:
        tail = self._tails.get(run)
        if tail is not None:
            yield tail.after(self._head(connection, run).journal).samples

    def _of_run(self, model: type[SQLModel], run: int) -> Sequence[Row[Any]]:
        if model not in HELD or run not in self._heads:
            return super()._of_run(model, run)
        if model not in self._rows_of:
            found = self._rows_of.setdefault(model, defaultdict(list))
            column, *_ = keys = self._keys(model)
            for row in self._rows(select(model).where(column.in_(self._alive())).order_by(*keys)):
                found[row.run].append(row)
        return self._rows_of[model].get(run, [])

    @staticmethod
    def _alive() -> Any:
        return select(col(tables.Run.run)).where(col(tables.Run.state).not_in(ENDED))

    def _newest_tickets(self) -> Any:
        run, segment = col(tables.Ticket.run), col(tables.Ticket.segment)
        newest = select(run, func.max(segment).label("last")).where(run.in_(self._alive())).group_by(run)
        last = newest.subquery()
        return select(tables.Ticket).join(last, (run == last.c.run) & (segment == last.c.last))

    def _program(self, digest: str) -> Program:
        """Return a program; those of runs and segments are often the same, and take milliseconds to read."""
        if digest not in self._programs:
            query = select(col(tables.Program.program)).where(col(tables.Program.digest) == digest)
            for row in self._rows(query):
                self._programs[digest] = program_of(row.program)
        try:
            return self._programs[digest]
        except KeyError:
            raise StorageError(f"the program {digest:.8} is missing in {self._folder}") from None
