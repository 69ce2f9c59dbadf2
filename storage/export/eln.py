"""A run as an ``.eln`` file: a zipped RO-Crate 1.1 in one root folder, for electronic lab notebooks.

Format: TheELNConsortium/TheELNFileFormat, and the RO-Crate 1.1 specification. Samples are a Parquet file,
everything else text; the data around verdicts and their pictures come along as they are.
"""

from __future__ import annotations

import csv
import hashlib
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from protocols.cell import Cell
from protocols.records import RunInfo
from storage.describe import describe
from storage.export import battinfo, tables
from storage.files import sha256, to_json, whole_file, write_json
from storage.flat import TABLES
from storage.run_reader import RunReader

Entity = dict[str, Any]

METADATA = "ro-crate-metadata.json"
CRATE = "https://w3id.org/ro/crate/1.1"
PROGRAM = "#sandtime"
SAMPLES = "samples.bdf.parquet"
ABOUT = {
    SAMPLES: ("application/vnd.apache.parquet", "All samples, in columns of the Battery Data Format"),
    f"{SAMPLES}.metadata.json": ("application/json", "What the columns mean, and in which units"),
    "spectra.eis.csv": ("text/csv", "All impedance spectra"),
    "half_cycles.csv": ("text/csv", "Half-cycles, in SI units"),
    "verdicts.csv": ("text/csv", "What guards found"),
    "events.csv": ("text/csv", "What happened, in its order"),
    "run.json": ("application/json", "Run, program, half-cycles, verdicts, gaps, spectra and results"),
    "test.json": ("application/json", "The test as BattINFO describes it, with its deviations"),
    "test-protocol.json": ("application/json", "The protocol as BattINFO describes it"),
    "protocol.yaml": ("application/yaml", "The protocol, as it was written"),
    "cell.yaml": ("application/yaml", "The cell, as it was written"),
}
"""Name of a file → its media type, and what it holds."""
MEDIA_TYPES = {".png": "image/png", ".csv": "text/csv", ".json": "application/json"}
STORED = (".parquet", ".png")
"""Files that are compressed already."""


def write(reader: RunReader, run: int, path: Path, unix_s: float) -> None:
    """Write a run's archive."""
    info = reader.run(run)
    name = reader.folder_of(run).name
    with tempfile.TemporaryDirectory(prefix=".eln-", dir=path.parent) as temporary:
        folder = Path(temporary) / name
        folder.mkdir()
        _fill(reader, run, folder, unix_s)
        files = [*sorted(folder.iterdir()), *_around_verdicts(reader.folder_of(run))]
        graph = [*_frame(info, name, unix_s), *_about_run(reader, info, name, files)]
        write_json(Path(temporary) / METADATA, {"@context": f"{CRATE}/context", "@graph": graph})
        with whole_file(path) as draft, zipfile.ZipFile(draft, "w") as archive:
            _put(archive, Path(temporary) / METADATA, f"{path.stem}/{METADATA}")
            for file in files:
                _put(archive, file, f"{path.stem}/{name}/{_place(file, folder)}")


def _fill(reader: RunReader, run: int, folder: Path, unix_s: float) -> None:
    """Write what is made for the archive."""
    columns = tables.write_bdf_parquet(reader, run, folder / SAMPLES)
    write_json(folder / f"{SAMPLES}.metadata.json", describe(reader, run, columns))
    tables.write_eis_csv(reader, run, folder / "spectra.eis.csv")
    tables.write_json_document(reader, run, folder / "run.json")
    write_json(folder / "test.json", battinfo.test_record(reader, run, unix_s))
    write_json(folder / "test-protocol.json", battinfo.protocol_record(reader, run, unix_s))
    for table in ("half_cycles", "verdicts", "events"):
        _write_table(reader, run, table, folder / f"{table}.csv")
    extra = reader.extra(run)  # noqa: S610 - not Django's extra
    for file in ("protocol", "cell"):
        if text := extra.get(f"{file}_text"):
            (folder / f"{file}.yaml").write_text(text, encoding="utf-8")


