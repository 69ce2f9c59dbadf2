"""Opening a recorded file: the reader is chosen by what the file holds, then by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drivers.recordings import bdf, gamry, mpr, mpt, zplot
from drivers.recordings.recording import Recording, recording_of
from drivers.recordings.rows import Rows, invalid
from protocols.measurements import Spectrum

READABLE = ".mpr, .mpt, .DTA, .z, tables of spectra as text, or csv and parquet with the column names of BDF"

Reader = Callable[[Path], tuple[Rows, dict[str, str]]]

_BY_SUFFIX: dict[str, Reader] = {
    ".csv": bdf.read_csv,
    ".txt": bdf.read_csv,
    ".tsv": bdf.read_csv,
    ".dat": bdf.read_csv,
    ".dta": gamry.read_dta,
    ".z": zplot.read_z,
    ".parquet": bdf.read_parquet,
    ".mpr": mpr.read_mpr,
    ".mpt": mpt.read_mpt,
}
_NEWARE = (".nda", ".ndax")


def open_recording(path: Path | str, current_A: float | None = None) -> Recording:
    """Read a recorded file.

    ``current_A`` is the signed current, in A, of every DC sample of a file that has only time and voltage;
    the recording is then marked as inferred. Raises InvalidFileError for what can't be read or makes no
    sense, SandtimeError if a reader is not installed.
    """
    source = Path(path)
    try:
        rows, metadata = _reader(source)(source)
    except OSError as error:
        raise invalid(source, f"can't be opened: {error.strerror or error}", "give a file to read") from error
    return recording_of(rows, source, metadata, current_A)


def read_spectra(path: Path | str) -> list[Spectrum]:
    """Read the impedance spectra of a file, in the order of time.

    A table of text says by its headings what its columns are (:mod:`drivers.recordings.spectra`); ``index``
    tells spectra apart, else each return of the frequency begins a new one; ``time`` is in s. Raises
    InvalidFileError if the file can't be read or holds no spectrum.
    """
    return list(read_spectra_and_note(path)[0])


def read_spectra_and_note(path: Path | str) -> tuple[tuple[Spectrum, ...], str]:
    """Read spectra as :func:`read_spectra` does, with a note on how the file was understood.

    The note is for a person, and empty where the file says everything itself.
    """
    source = Path(path)
    recording = open_recording(source)
    if not recording.spectra:
        raise invalid(source, "the file holds no impedance spectra", "give a file with rows of a frequency")
    return recording.spectra, recording.metadata.get("note", "")


def _reader(source: Path) -> Reader:
    with source.open("rb") as file:
        head = file.read(64)
    if not head:
        raise invalid(source, "the file is empty", "record or export it again")
    if head.startswith(mpr.MAGIC):
        return mpr.read_mpr
    if head.startswith(mpt.MAGIC):
        return mpt.read_mpt
    if head.startswith(bdf.PARQUET_MAGIC):
        return bdf.read_parquet
    if head.split(maxsplit=1)[:1] == [gamry.MAGIC]:
        return gamry.read_dta
    if head.upper().startswith(zplot.MAGIC):
        return zplot.read_z
    return _reader_by_name(source)


def _reader_by_name(source: Path) -> Reader:
    suffix = source.suffix.lower()
    if suffix in _NEWARE:
        raise invalid(
            source, "Neware's own files can't be read yet", "convert it: fastnda writes parquet in BDF names"
        )
    if suffix not in _BY_SUFFIX:
        raise invalid(source, "unknown format", f"sandtime reads {READABLE}")
    return _BY_SUFFIX[suffix]
