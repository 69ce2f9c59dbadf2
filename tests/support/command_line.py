"""The command line in this process: a new one takes a second to start, and more on a busy machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.cli import run


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    stdout: str
    stderr: str


class Here:
    """Runs commands in a folder, as a person would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capture = capture

    def __call__(self, *arguments: str | Path, folder: Path) -> Done:
        """Run a command to its end."""
        with self._monkeypatch.context() as patched:
            patched.chdir(folder)
            patched.setattr(sys, "argv", ["sandtime", *map(str, arguments)])
            patched.setenv("COLUMNS", "200")
            self._capture.readouterr()
            with pytest.raises(SystemExit) as ended:
                run()
        shown = self._capture.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0 if code is None else 1, shown.out, shown.err)
