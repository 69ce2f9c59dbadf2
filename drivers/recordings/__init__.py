"""A recorded file is a channel that plays; every reader is here."""

from drivers.recordings.files import open_recording, read_spectra, read_spectra_and_note
from drivers.recordings.phases import Phase, phases, program_of
from drivers.recordings.playback import PlaybackInstrument
from drivers.recordings.recording import Recording

__all__ = [
    "Phase",
    "PlaybackInstrument",
    "Recording",
    "open_recording",
    "phases",
    "program_of",
    "read_spectra",
    "read_spectra_and_note",
]
