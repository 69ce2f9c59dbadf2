"""Where the command line finds a run: by its number in the lab's data folder, or in a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.output import configuration
from protocols.errors import NotFoundError

if TYPE_CHECKING:
    from storage.run_reader import RunReader

RunOrFolder = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Number of the run, as `sandtime status` shows it, or the folder of a run."
    ),
]


def open_run(text: str, config: Path | None) -> tuple[RunReader, int]:
    """Return who answers for a run, and its number. Raises NotFoundError, StorageError."""
    from storage.reader import Reader
    from storage.run_folder import RunFolder

    if is_number(text):
        reader = Reader(configuration(config).data)
        return reader, reader.run(int(text)).run
    if not Path(text).is_dir():
        raise NotFoundError(f"{text!r} is neither the number of a run nor the folder of one")
    folder = RunFolder(Path(text))
    return folder, folder.number


def is_number(text: str) -> bool:
    """Whether a run is named by its number; a folder that is called like one is ``./3``."""
    return text.isascii() and text.isdecimal()
