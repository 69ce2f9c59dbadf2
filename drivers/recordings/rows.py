"""The rows of a recorded file, in SI, as every reader hands them over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured
from numpy.typing import NDArray

from protocols.errors import InvalidFileError, Problem

Floats = NDArray[np.float64]

ROW = np.dtype(
    [
        ("t_s", "<f8"),
        ("voltage_V", "<f8"),
        ("current_A", "<f8"),
        ("step", "<f8"),
        ("cycle", "<f8"),
        ("frequency_Hz", "<f8"),
        ("z_real_ohm", "<f8"),
        ("z_imag_ohm", "<f8"),
        ("amplitude_A", "<f8"),
    ]
)
"""One row of a file. ``frequency_Hz`` is 0 in a DC row; every other column is NaN where the file has none.
``step`` and ``cycle`` are the vendor's numbers, ``amplitude_A`` the peak of the measured AC current."""

Rows = NDArray[np.void]
"""A structured array of dtype :data:`ROW`."""

OUT_OF_ORDER_S = 1.0
"""Instruments write the last row of a step after the first of the next: so much is sorted, more refused."""

LARGEST = 1e15
"""No time in s, voltage, current, frequency or impedance in SI is larger: such a number is a broken one."""


def invalid(source: Path, message: str, hint: str, line: int = 0) -> InvalidFileError:
    """Return the error for a file that can't be used; ``line`` is 1-based, 0 means the whole file."""
    return InvalidFileError([Problem(str(source), line, 0, message, hint)])


def rows_from(columns: Mapping[str, Floats]) -> Rows:
    """Return rows with the given columns of :data:`ROW`, all of one length; the others stay empty."""
    count = len(next(iter(columns.values())))
    rows = np.full(count, np.nan, dtype=ROW)
    for name, values in columns.items():
        rows[name] = values
    rows["frequency_Hz"] = np.where(rows["frequency_Hz"] > 0, rows["frequency_Hz"], 0.0)
    return rows


def cleaned(rows: Rows, source: Path) -> Rows:
    """Return the rows in the order of time, each once. Raises InvalidFileError where that makes no sense."""
    if not len(rows):
        raise invalid(source, "the file holds no rows of data", "record or export it again")
    is_eis = rows["frequency_Hz"] > 0
    _require_numbers(rows, source, "t_s", np.ones_like(is_eis))
    _require_numbers(rows, source, "voltage_V", ~is_eis)
    for name in ("frequency_Hz", "z_real_ohm", "z_imag_ohm"):
        _require_numbers(rows, source, name, is_eis)
    if not np.all(np.isnan(rows["current_A"])):
        _require_numbers(rows, source, "current_A", ~is_eis)
    return _without_duplicates(_in_time_order(rows, source))


def _require_numbers(rows: Rows, source: Path, name: str, where: NDArray[np.bool_]) -> None:
    usable = np.abs(rows[name]) < LARGEST
    bad = np.flatnonzero(where & ~usable)
    if len(bad):
        raise invalid(
            source,
            f"row {bad[0] + 1} of the data: {name} is {rows[name][bad[0]]}, not a usable number"
            f" ({len(bad)} such rows)",
            "the file may be cut off or damaged: export it again, or remove these rows",
        )


def _in_time_order(rows: Rows, source: Path) -> Rows:
    t_s = rows["t_s"]
    back = np.flatnonzero(np.diff(t_s) < -OUT_OF_ORDER_S)
    if len(back):
        row = int(back[0]) + 1
        raise invalid(
            source,
            f"row {row + 1} of the data: time goes back from {t_s[row - 1]:g} s to {t_s[row]:g} s",
            "time must count from the start of the whole test, not of a step or cycle: export it so",
        )
    ordered: Rows = rows[np.argsort(t_s, kind="stable")]
    return ordered


def _without_duplicates(rows: Rows) -> Rows:
    values = np.nan_to_num(structured_to_unstructured(rows), nan=np.inf)
    is_new = np.ones(len(rows), dtype=np.bool_)
    is_new[1:] = np.any(values[1:] != values[:-1], axis=1)
    kept: Rows = rows[is_new]
    return kept
