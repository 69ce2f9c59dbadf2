"""Is what is stored whole? Of a data folder, of a run in it, or of a run's folder that was copied elsewhere.

Everything is only read. To be run in another process than the daemon: it loads pyarrow.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from protocols.errors import StorageError
from storage.checksums import CHECKSUMS, check_files, read_checksums
from storage.columns import length
from storage.database import DATABASE, open_reader
from storage.files import INCOMING, RUNS
from storage.reader import Reader
from storage.run_folder import RunFolder
from storage.run_reader import RunReader, where_archived

GAP_FACTOR = 10.0
GAP_LEAST_S = 60.0
"""Two samples of one visit that are further apart than this, and than ``GAP_FACTOR`` times the interval that
was asked for, have something missing between them."""
SHOWN = 20
"""At most so many gaps of a run are named one by one."""


@dataclass(slots=True)
class Findings:
    """What was found out about a run, or about a database."""

    problems: list[str] = field(default_factory=list)
    """What is wrong, where, and what to do; a sentence each."""
    notes: list[str] = field(default_factory=list)
    """What is worth knowing, though nothing is wrong with it."""


def verify_data(folder: Path) -> Findings:
    """Check the database of a data folder, and whether there is anything that it does not know."""
    found = Findings(_database_faults(folder))
    known = set() if found.problems else {info.run for info in Reader(folder).runs()}
    for path in sorted((folder / RUNS).glob("*")) if not found.problems else ():
        number = path.name.split("-")[0]
        if number.isdecimal() and int(number) not in known:
            found.notes.append(
                f"{path} belongs to no run of this data folder; bring it in with: sandtime restore {path}"
            )
    found.notes += [
        f"{path} was left by an import or a restore that was killed; nothing uses it, and it may be deleted"
        for path in sorted((folder / INCOMING).glob("*"))
    ]
    return found


def _database_faults(folder: Path) -> list[str]:
    remedy = "Restore it from a backup"
    try:
        engine = open_reader(folder)
    except StorageError as error:
        if not (folder / DATABASE).exists():
            raise
        return [str(error)]
    try:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
    except SQLAlchemyError as error:
        return [f"{folder / DATABASE} can't be read: {error.args[0]}. {remedy}"]
    return [f"{folder / DATABASE} is damaged: {row}. {remedy}" for row in rows if row != "ok"]


def verify_run(reader: Reader, run: int) -> Findings:
    """Check a run of a data folder: samples, the files in its folder, time, and gaps."""
    info = reader.run(run)
    folder = reader.folder_of(run)
    files = {Path(file.file).name for file in reader.parts(run)}
    if info.archived is not None:
        left = [name for name in sorted(files) if (folder / name).is_file()]
        found = Findings([*reader.faults(run), *check_files(folder, files)], [where_archived(info)])
        if left:
            found.notes.append(f"{', '.join(left)} in {folder} may be deleted: it is in the archive")
        return found
    found = Findings(reader.verify(run))
    if reader.is_sealed(run) and (folder / CHECKSUMS).is_file():
        found.problems += check_files(folder, files)
    elif reader.is_sealed(run):
        found.notes.append(f"{folder} does not describe itself yet: `sandtime archive` makes it do so")
    if not found.problems:
        _look_at_samples(reader, run, found)
    return found


def verify_folder(folder: RunFolder) -> Findings:
    """Check the folder of a run, wherever it is."""
    found = Findings(check_files(folder.path))
    if not found.problems:
        sums = read_checksums(folder.path)
        found.problems += [
            f"{folder.path / file.file} is not the file that run.json tells of: their checksums differ"
            for file in folder.files
            if sums.get(file.file) != file.sha256
        ]
    if not found.problems:
        found.problems += folder.disorder(folder.number)
        _look_at_samples(folder, folder.number, found)
    return found


def _look_at_samples(reader: RunReader, run: int, found: Findings) -> None:
    """Tell recorded gaps; find what is missing without one."""
    found.notes += [
        f"no samples from {gap.t_from_s:g} s to {gap.t_to_s:g} s, as recorded: {gap.reason}"
        for gap in reader.gaps(run)
    ]
    count, counted = reader.count(run), reader.run(run).samples
    if count < counted:
        found.problems.append(f"{counted} samples were measured, but {count} are stored")
    missing = list(unrecorded_gaps(reader, run))
    found.problems += [
        f"no samples from {t0:g} s to {t1:g} s, and no reason is recorded" for t0, t1 in missing[:SHOWN]
    ]
    if len(missing) > SHOWN:
        found.problems.append(f"and {len(missing) - SHOWN} more such gaps")


def unrecorded_gaps(reader: RunReader, run: int) -> Iterator[tuple[float, float]]:
    """Yield where, in run time, samples should be and are not.

    Inside one visit of a step and one segment an instrument measures all the time, except during a spectrum.
    A recording has the gaps that its instrument left.
    """
    program = reader.program(run)
    if program.kind == "playback":
        return
    longest_s = max(GAP_FACTOR * max(program.watch_s, program.record_s or 0.0), GAP_LEAST_S)
    begun = sorted(stored.offset_s for stored in reader.tickets(run))
    known = [(gap.t_from_s, gap.t_to_s) for gap in reader.gaps(run)]
    known += [(spectrum.t_start_s, spectrum.t_end_s) for spectrum, _ in reader.spectra(run)]
    for t0, t1 in _long_intervals(reader, run, longest_s):
        is_one_segment = bisect.bisect_right(begun, t0) == bisect.bisect_right(begun, t1)
        explained_s = sum(max(0.0, min(t1, end) - max(t0, start)) for start, end in known)
        if is_one_segment and t1 - t0 - explained_s > longest_s:
            yield t0, t1


def _long_intervals(reader: RunReader, run: int, longest_s: float) -> Iterator[tuple[float, float]]:
    """Yield the times of neighbouring samples of one visit that are far apart."""
    names = ("t_s", "step", "visit")
    before = {name: np.empty(0) for name in names}
    for piece in reader.pieces(run, names):
        if not length(piece):
            continue
        joined = {name: np.concatenate((before[name], piece[name])) for name in names}
        far = np.diff(joined["t_s"]) > longest_s
        far &= (np.diff(joined["step"]) == 0) & (np.diff(joined["visit"]) == 0)
        for place in np.flatnonzero(far).tolist():
            yield float(joined["t_s"][place]), float(joined["t_s"][place + 1])
        before = {name: joined[name][-1:] for name in names}
