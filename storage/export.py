"""Writing a run to files that other programs read. Each gets a ``<name>.metadata.json`` beside it.

To be run in another process than the daemon: it loads pyarrow.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

from protocols.errors import StorageError
from protocols.measurements import COLUMNS, as_json
from storage import parquet
from storage.bdf import LOSSLESS, ChargeCounter, CycleCounter, StepCounter
from storage.columns import Columns, regroup
from storage.describe import describe
from storage.files import whole_file, write_json
from storage.run_reader import RunReader as Reader
from storage.spectra_csv import EIS_COLUMNS, write_spectra_csv

Format = Literal["bdf-csv", "bdf-parquet", "eis-csv", "json"]

ROWS = 1 << 16
MEASURED = ("t_s", "voltage_V", "current_A")


def export_run(reader: Reader, run: int, fmt: Format, path: Path) -> None:
    """Write a run to ``path``, and how it is to be read to ``<name>.metadata.json`` beside it.

    ``bdf-csv`` and ``bdf-parquet`` hold columns of the Battery Data Format only, ``eis-csv`` all spectra one
    after the other, ``json`` everything but the samples. Raises StorageError.
    """
    if fmt not in get_args(Format):
        raise StorageError(f"unknown format {fmt!r}; there are {', '.join(get_args(Format))}")
    if not path.parent.is_dir():
        raise StorageError(f"{path} cannot be written: the folder {path.parent} does not exist")
    columns = WRITERS[fmt](reader, run, path)
    write_json(path.with_name(f"{path.name}.metadata.json"), describe(reader, run, columns))


def _write_bdf_csv(reader: Reader, run: int, path: Path) -> list[str]:
    columns: list[str] = []
    with whole_file(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for group in _bdf_groups(reader, run):
            if not columns:
                columns = list(group)
                writer.writerow(columns)
            writer.writerows(zip(*(values.tolist() for values in group.values()), strict=True))
    return columns


def _write_bdf_parquet(reader: Reader, run: int, path: Path) -> list[str]:
    with whole_file(path) as draft:
        return parquet.write(draft, _bdf_groups(reader, run))


def _write_eis_csv(reader: Reader, run: int, path: Path) -> list[str]:
    write_spectra_csv(path, (whole for whole, _ in reader.spectra(run)))
    return list(EIS_COLUMNS)


def _write_json(reader: Reader, run: int, path: Path) -> list[str]:
    spectra = [{"spectrum": as_json(whole), "summary": as_json(few)} for whole, few in reader.spectra(run)]
    document = {
        "run": as_json(reader.run(run)),
        "program": as_json(reader.program(run)),
        "half_cycles": [as_json(half_cycle) for half_cycle in reader.half_cycles(run)],
        "verdicts": [as_json(verdict) for verdict in reader.verdicts(run)],
        "gaps": [as_json(gap) for gap in reader.gaps(run)],
        "spectra": spectra,
        "results": reader.results(run),
    }
    write_json(path, document)
    return []


def _bdf_groups(reader: Reader, run: int) -> Iterator[Columns]:
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


WRITERS: dict[Format, Callable[[Reader, int, Path], list[str]]] = {
    "bdf-csv": _write_bdf_csv,
    "bdf-parquet": _write_bdf_parquet,
    "eis-csv": _write_eis_csv,
    "json": _write_json,
}
"""Each writes its file and returns the names of its columns."""
