"""The folder of one run, wherever it was copied: the same answers as from the data folder it came from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from protocols.errors import NotFoundError, StorageError
from protocols.measurements import COLUMNS, SAMPLE, Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.records import Event, Gap, HalfCycle, RunInfo, Ticket
from protocols.verdicts import Verdict
from storage import parquet
from storage.columns import Columns
from storage.run_files import EVENTS, FORMAT, PROGRAM, RUN, SPECTRA, file_of
from storage.run_reader import RunReader, where_archived
from storage.tables import SealedFile, StoredEvent, StoredTicket

Model = TypeVar("Model", bound=BaseModel)

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, ValidationError)
"""What comes of a file that is JSON, but not ours."""


def is_run_folder(path: Path) -> bool:
    """Whether a path is the folder of a run."""
    return (path / RUN).is_file()


class RunFolder(RunReader):
    """Answers questions about the one run of a folder.

    ``run`` is its number in all of them, as in :attr:`number`; another one raises NotFoundError. Files are
    read when they are first asked for. Raises StorageError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not is_run_folder(path):
            raise StorageError(f"{path} is no folder of a run: it holds no {RUN}. Check the path.")
        self.document: dict[str, Any] = self._json(RUN)
        _require_format(path, self.document)
        try:
            self.info = RunInfo.model_validate(self.document["run"])
            self.files: list[SealedFile] = [file_of(entry) for entry in self.document["files"]]
            self.origin = str(self.document["origin"]["folder"]), int(self.document["origin"]["run"])
        except UNREADABLE as error:
            raise self._damaged(RUN, error) from error

    @property
    def number(self) -> int:
        """The run's number."""
        return self.info.run

    @property
    def identity(self) -> str:
        """Random name of the data folder that the run was measured into."""
        return self.origin[0]

    def folder_of(self, run: int) -> Path:
        """Return the folder."""
        self._require(run)
        return self.path

    def run(self, run: int) -> RunInfo:
        """Return the run."""
        self._require(run)
        return self.info

    def program(self, run: int) -> Program:
        """Return the program of the run."""
        self._require(run)
        return self._programs[0]

    def earlier_program(self, run: int, digest: str) -> Program:
        """Return a program that the run had before it was edited."""
        self._require(run)
        try:
            return Program.model_validate(self._json(PROGRAM)["earlier"][digest])
        except UNREADABLE as error:
            raise self._damaged(PROGRAM, error) from error

    def extra(self, run: int) -> dict[str, str]:
        """Return the texts that were kept with the run."""
        self._require(run)
        return dict(self.document.get("texts", {}))

    def pieces(
        self, run: int, columns: Sequence[str] = COLUMNS, t0: float = -math.inf, t1: float = math.inf
    ) -> Iterator[Columns]:
        """Yield the run's samples piece by piece as they are stored: all pieces that overlap t0 … t1."""
        self._require(run)
        for file in self.files:
            path = self.path / file.file
            if not path.is_file():
                raise StorageError(f"{path} is missing: {where_archived(self.info)}")
            yield from parquet.read(path, columns, t0, t1)

    def last_sample(self, run: int) -> np.void | None:
        """Return the newest sample of the run (dtype SAMPLE), None if it has none."""
        self._require(run)
        if not self.files or not self.files[-1].last:
            return None
        sample = np.frombuffer(self.files[-1].last, dtype=SAMPLE).copy()
        sample["channel"] = self.number
        last: np.void = sample[0]
        return last

    def count(self, run: int) -> int:
        """Return how many samples the run has."""
        self._require(run)
        return sum(file.n for file in self.files)

    def spectra(self, run: int) -> list[tuple[Spectrum, SpectrumSummary]]:
        """Return the run's spectra with their summaries, by time."""
        self._require(run)
        return self._spectra

    def half_cycles(self, run: int) -> list[HalfCycle]:
        """Return the run's half-cycles, by number."""
        return self._models(run, "half_cycles", HalfCycle)

    def verdicts(self, run: int) -> list[Verdict]:
        """Return what guards found in the run, by time."""
        return self._models(run, "verdicts", Verdict)

    def gaps(self, run: int) -> list[Gap]:
        """Return the stretches of the run whose samples are missing, by time."""
        return self._models(run, "gaps", Gap)

    def events_of(self, run: int, kind: str | None = None) -> list[StoredEvent]:
        """Return all events of the run, of one kind or (None) of every, the oldest first."""
        self._require(run)
        return [stored for stored in self._events if kind in (None, stored.event.kind)]

    def tickets(self, run: int) -> list[StoredTicket]:
        """Return the run's segments, by number."""
        rows = zip(self._listed(run, "segments"), self._programs[1:], strict=True)
        return [
            StoredTicket(
                Ticket(run=run, segment=row["segment"], program=row["program_sha256"], folder=self.identity),
                program,
                row["state"],
                row["t_start_s"],
                row["start_unix_s"],
            )
            for row, program in rows
        ]

    def results(self, run: int) -> dict[str, object] | None:
        """Return the results of the run, None if there are none."""
        self._require(run)
        found = self.document.get("results")
        return None if found is None else dict(found)

    @cached_property
    def _programs(self) -> list[Program]:
        """The run's program, then those of its segments."""
        document = self._json(PROGRAM)
        try:
            return [Program.model_validate(value) for value in (document["program"], *document["segments"])]
        except UNREADABLE as error:
            raise self._damaged(PROGRAM, error) from error

    @cached_property
    def _spectra(self) -> list[tuple[Spectrum, SpectrumSummary]]:
        try:
            return [
                (
                    Spectrum.model_validate({**row["spectrum"], "channel": self.number}),
                    SpectrumSummary.model_validate(row["summary"]),
                )
                for row in self._json(SPECTRA)
            ]
        except UNREADABLE as error:
            raise self._damaged(SPECTRA, error) from error

    @cached_property
    def _events(self) -> list[StoredEvent]:
        try:
            return [
                StoredEvent(row["id"], self.number, Event.model_validate(row["event"]))
                for row in self._json(EVENTS)
            ]
        except UNREADABLE as error:
            raise self._damaged(EVENTS, error) from error

    def _models(self, run: int, key: str, model: type[Model]) -> list[Model]:
        try:
            return [model.model_validate(value) for value in self._listed(run, key)]
        except UNREADABLE as error:
            raise self._damaged(RUN, error) from error

    def _listed(self, run: int, key: str) -> list[Any]:
        self._require(run)
        return list(self.document.get(key, []))

    def _require(self, run: int) -> None:
        if run != self.number:
            raise NotFoundError(f"{self.path} holds run {self.number}, not run {run}")

    def _json(self, name: str) -> Any:
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise StorageError(f"{path} is missing. Copy the whole folder again.") from None
        except (OSError, ValueError) as error:
            raise self._damaged(name, error) from error

    def _damaged(self, name: str, error: Exception) -> StorageError:
        return StorageError(
            f"{self.path / name} can't be understood ({str(error)[:200]}). Copy the folder again, or restore "
            "it from an archive."
        )


def _require_format(path: Path, document: object) -> None:
    number = document.get("format") if isinstance(document, dict) else None
    if not isinstance(number, int):
        raise StorageError(
            f"{path / RUN} was written by a sandtime whose folders did not describe themselves. Where its "
            "data folder is, `sandtime archive` brings it up to date; then copy it again."
        )
    if number > FORMAT:
        raise StorageError(
            f"{path} was written by a newer sandtime (format {number}; this one knows {FORMAT}). Install the "
            "newer version."
        )
