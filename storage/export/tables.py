"""Plain tables: samples in the columns of the Battery Data Format, spectra, and the rest as one document."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from protocols.measurements import COLUMNS, as_json
from storage import parquet
from storage.bdf import LOSSLESS, ChargeCounter, CycleCounter, StepCounter
from storage.columns import Columns, regroup
from storage.files import whole_file, write_json
from storage.run_reader import RunReader
from storage.spectra_csv import EIS_COLUMNS, write_spectra_csv

ROWS = 1 << 16
MEASURED = ("t_s", "voltage_V", "current_A")


def write_bdf_csv(reader: RunReader, run: int, path: Path) -> list[str]:
    """Write the samples as text; every number reads back as it was."""
    columns: list[str] = []
    with whole_file(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for group in _bdf_groups(reader, run):
            if not columns:
                columns = list(group)
                writer.writerow(columns)
            writer.writerows(zip(*(values.tolist() for values in group.values()), strict=True))
    return columns


def write_bdf_parquet(reader: RunReader, run: int, path: Path) -> list[str]:
    """Write the samples as Parquet."""
    with whole_file(path) as draft:
        return parquet.write(draft, _bdf_groups(reader, run))


def write_eis_csv(reader: RunReader, run: int, path: Path) -> list[str]:
    """Write all spectra, a row a point, with the DC voltage and current of each sweep."""
    write_spectra_csv(path, (whole for whole, _ in reader.spectra(run)))
    return list(EIS_COLUMNS)


def write_json_document(reader: RunReader, run: int, path: Path) -> list[str]:
    """Write everything but the samples."""
    spectra = [{"spectrum": as_json(whole), "summary": as_json(few)} for whole, few in reader.spectra(run)]
    document = {
        "run": as_json(reader.run(run)),
        "program": as_json(reader.program(run)),
        "edits": reader.edits(run),
        "half_cycles": [as_json(half_cycle) for half_cycle in reader.half_cycles(run)],
        "verdicts": [as_json(verdict) for verdict in reader.verdicts(run)],
        "gaps": [as_json(gap) for gap in reader.gaps(run)],
        "spectra": spectra,
        "results": reader.results(run),
    }
    write_json(path, document)
    return []


def _bdf_groups(reader: RunReader, run: int) -> Iterator[Columns]:
    """Yield the samples as columns that both BDF 1.3.0 and the ``bdf`` tool know."""
    steps, charges = StepCounter(), ChargeCounter()
    cycles = CycleCounter(reader.program(run))
    to_unix = reader.clock(run)
    for group in regroup(reader.pieces(run), COLUMNS, ROWS):
        yield {
            **{LOSSLESS[name]: group[name] for name in MEASURED},
            "unix_time_second": to_unix(group["t_s"]),
            "cycle_count": cycles.count(group),
            "step_count": steps.count(group),
            **charges.count(group),
        }


WRITERS: Mapping[str, Callable[[RunReader, int, Path], list[str]]] = {
    "bdf-csv": write_bdf_csv,
    "bdf-parquet": write_bdf_parquet,
    "eis-csv": write_eis_csv,
    "json": write_json_document,
}
"""Each writes its file and returns the names of its columns."""
