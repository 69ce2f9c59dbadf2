"""How a run's folder becomes a run of a data folder: one that was archived, copied, or imported.

The folder is first brought into ``incoming/`` of the data folder; here it gets its number and its name. To
be run in another process than the daemon, but for what the store does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from protocols.errors import NotAllowedError, StorageError
from protocols.measurements import SAMPLE
from protocols.records import ENDED, RunInfo
from storage import catalogue, parts, tables
from storage.batch import Batch
from storage.checksums import CHECKSUMS, files_in, renew_checksums
from storage.files import make_folder, run_folder, sync_folder, to_json, write_json
from storage.reader import Reader
from storage.run_files import ORIGIN, RUN, origin_of
from storage.run_folder import RunFolder
from storage.tables import SealedFile
from storage.verify import verify_folder

EVERY_ROW = 2**62
"""A journal row after all that will ever be: what is adopted is whole, whatever the journal still holds."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A run's folder that is ready to be taken over."""

    info: RunInfo
    """With its new number."""
    batch: Batch
    """Its rows."""
    files: list[SealedFile]
    """Its samples, where they will be."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run's folder says about where it was measured; two with equal ones are the same run."""

    folder: str
    run: int
    submitted_unix_s: float
    program_sha256: str


def origin_of_folder(folder: Path) -> Origin:
    """Return where the run in a folder was measured. Raises StorageError."""
    found = RunFolder(folder)
    return Origin(*found.origin, found.info.submitted_unix_s, str(found.document.get("program_sha256")))


def find(reader: Reader, origin: Origin) -> RunInfo | None:
    """Return the run of a data folder that was measured there, if there is one."""
    alike = (info for info in reader.runs() if info.submitted_unix_s == origin.submitted_unix_s)
    return next((info for info in alike if _origin_in(reader, info) == origin), None)


def _origin_in(reader: Reader, info: RunInfo) -> Origin:
    found = origin_of(reader, info.run)
    digest = reader.program(info.run).digest()
    return Origin(str(found["folder"]), int(str(found["run"])), info.submitted_unix_s, digest)


def prepare(folder: Path, number: int, identity: str, *, is_new: bool = False) -> Adopted:
    """Check a run's folder and give the run in it its number in the data folder ``identity``.

    ``is_new``: it was made here, and has no origin elsewhere. Raises StorageError if anything in it is wrong,
    NotAllowedError if its run had not ended.
    """
    found = RunFolder(folder)
    problems = verify_folder(found).problems
    if problems:
        raise StorageError(f"{folder} is not whole: {'; '.join(problems)}")
    if found.info.state not in ENDED:
        raise NotAllowedError(
            f"the run in {folder} was {found.info.state} when it was copied; only one that has ended can "
            "become a run of another data folder. Read it where it is: sandtime export FOLDER"
        )
    _rename(found, number, identity, is_new)
    renamed = RunFolder(folder)
    name = run_folder(Path(), number, renamed.info.name).as_posix()
    files = [_of_run(file, number, f"{name}/{file.file}") for file in renamed.files]
    return Adopted(renamed.info, _rows(renamed), files)


def _rename(found: RunFolder, number: int, identity: str, is_new: bool) -> None:
    """Write the number, and where the run came from, into the folder's ``run.json``."""
    document = found.document
    origin_folder, origin_run = (identity, number) if is_new else found.origin
    texts = {key: text for key, text in document.get("texts", {}).items() if key != ORIGIN}
    if (origin_folder, origin_run) != (identity, number):
        texts[ORIGIN] = f"{origin_folder}/{origin_run}"
    info = found.info.model_copy(update={"run": number, "archived": None})
    if (origin_folder, origin_run) != (identity, number):
        # No station of this lab waits for its acknowledgement.
        info = info.model_copy(update={"acknowledged": True})
    changed = {
        "run": info.model_dump(mode="json"),
        "texts": texts,
        "origin": {"folder": origin_folder, "run": origin_run},
    }
    write_json(found.path / RUN, {**document, **changed})
    renew_checksums(found.path, [RUN])


def _of_run(file: SealedFile, run: int, name: str) -> SealedFile:
    last = np.frombuffer(file.last, dtype=SAMPLE).copy()
    last["channel"] = run
    return replace(file, run=run, file=name, last=last.tobytes())


def sealed_rows(batch: Batch, files: Sequence[SealedFile], unix_s: float) -> None:
    """Put the rows of a run's files into a batch. The run is whole in them."""
    for number, file in enumerate(files, 1):
        row = parts.row_of(file, EVERY_ROW, unix_s, closes=number == len(files))
        batch.put(tables.Part, {"run": file.run, "part": file.part}, **row)


def move_in(incoming: Path, folder: Path) -> None:
    """Move a run's folder to its place, durably; into one that is there, file by file, checksums last."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        incoming.rename(folder)
    else:
        for name in [*files_in(incoming), CHECKSUMS]:
            make_folder((folder / name).parent, folder)
            (incoming / name).replace(folder / name)
            sync_folder((folder / name).parent)
    sync_folder(folder.parent)


def _rows(found: RunFolder) -> Batch:
    """Return everything low-rate that a folder holds as rows of a store."""
    run, batch = found.number, Batch()
    info = found.info
    extra = found.extra(run)  # noqa: S610 - not Django's extra
    values = {"name": info.name, "state": info.state, "info": info.model_dump_json(), "extra": to_json(extra)}
    batch.put(tables.Run, {"run": run}, **values)
    catalogue.put_versions(batch, run, found.program(run), extra, info.submitted_unix_s)
    for digest, earlier in found.earlier_programs(run).items():
        catalogue.put_program(batch, digest, earlier)
    for stored in found.tickets(run):
        batch.put(
            tables.Ticket,
            {"run": run, "segment": stored.ticket.segment},
            digest=catalogue.put_program(batch, stored.ticket.program, stored.program),
            state=stored.state,
            offset_s=stored.offset_s,
            anchor_unix_s=stored.anchor_unix_s,
        )
    _put_found(found, batch)
    batch.past_events += [(run, stored.event) for stored in found.events_of(run)]
    results = found.results(run)
    if results is not None:
        batch.put(tables.Result, {"run": run}, value=to_json(results))
    return batch


def _put_found(found: RunFolder, batch: Batch) -> None:
    run, program = found.number, found.program(found.number)
    for spectrum, summary in found.spectra(run):
        values = {"spectrum": spectrum.model_dump_json(), "summary": summary.model_dump_json()}
        batch.put(tables.Spectrum, {"run": run, "t_start_s": spectrum.t_start_s}, **values)
    for half_cycle in found.half_cycles(run):
        key = {"run": run, "number": half_cycle.number}
        number = program.cycle(half_cycle.step, half_cycle.visit) if program.counts_cycles else None
        batch.put(
            tables.HalfCycle,
            key,
            value=half_cycle.model_dump_json(),
            cycle=number or half_cycle.number // 2 + 1,
        )
    for verdict in found.verdicts(run):
        place = {"run": run, "time_s": verdict.time_s, "kind": verdict.kind}
        batch.put(tables.Verdict, place, value=verdict.model_dump_json())
    for gap in found.gaps(run):
        batch.put(tables.Gap, {"run": run, "t_from_s": gap.t_from_s}, value=gap.model_dump_json())
