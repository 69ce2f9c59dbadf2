"""Folders of runs, files that are whole or absent, and JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from protocols.errors import StorageError

RUNS = "runs"
INCOMING = "incoming"
"""Folder in a data folder for what is on its way in: restored archives, recordings that are imported."""
IDENTITY = "identity"
"""File with the random name of a data folder."""
DRAFT = ".tmp"
"""Ending of a file that is being written, and has no name yet."""


def identity_of(folder: Path) -> str:
    """Return the random name of a data folder, given at its first use; empty if it has none yet."""
    path = folder / IDENTITY
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def name_folder(folder: Path) -> str:
    """Return the random name of a data folder, and give it one if it has none."""
    if not identity_of(folder):
        with whole_file(folder / IDENTITY) as part:
            part.write_text(secrets.token_hex(6), encoding="utf-8")
    return identity_of(folder)


def run_folder(folder: Path, run: int, name: str) -> Path:
    """Return the folder for a run's own files."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:60]
    return folder / RUNS / (f"{run}-{safe}" if safe else f"{run}")


def newest_folder(folder: Path) -> int:
    """Return the highest run number that has a folder, 0 if none has."""
    numbers = (path.name.split("-")[0] for path in (folder / RUNS).glob("*"))
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def has_folder(folder: Path, run: int) -> bool:
    """Whether there is a folder of a run with this number."""
    return any(path.name.split("-")[0] == str(run) for path in (folder / RUNS).glob(f"{run}*"))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, which then takes the place of ``path``, durably, or is removed."""
    # The process's number keeps apart what a killed process, not quite dead, and its successor write.
    draft = path.with_name(f".{path.name}.{os.getpid()}{DRAFT}")
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_drafts(folder: Path) -> None:
    """Delete what processes that were killed were writing in a data folder. Nobody else may write in it."""
    for path in (*folder.glob(f".*{DRAFT}"), *(folder / RUNS).rglob(f".*{DRAFT}")):
        path.unlink(missing_ok=True)


def delete_files(paths: Iterable[Path]) -> None:
    """Delete files, durably; some may be gone already."""
    folders = set()
    for path in paths:
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    for folder in folders:
        if folder.exists():
            sync_folder(folder)


def make_folder(path: Path, inside: Path) -> None:
    """Make a folder somewhere inside another, durably."""
    path.mkdir(parents=True, exist_ok=True)
    while path != inside:
        path = path.parent
        sync_folder(path)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable (Windows needs and knows no such call)."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: object) -> None:
    """Write a JSON file, whole or not at all."""
    with whole_file(path) as draft:
        draft.write_text(to_json(value, indent=2) + "\n", encoding="utf-8")


def to_json(value: object, indent: int | None = None) -> str:
    """Return a value as JSON. Raises StorageError for what JSON cannot hold (NaN and infinity among it)."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise StorageError(f"{value!r:.200} cannot be stored as JSON: {error}") from error
