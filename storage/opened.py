"""A run for those who compute: its tables as pandas, Polars or Arrow, its spectra as arrays.

Nothing here writes, and nothing is held open. pandas and Polars are imported when they are asked for.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from protocols.cell import Cell
from protocols.errors import StorageError, nearest
from protocols.measurements import Spectrum
from protocols.program import Program
from protocols.records import RunInfo
from storage import bdf
from storage.flat import TABLES
from storage.numbering import Numbering
from storage.reader import Reader
from storage.snapshot import Snapshot

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

SAMPLES = "samples"


def open_run(folder: Path, run: int) -> OpenedRun:
    """See :func:`storage.open_run`."""
    return OpenedRun(Reader(folder), run, lambda: Snapshot(folder))


class OpenedRun:
    """One stored run. Each call sees what is committed at that moment.

    ``table`` is ``samples`` or one of ``runs``, ``half_cycles``, ``spectra``, ``verdicts``, ``gaps``,
    ``events``; ``columns`` are some of its columns (None: all); ``t0`` and ``t1`` are run times in s between
    which samples are wanted. Samples have the columns of :attr:`columns`, other tables those of the JSON
    export; a column's name ends in its unit. Methods raise StorageError.
    """

    def __init__(self, reader: Reader, run: int, snapshot: Callable[[], Snapshot]) -> None:
        """``snapshot`` makes one of the samples as they are when it is called."""
        self.number = run
        self._reader = reader
        self._snapshot = snapshot
        reader.run(run)

    @property
    def info(self) -> RunInfo:
        """State, times, verdict and names, as they are now."""
        return self._reader.run(self.number)

    @functools.cached_property
    def program(self) -> Program:
        """What the run runs."""
        return self._reader.program(self.number)

    @property
    def cell(self) -> Cell:
        """The cell under test."""
        return self.program.cell

    @property
    def spectra(self) -> list[Spectrum]:
        """The impedance spectra, by time; ``impedance()`` of one is a complex array."""
        return [spectrum for spectrum, _ in self._reader.spectra(self.number)]

    @property
    def results(self) -> dict[str, object] | None:
        """What was computed when the run had ended; None before."""
        return self._reader.results(self.number)

    @property
    def columns(self) -> dict[str, str]:
        """Columns of the samples: name → unit and meaning."""
        from storage import arrow

        return {name: bdf.DESCRIPTIONS[name] for name in arrow.SAMPLES.names}

    def pandas(
        self,
        table: str = SAMPLES,
        columns: Sequence[str] | None = None,
        t0: float | None = None,
        t1: float | None = None,
    ) -> pandas.DataFrame:
        """Return a table as a pandas data frame."""
        _require("pandas")
        return self.arrow(table, columns, t0, t1).to_pandas()

    def polars(
        self,
        table: str = SAMPLES,
        columns: Sequence[str] | None = None,
        t0: float | None = None,
        t1: float | None = None,
    ) -> polars.DataFrame:
        """Return a table as a Polars data frame."""
        frame: polars.DataFrame = _require("polars").from_arrow(self.arrow(table, columns, t0, t1))
        return frame

    def arrow(
        self,
        table: str = SAMPLES,
        columns: Sequence[str] | None = None,
        t0: float | None = None,
        t1: float | None = None,
    ) -> pyarrow.Table:
        """Return a table as an Arrow table."""
        from storage import arrow

        if table == SAMPLES:
            known = arrow.SAMPLES.names
        elif table in TABLES:
            known = arrow.flat_schema(table).names
        else:
            raise StorageError(f"there is no table {table!r}. {nearest(table, [SAMPLES, *TABLES])}")
        wanted = known if columns is None else list(columns)
        for name in wanted:
            if name not in known:
                raise StorageError(f"{table} has no column {name!r}. {nearest(name, known)}")
        if table != SAMPLES:
            return arrow.flat_table(table, TABLES[table].rows(self._reader, self.number)).select(wanted)
        return self._samples(wanted, -math.inf if t0 is None else t0, math.inf if t1 is None else t1)

    def _samples(self, columns: Sequence[str], t0: float, t1: float) -> pyarrow.Table:
        from storage import arrow

        clock = self._reader.clock(self.number)
        with self._snapshot() as snapshot:
            files = snapshot.files(self.number)
            numbering = Numbering(self.program, clock, files[-1][1] if files else None)
            live = arrow.batches(numbering, snapshot.live(self.number))
            return arrow.samples(files, live, columns, t0, t1)


def _require(library: str) -> ModuleType:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise StorageError(f"{library} is not installed here. Install it: pip install {library}") from error
