"""A model of what a power cut leaves on a disk: what was synced is there, of all else anything may be.

A program runs with ``logged_writes.c`` preloaded. Its log is played back here, and at any place of it an
image of the folder can be drawn as a power cut there may leave it:

- what was written is certain once the file was synced (fsync, fdatasync); until then each write is there, is
  not, or is there in some of its sectors, whatever came of the writes around it;
- a name that was made, renamed or removed is certain once its folder was synced; until then it is what it was
  or what it became. Syncing the file alone does not make its name certain (ext4 does it, POSIX does not).
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services import needs

SHIM = Path(__file__).with_name("logged_writes.c")
SECTORS = (512, 4096)
NOT_KEPT = "-shm"
"""SQLite makes its shared memory anew when nobody has the database open."""
_HEAD = struct.Struct("<cQqII")


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the log; see ``logged_writes.c``."""

    kind: str
    inode: int
    number: int
    path: str
    data: bytes


@dataclass(slots=True)
class File:
    """A file: what is certain of it, and what was done since."""

    certain: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes (offset, data), and new lengths (length, None)."""

    def sync(self) -> None:
        """All that was done is certain from now on."""
        for offset, data in self.pending:
            change(self.certain, offset, data)
        self.pending.clear()

    def survive(self, fate: Fate) -> bytes:
        """Return what a power cut may leave."""
        content = bytearray(self.certain)
        for offset, data in self.pending:
            if data is None:
                if fate.kept():
                    change(content, offset, None)
                continue
            for start, part in fate.parts(data):
                change(content, offset + start, part)
        return bytes(content)


@dataclass(slots=True)
class Folder:
    """A folder: its certain names, and what was done to them since: each change sets or removes names."""

    certain: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[dict[str, File | Folder | None]] = field(default_factory=list)

    def names(self) -> dict[str, File | Folder]:
        """Return the names as the program sees them."""
        return self._after(self.pending)

    def sync(self) -> None:
        """All that was done is certain from now on."""
        self.certain, self.pending = self.names(), []

    def survive(self, fate: Fate) -> dict[str, File | Folder]:
        """Return the names that a power cut may leave."""
        return self._after([change for change in self.pending if fate.kept()])

    def _after(self, changes: Sequence[dict[str, File | Folder | None]]) -> dict[str, File | Folder]:
        merged: dict[str, File | Folder | None] = {**self.certain}
        for each in changes:
            merged.update(each)
        return {name: what for name, what in merged.items() if what is not None}


class Fate:
    """Draws what becomes of each change that is not certain."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        # Nothing and everything are as likely as a mixture: both are the usual outcomes.
        self._share = chance.choice((0.0, 1.0, chance.random()))

    def kept(self) -> bool:
        """Whether a change is there."""
        return self._chance.random() < self._share

    def parts(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the parts of a write that are there, each with its place in it."""
        if self._share in (0.0, 1.0) or self._chance.random() < 0.5:
            if self.kept():
                yield 0, data
            return
        sector = self._chance.choice(SECTORS)
        for start in range(0, len(data), sector):
            if self.kept():
                yield start, data[start : start + sector]


class Disk:
    """The folder as the program sees it and as the disk may hold it, at one place of the log."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._top = Folder()
        self._open: dict[int, File | Folder] = {}

    def play(self, record: Record) -> None:
        """Take one record into account."""
        actions = {"o": self._opened, "D": self._folder_opened, "d": self._made, "r": self._renamed}
        actions |= {"u": self._removed, "w": self._written, "t": self._written, "s": self._synced}
        action: Callable[[Record], None] | None = actions.get(record.kind)
        if record.path.endswith(NOT_KEPT):
            # Its inode may have been that of a file which is no more.
            self._open.pop(record.inode, None)
        elif action is not None:
            action(record)

    def write_image(self, folder: Path, chance: random.Random | None) -> None:
        """Write the folder as a power cut may leave it; without ``chance`` as the program sees it."""
        if chance is None:
            _write(folder, self._top, lambda each: each.names(), _whole)
        else:
            fate = Fate(chance)
            _write(folder, self._top, lambda each: each.survive(fate), lambda file: file.survive(fate))

    def _find(self, path: str) -> tuple[Folder, str]:
        *above, name = Path(path).relative_to(self._root).parts
        folder = self._top
        for part in above:
            inner = folder.names()[part]
            assert isinstance(inner, Folder), path
            folder = inner
        return folder, name

    def _opened(self, record: Record) -> None:
        folder, name = self._find(record.path)
        file = folder.names().get(name)
        if file is None:
            file = File()
            folder.pending.append({name: file})
        elif isinstance(file, File) and record.number & os.O_TRUNC:
            file.pending.append((0, None))
        self._open[record.inode] = file

    def _folder_opened(self, record: Record) -> None:
        if Path(record.path) == self._root:
            self._open[record.inode] = self._top
        else:
            folder, name = self._find(record.path)
            self._open[record.inode] = folder.names()[name]

    def _made(self, record: Record) -> None:
        folder, name = self._find(record.path)
        folder.pending.append({name: Folder()})

    def _renamed(self, record: Record) -> None:
        folder, old = self._find(record.path)
        other, new = self._find(record.data.decode())
        assert folder is other, "renaming from one folder to another is not modelled"
        folder.pending.append({old: None, new: folder.names()[old]})

    def _removed(self, record: Record) -> None:
        folder, name = self._find(record.path)
        folder.pending.append({name: None})

    def _written(self, record: Record) -> None:
        file = self._open.get(record.inode)
        if isinstance(file, File):
            file.pending.append((record.number, record.data if record.kind == "w" else None))

    def _synced(self, record: Record) -> None:
        if record.inode in self._open:
            self._open[record.inode].sync()


def change(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write ``data`` at ``offset``, growing with zeros; None: cut or grow to ``offset`` bytes."""
    if data is None:
        del content[offset:]
    content.extend(bytes(max(0, offset - len(content))))
    if data is not None:
        content[offset : offset + len(data)] = data


def _whole(file: File) -> bytes:
    copy = File(bytearray(file.certain), list(file.pending))
    copy.sync()
    return bytes(copy.certain)


def _write(
    path: Path,
    folder: Folder,
    names: Callable[[Folder], dict[str, File | Folder]],
    content: Callable[[File], bytes],
) -> None:
    path.mkdir()
    for name, what in names(folder).items():
        if isinstance(what, Folder):
            _write(path / name, what, names, content)
        else:
            (path / name).write_bytes(content(what))


def read_log(path: Path) -> list[Record]:
    """Return the records of a log."""
    raw = path.read_bytes()
    records, place = [], 0
    while place < len(raw):
        kind, inode, number, name, size = _HEAD.unpack_from(raw, place)
        place += _HEAD.size
        data = raw[place + name : place + name + size]
        records.append(Record(kind.decode(), inode, number, raw[place : place + name].decode(), data))
        place += name + size
    return records


def logged_run(command: Sequence[str | Path], folder: Path, log: Path, root: Path) -> list[Record]:
    """Run a program to its end and return what it did below ``folder``. Skips a test without a C compiler.

    ``root`` is put on the program's path of modules. ``folder`` must exist; both paths are absolute.
    """
    compiler = shutil.which("cc")
    needs("a C compiler (cc)", compiler is not None and sys.platform == "linux")
    shim = log.with_suffix(".so")
    subprocess.run([str(compiler), "-shared", "-fPIC", "-O1", "-o", shim, SHIM, "-lpthread"], check=True)
    environment = {**os.environ, "PYTHONPATH": str(root), "LD_PRELOAD": str(shim)}
    environment |= {"SANDTIME_LOG": str(log), "SANDTIME_LOGGED_FOLDER": str(folder)}
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, env=environment)
    return read_log(log)
