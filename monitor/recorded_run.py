"""The folder of a run as a recording: what was measured, to be judged anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivers.recordings import Recording
from protocols.errors import UsageError
from protocols.measurements import FLAG_EIS, FLAG_INFERRED
from protocols.program import Program
from storage.bdf import StepCounter
from storage.run_folder import RunFolder


def recording_of_folder(path: Path, current: str | None = None) -> tuple[Recording, Program]:
    """Return what was measured in a run, and the program that it ran. Raises StorageError, UsageError.

    ``current``: given by a person for recordings without one; a run has its own.
    """
    if current is not None:
        raise UsageError(f"{path} is the folder of a run, whose current was measured: leave out --current")
    folder = RunFolder(path)
    info = folder.info
    columns = folder.samples(info.run)
    steps = StepCounter().count(columns).astype(np.float64)
    is_dc = (columns["flags"] & FLAG_EIS) == 0
    recording = Recording(
        name=info.protocol,
        source=path,
        t_s=columns["t_s"][is_dc],
        voltage_V=columns["voltage_V"][is_dc],
        current_A=columns["current_A"][is_dc],
        step=steps[is_dc],
        inferred_current=bool(np.any(columns["flags"] & FLAG_INFERRED)),
        metadata={"format": "folder of a run"},
    )
    spectra = (spectrum.model_copy(update={"channel": 0}) for spectrum, _ in folder.spectra(info.run))
    return recording.with_spectra(spectra), folder.program(info.run)
