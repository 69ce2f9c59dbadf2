"""Writing a run to files that other programs read.

To be run in another process than the daemon: it loads pyarrow, and openpyxl for spreadsheets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from protocols.errors import StorageError
from storage.describe import describe
from storage.export import battinfo, eln, tables, xlsx
from storage.files import write_json
from storage.run_reader import RunReader

Format = Literal["bdf-csv", "bdf-parquet", "eis-csv", "json", "xlsx", "eln", "battinfo"]


def export_run(
    reader: RunReader, run: int, fmt: Format, path: Path, *, clock: Callable[[], float] = time.time
) -> list[Path]:
    """Write a run to ``path`` and return the files that were written.

    ``bdf-csv`` and ``bdf-parquet`` hold columns of the Battery Data Format only, ``eis-csv`` all spectra one
    after the other, ``json`` everything but the samples; how these are to be read is written to
    ``<name>.metadata.json`` beside them. ``xlsx`` is for people, ``eln`` an archive for electronic lab
    notebooks, ``battinfo`` the metadata of the test, with its protocol in a second file. ``clock`` gives UTC
    in s, for files that say when they were written. Raises StorageError.
    """
    if fmt not in get_args(Format):
        raise StorageError(f"unknown format {fmt!r}; there are {', '.join(get_args(Format))}")
    if not path.parent.is_dir():
        raise StorageError(f"{path} cannot be written: the folder {path.parent} does not exist")
    match fmt:
        case "xlsx":
            xlsx.write(reader, run, path)
            return [path]
        case "eln":
            eln.write(reader, run, path, clock())
            return [path]
        case "battinfo":
            return battinfo.write(reader, run, path, clock())
        case _:
            columns = tables.WRITERS[fmt](reader, run, path)
    about = path.with_name(f"{path.name}.metadata.json")
    write_json(about, describe(reader, run, columns))
    return [path, about]
