"""Tables with the column names of the Battery Data Format (BDF), as csv or parquet.

Machine names (``test_time_second``) and preferred labels (``Test Time / s``) are both understood, in the
units that the names say (BDF ontology 1.3.0). BDF counts a charging current as positive; it is kept as it is
and taken as oxidising the working electrode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drivers.recordings.rows import Floats, Rows, invalid, rows_from
from drivers.recordings.spectra import counts_points, read_lines
from drivers.recordings.text import checked_table, separated

PARQUET_MAGIC = b"PAR1"

NAMES: dict[str, tuple[str, ...]] = {
    "t_s": ("test_time_second", "test time / s", "time_s", "time"),
    "voltage_V": ("voltage_volt", "voltage / v"),
    "current_A": ("current_ampere", "current / a"),
    "step": ("step_count", "step count / 1", "step_id", "step id", "index"),
    "cycle": ("cycle_count", "cycle count / 1"),
    "frequency_Hz": ("frequency_hertz", "frequency / hz"),
    "z_real_ohm": ("real_impedance_ohm", "real impedance / ohm"),
    "z_imag_ohm": ("imaginary_impedance_ohm", "imaginary impedance / ohm"),
}
"""Column of a row → its names, lower case, the preferred first. ``time`` (in s) and ``index`` (number of the
spectrum) are for tables of spectra."""

_UNIX = ("unix_time_second", "unix time / s")
_SPECTRUM = ("frequency_Hz", "z_real_ohm", "z_imag_ohm")
_METADATA = {"current_sign": "BDF: a positive current charges; taken as oxidising the working electrode"}


def read_csv(source: Path) -> tuple[Rows, dict[str, str]]:
    """Return the rows of a text table, in BDF's names or of spectra in others. Raises InvalidFileError."""
    lines = separated(source)
    if not lines:
        raise invalid(source, "the file is empty", "record or export it again")
    head, body = lines[0], lines[1:]
    if not _is_known(_found(head.cells)):
        spectra = read_lines(source, lines)
        if spectra is not None:
            return spectra
    found = _indices(head.cells, source)
    table = checked_table(source, head.cells, [row.cells for row in body], [row.number for row in body])
    columns = {name: table.column(index) for name, index in found.items()}
    unix = _unix_index(head.cells)
    began = {} if unix is None or not table.cells else _began(table.cells[0][unix])
    return _rows(columns, len(table.cells)), {"format": "BDF csv", **_METADATA, **began}


def read_parquet(source: Path) -> tuple[Rows, dict[str, str]]:
    """Return the rows of a parquet table. Raises InvalidFileError."""
    import pyarrow as pa

    table, names = _parquet_table(source)
    columns = {}
    for name, index in _indices(names, source).items():
        try:
            columns[name] = table.column(index).cast(pa.float64()).to_numpy()
        except pa.ArrowException as error:
            raise invalid(
                source,
                f"column {names[index]!r} holds no numbers ({error})",
                "export it again with numbers in this column",
            ) from error
    unix = _unix_index(names)
    began = {} if unix is None or not table.num_rows else _began(table.column(unix)[0].as_py())
    return _rows(columns, table.num_rows), {"format": "BDF parquet", **_METADATA, **began}


def _unix_index(names: Sequence[str]) -> int | None:
    """Return which column holds the time by UTC, if one does."""
    plain = [name.strip().lower() for name in names]
    return next((plain.index(name) for name in _UNIX if name in plain), None)


def _began(value: object) -> dict[str, str]:
    """Return when the first row was measured, where a cell says so."""
    try:
        began_unix_s = float(str(value))
    except ValueError:
        return {}
    return {"start_unix_s": repr(began_unix_s)} if math.isfinite(began_unix_s) else {}


def _parquet_table(source: Path) -> tuple[Any, list[str]]:
    import pyarrow.parquet as pq

    try:
        # Not read_table on an open file: after damaged files its threads now and then aborted the exit.
        with pq.ParquetFile(str(source)) as file:
            table = file.read(use_threads=False)
        return table, list(table.column_names)
    except Exception as error:
        raise invalid(
            source,
            f"this parquet file can't be read ({type(error).__name__}: {error})",
            "it may be cut off or damaged: export it again",
        ) from error


def _found(names: Sequence[str]) -> dict[str, int]:
    plain = [name.strip().lower() for name in names]
    found: dict[str, int] = {}
    for name, aliases in NAMES.items():
        alias = next((alias for alias in aliases if alias in plain), None)
        if alias is not None:
            found[name] = plain.index(alias)
    return found


def _is_known(found: Mapping[str, int]) -> bool:
    return {"t_s", "voltage_V"} <= found.keys() or set(_SPECTRUM) <= found.keys()


def _indices(names: Sequence[str], source: Path) -> dict[str, int]:
    found = _found(names)
    if not _is_known(found):
        raise invalid(
            source,
            f"no columns that sandtime knows among: {', '.join(names)[:300]}",
            "it needs test_time_second, voltage_volt and current_ampere, or for spectra frequency_hertz,"
            " real_impedance_ohm and imaginary_impedance_ohm (names and units of BDF), or freq/Hz, Re(Z)/Ohm,"
            " -Im(Z)/Ohm",
            1,
        )
    return found


def _rows(columns: dict[str, Floats], count: int) -> Rows:
    """Return the rows; spectra alone need no time: without one they are all at 0 s."""
    columns.setdefault("t_s", np.zeros(count))
    if set(_SPECTRUM) <= columns.keys() and "step" in columns and counts_points(columns["step"]):
        del columns["step"]
    return rows_from(columns)
