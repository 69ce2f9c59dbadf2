"""Runs' folders in one tar file, or copied to another folder; and back, checked on both ways.

An archive holds folders of runs as they are (:mod:`storage.run_files`), nothing else: ``tar -xf`` and
``sha256sum -c`` are enough to read it without sandtime.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from protocols.errors import NotAllowedError, StorageError
from protocols.records import ENDED
from storage.checksums import CHECKSUMS, check_files, is_inside, parse_checksums, read_checksums
from storage.files import sha256, sync_folder, whole_file
from storage.reader import Reader
from storage.run_files import describe_again
from storage.run_folder import RunFolder, is_run_folder
from storage.verify import verify_folder, verify_run

BLOCK = 1 << 20


class Copy(NamedTuple):
    """Where a run was archived."""

    path: Path
    """The tar file, or the copied folder."""
    sha256: str
    """Of the tar file, or of the folder's ``checksums.sha256``."""


def ready_folder(reader: Reader, run: int) -> Path:
    """Return the folder of a run that may be archived: ended, sealed, up to date and whole.

    Raises NotAllowedError, and StorageError if something is wrong with it.
    """
    info = reader.run(run)
    if info.state not in ENDED:
        raise NotAllowedError(f"run {run} is {info.state}: it can be archived when it has ended")
    if info.archived is not None:
        raise NotAllowedError(f"run {run} has been archived already, in {info.archived.file}")
    if not reader.is_sealed(run):
        raise NotAllowedError(
            f"run {run} has ended, but its samples are not in their file yet: the daemon (`sandtime serve`) "
            "writes it within moments; then try again"
        )
    _refuse(f"run {run}", verify_run(reader, run).problems)
    folder = describe_again(reader, run)
    _refuse(f"run {run}", verify_folder(RunFolder(folder)).problems)
    return folder


def write_archive(folders: Sequence[Path], target: Path) -> list[Copy]:
    """Write folders of runs to a tar file, or into a folder, and read them back; return where each is.

    The target is a folder if it is one, or if its name does not end in ``.tar``. What is there already is
    not overwritten. Raises StorageError.
    """
    if target.is_dir() or target.suffix.lower() != ".tar":
        return _write_copies(folders, target)
    if target.exists():
        raise StorageError(f"{target} exists already; choose another name")
    if not target.parent.is_dir():
        raise StorageError(f"{target} cannot be written: the folder {target.parent} does not exist")
    with whole_file(target) as draft:
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as archive:
            for folder in folders:
                for name in [*read_checksums(folder), CHECKSUMS]:
                    archive.add(folder / name, f"{folder.name}/{name}", filter=_plain)
        _refuse(str(target), check_archive(draft))
    return [Copy(target, sha256(target))] * len(folders)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who owned a file here."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _write_copies(folders: Sequence[Path], target: Path) -> list[Copy]:
    """Copy folders of runs into another one."""
    target.mkdir(parents=True, exist_ok=True)
    copies = [target / folder.name for folder in folders]
    for folder, copy in zip(folders, copies, strict=True):
        if copy.exists():
            raise StorageError(f"{copy} exists already; choose another folder")
        with _whole_folder(copy) as draft:
            shutil.copytree(folder, draft)
            _refuse(str(draft), check_files(draft))
            for path in draft.rglob("*"):
                _sync(path)
    return [Copy(copy, sha256(copy / CHECKSUMS)) for copy in copies]


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary path for a folder, which then gets its name, durably, or is removed."""
    draft = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        yield draft
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(path.parent)


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())


def check_archive(path: Path) -> list[str]:
    """Return what is wrong with a tar file of runs, a sentence each. Nothing is written."""
    try:
        with tarfile.open(path) as archive:
            found = {name: _hash(archive, member) for name, member in _members(archive, path)}
            return _unlike(archive, path, found)
    except StorageError as error:
        return [str(error)]
    except (tarfile.TarError, OSError, EOFError) as error:
        words = str(error).splitlines()[0]
        return [f"{path} can't be read to its end ({words}): it is cut off, damaged, or no tar file"]


def _unlike(archive: tarfile.TarFile, path: Path, found: dict[str, str]) -> list[str]:
    """Compare the files in an archive with the checksums of their folders."""
    problems = []
    members = {PurePosixPath(member.name).as_posix(): member for member in archive}
    for folder in sorted({name.split("/")[0] for name in found}):
        listed = f"{folder}/{CHECKSUMS}"
        if listed not in found:
            problems.append(f"{path}: {listed} is missing: nothing shows whether the run is whole")
            continue
        text = _file(archive, members[listed]).read().decode("utf-8", "replace")
        for name, checksum in parse_checksums(text, f"{path}: {listed}").items():
            inside = f"{folder}/{name}"
            if inside not in found:
                problems.append(f"{path}: {inside} is missing")
            elif found[inside] != checksum:
                problems.append(f"{path}: {inside} was changed: its checksum differs")
    return problems


def _members(archive: tarfile.TarFile, path: Path) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield path and member of each file. Raises StorageError for anything that is not a run's folder."""
    seen: set[str] = set()
    for member in archive:
        name = PurePosixPath(member.name).as_posix()
        inside = is_inside(member.name) and "\\" not in name and not Path(name).is_absolute()
        is_deep = member.isdir() or (member.isfile() and "/" in name)
        if not inside or not is_deep or name in seen:
            raise StorageError(
                f"{path} holds {member.name!r}, which is no file of a run's folder: no archive that sandtime "
                "wrote, and nothing of it was unpacked"
            )
        seen.add(name)
        if member.isfile():
            yield name, member


def _hash(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    digest = hashlib.sha256()
    file = _file(archive, member)
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:  # only for what is no file
        raise StorageError(f"{member.name!r} in the archive is no file")
    return file


def unpack(source: Path, into: Path) -> list[Path]:
    """Unpack an archive, or copy the folder of a run, into a new folder; return the runs' folders, checked.

    Raises StorageError; nothing lands outside ``into``.
    """
    if source.is_dir():
        folders = [source] if is_run_folder(source) else [p for p in source.iterdir() if is_run_folder(p)]
        for folder in folders:
            shutil.copytree(folder, into / folder.name)
    else:
        _extract(source, into)
    found = sorted(path for path in into.iterdir() if is_run_folder(path)) if into.is_dir() else []
    if not found:
        raise StorageError(f"{source} holds no run. Give an archive, or the folder of a run.")
    for folder in found:
        _refuse(str(source), verify_folder(RunFolder(folder)).problems)
    return found


def _extract(source: Path, into: Path) -> None:
    _refuse(str(source), check_archive(source))
    with tarfile.open(source) as archive:
        archive.extractall(into, filter="data")


def _refuse(what: str, problems: Sequence[str]) -> None:
    if problems:
        raise StorageError(f"{what} is not whole: {'; '.join(problems)}")