def _write_table(reader: RunReader, run: int, table: str, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(TABLES[table].columns))
        writer.writeheader()
        writer.writerows(TABLES[table].rows(reader, run))


def _around_verdicts(of_run: Path) -> Iterator[Path]:
    """Yield the files of raw data around verdicts, and their pictures."""
    folder = of_run / "verdicts"
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.suffix in MEDIA_TYPES)


def _place(file: Path, folder: Path) -> str:
    return file.name if file.parent == folder else f"verdicts/{file.name}"


def _put(archive: zipfile.ZipFile, file: Path, name: str) -> None:
    kind = zipfile.ZIP_STORED if file.suffix in STORED else zipfile.ZIP_DEFLATED
    archive.write(file, name, compress_type=kind)


def _frame(info: RunInfo, name: str, unix_s: float) -> list[Entity]:
    """Return what every crate has: who describes what, and the root."""
    written = _iso(unix_s)
    return [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": CRATE},
            "dateCreated": written,
            "sdPublisher": {"@id": PROGRAM},
            "version": version("sandtime"),
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Run {info.run}: {info.name}",
            "description": f"Test of cell {info.cell} by protocol {info.protocol}, measured by sandtime.",
            "datePublished": written,
            "license": "Not stated by sandtime: ask those who measured.",
            "hasPart": [{"@id": f"./{name}/"}],
        },
        {"@id": PROGRAM, "@type": "Organization", "name": "sandtime"},
    ]


def _about_run(reader: RunReader, info: RunInfo, name: str, files: list[Path]) -> list[Entity]:
    cell = reader.program(info.run).cell
    known = _properties(info, cell, reader.results(info.run) or {})
    folder = files[0].parent
    entries = [_about_file(file, f"./{name}/{quote(_place(file, folder))}") for file in files]
    began = info.submitted_unix_s if info.started_unix_s is None else info.started_unix_s
    dataset: Entity = {
        "@id": f"./{name}/",
        "@type": "Dataset",
        "name": f"{info.run} {info.name}".strip(),
        "identifier": str(info.run),
        "genre": "experiment",
        "author": {"@id": PROGRAM},
        "dateCreated": _iso(began),
        "dateModified": _iso(info.ended_unix_s or began),
        "keywords": f"battery, {info.protocol}, {info.cell}",
        "text": _text(info),
        "variableMeasured": [{"@id": entity["@id"]} for entity in known],
        "hasPart": [{"@id": entry["@id"]} for entry in entries],
    }
    return [dataset, *entries, *known]


def _about_file(file: Path, identity: str) -> Entity:
    media_type, description = ABOUT.get(file.name, (MEDIA_TYPES.get(file.suffix, ""), "Around a verdict"))
    return {
        "@id": identity,
        "@type": "File",
        "name": file.name,
        "description": description,
        "encodingFormat": media_type,
        "contentSize": str(file.stat().st_size),
        "sha256": sha256(file),
    }


def _properties(info: RunInfo, cell: Cell, results: dict[str, object]) -> list[Entity]:
    """Return what is known of the run as name and value."""
    values: dict[str, object] = {
        "state": info.state,
        "verdict": info.verdict.kind if info.verdict else None,
        "station": info.station,
        "simulated": info.simulated,
        **{f"cell.{name}": value for name, value in cell.model_dump(mode="json").items()},
        **{f"results.{name}": value for name, value in results.items()},
    }
    return [
        {
            "@id": f"#{hashlib.sha256(name.encode()).hexdigest()[:16]}",
            "@type": "PropertyValue",
            "propertyID": name,
            "value": value if isinstance(value, str | int | float) else to_json(value),
        }
        for name, value in values.items()
        if value not in (None, "")
    ]


def _text(info: RunInfo) -> str:
    verdict = f" {info.verdict.message}" if info.verdict else ""
    return f"Protocol {info.protocol} on cell {info.cell}: {info.state}. {info.reason}{verdict}"


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
