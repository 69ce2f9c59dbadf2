"""What the columns of EC-Lab files mean, the same in binary (.mpr) and text (.mpt) files.

Names and units as EC-Lab writes them: a quantity, a slash, a unit; angle brackets mark a mean over the
interval since the row before (``<I>/mA``, in text files also ``<Ewe/V>``). A positive current oxidises the
working electrode, as everywhere in sandtime. Column ``-Im(Z)`` holds −Z″.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from drivers.recordings.rows import Floats, Rows, invalid, rows_from

CHARGE_PER_MILLIAMPERE_HOUR_C = 3.6

MEANINGS: dict[str, dict[str, float]] = {
    "t_s": {"time/s": 1.0},
    "voltage_V": {"Ewe/V": 1.0, "Ecell/V": 1.0, "Ewe-Ece/V": 1.0, "Ewe/mV": 1e-3, "Ecell/mV": 1e-3},
    "current_A": {"I/mA": 1e-3, "I/A": 1.0, "I/µA": 1e-6},
    "charge_C": {
        "dq/mA.h": CHARGE_PER_MILLIAMPERE_HOUR_C,
        "dQ/mA.h": CHARGE_PER_MILLIAMPERE_HOUR_C,
        "dQ/C": 1.0,
        "dq/C": 1.0,
    },
    "mode": {"mode": 1.0},
    "step": {"Ns": 1.0},
    "cycle": {"cycle number": 1.0},
    "frequency_Hz": {"freq/Hz": 1.0},
    "z_real_ohm": {"Re(Z)/Ohm": 1.0},
    "z_imag_ohm": {"-Im(Z)/Ohm": -1.0},
    "z_abs_ohm": {"|Z|/Ohm": 1.0},
    "z_phase_rad": {"Phase(Z)/deg": float(np.pi / 180)},
    "amplitude_A": {"|I|/A": 1.0},
}
"""Meaning → the names it may have, the preferred first, each with the factor to SI. ``charge_C`` is the
charge passed since the row before."""

MODE_REST = 3
"""Value of ``mode`` in rows that were taken at open circuit."""


def meanings(names: Sequence[str], source: Path) -> dict[str, tuple[int, float]]:
    """Return meaning → (index of its column in ``names``, factor to SI).

    Raises InvalidFileError if time or voltage is missing, unless the columns are those of a spectrum.
    """
    plain = [_plain(name) for name in names]
    found: dict[str, tuple[int, float]] = {}
    for meaning, aliases in MEANINGS.items():
        alias = next((alias for alias in aliases if alias in plain), None)
        if alias is not None:
            found[meaning] = plain.index(alias), aliases[alias]
    is_spectrum = "frequency_Hz" in found and found.keys() >= {"z_real_ohm", "z_imag_ohm"}
    if not is_spectrum and ("t_s" not in found or "voltage_V" not in found):
        raise invalid(
            source,
            f"no columns time/s and Ewe/V (or Ecell/V) among: {', '.join(names)[:300]}",
            "export the file again with these columns",
        )
    return found


def rows_of(columns: Mapping[str, tuple[Floats, float]]) -> Rows:
    """Return the rows for columns by meaning, each with its factor to SI (see :func:`meanings`).

    What overflows in a damaged file becomes infinite or NaN, and is refused with all such rows later.
    """
    with np.errstate(all="ignore"):
        return _rows({meaning: values * factor for meaning, (values, factor) in columns.items()})


def _rows(known: dict[str, Floats]) -> Rows:
    known.setdefault("t_s", np.zeros(len(next(iter(known.values())))))
    absolute, phase = known.pop("z_abs_ohm", None), known.pop("z_phase_rad", None)
    if "z_real_ohm" not in known and absolute is not None and phase is not None:
        known["z_real_ohm"], known["z_imag_ohm"] = absolute * np.cos(phase), absolute * np.sin(phase)
    charge_C, mode = known.pop("charge_C", None), known.pop("mode", None)
    if "current_A" not in known and charge_C is not None:
        known["current_A"] = mean_currents(known["t_s"], charge_C)
    elif "current_A" not in known and mode is not None and np.all(mode == MODE_REST):
        known["current_A"] = np.zeros(len(mode))
    return rows_from(known)


def mean_currents(t_s: Floats, charge_C: Floats) -> Floats:
    """Return the mean current since the row before, in A, from the charge passed since then.

    EC-Lab computes its text column ``<I>`` in this way where a technique (GCPL) records only charge.
    The first row, and rows at the same time as the one before, take the current of their neighbour.
    """
    interval_s = np.diff(t_s, prepend=t_s[:1])
    has_length = interval_s > 0
    current_A = np.divide(charge_C, interval_s, out=np.zeros_like(charge_C), where=has_length)
    if len(charge_C) > 1 and charge_C[0] != 0:
        current_A[0] = current_A[1]
    for row in np.flatnonzero(~has_length[1:]) + 1:
        current_A[row] = current_A[row - 1]
    return current_A


def _plain(name: str) -> str:
    return name.strip().replace("<", "").replace(">", "").replace("\N{GREEK SMALL LETTER MU}", "µ")
