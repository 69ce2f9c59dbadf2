"""What lies in a run's folder beside its samples, so that it needs nothing else: ``runs/<n>-<name>/``.

``run.json`` says what was measured, how and when, what came of it, and what the columns mean;
``program.json`` what ran, in SI; ``protocol.yaml`` and ``cell.yaml`` are what a person wrote, byte for byte;
``spectra.json`` and ``events.json`` hold every spectrum and event whole, ``spectra.eis.csv`` the spectra for
other programs, ``verdicts/`` the raw data around verdicts; ``checksums.sha256`` is written last.

To be run in another process than the daemon: long runs hold thousands of spectra.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from protocols.measurements import as_json
from protocols.records import RunInfo
from storage.bdf import LOSSLESS
from storage.checksums import CHECKSUMS, is_inside, write_checksums
from storage.describe import describe
from storage.files import make_folder, whole_file, write_json
from storage.reader import Reader
from storage.rollup_files import files_of
from storage.run_reader import RunReader
from storage.spectra_csv import write_spectra_csv
from storage.tables import SealedFile

FORMAT = 1
"""Of the folder. A newer sandtime that changes what the files mean counts it up."""
RUN, PROGRAM, SPECTRA, EVENTS = "run.json", "program.json", "spectra.json", "events.json"
SPECTRA_CSV = "spectra.eis.csv"
INCLUDED = "included"
"""Folder with the files that a protocol includes."""
TEXTS = {"protocol_text": "protocol.yaml", "cell_text": "cell.yaml"}
ORIGIN = "origin"
"""Key of ``extra``: data folder and number that a restored run had where it was measured."""


def describe_run(reader: Reader, run: int, files: Sequence[SealedFile], columns: Sequence[str]) -> None:
    """Write everything that a run's folder needs beside its samples. Each file is whole or absent.

    ``files`` hold its samples, under the names ``columns``. Raises StorageError.
    """
    folder = reader.folder_of(run)
    # From here on nothing says that the folder is whole, until everything in it is.
    (folder / CHECKSUMS).unlink(missing_ok=True)
    _write_texts(folder, reader.extra(run))  # noqa: S610 - not Django's extra
    segments = [as_json(stored.program) for stored in reader.tickets(run)]
    programs = {"program": as_json(reader.program(run)), "segments": segments}
    earlier = {digest: as_json(program) for digest, program in reader.earlier_programs(run).items()}
    write_json(folder / PROGRAM, programs | ({"earlier": earlier} if earlier else {}))
    spectra = reader.spectra(run)
    write_json(folder / SPECTRA, [{"spectrum": as_json(w), "summary": as_json(s)} for w, s in spectra])
    write_spectra_csv(folder / SPECTRA_CSV, (whole for whole, _ in spectra))
    events = [{"id": stored.id, "event": as_json(stored.event)} for stored in reader.events_of(run)]
    write_json(folder / EVENTS, events)
    write_json(folder / RUN, document_of(reader, run, files, columns))
    known = {Path(file.file).name: file.sha256 for file in files}
    write_checksums(folder, known, _left_behind(folder, files))


def _left_behind(folder: Path, files: Sequence[SealedFile]) -> list[str]:
    """Return the files of parts that were merged: they are deleted soon."""
    present = {path.name for file in files for path in files_of(folder / Path(file.file).name)}
    return [path.name for path in folder.glob("*.parquet") if path.name not in present]


def describe_again(reader: Reader, run: int) -> Path:
    """Bring the folder of a run that has ended and is sealed up to date; return it. Raises StorageError."""
    files = reader.parts(run)
    folder = reader.folder_of(run)
    describe_run(reader, run, files, columns_of([reader.folder / file.file for file in files]))
    return folder


def document_of(
    reader: RunReader, run: int, files: Sequence[SealedFile], columns: Sequence[str]
) -> dict[str, object]:
    """Return what stands in ``run.json``."""
    info, extra = reader.run(run), reader.extra(run)  # noqa: S610 - not Django's extra
    return {
        "format": FORMAT,
        "version": version(),
        **describe(reader, run, columns),
        "origin": origin_of(reader, run),
        "instrument": _instrument(info, extra),
        "program_sha256": reader.program(run).digest(),
        "segments": [
            {
                "segment": stored.ticket.segment,
                "program_sha256": stored.ticket.program,
                "state": stored.state,
                "t_start_s": stored.offset_s,
                "start_unix_s": stored.anchor_unix_s,
            }
            for stored in reader.tickets(run)
        ],
        "edits": reader.edits(run),
        "half_cycles": [as_json(half_cycle) for half_cycle in reader.half_cycles(run)],
        "verdicts": [as_json(verdict) for verdict in reader.verdicts(run)],
        "results": reader.results(run),
        "stored_columns": LOSSLESS,
        "files": [entry_of(file) for file in files],
    }


def origin_of(reader: RunReader, run: int) -> dict[str, object]:
    """Return where a run was measured: name of the data folder, and its number there."""
    kept = reader.extra(run).get(ORIGIN)  # noqa: S610 - not Django's extra
    folder, _, number = kept.rpartition("/") if kept else (reader.identity, "", str(run))
    return {"folder": folder, "run": int(number)}


def entry_of(file: SealedFile) -> dict[str, object]:
    """Return a file of samples as JSON holds it: bytes in hexadecimal, its name without folders."""
    values = {key: v.hex() if isinstance(v, bytes) else v for key, v in dataclasses.asdict(file).items()}
    return {**values, "file": Path(file.file).name}


def file_of(entry: Mapping[str, Any]) -> SealedFile:
    """Return the file of samples that an entry tells of. Raises TypeError, ValueError, KeyError."""
    values: dict[str, Any] = {
        field.name: bytes.fromhex(entry[field.name]) if field.type == "bytes" else entry[field.name]
        for field in dataclasses.fields(SealedFile)
        if field.name in entry or field.default is dataclasses.MISSING
    }
    if not is_inside(values["file"]) or "/" in values["file"]:
        raise ValueError(f"{values['file']!r} is no file of the folder")
    return SealedFile(**values)


def columns_of(paths: Iterable[Path]) -> list[str]:
    """Return the names of the columns in files of samples. Raises StorageError."""
    from storage import parquet

    for path in paths:
        return parquet.column_names(path)
    return []


def version() -> str:
    """Return the version of sandtime."""
    try:
        return importlib.metadata.version("sandtime")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _write_texts(folder: Path, extra: Mapping[str, str]) -> None:
    """Write what a person wrote, byte for byte; also the files that the protocol includes."""
    texts = {name: extra[key] for key, name in TEXTS.items() if extra.get(key)}
    for name, text in json.loads(extra.get(INCLUDED) or "{}").items():
        # Paths that lead elsewhere are not followed: their texts stand in run.json alone.
        if is_inside(name):
            texts[f"{INCLUDED}/{name}"] = text
    for name, text in texts.items():
        path = folder / name
        make_folder(path.parent, folder)
        with whole_file(path) as draft:
            draft.write_bytes(text.encode())


def _instrument(info: RunInfo, extra: Mapping[str, str]) -> dict[str, object]:
    """Return what a run was measured with, as service.toml or the recording named it."""
    known = {key: extra[key] for key in ("instrument", "channel") if extra.get(key)}
    return {"station": info.station, **known, "simulated": info.simulated}
