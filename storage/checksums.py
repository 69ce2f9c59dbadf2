"""``checksums.sha256`` of a run's folder, in the format of GNU coreutils: ``sha256sum -c`` checks it too.

A line is the SHA-256 in hexadecimal, two spaces and the file's path relative to the folder, with forward
slashes. A line whose path holds a backslash or a line break begins with a backslash, and writes them as
``\\\\``, ``\\n`` and ``\\r``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from protocols.errors import StorageError
from storage.files import sha256, whole_file

CHECKSUMS = "checksums.sha256"
LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)")
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
PLAIN = {escaped: plain for plain, escaped in ESCAPES.items()}
NOT_LISTED = re.compile(r"\..*\.tmp")
"""Files that are being written."""


def format_checksums(sums: Mapping[str, str]) -> str:
    """Return path → checksum as the text of a file, by path."""
    lines = []
    for name in sorted(sums):
        escaped = "".join(ESCAPES.get(sign, sign) for sign in name)
        lines.append(f"{'' if escaped == name else chr(92)}{sums[name]}  {escaped}\n")
    return "".join(lines)


def parse_checksums(text: str, source: str) -> dict[str, str]:
    """Return path → checksum. Raises StorageError for lines that are none, and for paths that lead out."""
    sums: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise StorageError(f"{source}, line {number}: no checksum and path; the file is damaged")
        escaped, checksum, name = match.groups()
        if escaped:
            name = re.sub(r"\\[\\nr]", lambda found: PLAIN[found[0]], name)
        if not is_inside(name):
            raise StorageError(f"{source}, line {number}: {name!r} lies outside the folder")
        sums[name] = checksum
    return sums


def is_inside(name: str) -> bool:
    """Whether a path with forward slashes stays inside the folder that it is relative to."""
    path = PurePosixPath(name)
    # A drive or a backslash means something on Windows only; there it would lead out.
    return bool(path.parts) and not path.is_absolute() and not {"..", ""} & set(name.split("/"))


def read_checksums(folder: Path) -> dict[str, str]:
    """Return what a folder's file says: path → checksum. Raises StorageError without a file, or a bad one."""
    path = folder / CHECKSUMS
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return parse_checksums(file.read(), str(path))
    except FileNotFoundError:
        raise StorageError(
            f"{path} is missing: nothing shows whether the folder is whole. Restore it from a backup"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} can't be read: {error}") from error


def write_checksums(folder: Path, known: Mapping[str, str] | None = None, but: Collection[str] = ()) -> None:
    """Write the checksums of all files in a folder but some.

    ``known`` need not be computed: path → checksum.
    """
    names = (name for name in files_in(folder) if name not in but)
    sums = {name: (known or {}).get(name) or sha256(folder / name) for name in names}
    _write(folder, sums)


def renew_checksums(folder: Path, names: Collection[str]) -> None:
    """Compute the checksums of some files anew, also new ones; nothing without a file of them."""
    if not (folder / CHECKSUMS).is_file():
        return
    sums = {name: checksum for name, checksum in read_checksums(folder).items() if name not in names}
    _write(folder, sums | {name: sha256(folder / name) for name in names if (folder / name).is_file()})


def files_in(folder: Path) -> list[str]:
    """Return the paths of all files in a folder but the one of their checksums, by name."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not NOT_LISTED.fullmatch(path.name))
    return sorted(name for path in paths if (name := path.relative_to(folder).as_posix()) != CHECKSUMS)


def _write(folder: Path, sums: Mapping[str, str]) -> None:
    with whole_file(folder / CHECKSUMS) as draft:
        draft.write_bytes(format_checksums(sums).encode())


def check_files(folder: Path, but: Collection[str] = ()) -> list[str]:
    """Return what is wrong with the files in a folder, a sentence each. ``but``: paths not to look at."""
    try:
        sums = read_checksums(folder)
    except StorageError as error:
        return [str(error)]
    found = []
    for name, checksum in sums.items():
        path = folder / name
        if name in but:
            continue
        if not path.is_file():
            found.append(f"{path} is missing. Restore it from a backup")
        elif sha256(path) != checksum:
            found.append(f"{path} was changed: its checksum differs. Restore it from a backup")
    return found
