"""EC-Lab's binary files (.mpr), read by the optional library galvani."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from drivers.recordings import eclab
from drivers.recordings.rows import Rows, invalid
from protocols.errors import SandtimeError

MAGIC = b"BIO-LOGIC MODULAR FILE"


def read_mpr(source: Path) -> tuple[Rows, dict[str, str]]:
    """Return the rows of a file and what it says about itself.

    Raises SandtimeError if galvani is not installed, InvalidFileError if the file can't be understood.
    """
    content = _parsed(source)
    names = [str(name) for name in content.data.dtype.names or ()]
    with np.errstate(invalid="ignore"):  # a broken number becomes NaN here and is refused with its row
        columns = {
            meaning: (content.data[names[index]].astype(np.float64), factor)
            for meaning, (index, factor) in eclab.meanings(names, source).items()
        }
    if "flags" in names:
        columns["mode"] = content.get_flag("mode").astype(np.float64), 1.0
    return eclab.rows_of(columns), {"format": "EC-Lab mpr", "started": str(content.startdate or "")}


def _parsed(source: Path) -> Any:
    try:
        from galvani import BioLogic
    except ImportError as error:
        raise SandtimeError(
            f"{source}: reading .mpr files needs the optional library galvani:"
            ' pip install "sandtime[readers]"; or export the file as text (.mpt) in EC-Lab'
        ) from error
    try:
        with source.open("rb") as file:
            return BioLogic.MPRfile(file)
    except Exception as error:
        raise invalid(
            source,
            f"galvani can't read this .mpr file ({type(error).__name__}: {error})",
            "it may be cut off, damaged or of a newer EC-Lab: export it as text (.mpt) and use that",
        ) from error
