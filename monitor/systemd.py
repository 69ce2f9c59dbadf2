"""Messages to the service manager (sd_notify), if one has started us. systemd's is a datagram socket."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Tells the service manager how the daemon stands; without one it tells nobody."""

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s
        """It ends a daemon that has not fed its watchdog for so long; None: there is none."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier:
        """Return one for the service manager that the environment names."""
        microseconds, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        ours = not pid or pid == str(os.getpid())
        watched = ours and microseconds.isdecimal() and int(microseconds) > 0
        return cls(environment.get("NOTIFY_SOCKET", ""), int(microseconds) / 1e6 if watched else None)

    def ready(self) -> None:
        """The daemon answers, and has looked at every instrument."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """service.toml is read again; :meth:`ready` follows."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon ends."""
        self._tell("STOPPING=1")

    def feed(self) -> None:
        """Measuring makes progress."""
        self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in one line how things stand, for ``systemctl status``."""
        self._tell(f"STATUS={' '.join(text.split())}")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        # A service manager that does not read is not worth a wait.
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as link:
            link.setblocking(False)
            try:
                link.connect(self._address)
                link.sendall(message.encode())
            except OSError as error:
                log.warning("the service manager can't be told %r: %s", message, error)
