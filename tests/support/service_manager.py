"""A service manager as far as the daemon sees it: a datagram socket that hears what it says of itself."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ServiceManager:
    """Hears messages, each a mapping of names to values."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._link.bind(self.address)
        self.all: list[dict[str, str]] = []
        """Everything that was heard, in order."""

    def heard(self) -> list[dict[str, str]]:
        """Return what has come since the last time."""
        self._link.setblocking(False)
        found: list[dict[str, str]] = []
        while True:
            try:
                text = self._link.recv(4096).decode()
            except BlockingIOError:
                return found
            found.append(self._keep(text))

    def next(self, timeout_s: float = 60.0) -> dict[str, str]:
        """Wait for the next message."""
        self._link.settimeout(timeout_s)
        return self._keep(self._link.recv(4096).decode())

    def _keep(self, text: str) -> dict[str, str]:
        self.all.append(dict(line.partition("=")[::2] for line in text.splitlines()))
        return self.all[-1]

    def close(self) -> None:
        self._link.close()


@contextmanager
def service_manager() -> Iterator[ServiceManager]:
    """Yield one that listens; its path is short, as sockets want it."""
    with tempfile.TemporaryDirectory(prefix="sd-") as folder:
        manager = ServiceManager(Path(folder))
        try:
            yield manager
        finally:
            manager.close()
