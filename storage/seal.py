"""The third level: a run's samples as Parquet files, which any tool for the Battery Data Format opens.

A run that goes on is sealed about once a day, and the rest when it has ended: each time all its chunks that
are old enough become the next *part*. To be run in another process than the daemon, which must not load
pyarrow.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from protocols.errors import StorageError
from protocols.measurements import COLUMNS, SAMPLE
from protocols.records import ENDED
from storage import parquet, parts, rollup_files
from storage.bdf import LOSSLESS
from storage.chunks import CHUNK_SAMPLES
from storage.columns import Columns, length, regroup
from storage.describe import provenance
from storage.files import make_folder, run_folder, sha256, whole_file
from storage.numbering import Numbering
from storage.reader import Reader
from storage.rollup_files import Builder
from storage.run_files import describe_run
from storage.tables import SealedFile
from storage.thinning import AROUND_VERDICT_S, Recording

ROW_GROUP = 1 << 16
"""Rows of a row group: 18 hours at 1 Hz. Reading an hour reads one of them, and the index of all."""

DAY_S = 86_400.0
HELD_BACK_S = 3600.0
"""The newest run time of a run that goes on is not sealed: what happened then may yet be asked for whole."""


def is_due(reader: Reader, run: int) -> bool:
    """Whether a run that goes on has a day of run time in the database that can be sealed. Takes no time."""
    times = reader.chunk_times(run)
    return times is not None and times[1] - times[0] >= DAY_S + HELD_BACK_S


def seal_run(folder: Path, run: int) -> SealedFile:
    """Write the next part of a run, with ``run.json`` beside it, and read it back; return the newest part.

    Of a run that goes on, all but the newest hour; of one that has ended, all. Changes nothing in the
    database, and may be done again after it was killed at any point. Raises StorageError if samples are
    damaged, or if there is nothing to seal yet.
    """
    reader = Reader(folder)
    known = reader.parts(run)
    first = parts.stop_of(known)
    stop = _stop(reader, run, first)
    if known and stop == first:
        return known[-1]
    _refuse_damaged(reader, run)
    return _write(folder, reader, known, run, stop)


def _stop(reader: Reader, run: int, first: int) -> int:
    """Return the number of the first sample that is not to be sealed yet."""
    spans = reader.chunk_spans(run)
    if reader.run(run).state in ENDED:
        return spans[-1].stop if spans else first
    newest_s = spans[-1].t1_s if spans else 0.0
    for span in spans:
        if span.t1_s > newest_s - HELD_BACK_S:
            break
        first = span.stop
    if first == 0:
        raise StorageError(f"run {run} goes on and has nothing yet that is older than an hour")
    return first


def _refuse_damaged(reader: Reader, run: int) -> None:
    faults = reader.faults(run)
    if faults:
        raise StorageError(
            f"run {run} is not sealed, because stored samples are damaged ({'; '.join(faults)}). The others "
            "stay readable where they are; a backup of the data folder may hold the damaged ones."
        )


def _write(folder: Path, reader: Reader, known: list[SealedFile], run: int, stop: int) -> SealedFile:
    number, first = (known[-1].part + 1 if known else 0), parts.stop_of(known)
    path = run_folder(folder, run, reader.run(run).name) / part_name(number)
    make_folder(path.parent, folder)
    covered, minutes, written = Covered(run), Builder(), Checksum()
    kept = _kept(reader, run, minutes.of(covered.of(_pieces(reader, run, first, stop))))
    before = folder / known[-1].file if known else None
    numbering = Numbering(reader.program(run), reader.clock(run), before)
    about = provenance(reader, run, part=number, first=first, samples=stop - first)
    with whole_file(path) as draft:
        columns = parquet.write(draft, written.of(map(numbering.complete, kept)), about)
        compare(draft, written)
        checksum = sha256(draft)
        _refuse_changes(reader, known, run, first + covered.n == stop)
    rollup_files.write(path, minutes.minutes(), about)
    sealed = SealedFile(
        run=run,
        part=number,
        file=path.relative_to(folder).as_posix(),
        first=first,
        n=covered.n,
        rows=written.n,
        t0_s=covered.t0_s,
        t1_s=covered.t1_s,
        sha256=checksum,
        last=covered.last,
        hours=rollup_files.hours(minutes.minutes()),
    )
    describe_run(reader, run, [*known, sealed], columns)
    return sealed


def _refuse_changes(reader: Reader, known: list[SealedFile], run: int, is_whole: bool) -> None:
    """See, before the file gets its name, that nobody else has sealed the run, and nothing is left out."""
    if reader.parts(run) != known:
        raise StorageError(f"another process has sealed run {run} meanwhile; what it wrote stands")
    if not is_whole:
        raise StorageError(f"samples of run {run} became unreadable while it was sealed. Check the disk.")


def part_name(number: int) -> str:
    """Return how the file of a part is called."""
    return f"samples-{number:03d}.bdf.parquet"


def _pieces(reader: Reader, run: int, first: int, stop: int) -> Iterator[Columns]:
    """Yield a run's chunks between two samples, looking anew for each row group: no look lasts for long."""
    step = ROW_GROUP // CHUNK_SAMPLES * CHUNK_SAMPLES
    for number in range(first, stop, step):
        yield from reader.chunk_samples(run, number, min(number + step, stop))


