"""What can be asked of a run that is stored, wherever it is: in a data folder, or in a folder of its own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from protocols.errors import StorageError
from protocols.measurements import COLUMNS, Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.records import Gap, HalfCycle, RunInfo
from protocols.verdicts import Verdict
from storage import bdf
from storage.columns import Columns, between, join
from storage.overview import of_samples
from storage.rollup import NEEDED
from storage.tables import StoredEvent, StoredTicket


class RunReader(ABC):
    """Answers questions about runs by their numbers. Every method raises StorageError if it cannot.

    :class:`storage.reader.Reader` answers for a data folder, :class:`storage.run_folder.RunFolder` for the
    folder of one run: who computes, draws or exports takes either.
    """

    @property
    @abstractmethod
    def identity(self) -> str:
        """Random name of the data folder that the runs were measured into or restored to."""

    @abstractmethod
    def folder_of(self, run: int) -> Path:
        """Return the folder with a run's own files, which need not be there yet."""

    @abstractmethod
    def run(self, run: int) -> RunInfo:
        """Return one run. Raises NotFoundError if there is none with this number."""

    @abstractmethod
    def program(self, run: int) -> Program:
        """Return the program of a run."""

    @abstractmethod
    def extra(self, run: int) -> dict[str, str]:
        """Return the texts that were kept with a run."""

    @abstractmethod
    def pieces(
        self, run: int, columns: Sequence[str] = COLUMNS, t0: float = -math.inf, t1: float = math.inf
    ) -> Iterator[Columns]:
        """Yield a run's samples piece by piece as they are stored: all pieces that overlap t0 … t1."""

    @abstractmethod
    def last_sample(self, run: int) -> np.void | None:
        """Return the newest sample of a run (dtype SAMPLE), None if it has none. Never loads pyarrow."""

    @abstractmethod
    def count(self, run: int) -> int:
        """Return how many samples of a run are stored."""

    @abstractmethod
    def spectra(self, run: int) -> list[tuple[Spectrum, SpectrumSummary]]:
        """Return a run's spectra with their summaries, by time."""

    @abstractmethod
    def half_cycles(self, run: int) -> list[HalfCycle]:
        """Return a run's half-cycles, by number."""

    @abstractmethod
    def verdicts(self, run: int) -> list[Verdict]:
        """Return what guards found in a run, by time."""

    @abstractmethod
    def gaps(self, run: int) -> list[Gap]:
        """Return the stretches of a run whose samples are missing, by time."""

    @abstractmethod
    def events_of(self, run: int, kind: str | None = None) -> list[StoredEvent]:
        """Return all events of a run, of one kind or (None) of every, the oldest first."""

    @abstractmethod
    def tickets(self, run: int) -> list[StoredTicket]:
        """Return a run's segments, by number."""

    @abstractmethod
    def results(self, run: int) -> dict[str, object] | None:
        """Return the results of a run, None as long as there are none."""

    @abstractmethod
    def earlier_program(self, run: int, digest: str) -> Program:
        """Return a program that a run had before it was edited."""

    def programs(self, run: int) -> list[tuple[float, Program]]:
        """Return the programs that a run has had, each with the run time from which on it held.

        The first held from 0 on; the last is the run's program. All number steps and visits alike.
        """
        changes = self._changes(run)
        since = [0.0, *(t_s for t_s, _ in changes)]
        programs = [self.earlier_program(run, digest) for _, digest in changes]
        return list(zip(since, [*programs, self.program(run)], strict=True))

    def earlier_programs(self, run: int) -> dict[str, Program]:
        """Return the programs that a run had before it was edited, by their digests."""
        return {digest: self.earlier_program(run, digest) for _, digest in self._changes(run)}

    def edits(self, run: int) -> list[dict[str, object]]:
        """Return what people changed of a run while it went on, in order: who, when, what, from and to."""
        kinds = ("edited", "inserted")
        events = [stored.event for stored in self.events_of(run) if stored.event.kind in kinds]
        return [{"kind": e.kind, "t_s": e.t_s, "unix_s": e.unix_s, **e.data} for e in events]

    def _changes(self, run: int) -> list[tuple[float, str]]:
        """Return when a run got another program, in run time, and the digest of the one before."""
        edits = [stored.event for stored in self.events_of(run, "edited")]
        return [(edit.t_s or 0.0, str(edit.data["from"])) for edit in edits if "from" in edit.data]

    def program_at(self, run: int, t_s: float) -> Program:
        """Return the program that held at a run time."""
        return [program for since, program in self.programs(run) if since <= max(t_s, 0.0)][-1]

    def samples(
        self,
        run: int,
        t0: float | None = None,
        t1: float | None = None,
        columns: Sequence[str] | None = None,
    ) -> Columns:
        """Return a run's samples with t0 ≤ t_s ≤ t1 in the order they were measured, each once.

        ``columns``: which of :data:`protocols.measurements.COLUMNS`; None: all. Damaged stretches are left
        out with a logged warning; ``sandtime verify`` names them.
        """
        names = _checked(columns)
        start, stop = -math.inf if t0 is None else t0, math.inf if t1 is None else t1
        needed = tuple(dict.fromkeys(("t_s", *names)))
        found = join(list(self.pieces(run, needed, start, stop)), needed)
        found = between(found, start, stop)
        return {name: found[name] for name in names}

    def overview(
        self, run: int, points: int = 2000, t0: float | None = None, t1: float | None = None
    ) -> Columns:
        """Return a run between two run times as at most so many points, for plots.

        See :meth:`storage.reader.Reader.overview`, which is faster.
        """
        return of_samples(self.samples(run, t0, t1, NEEDED), points)

    def disorder(self, run: int) -> list[str]:
        """Return where a run's time goes back. Only asked for samples that can be read."""
        found = []
        last = -math.inf
        for piece in self.pieces(run, ("t_s",)):
            t_s = np.concatenate(([last], piece["t_s"]))
            found += [f"t_s goes back at {t:g} s" for t in t_s[:-1][np.diff(t_s) < 0]]
            last = t_s[-1]
        return found

    def clock(self, run: int) -> bdf.Clock:
        """Return the function from a run's t_s to UTC, both in s."""
        info = self.run(run)
        begun = info.submitted_unix_s if info.started_unix_s is None else info.started_unix_s
        return bdf.utc(self.tickets(run), begun)


def where_archived(info: RunInfo) -> str:
    """Say where a run's samples are, and how to get them back."""
    if info.archived is None:
        return "restore it from a backup"
    return (
        f"the samples of run {info.run} are in the archive {info.archived.file}; bring them back with: "
        f"sandtime restore {info.archived.file}"
    )


def _checked(columns: Sequence[str] | None) -> tuple[str, ...]:
    unknown = set(columns or ()) - set(COLUMNS)
    if unknown:
        raise StorageError(f"unknown columns {sorted(unknown)}; there are {', '.join(COLUMNS)}")
    return COLUMNS if columns is None else tuple(columns)
