"""Words of a data buffer to columns (300 series; facts of User's Guide 6.11 §7, "data format"). Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.biologic.constants import TechniqueId
from drivers.biologic.structs import CurrentValues
from protocols.errors import InstrumentError

Words = NDArray[np.uint32]
Floats = NDArray[np.float64]

_COLUMNS: dict[tuple[int, int], int] = {
    (TechniqueId.OCV, 0): 3,
    (TechniqueId.CPLIMIT, 0): 5,
    (TechniqueId.CALIMIT, 0): 5,
    (TechniqueId.VSCANLIMIT, 0): 5,
    (TechniqueId.GEIS, 0): 4,
    (TechniqueId.GEIS, 1): 14,
    (TechniqueId.PEIS, 0): 4,
    (TechniqueId.PEIS, 1): 14,
}
_SPECTRUM_COLUMNS = 14


@dataclass(frozen=True, slots=True)
class Header:
    """What the library says of a block (TDataInfos)."""

    technique: int
    """Position in the linked list."""
    technique_id: int
    process: int
    loop: int
    rows: int
    columns: int
    start_s: float
    """Start of the technique on the channel's clock."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of BL_GetData."""

    header: Header
    words: Words
    values: CurrentValues
    lost: int
    """Samples that the instrument had to drop."""


@dataclass(frozen=True, slots=True)
class Rows:
    """DC rows, or DC parts of the points of a sweep. Arrays of shape (rows,)."""

    t_s: Floats
    """Since the technique's start."""
    voltage_V: Floats
    current_A: Floats


@dataclass(frozen=True, slots=True)
class SweepRows(Rows):
    """Points of a spectrum: also frequency in Hz and Z in Ω (inf where no current flowed)."""

    frequency_Hz: Floats
    impedance_ohm: NDArray[np.complex128]


def as_singles(words: Words) -> Floats:
    """Read words as IEEE-754 single numbers, as boards of type 2 send them. Any shape."""
    return words.view(np.float32).astype(np.float64)


def decode(
    header: Header, words: Words, timebase_s: float, singles: Callable[[Words], Floats] = as_singles
) -> Rows:
    """Return the rows of one block; :class:`SweepRows` for the points of a spectrum.

    ``singles`` turns a table of words into numbers of the same shape (boards of type 3 have a format of
    their own). Raises InstrumentError if the block is not one that our techniques make.
    """
    kind = (header.technique_id, header.process)
    expected = _COLUMNS.get(kind)
    if header.columns != expected or not math.isfinite(header.start_s):
        raise InstrumentError(
            f"a block of technique id {header.technique_id}, process {header.process} has {header.columns} "
            f"columns (expected: {expected}) and starts at {header.start_s} s; the library's version does "
            "not fit, or another program loaded the channel"
        )
    table = words[: header.rows * header.columns].reshape(header.rows, header.columns)
    if header.columns == _SPECTRUM_COLUMNS:
        return _sweep_rows(table, singles)
    return _dc_rows(header.technique_id, table, timebase_s, singles)


def _dc_rows(technique_id: int, table: Words, timebase_s: float, singles: Callable[[Words], Floats]) -> Rows:
    t_s = (table[:, 0].astype(np.float64) * 2.0**32 + table[:, 1]) * timebase_s
    numbers = singles(table)
    if technique_id == TechniqueId.OCV:
        return Rows(t_s, numbers[:, 2], np.zeros(len(table)))
    # A scan sends <I> before <Ewe>.
    voltage, current = (3, 2) if technique_id == TechniqueId.VSCANLIMIT else (2, 3)
    return Rows(t_s, numbers[:, voltage], numbers[:, current])


def _sweep_rows(table: Words, singles: Callable[[Words], Floats]) -> SweepRows:
    numbers = singles(table)
    frequency_Hz, e_V, i_A, phase, voltage_V, current_A = numbers[:, :6].T
    with np.errstate(divide="ignore", invalid="ignore"):
        modulus_ohm = e_V / i_A
        impedance_ohm = modulus_ohm * np.cos(phase) + 1j * (modulus_ohm * np.sin(phase))
    return SweepRows(numbers[:, 13], voltage_V, current_A, frequency_Hz, impedance_ohm)