def _kept(reader: Reader, run: int, pieces: Iterable[Columns]) -> Iterator[Columns]:
    """Yield row groups of what the protocol's ``record`` keeps."""
    recording = Recording(reader.program(run))
    whole = [(v.event_s - AROUND_VERDICT_S, v.time_s + AROUND_VERDICT_S) for v in reader.verdicts(run)]
    kept = recording.thin(regroup(pieces, COLUMNS, ROW_GROUP), whole)
    return regroup(kept, COLUMNS, ROW_GROUP)


def compare(path: Path, written: Checksum) -> None:
    """Read a file back. Raises StorageError if it does not hold what was written."""
    found = Checksum()
    for piece in parquet.read(path, COLUMNS, -math.inf, math.inf):
        found.take({LOSSLESS[name]: values for name, values in piece.items()})
    if (found.n, found.crcs) != (written.n, written.crcs):
        raise StorageError(f"{path} does not read back as it was written. Check the disk, then seal again.")


class Checksum:
    """A running checksum of the stored columns in a file, however they are cut into pieces."""

    def __init__(self) -> None:
        self.n = 0
        self.crcs = dict.fromkeys(LOSSLESS.values(), 0)

    def of(self, pieces: Iterable[Columns]) -> Iterator[Columns]:
        """Pass pieces on, taking them into account."""
        for piece in pieces:
            self.take(piece)
            yield piece

    def take(self, piece: Columns) -> None:
        """Take the next samples into account."""
        self.n += length(piece)
        for name, crc in self.crcs.items():
            self.crcs[name] = zlib.crc32(piece[name].tobytes(), crc)


class Covered:
    """What samples that pass are: how many, between which times, and the newest of them."""

    def __init__(self, run: int) -> None:
        self._run = run
        self.n = 0
        self.t0_s = 0.0
        self.t1_s = 0.0
        self.last = b""

    def of(self, pieces: Iterable[Columns]) -> Iterator[Columns]:
        """Pass pieces on, taking them into account."""
        for piece in pieces:
            if length(piece):
                self._take(piece)
            yield piece

    def _take(self, piece: Columns) -> None:
        t0_s, t1_s = float(piece["t_s"].min()), float(piece["t_s"].max())
        self.t0_s = min(self.t0_s, t0_s) if self.n else t0_s
        self.t1_s = max(self.t1_s, t1_s) if self.n else t1_s
        self.n += length(piece)
        newest = (self._run, *(piece[name][-1] for name in COLUMNS))
        self.last = np.array([newest], dtype=SAMPLE).tobytes()
