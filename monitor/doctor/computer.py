"""Checks of the computer: Python, SQLite, packages, memory, files, clock, language."""

from __future__ import annotations

import importlib.util
import locale
import platform
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from monitor.doctor.finding import Finding, Setup, ok, problem, warning
from storage.database import SAFE_SQLITE

PACKAGES = ("protocols", "drivers", "guards", "analysis", "storage", "scheduler", "monitor")
HOME = Path(__file__).resolve().parent.parent.parent
MEMINFO = Path("/proc/meminfo")
SPARE_MB = 300.0
"""What the daemon takes for itself, and some room."""
LEAST_FILES = 1024
ANSWER_S = 5.0


def python(_: Setup) -> Iterator[Finding]:
    """Which sandtime, Python and computer this is."""
    bits = 64 if sys.maxsize > 2**32 else 32
    about = f"sandtime {version('sandtime')} on Python {platform.python_version()} ({bits}-bit), "
    yield ok("Python", f"{about}{platform.system()} {platform.machine()}")


def sqlite(_: Setup) -> Iterator[Finding]:
    """Is the SQLite of this Python one that damages databases when two programs write?"""
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= SAFE_SQLITE:
        yield ok("SQLite", found)
        return
    safe = ".".join(map(str, SAFE_SQLITE))
    yield warning(
        "SQLite",
        f"{found}: before {safe} it may damage a database that two programs write to at the same moment. "
        "sandtime writes by one connection only, so this concerns other programs.",
        "Let no other program write to sandtime.sqlite; to read, use `sandtime query` or the exports.",
    )


def packages(_: Setup) -> Iterator[Finding]:
    """Are our packages the ones that are found under their names?"""
    here = Path.cwd().resolve()
    shadows = [] if here == HOME else [name for name in PACKAGES if _is_package(here, name)]
    if shadows:
        yield warning(
            "packages",
            f"the working folder has {', '.join(shadows)}, which are also names of packages of sandtime. The "
            "command `sandtime` looks past them; your own Python scripts in this folder don't.",
            f"Start scripts that import sandtime elsewhere, or rename {here / shadows[0]}.",
        )
    strangers = [name for name in PACKAGES if _home_of(name) not in (HOME, here)]
    if strangers:
        yield problem(
            "packages",
            f"another installed package owns the name {', '.join(strangers)}",
            "Install sandtime into an environment of its own: python3 -m venv .venv",
        )
    if not shadows and not strangers:
        yield ok("packages", f"found in {HOME}")


def _is_package(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or (folder / f"{name}.py").is_file()


def _home_of(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent.parent


def memory(setup: Setup) -> Iterator[Finding]:
    """Is there memory for what waits while a disk is gone?"""
    available = _available_MB()
    if available is None:
        return
    held = 0.0 if setup.config is None else setup.config.storage.hold_megabytes
    text = f"{available:.0f} MB are free"
    if available < SPARE_MB + held:
        yield warning(
            "memory",
            f"{text}; the daemon takes {SPARE_MB:.0f} MB, and up to {held:.0f} MB more while a disk is gone",
            "Close other programs, or lower hold_megabytes in [storage] of service.toml.",
        )
    else:
        yield ok("memory", text)


def _available_MB() -> float | None:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) / 1024 if found else None


def open_files(_: Setup) -> Iterator[Finding]:
    """May the daemon open as many files and connections as it needs?"""
    if sys.platform == "win32":
        return
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < LEAST_FILES:
        yield warning(
            "open files",
            f"a process may open {soft} files and connections",
            f"ulimit -n {LEAST_FILES * 4}; the unit of `sandtime service-unit` sets it for the service.",
        )
    else:
        yield ok("open files", "no limit" if soft < 0 else f"up to {soft}")


def clock(_: Setup) -> Iterator[Finding]:
    """Is the computer's clock kept right by the network?"""
    command = shutil.which("timedatectl")
    said = "" if command is None else answer([command, "show", "--property=NTPSynchronized", "--value"])
    if said == "yes":
        yield ok("clock", "kept right by the network")
    elif said == "no":
        yield warning(
            "clock",
            "it is not kept right by the network. Run times come from the instruments and are not touched, "
            "but dates and times of day in exports are as wrong as the clock.",
            "sudo timedatectl set-ntp true",
        )
    else:
        yield ok("clock", f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}; who keeps it right can't be seen here")


def language(_: Setup) -> Iterator[Finding]:
    """Can names with µ, Ω and é be read and written?"""
    encodings = {sys.getfilesystemencoding(), locale.getpreferredencoding(False)}
    if {name.lower().replace("-", "") for name in encodings} == {"utf8"}:
        yield ok("language", f"UTF-8; time zone {'/'.join(time.tzname)}")
        return
    yield warning(
        "language",
        f"texts are in {', '.join(sorted(encodings))}: names of files with µ or Ω may come out wrong",
        "Set LANG=C.UTF-8, or your own language in UTF-8; on Windows: set PYTHONUTF8=1",
    )


def answer(command: list[str]) -> str:
    """Return what a command of the system says; empty if it says nothing."""
    try:
        done = subprocess.run(  # noqa: S603 - a command of the system, with arguments from our own code
            command, capture_output=True, encoding="utf-8", timeout=ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
